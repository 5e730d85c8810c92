"""Event emitters: handlers by the names of events, as aiortc's objects have them."""

from __future__ import annotations

import asyncio
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

F = TypeVar("F", bound="Callable[..., Any]")


class EventEmitter:
    """Calls handlers by the names of events.

    A plain function is called at once. A coroutine function becomes a task, and the next event does not wait for it.
    An exception in a handler goes to the handlers of "error", and to the exception handler of the event loop if there
    is no such handler.

    Thread safety: use it in the thread of its event loop.
    """

    def __init__(self) -> None:
        # With two underscores: subclasses are programs' own, with attributes of any name.
        self.__handlers: dict[str, list[tuple[Callable[..., Any], bool]]] = {}
        self.__tasks: set[asyncio.Future[Any]] = set()

    def on(self, event: str, f: Any = None) -> Any:
        """Call `f` at each event of this name. Without `f`, return a decorator that does so."""
        return self.listens_to(event) if f is None else self.add_listener(event, f)

    def listens_to(self, event: str) -> Callable[[F], F]:
        """Return a decorator for a handler of this event."""

        def decorate(f: F) -> F:
            return self.add_listener(event, f)

        return decorate

    def add_listener(self, event: str, f: F) -> F:
        """Call `f` at each event of this name. Return it."""
        return self.__add(event, f, once=False)

    def once(self, event: str, f: Any = None) -> Any:
        """Call `f` at the next event of this name only. Without `f`, return a decorator that does so."""
        if f is not None:
            return self.__add(event, f, once=True)

        def decorate(f: F) -> F:
            return self.__add(event, f, once=True)

        return decorate

    def __add(self, event: str, f: F, *, once: bool) -> F:
        if not callable(f):
            raise TypeError(f"the handler of {event!r} is {f!r}: it must be a function")
        self.__handlers.setdefault(event, []).append((f, once))
        return f

    def remove_listener(self, event: str, f: Callable[..., Any]) -> None:
        """Do not call `f` for this event from now on.

        Raises:
            KeyError: it is no handler of this event.
        """
        handlers = self.__handlers.get(event, [])
        for index, (known, _) in enumerate(handlers):
            if known == f:
                del handlers[index]
                return
        raise KeyError(f)

    def remove_all_listeners(self, event: str | None = None) -> None:
        """Drop the handlers of this event; without a name, all handlers."""
        if event is None:
            self.__handlers.clear()
        else:
            self.__handlers.pop(event, None)

    def listeners(self, event: str) -> list[Callable[..., Any]]:
        """Return the handlers of this event."""
        return [f for f, _ in self.__handlers.get(event, ())]

    def event_names(self) -> set[str]:
        """Return the names of events that have a handler."""
        return {name for name, handlers in self.__handlers.items() if handlers}

    def emit(self, event: str, *args: Any, **kwargs: Any) -> bool:
        """Call the handlers of this event. Return whether there was one."""
        handlers = self.__handlers.get(event, [])
        called = list(handlers)
        for entry in called:
            f, once = entry
            if once and entry in handlers:
                handlers.remove(entry)
            try:
                result = f(*args, **kwargs)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 it is told to those who handle errors
                self.__tell(event, error)
                continue
            if isawaitable(result):
                self.__start(event, result)
        return bool(called)

    def __start(self, event: str, result: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(result)
        self.__tasks.add(task)

        def done(task: asyncio.Future[Any]) -> None:
            self.__tasks.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                self.__tell(event, error)

        task.add_done_callback(done)

    def __tell(self, event: str, error: BaseException) -> None:
        if event != "error" and self.__handlers.get("error"):
            self.emit("error", error)
            return
        asyncio.get_running_loop().call_exception_handler(
            {"message": f"a handler of {event!r} of {self!r} failed", "exception": error}
        )
