"""How fast: the same bucket measures a client at the server and paces the client itself."""

from __future__ import annotations

_ROUNDING = 1e-6
"""At the very time that `ready_at` names, `take` succeeds."""


class Bucket:
    """Tokens: full at the start, refilled at a steady rate.

    Args:
        rate: tokens a second.
        capacity: how many it holds.
        now: seconds, on any clock that does not go back.
    """

    __slots__ = ("_at", "_level", "capacity", "rate")

    def __init__(self, rate: float, capacity: float, now: float) -> None:
        self.rate: float = rate
        self.capacity: float = capacity
        self._level = capacity
        self._at = now

    def level(self, now: float) -> float:
        """How many tokens are there."""
        return min(self.capacity, self._level + max(0.0, now - self._at) * self.rate)

    def take(self, now: float) -> bool:
        """Take one, if there is one."""
        self._level = self.level(now)
        self._at = max(self._at, now)
        if self._level < 1 - _ROUNDING:
            return False
        self._level -= 1
        return True

    def ready_at(self) -> float:
        """From when on `take` will succeed."""
        return self._at + max(0.0, 1 - self._level) / self.rate
