"""Both ends of a numbered stream that survives a lost socket. Sent items are kept until they are acknowledged.

The client and the server use the same two halves. A seat's numbers start at 1 and live as long as the seat, across
all its sockets.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Item = TypeVar("Item")


class Outgoing(Generic[Item]):
    """The sending half.

    Attributes:
        last: the number of the last item added; 0 before the first.
        acknowledged: the peer has all items up to this number.
        size: bytes of the kept items.
    """

    def __init__(self) -> None:
        self.last: int = 0
        self.acknowledged: int = 0
        self.size: int = 0
        self._kept: deque[tuple[Item, int]] = deque()

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, item: Item, size: int) -> int:
        """Keep an item of `size` bytes, and return its number."""
        self._kept.append((item, size))
        self.size += size
        self.last += 1
        return self.last

    def acknowledge(self, up_to: int) -> list[Item]:
        """Forget the items that the peer has, and return them. An acknowledgement older than the last is ignored.

        Raises:
            ValueError: the peer acknowledges an item that was never sent.
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

    def restore(self, acknowledged: int, items: Iterable[tuple[Item, int]]) -> None:
        """Continue where another sending half was: up to which item the peer has them, and the kept ones with sizes."""
        self._kept = deque(items)
        self.acknowledged = acknowledged
        self.last = acknowledged + len(self._kept)
        self.size = sum(size for _, size in self._kept)

    def kept(self) -> Iterator[tuple[int, Item]]:
        """Yield the items that are not acknowledged, in order: (number, item)."""
        return ((number, item) for number, (item, _) in enumerate(self._kept, self.acknowledged + 1))


class Incoming:
    """The receiving half.

    Attributes:
        last: all messages up to this number have arrived.
        unsaid: messages that arrived since `last` was acknowledged.
    """

    def __init__(self) -> None:
        self.last: int = 0
        self.unsaid: int = 0

    def accept(self, seq: int) -> bool:
        """Whether message `seq` is new. False: it arrived before, and was sent again.

        Raises:
            ValueError: a message is missing. A socket keeps the order, so the peer has miscounted.
        """
        if seq > self.last + 1:
            raise ValueError(f"message {seq} came after {self.last}")
        self.unsaid += 1
        if seq <= self.last:
            return False
        self.last = seq
        return True

    def say(self) -> int | None:
        """Return the `ack` for a frame that leaves now; None before the first message."""
        self.unsaid = 0
        return self.last or None
