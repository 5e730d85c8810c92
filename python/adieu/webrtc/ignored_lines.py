"""Lines of the other side that cannot be used. They are counted and logged, and the rest of the description counts."""

from __future__ import annotations

import logging
from typing import Final

logger: Final = logging.getLogger("adieu")


class IgnoredLines:
    """Counts the ignored lines of one connection.

    Attributes:
        count: how many there were.
    """

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def add(self, *why: str, count: int = 1) -> None:
        """Count `count` lines; `why` gives the reasons of the first ones."""
        self.count += count
        for one in why:
            logger.debug("a line of the other side is not used: %s", one)
