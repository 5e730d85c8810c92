"""The time that the W3C's objects show."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """Wall-clock time that runs with the event loop's clock: it never jumps, and a test's loop can set it.

    Attributes:
        monotonic: the event loop's clock, in seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.monotonic: Final = monotonic
        self._epoch = time.time() - monotonic()

    def now(self) -> float:
        """A DOMHighResTimeStamp: milliseconds since 1970."""
        return (self._epoch + self.monotonic()) * 1000
