"""How busy this computer is with other things. The bounds of the demo are for an idle computer.

On a busy computer each bound grows by the factor by which plain work was slower, at most `MOST` times.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

WORK = 0.03
"""Seconds of processor time that one measurement takes."""
EVERY = 2.0
"""Seconds from one measurement to the next."""
IDLE = 1.25
"""A computer counts as idle if work takes at most this many times its processor time."""
MOST = 30.0
"""The largest factor for a bound. On a slower computer nothing can be judged."""


def slowness(
    clock: Callable[[], float] = time.perf_counter,
    used: Callable[[], float] = time.thread_time,
) -> float:
    """Return how many times its processor time work takes at this moment; 1.0 on an idle computer.

    Args:
        clock: elapsed seconds.
        used: seconds of processor time that this thread has used.
    """
    began, before = clock(), used()
    while (work := used() - before) < WORK:
        pass
    return max(1.0, (clock() - began) / work)


class Pace:
    """The measurements in one part of the demo."""

    def __init__(self) -> None:
        self._worst = 1.0

    def saw(self, slow: float) -> None:
        """Record a measurement."""
        self._worst = max(self._worst, slow)

    @property
    def measured(self) -> float:
        """Return the slowest measurement; 1.0 on a computer that counts as idle."""
        return self._worst if self._worst > IDLE else 1.0

    @property
    def stretch(self) -> float:
        """Return the factor for a bound."""
        return min(self.measured, MOST)

    @property
    def too_slow(self) -> bool:
        """Whether the computer is so slow that a missed bound proves nothing."""
        return self.measured > MOST

    @property
    def words(self) -> str:
        """Return a sentence about the computer after a part; empty if it counts as idle."""
        if self.measured == 1.0:
            return ""
        found = f"work took up to {self.measured:.1f} times its processor time"
        if self.too_slow:
            return (
                f"the computer is too busy: {found}; time limits were {MOST:.0f} times as long, the rest is not judged"
            )
        return f"the computer is busy: {found}, and time limits were longer by the same factor"

    def judge(self, seconds: float, bound: float) -> tuple[bool, str]:
        """Return whether a time is within its bound, and the reason in words if one is needed."""
        if seconds <= bound:
            return True, ""
        busy = f"work takes {self.measured:.1f} times its processor time here"
        if self.too_slow:
            return False, f"{seconds:.1f} s, which cannot be judged: {busy}"
        if self.stretch == 1.0:
            return False, f"{seconds:.1f} s"
        return seconds <= bound * self.stretch, f"{seconds:.1f} s; {busy}, so {bound * self.stretch:.0f} s are allowed"

    @asynccontextmanager
    async def measuring(self) -> AsyncGenerator[None]:
        """Measure at once and repeatedly while the block runs. This takes a hundredth of a processor."""
        self.saw(await asyncio.to_thread(slowness))
        task = asyncio.create_task(self._go_on())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            self.saw(await asyncio.to_thread(slowness))
