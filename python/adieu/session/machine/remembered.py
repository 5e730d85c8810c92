"""Messages that were taken in ended sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.session.machine.held import Ranges

if TYPE_CHECKING:
    from adieu.session.machine.receiver import Receiver


class Remembered:
    """Messages that were taken in ended sessions, so that a repeated message is recognized for a while."""

    def __init__(self, seconds: float = 600.0, size: int = 1000) -> None:
        self._seconds = seconds
        self._size = size
        self._taken: dict[tuple[str, str], tuple[float, int, Ranges]] = {}

    def add(self, receipt: str, channel: str, receiver: Receiver, now: float) -> None:
        """A session has ended: keep what was taken of one of its channels."""
        if receiver.reliable and receiver.taken.messages:
            self._taken[receipt, channel] = (now, receiver.up_to, receiver.taken_beyond.copy())
        while self._taken and (len(self._taken) > self._size or self._oldest() < now - self._seconds):
            del self._taken[next(iter(self._taken))]

    def _oldest(self) -> float:
        return next(iter(self._taken.values()))[0]

    def has(self, receipt: str, channel: str, seq: int, now: float) -> bool:
        """Whether that message was taken, not too long ago."""
        when, up_to, beyond = self._taken.get((receipt, channel), (0.0, 0, Ranges()))
        return now - when <= self._seconds and (seq <= up_to or seq in beyond)
