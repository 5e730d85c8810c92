"""A limit on speed: of a client, at the server and by itself, and of the reports of a peer."""

from __future__ import annotations

_ROUNDING = 1e-6
"""Seconds of tolerance, so that `take` succeeds exactly at `ready_at`."""


class Bucket:
    """Tokens: full at the start, refilled at a steady rate.

    Args:
        rate: tokens a second.
        capacity: the most tokens that it holds.
        now: seconds, on any monotonic clock.
    """

    __slots__ = ("_at", "_level", "capacity", "rate")

    def __init__(self, rate: float, capacity: float, now: float) -> None:
        self.rate: float = rate
        self.capacity: float = float(capacity)
        self._level = self.capacity
        self._at = now

    def kept(self) -> tuple[float, float]:
        """Return its level, and since when: with `restore` another bucket of the same size continues from here."""
        return self._level, self._at

    def restore(self, level: float, at: float) -> None:
        """Continue where another bucket was."""
        self._level, self._at = level, at

    def level(self, now: float) -> float:
        """Return the number of tokens."""
        return min(self.capacity, self._level + max(0.0, now - self._at) * self.rate)

    def take(self, now: float) -> bool:
        """Take a token. False if the bucket is empty."""
        self._level = self.level(now)
        self._at = max(self._at, now)
        if self._level < 1 - _ROUNDING:
            return False
        self._level -= 1
        return True

    def ready_at(self) -> float:
        """Return the time from which `take` succeeds."""
        return self._at + max(0.0, 1 - self._level) / self.rate
