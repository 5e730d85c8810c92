"""An asyncio event loop on virtual time, whose programs can be stopped.

When nothing is ready, time jumps to whatever is due next: a timer of the loop, or something in the network. So an
outage of ten minutes takes milliseconds, and a run is the same each time. When nothing is ready and nothing is due, the
program hangs: that is an error, which names the tasks that wait.
"""

from __future__ import annotations

import asyncio
import selectors
from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, Unpack

from adieu.media.workers import CodecWorkers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor

    from adieu import _core
    from adieu.driver import Driver

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

STEP = 0.01
"""Seconds: so time goes on while a stopped program has events that it does not take."""


class HangError(AssertionError):
    """Nothing is ready, and nothing is due, or not for a very long time."""


class Program:
    """A program of its own: what it has started runs only while the program does.

    Attributes:
        driver: takes the core's events of its computer.
    """

    driver: Driver

    def __init__(self) -> None:
        self._stopped = False
        self._held: list[tuple[Callable[..., object], tuple[Any, ...], Context]] = []

    @property
    def is_stopped(self) -> bool:
        """Whether nothing of it runs."""
        return self._stopped

    def hold(self, call: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        """Keep a call for when the program runs again."""
        self._held.append((call, arguments, copy_context()))

    def stop(self) -> None:
        """Stop it: no timer, task or event of it runs."""
        self._stopped = True

    def go_on(self) -> None:
        """Let it run again: all that was due runs now, in order."""
        self._stopped = False
        held, self._held = self._held, []
        loop = asyncio.get_running_loop()
        for call, arguments, context in held:
            loop.call_soon(call, *arguments, context=context)


PROGRAM: ContextVar[Program | None] = ContextVar("adieu.testing.program", default=None)
"""The program that a call, a timer or a task belongs to."""


def _guarded(program: Program, call: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    if program.is_stopped:
        program.hold(call, arguments)
    else:
        call(*arguments)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is that of a network in memory.

    Args:
        network: has the time.
        limit: virtual seconds; a run that takes longer hangs.
    """

    def __init__(self, network: _core.VirtualNetwork, limit: float) -> None:
        self.network = network
        self.limit = limit
        self.programs: list[Program] = []
        super().__init__(_Selector(self))

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self.network.now

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Call it soon, unless the program that it belongs to is stopped by then."""
        program = PROGRAM.get() if context is None else context.get(PROGRAM)
        if program is None:
            return super().call_soon(callback, *args, context=context)
        return super().call_soon(_guarded, program, callback, args, context=context)

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call it then, unless the program that it belongs to is stopped by then."""
        program = PROGRAM.get() if context is None else context.get(PROGRAM)
        if program is None:
            return super().call_at(when, callback, *args, context=context)
        return super().call_at(when, _guarded, program, callback, args, context=context)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run it in a thread; what encodes or decodes pictures runs at once, in no time."""
        if not isinstance(executor, CodecWorkers):
            return super().run_in_executor(executor, func, *args)
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 it is the future's
            future.set_exception(error)
        return future

    def idle(self, timeout: float | None) -> None:
        """Go on to the next thing that is due: nothing is ready."""
        now = self.network.now
        due = self.network.next()
        if due is not None and due <= now and any(program.is_stopped for program in self.programs):
            due = now + STEP  # perhaps by what a stopped program does not take
        if due is None and timeout is None:
            raise HangError(f"nothing is due after {now:.3f} s; waiting: {self._waiting()}")
        if not self._wake():
            target = min(time for time in (due, None if timeout is None else now + timeout) if time is not None)
            if target > self.limit:
                raise HangError(f"nothing happens until {target:.3f} s; waiting: {self._waiting()}")
            self.network.advance(target)
            self._wake()

    def _wake(self) -> bool:
        """Wake the drivers that have something to do. Return whether there were any."""
        drivers = [program.driver for program in self.programs if not program.is_stopped]
        woken = [driver for driver in drivers if driver.core.counters()["queued_events"]]
        for driver in woken:
            try:
                driver.wake()
            except asyncio.CancelledError as error:  # a handler's: it ends no event loop
                self.call_exception_handler({"message": "a handler failed", "exception": error})
        return bool(woken)

    def _waiting(self) -> str:
        """Return each task that is not done, and its line."""
        places: list[str] = []
        for task in asyncio.all_tasks(self):
            stack = task.get_stack(limit=1)
            where = f"{stack[-1].f_code.co_qualname}:{stack[-1].f_lineno}" if stack else "?"
            places.append(f"{task.get_name()} at {where}")
        return ", ".join(places) or "nobody"


class _Selector(selectors.BaseSelector):
    """The loop's own wake-up pipe is real; time is not."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if not ready and (timeout is None or timeout > 0):
            self._loop.idle(timeout)
        return ready

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()
