"""Deadlines by key, for code without I/O."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

    _Bound = Hashable

Key = TypeVar("Key", bound="_Bound")


class Timers(Generic[Key]):
    """At most one deadline for each key. A cancelled one stays in the heap until the next clean-up.

    Of deadlines at the same time the one that was set first is due first, also after a clean-up.
    """

    def __init__(self) -> None:
        self._at: dict[Key, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._at)

    def __contains__(self, key: Key) -> bool:
        return key in self._at

    def set(self, key: Key, at: float) -> None:
        """Set the deadline of `key`, in place of an earlier one."""
        self._count += 1
        self._at[key] = at, self._count
        heapq.heappush(self._heap, (at, self._count, key))
        if len(self._heap) > 2 * len(self._at) + 64:
            self._heap = [(when, count, which) for which, (when, count) in self._at.items()]
            heapq.heapify(self._heap)

    def cancel(self, key: Key) -> None:
        """Cancel the deadline of `key`."""
        self._at.pop(key, None)

    def kept(self) -> list[tuple[Key, float]]:
        """Return all deadlines in the order in which they are due; `set` in this order makes equal timers."""
        ordered = sorted(self._at.items(), key=lambda entry: entry[1])
        return [(key, at) for key, (at, _) in ordered]

    def next(self) -> float | None:
        """Return the time of the first deadline; None if there is no deadline."""
        while self._heap and self._at.get(self._heap[0][2]) != self._heap[0][:2]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> Key | None:
        """Remove and return the first key that is due; None if no key is due."""
        at = self.next()
        if at is None or at > now:
            return None
        key = heapq.heappop(self._heap)[2]
        del self._at[key]
        return key
