"""The free ids of SCTP streams."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container


class FreeIds:
    """Finds the lowest free id of each parity, without a search through all ids in use.

    The caller knows which ids are in use. Ids from `_next` on have never been used; ids below it are in use, or were
    given back since.
    """

    __slots__ = ("_heaps", "_next", "_returned")

    def __init__(self) -> None:
        self._next = [0, 1]
        self._heaps: list[list[int]] = [[], []]
        self._returned: set[int] = set()
        """The ids in the heaps, each once."""

    def lowest(self, parity: int, limit: int, used: Container[int]) -> int | None:
        """Return the lowest free id of this parity; None if all below the limit are in use."""
        heap = self._heaps[parity]
        while heap and heap[0] in used:
            self._returned.discard(heapq.heappop(heap))
        if heap:
            return heap[0] if heap[0] < limit else None
        while self._next[parity] < limit:
            number = self._next[parity]
            if number not in used:
                return number
            self._next[parity] += 2
        return None

    def give_back(self, number: int) -> None:
        """Give back an id that was in use."""
        if number < self._next[number % 2] and number not in self._returned:
            self._returned.add(number)
            heapq.heappush(self._heaps[number % 2], number)
