"""Signaling between two sessions of one process: for a first try and for tests."""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import Context
from typing import Any

import msgspec

from adieu.errors import SignalingLostError

MAX_HELD = 4096
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(dict[str, Any])


class _Way:
    """One direction: messages on their way, and messages that have arrived."""

    def __init__(self) -> None:
        self.underway: deque[bytes] = deque()
        """In order: a timer takes the oldest message, whichever timer runs first."""
        self.due = 0
        """The number of messages that have been on their way long enough."""
        self.arrived: deque[bytes] = deque()
        self.woken: asyncio.Event = asyncio.Event()


class _Link:
    """The state that the two ends share."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.is_cut = False
        self.ended = ""
        self.ways: tuple[_Way, _Way] = (_Way(), _Way())

    def carry(self, way: _Way, data: bytes) -> None:
        """Start to carry a message."""
        way.underway.append(data)
        if self.delay > 0:
            # It is on the wire: it arrives whatever becomes of its sender.
            asyncio.get_running_loop().call_later(self.delay, self._ripen, way, context=Context())
        else:
            self._ripen(way)

    def _ripen(self, way: _Way) -> None:
        if way.underway:
            way.due += 1
            self.flow(way)

    def flow(self, way: _Way) -> None:
        """Deliver the messages that are due, unless the link is cut."""
        while way.due and not self.is_cut:
            way.due -= 1
            way.arrived.append(way.underway.popleft())
            way.woken.set()


class MemorySignaling:
    """One end of a pair; see `memory_signaling`. Messages pass through JSON, as they would on a wire.

    Both ends share cuts, delay and end, as they would share a wire.
    """

    def __init__(self, link: _Link, out: _Way, into: _Way) -> None:
        self._link = link
        self._out = out
        self._in = into

    @property
    def up(self) -> bool:
        """Whether messages get through now."""
        return not (self._link.is_cut or self._link.ended)

    @property
    def delay(self) -> float:
        """Seconds that a message is on its way. You can change it at any time."""
        return self._link.delay

    @delay.setter
    def delay(self, seconds: float) -> None:
        self._link.delay = seconds

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message. While the link is cut it is held.

        Raises:
            SignalingLostError: the pair was closed, or too many messages are held.
            TypeError: the message does not fit into JSON.
        """
        data = _encoder.encode(message)
        if self._link.ended:
            raise SignalingLostError(self._link.ended)
        if len(self._out.underway) + len(self._out.arrived) >= MAX_HELD:
            raise SignalingLostError(f"{MAX_HELD} messages already wait to be received, which is the most")
        self._link.carry(self._out, data)

    async def receive(self) -> dict[str, Any]:
        """Return the next message of the other end. Only one task may wait.

        Raises:
            SignalingLostError: the pair was closed, and no message is left.

        Cancellation: no message is lost.
        """
        while not self._in.arrived:
            if self._link.ended:
                raise SignalingLostError(self._link.ended)
            self._in.woken.clear()
            await self._in.woken.wait()
        return _decoder.decode(self._in.arrived.popleft())

    def cut(self) -> None:
        """Cut the link: both ends hold their messages, as a client does without its server."""
        self._link.is_cut = True

    def heal(self) -> None:
        """Heal the link: held messages arrive first, in order."""
        self._link.is_cut = False
        for way in self._link.ways:
            self._link.flow(way)

    def close(self, reason: str = "signaling was closed") -> None:
        """End both for good. Messages that have arrived can still be received."""
        self._link.ended = reason
        for way in self._link.ways:
            way.underway.clear()
            way.due = 0
            way.woken.set()


def memory_signaling(*, delay: float = 0.0) -> tuple[MemorySignaling, MemorySignaling]:
    """Return two ends of signaling in one process.

    Args:
        delay: seconds that a message is on its way.
    """
    link = _Link(delay)
    there, back = link.ways
    return MemorySignaling(link, there, back), MemorySignaling(link, back, there)
