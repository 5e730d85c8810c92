"""Handlers of a session, a channel, a transfer: `on(name, handler)`, plain or async, one after the other.

A plain handler is called from the event loop, without a task. An async one runs in a task of its own; the next handler,
and the next event, wait until it has ended.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from contextvars import ContextVar, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, overload

from adieu.session.ledger import Held
from adieu.session.tasks import report
from adieu.unclosed import where_made

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from adieu.session.tasks import Tasks

    Handler: TypeAlias = Callable[[Any], object]

H = TypeVar("H")
E = TypeVar("E")
R = TypeVar("R")

if TYPE_CHECKING:
    Reacts: TypeAlias = Callable[[E], R]
    """A handler that takes such an event."""


class On(Protocol[E]):
    """A decorator of handlers that take such an event."""

    def __call__(self, handler: Callable[[E], R], /) -> Callable[[E], R]:
        """Add the handler, and return it."""
        ...


class HandlerRun:
    """One run of an async handler. It is over when the handler ends, or awaits the end of its own session."""

    __slots__ = ("go_on",)

    go_on: Callable[[], None] | None
    """Called once, when the run is over; unset for a plain handler."""

    def settle(self) -> None:
        """Let the next handler run soon."""
        if (go_on := getattr(self, "go_on", None)) is not None:
            self.go_on = None
            asyncio.get_running_loop().call_soon(go_on)

    def ended(self, _: asyncio.Task[Any]) -> None:
        """Let the next handler run now."""
        if self.go_on is not None:
            go_on, self.go_on = self.go_on, None
            go_on()


_current: ContextVar[HandlerRun | None] = ContextVar("adieu_handler_run", default=None)


def settle_current() -> None:
    """Let the handlers after this one run: the caller waits for the end of the session itself."""
    if (run := _current.get()) is not None:
        run.settle()


class Emitter:
    """Keeps handlers by name and runs those of one event after those of the event before."""

    def __init__(self, tasks: Tasks, names: frozenset[str], owner: str) -> None:
        self._tasks = tasks
        self._names = names
        self._owner = owner
        self._handlers: dict[str, list[Handler]] = {}
        self._places: dict[str, list[str]] = {}
        """The lines that added the handlers, in the same order."""
        self._queue: deque[tuple[str, Any, Callable[[], None] | None, Callable[[], bool] | None]] = deque()
        self._running = False
        self._idle: asyncio.Event | None = None
        """Set when nothing runs; made when somebody waits for that."""

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
        self._places.setdefault(name, []).append(where_made())
        return handler

    def off(self, name: str, handler: Handler) -> None:
        """Remove a handler; one that is not there is no error."""
        if handler in (handlers := self._handlers.get(name, [])):
            place = handlers.index(handler)
            del handlers[place], self._places[name][place]

    def has(self, name: str) -> bool:
        """Whether the event has a handler."""
        return bool(self._handlers.get(name))

    def held(self) -> list[Held]:
        """Return the handlers, each with the line that added it."""
        return [
            Held("handler", f"of {name!r} of {self._owner}", place)
            for name, places in self._places.items()
            for place in places
        ]

    def clear(self) -> None:
        """Forget all handlers."""
        self._handlers.clear()
        self._places.clear()

    def emit(
        self,
        name: str,
        event: Any,
        then: Callable[[], None] | None = None,
        unless: Callable[[], bool] | None = None,
    ) -> None:
        """Have the handlers of `name` run, soon.

        Args:
            name: the event's.
            event: what the handlers get.
            then: called when all of them have settled.
            unless: asked when their turn has come; if it says true, nothing is called.
        """
        self._queue.append((name, event, then, unless))
        if not self._running:
            self._running = True
            asyncio.get_running_loop().call_soon(self._run)

    async def settle(self, patience: float) -> None:
        """Wait until all that was emitted has been handled, for at most so many seconds."""
        if not self._running:
            return
        if self._idle is None:
            self._idle = asyncio.Event()
        waiting = asyncio.ensure_future(self._idle.wait())
        try:
            await asyncio.wait({waiting}, timeout=patience)
        finally:
            waiting.cancel()

    def enter(self, name: str, event: Any, then: Callable[[], None], handlers: Iterator[Handler] | None = None) -> bool:
        """Run the handlers of an event now, not after those of the events before.

        Args:
            name: the event's.
            event: what the handlers get.
            then: called when all of them have settled, if that is later.
            handlers: those that have not run; None: all.

        Returns:
            Whether all of them have settled.
        """
        rest = iter(tuple(self._handlers.get(name, ()))) if handlers is None else handlers
        for handler in rest:
            run = HandlerRun()
            context = copy_context()
            context.run(_current.set, run)
            try:
                result = context.run(handler, event)
                if result is None or not inspect.isawaitable(result):
                    continue
                task = self._tasks.spawn(_await(result), f"a handler of {name!r}", context)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 reported; stops no other handler
                report(asyncio.get_running_loop(), f"a handler of {name!r} of {self._owner} failed", error)
                continue
            run.go_on = partial(self._go_on, name, event, then, rest)
            task.add_done_callback(run.ended)
            return False
        return True

    def _go_on(self, name: str, event: Any, then: Callable[[], None], rest: Iterator[Handler]) -> None:
        if not self._tasks.ending and self.enter(name, event, then, rest):
            then()

    def _run(self) -> None:
        try:
            while self._queue:
                name, event, then, unless = self._queue.popleft()
                if unless is not None and unless():
                    continue
                if not self.enter(name, event, partial(self._settled, then)):
                    return
                if then is not None:
                    then()
        except BaseException:
            self._running = False  # what is left runs with the next event
            raise
        self._running = False
        if self._idle is not None:
            self._idle.set()
            self._idle = None

    def _settled(self, then: Callable[[], None] | None) -> None:
        try:
            if then is not None:
                then()
        finally:
            self._run()


async def _await(awaitable: Awaitable[Any]) -> None:
    await awaitable
