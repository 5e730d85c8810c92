"""Both ends of a numbered stream that survives a lost socket: what was sent is kept until it is acknowledged.

The client and the server use the same two halves. A seat's numbers start at 1 and live as long as the seat, across
all its sockets.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

Item = TypeVar("Item")


class Outgoing(Generic[Item]):
    """The sending half.

    Attributes:
        last: the number of the last item added; 0 before the first.
        acknowledged: up to this number the other side has everything.
        size: bytes that are kept.
    """

    def __init__(self) -> None:
        self.last: int = 0
        self.acknowledged: int = 0
        self.size: int = 0
        self._kept: deque[tuple[Item, int]] = deque()

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, item: Item, size: int) -> int:
        """Keep an item of so many bytes, and number it."""
        self._kept.append((item, size))
        self.size += size
        self.last += 1
        return self.last

    def acknowledge(self, up_to: int) -> list[Item]:
        """Forget what the other side has, and return it; an older word than the last is ignored.

        Raises:
            ValueError: the other side has what was never sent.
        """
        if up_to > self.last:
            raise ValueError(f"acknowledged {up_to}, but {self.last} is the last that was sent")
        forgotten: list[Item] = []
        while self.acknowledged < up_to:
            item, size = self._kept.popleft()
            self.size -= size
            self.acknowledged += 1
            forgotten.append(item)
        return forgotten

    def kept(self) -> Iterator[tuple[int, Item]]:
        """What is not acknowledged, in order: (number, item)."""
        return ((number, item) for number, (item, _) in enumerate(self._kept, self.acknowledged + 1))


class Incoming:
    """The receiving half.

    Attributes:
        last: up to this number everything has come.
        unsaid: how many messages have come since `last` was last said to the other side.
    """

    def __init__(self) -> None:
        self.last: int = 0
        self.unsaid: int = 0

    def accept(self, seq: int) -> bool:
        """Whether message `seq` is new; False: it came before, and was sent again.

        Raises:
            ValueError: one is missing. A socket keeps the order, so the other side has miscounted.
        """
        if seq > self.last + 1:
            raise ValueError(f"message {seq} came after {self.last}")
        self.unsaid += 1
        if seq <= self.last:
            return False
        self.last = seq
        return True

    def say(self) -> int | None:
        """The `ack` for a frame that leaves now; None before the first message."""
        self.unsaid = 0
        return self.last or None
