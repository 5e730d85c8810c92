"""How busy this machine is with other things: a bound of the demo is for a machine that has nothing else to do.

On a busy machine each bound grows by the factor by which plain work was slower, at most `MOST` times.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

WORK = 0.03
"""Seconds of processor time that are measured."""
EVERY = 2.0
"""Seconds from one measurement to the next."""
IDLE = 1.25
"""A machine on which work takes no longer than this times its processor time counts as idle."""
MOST = 30.0
"""No bound becomes longer than this times itself: on a machine that is slower nothing can be judged."""


def slowness(
    clock: Callable[[], float] = time.perf_counter,
    used: Callable[[], float] = time.thread_time,
) -> float:
    """How many times longer than its processor time work takes at this moment; 1.0 when nobody else works.

    Args:
        clock: seconds that pass.
        used: seconds of processor time that this thread has used.
    """
    began, before = clock(), used()
    while (work := used() - before) < WORK:
        pass
    return max(1.0, (clock() - began) / work)


class Pace:
    """What was measured in one part of the demo."""

    def __init__(self) -> None:
        self._worst = 1.0

    def saw(self, slow: float) -> None:
        """A measurement."""
        self._worst = max(self._worst, slow)

    @property
    def measured(self) -> float:
        """The slowest that was measured; 1.0 on a machine that counts as idle."""
        return self._worst if self._worst > IDLE else 1.0

    @property
    def stretch(self) -> float:
        """What a bound is multiplied by."""
        return min(self.measured, MOST)

    @property
    def too_slow(self) -> bool:
        """So slow that what takes longer than its bound cannot be judged."""
        return self.measured > MOST

    @property
    def words(self) -> str:
        """What is said of the machine after a part; nothing where it counts as idle."""
        if self.measured == 1.0:
            return ""
        found = f"work took up to {self.measured:.1f} times its processor time"
        if self.too_slow:
            return f"the machine is too busy: {found}; time limits were {MOST:.0f} times as long, more is not judged"
        return f"the machine is busy: {found}, and time limits were as much longer"

    def judge(self, seconds: float, bound: float) -> tuple[bool, str]:
        """Whether a time is within its bound, and in words why it counts so; no words where they are not needed."""
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
        """Measure at once, and again and again as long as the block runs. It takes a hundredth of a processor."""
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
