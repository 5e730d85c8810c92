"""The tasks of a session: each belongs to one `Tasks`, which ends them all and waits for each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from contextvars import Context


class Tasks:
    """The tasks of one owner. A failure is reported to the loop's exception handler, never lost."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._tasks: set[asyncio.Task[Any]] = set()
        self.ending: bool = False
        """Whether `end` is at work: nothing goes on in another task."""

    def spawn(self, work: Coroutine[Any, Any, Any], name: str, context: Context | None = None) -> asyncio.Task[Any]:
        """Start a task; it is forgotten when it ends."""
        task = asyncio.get_running_loop().create_task(work, name=f"adieu {self._owner}: {name}", context=context)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            report(task.get_loop(), f"{task.get_name()} failed", error)

    async def end(self) -> None:
        """Cancel them all and wait until each has ended. The task that calls this goes on."""
        mine = asyncio.current_task()
        self.ending = True
        try:
            while others := self._tasks - {mine}:
                for task in others:
                    task.cancel()
                await asyncio.wait(others)
        finally:
            self.ending = False

    def names(self) -> list[str]:
        """Return the names of those that run, for the ledger."""
        return sorted(task.get_name() for task in self._tasks)


def report(loop: asyncio.AbstractEventLoop, message: str, error: BaseException) -> None:
    """Report an error to the loop's exception handler."""
    loop.call_exception_handler({"message": message, "exception": error})
