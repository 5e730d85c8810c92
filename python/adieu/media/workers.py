"""The threads that encode and decode pictures: a few for the whole process, while there is something to do."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Executor, Future
from threading import Condition, Thread
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar, TypeVarTuple, Unpack

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MOST: Final = min(4, os.cpu_count() or 1)
IDLE: Final = 5.0
"""Seconds without a job after which a thread ends."""


class CodecWorkers(Executor):
    """Runs jobs in threads that start when they are needed, and end when they are not.

    Nobody joins them: a job that is under way when the process ends is forgotten.

    Args:
        most: threads at a time.
        idle: seconds.
    """

    def __init__(self, most: int = MOST, idle: float = IDLE) -> None:
        self._most = most
        self._idle = idle
        self._changed = Condition()
        self._jobs: deque[Callable[[], None]] = deque()
        self._threads = self._free = 0

    @property
    def threads(self) -> int:
        """The number of threads there are now."""
        return self._threads

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call. The future has its result."""
        future: Future[T] = Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 it is the future's
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._changed:
            self._jobs.append(job)
            if self._free >= len(self._jobs):
                self._changed.notify()
            elif self._threads < self._most:
                self._begin()
        return future

    def _begin(self) -> None:
        """Start a thread. Where the system refuses, those that there are do the work.

        Raises:
            RuntimeError: there is not even one.
        """
        thread = Thread(target=self._work, name="adieu-codec", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            if not self._threads:
                self._jobs.pop()
                raise
        else:
            self._threads += 1

    def _work(self) -> None:
        while True:
            with self._changed:
                self._free += 1
                found = self._changed.wait_for(lambda: bool(self._jobs), self._idle)
                self._free -= 1
                if not found:
                    self._threads -= 1
                    return
                job = self._jobs.popleft()
            job()
            del job  # or what it has made lives until the next one

    def forget(self) -> None:
        """Begin without threads in a child process: the threads are the parent's."""
        self.__init__(self._most, self._idle)  # type: ignore[misc] # an attribute that is forgotten here would be a lock of a dead thread


WORKERS: Final = CodecWorkers()


def run(loop: asyncio.AbstractEventLoop, call: Callable[[Unpack[Ts]], T], *args: *Ts) -> asyncio.Future[T]:
    """Run a call in a thread. An error is the future's, also that the system allows no thread at this moment."""
    try:
        return loop.run_in_executor(WORKERS, call, *args)
    except RuntimeError as error:
        refused: asyncio.Future[T] = loop.create_future()
        refused.set_exception(error)
        return refused


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=WORKERS.forget)
