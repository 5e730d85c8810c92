"""Perfect negotiation between two connections of one process (W3C webrtc-pc, section 10.7)."""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import Context
from typing import TYPE_CHECKING, Any

from adieu.errors import AdieuError
from adieu.events import once

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from adieu.webrtc import RTCPeerConnection


class Negotiation:
    """Negotiates between two connections, over signaling that takes time and keeps order. `World.negotiate` makes it.

    Attributes:
        offers: how many were made.
    """

    def __init__(
        self,
        polite: RTCPeerConnection,
        other: RTCPeerConnection,
        *,
        delay: Callable[[], float],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self.offers = 0
        self.delay = delay
        self.spawn = spawn
        self._sides = (_Side(self, polite, polite=True), _Side(self, other, polite=False))
        self._tasks = [spawn(side.run()) for side in self._sides]
        for side, peer in zip(self._sides, reversed(self._sides), strict=True):
            side.peer = peer
            side.attach()

    def joins(self, *connections: RTCPeerConnection) -> bool:
        """Return whether it is between these."""
        return all(any(side.pc is pc for side in self._sides) for pc in connections)

    def stop(self) -> None:
        """End it; the connections stay as they are."""
        for side, task in zip(self._sides, self._tasks, strict=True):
            side.detach()
            task.cancel()


class _Side:
    """One side. It handles messages in order, and makes an offer beside that."""

    peer: _Side

    def __init__(self, negotiation: Negotiation, pc: RTCPeerConnection, *, polite: bool) -> None:
        self.pc = pc
        self._negotiation = negotiation
        self._polite = polite
        self._inbox: asyncio.Queue[Any] = asyncio.Queue()
        self._under_way: deque[Any] = deque()
        self._making_offer = False
        self._ignoring = False
        self._offers: set[asyncio.Task[None]] = set()

    def attach(self) -> None:
        self.pc.addEventListener("negotiationneeded", self._needed)
        self.pc.addEventListener("icecandidate", self._candidate)

    def detach(self) -> None:
        self.pc.removeEventListener("negotiationneeded", self._needed)
        self.pc.removeEventListener("icecandidate", self._candidate)
        for task in self._offers:
            task.cancel()

    def post(self, message: Any) -> None:
        """Have a message arrive here, after the delay."""
        if not (delay := self._negotiation.delay()):
            self._inbox.put_nowait(message)
            return
        # Timers of the same moment are in no order: what is due takes the oldest. It belongs to no program.
        self._under_way.append(message)
        asyncio.get_running_loop().call_later(delay, self._arrive, context=Context())

    def _arrive(self) -> None:
        self._inbox.put_nowait(self._under_way.popleft())

    def _is_closed(self) -> bool:
        return self.pc.signalingState == "closed"

    def _needed(self, _: Any) -> None:
        task = self._negotiation.spawn(self._offer())
        self._offers.add(task)
        task.add_done_callback(self._offers.discard)

    async def _offer(self) -> None:
        self._making_offer = True
        try:
            await self.pc.setLocalDescription()
            self._negotiation.offers += 1
            self._send(self.pc.localDescription)
        except AdieuError:
            if not self._is_closed():
                raise
        finally:
            self._making_offer = False

    def _candidate(self, event: Any) -> None:
        if event.candidate is not None:
            self._send(event.candidate)

    def _send(self, message: Any) -> None:
        self.peer.post(message.toJSON())

    async def run(self) -> None:
        """Handle the messages of the other side, until cancelled."""
        while True:
            message = await self._inbox.get()
            if self._is_closed():
                continue
            try:
                await (self._description(message) if "sdp" in message else self._add(message))
            except AdieuError:
                if not self._is_closed():
                    raise

    async def _description(self, description: Mapping[str, Any]) -> None:
        offer = description["type"] == "offer"
        self._ignoring = offer and not self._polite and (self._making_offer or self.pc.signalingState != "stable")
        if self._ignoring:
            return
        await self.pc.setRemoteDescription(description)
        if offer:
            await self.pc.setLocalDescription()
            self._send(self.pc.localDescription)

    async def _add(self, candidate: Mapping[str, Any]) -> None:
        try:
            await self.pc.addIceCandidate(candidate)
        except AdieuError:
            if not self._ignoring:
                raise


async def reached(pc: RTCPeerConnection, state: str) -> None:
    """Wait until `connectionState` is this.

    Cancellation: nothing is lost.
    """
    while pc.connectionState != state:
        await once(pc, "connectionstatechange")
