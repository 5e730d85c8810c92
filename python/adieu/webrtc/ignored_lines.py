"""Lines of the other side that cannot be used. They are counted and logged, and the rest of the description counts."""

from __future__ import annotations

from adieu import log


class IgnoredLines:
    """Counts the ignored lines of one connection.

    Args:
        log_id: of the connection.

    Attributes:
        count: how many there were.
    """

    __slots__ = ("_log_id", "count")

    def __init__(self, log_id: str) -> None:
        self._log_id = log_id
        self.count: int = 0

    def add(self, *why: str, count: int = 1) -> None:
        """Count `count` lines; `why` gives the reasons of the first ones."""
        self.count += count
        for one in why:
            log.WEBRTC.debug("%s ! a line of the other side is ignored: %s", self._log_id, log.text(one))
