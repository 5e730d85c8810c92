"""The contents of a channel: messages in order, and ranges of their numbers. Both need little memory."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adieu.protocol.control import COST

if TYPE_CHECKING:
    from collections.abc import Iterable

UNPACKED = 4096
"""Messages that a line keeps as objects; those behind them are packed."""
PACKED = 32
"""Bytes, at most, that a packed message takes beside its payload (one that is sent again takes 24 more)."""
BLOCK = 64 * 1024
_HEAD = struct.Struct("<QIB")
_AGAIN = struct.Struct("<16sQ")
_TEXT, _SENT_AGAIN = 1, 2


@dataclass(slots=True, frozen=True)
class Payload:
    """A message as the application sees it: text is UTF-8 here."""

    data: bytes
    text: bool
    again: tuple[str, int] | None = None
    """Sent again: (receipt id, sequence number) of the first time."""


@dataclass(slots=True)
class Incoming:
    """A whole message that arrived."""

    seq: int
    payload: Payload


class Ranges:
    """Whole numbers, kept as runs: (first, last), rising, with a gap between any two.

    Attributes:
        firsts: the first of each run. Empty when there are no numbers, which a look at it says without a call.
        lasts: the last of each run.
    """

    __slots__ = ("firsts", "lasts")

    def __init__(self) -> None:
        self.firsts: list[int] = []
        self.lasts: list[int] = []

    def __len__(self) -> int:
        """How many runs."""
        return len(self.firsts)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self.firsts, number) - 1
        return at >= 0 and number <= self.lasts[at]

    def add(self, first: int, last: int) -> None:
        """All from `first` to `last`; some may be there."""
        begin = bisect_right(self.lasts, first - 2)  # the first run that touches or follows
        end = bisect_right(self.firsts, last + 1)
        if begin < end:
            first, last = min(first, self.firsts[begin]), max(last, self.lasts[end - 1])
        self.firsts[begin:end] = [first]
        self.lasts[begin:end] = [last]

    def advance(self, last: int) -> int:
        """Forget all that follow `last` without a gap, and all before: the last of them, or `last`."""
        gone = 0
        while gone < len(self.firsts) and self.firsts[gone] <= last + 1:
            last = max(last, self.lasts[gone])
            gone += 1
        del self.firsts[:gone], self.lasts[:gone]
        return last

    def runs(self, most: int) -> list[tuple[int, int]]:
        """The first runs."""
        return list(zip(self.firsts[:most], self.lasts[:most], strict=True))

    @property
    def last(self) -> int:
        """Return the greatest number; 0 if it is empty."""
        return self.lasts[-1] if self.lasts else 0

    def copy(self) -> Ranges:
        """The same numbers."""
        other = Ranges()
        other.add_all(self.runs(len(self)))
        return other

    def add_all(self, runs: Iterable[tuple[int, int]]) -> None:
        """All numbers of all runs."""
        for first, last in runs:
            self.add(first, last)


class Line:
    """Whole messages, first in, first out.

    Behind the first few thousand they are packed into blocks of bytes: many small ones take little more than they
    are.
    """

    __slots__ = ("_blocks", "_packed", "_read", "bytes", "count", "front")

    def __init__(self) -> None:
        self.front: deque[Incoming] = deque()
        """The next ones, as objects."""
        self.bytes: int = 0
        """Payload."""
        self.count: int = 0
        """How many messages there are."""
        self._blocks: deque[bytearray] = deque()
        self._read = 0
        """Up to where the first block has been unpacked."""
        self._packed = 0

    def __len__(self) -> int:
        return self.count

    @property
    def cost(self) -> int:
        """Bytes that it takes, counted generously: what is packed now may be among the next ones later."""
        count = self.count
        return self.bytes + COST * min(count, UNPACKED) + PACKED * max(count - UNPACKED, 0)

    def push(self, message: Incoming) -> None:
        """Behind all others."""
        self.count += 1
        self.bytes += len(message.payload.data)
        if self._packed or len(self.front) >= UNPACKED:
            self._pack(message)
        else:
            self.front.append(message)

    def push_front(self, message: Incoming) -> None:
        """Before all others."""
        self.count += 1
        self.bytes += len(message.payload.data)
        self.front.appendleft(message)

    def first(self) -> Incoming | None:
        """The next, which stays."""
        if self._packed and not self.front:
            self._unpack()
        return self.front[0] if self.front else None

    def shift(self) -> Incoming | None:
        """The next, which leaves."""
        if not self.count:
            return None
        if not self.front:
            self._unpack()
        message = self.front.popleft()
        self.count -= 1
        self.bytes -= len(message.payload.data)
        return message

    def clear(self) -> None:
        """None is left."""
        self.front.clear()
        self._blocks.clear()
        self.bytes = self.count = self._packed = self._read = 0

    def _pack(self, message: Incoming) -> None:
        if not self._blocks or len(self._blocks[-1]) >= BLOCK:
            self._blocks.append(bytearray())
        block, payload = self._blocks[-1], message.payload
        flags = (_TEXT if payload.text else 0) | (_SENT_AGAIN if payload.again else 0)
        block += _HEAD.pack(message.seq, len(payload.data), flags)
        if payload.again is not None:
            receipt, seq = payload.again
            block += _AGAIN.pack(bytes.fromhex(receipt), seq)
        block += payload.data
        self._packed += 1

    def _unpack(self) -> None:
        """Unpack the first block; a block holds `UNPACKED` messages, and a few."""
        block, at = self._blocks[0], self._read
        while at < len(block) and len(self.front) < UNPACKED:
            seq, size, flags = _HEAD.unpack_from(block, at)
            at += _HEAD.size
            again = None
            if flags & _SENT_AGAIN:
                receipt, original = _AGAIN.unpack_from(block, at)
                at += _AGAIN.size
                again = (receipt.hex(), original)
            self.front.append(Incoming(seq, Payload(bytes(block[at : at + size]), bool(flags & _TEXT), again)))
            at += size
            self._packed -= 1
        self._read = at
        if at >= len(block):
            self._blocks.popleft()
            self._read = 0
