"""Handlers of a session, a channel, a transfer: `on(name, handler)`, plain or async, one after the other."""

from __future__ import annotations

import asyncio
import inspect
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

from adieu.session.tasks import report

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from adieu.session.tasks import Tasks

    Handler: TypeAlias = Callable[[Any], Awaitable[Any] | None]

H = TypeVar("H")


class HandlerRun:
    """One event being handled. Awaiting the session's own end inside a handler counts as the handler's end."""

    def __init__(self) -> None:
        self.settled: asyncio.Event = asyncio.Event()


_current: ContextVar[HandlerRun | None] = ContextVar("adieu_handler_run", default=None)


def settle_current() -> None:
    """The handler that calls this waits for the session itself: do not wait for it."""
    if (run := _current.get()) is not None:
        run.settled.set()


class Emitter:
    """Keeps handlers by name and runs those of one event after those of the event before."""

    def __init__(self, tasks: Tasks, names: frozenset[str], owner: str) -> None:
        self._tasks = tasks
        self._names = names
        self._owner = owner
        self._handlers: dict[str, list[Handler]] = {}
        self._queue: asyncio.Queue[tuple[str, Any, Callable[[], None] | None]] = asyncio.Queue()
        self._runner: asyncio.Task[Any] | None = None

    @overload
    def on(self, name: str) -> Callable[[H], H]: ...
    @overload
    def on(self, name: str, handler: Handler) -> Handler: ...
    def on(self, name: str, handler: Handler | None = None) -> Any:
        """Add a handler, or decorate one.

        Raises:
            ValueError: there is no such event; the message lists those there are.
        """
        if name not in self._names:
            raise ValueError(f"{self._owner} has no event {name!r}; it has {', '.join(sorted(self._names))}")
        if handler is None:
            return partial(self.on, name)
        self._handlers.setdefault(name, []).append(handler)
        return handler

    def off(self, name: str, handler: Handler) -> None:
        """Remove a handler; one that is not there is no error."""
        if handler in (handlers := self._handlers.get(name, [])):
            handlers.remove(handler)

    def has(self, name: str) -> bool:
        """Whether anybody listens."""
        return bool(self._handlers.get(name))

    def count(self) -> int:
        """How many handlers there are."""
        return sum(len(handlers) for handlers in self._handlers.values())

    def clear(self) -> None:
        """Forget all handlers."""
        self._handlers.clear()

    def emit(self, name: str, event: Any, then: Callable[[], None] | None = None) -> None:
        """Have the handlers of `name` run, soon; `then` is called when all of them have settled."""
        self._queue.put_nowait((name, event, then))
        if self._runner is None or self._runner.done():
            self._runner = self._tasks.spawn(self._run(), f"handlers of {self._owner}")

    async def settle(self, patience: float) -> None:
        """Wait until all that was emitted has been handled, for at most so many seconds."""
        if self._runner is not None:
            await asyncio.wait({self._runner}, timeout=patience)

    async def _run(self) -> None:
        while not self._queue.empty():
            name, event, then = self._queue.get_nowait()
            for handler in list(self._handlers.get(name, ())):
                await self._handle(handler, name, event)
            if then is not None:
                then()

    async def _handle(self, handler: Handler, name: str, event: Any) -> None:
        run = HandlerRun()
        token = _current.set(run)
        try:
            result = handler(event)
            if not inspect.isawaitable(result):
                return
            task = self._tasks.spawn(_await(result), f"a handler of {name!r}")
        except Exception as error:  # noqa: BLE001 a handler's error is told, and stops no other handler
            report(asyncio.get_running_loop(), f"a handler of {name!r} of {self._owner} failed", error)
            return
        finally:
            _current.reset(token)
        settled = asyncio.ensure_future(run.settled.wait())
        try:
            await asyncio.wait({task, settled}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            settled.cancel()


async def _await(awaitable: Awaitable[Any]) -> None:
    await awaitable
