"""Events, and the objects they happen to: the DOM's EventTarget for asyncio.

Handlers of one object run one after the other. A plain function is called at once, as in a browser. A coroutine
function becomes a task, and what happens to the object meanwhile waits for it, so handlers never overlap and never see
events out of order. An exception in a handler goes to the event loop's exception handler, and the next handler runs.

That has a price: **an async handler holds back the next events of its object until it returns**. Work that goes on for
long belongs in a task of its own. `once()` and `async for` over a channel are not held back.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, NoReturn, Protocol, TypeAlias, TypeVar, overload

from adieu.errors import AbortError, InvalidStateError

logger: Final = logging.getLogger("adieu")

E = TypeVar("E", bound="Event")

Handler: TypeAlias = Callable[[E], object]
"""A plain function or a coroutine function that takes the event."""

SLOW_HANDLER: Final = 5.0
"""After so many seconds it is logged that an async handler holds back other events."""


class Event:
    """Something that happened. https://dom.spec.whatwg.org/#interface-event

    Attributes:
        type: its name, as "open".
        target: the object it happened to; None before it is dispatched.
    """

    __slots__ = ("target", "type")

    def __init__(self, type: str) -> None:
        self.type: str = type
        self.target: EventTarget | None = None

    @property
    def currentTarget(self) -> EventTarget | None:
        """The same as `target`: there is no tree to bubble through."""
        return self.target

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.type!r})"


class EventOf(Event):
    """An event that is easily taken for the thing it is about."""

    __slots__ = ()

    _holds: ClassVar[str]
    """The attribute with that thing."""

    if not TYPE_CHECKING:  # which would then believe in every name

        def __getattr__(self, name: str) -> object:
            """Refuse a name that is not there. Say where it is, if the event was taken for the thing it is about."""
            remedy = ""
            if not name.startswith("_") and hasattr(type(getattr(self, self._holds)), name):
                remedy = _of_held(self._holds, name)
            raise _no_attribute(self, name, remedy)


class MessageEvent(Event):
    """A message. https://html.spec.whatwg.org/#messageevent

    Attributes:
        data: `str` or `bytes`.
    """

    __slots__ = ("data",)

    def __init__(self, type: str, data: str | bytes) -> None:
        self.type: str = type
        self.target: EventTarget | None = None
        self.data: str | bytes = data

    @property
    def origin(self) -> str:
        """Empty: there is no document."""
        return ""

    def __dir__(self) -> list[str]:
        """The names that are there."""
        return _present(self)


class _Elsewhere:
    """A name that is not there, and what to use in its place.

    In a `__getattr__` it would cost more: beside one, Python looks up every attribute of the class the slow way, and
    messages come and go by the hundred thousand.
    """

    __slots__ = ("_name", "_remedy")

    def __init__(self, name: str, remedy: str) -> None:
        self._name = name
        self._remedy = remedy

    def __get__(self, target: object, owner: type) -> NoReturn:
        """Refuse it."""
        raise _no_attribute(owner if target is None else target, self._name, self._remedy)


def _no_attribute(target: object, name: str, remedy: str) -> AttributeError:
    text = f"{type(target).__name__!r} object has no attribute {name!r}"
    return AttributeError(f"{text}: {remedy}" if remedy else text, name=name, obj=target)


def _of_held(holds: str, name: str) -> str:
    return f"this is the event; you want event.{holds}.{name}"


def _refuse(class_: type, remedies: Mapping[str, str]) -> None:
    """Have a class say what to use in place of these names."""
    for name, remedy in remedies.items():
        setattr(class_, name, _Elsewhere(name, remedy))


def _present(target: object) -> list[str]:
    """The names of an object but those that are refused."""
    refused = {
        name for class_ in type(target).__mro__ for name, value in vars(class_).items() if isinstance(value, _Elsewhere)
    }
    return [name for name in object.__dir__(target) if name not in refused]


_of_messages: Final = {name for kind in (str, bytes) for name in dir(kind) if not name.startswith("_")}
_refuse(MessageEvent, {name: _of_held("data", name) for name in sorted(_of_messages)})

_OF_EMITTERS: Final = {
    "on": "use target.on<name> = handler, as pc.ondatachannel, or target.addEventListener(name, handler)",
    "once": "use await adieu.once(target, name), or target.addEventListener(name, handler, once=True)",
    "emit": "use target.dispatchEvent(event)",
    "add_listener": "use target.addEventListener(name, handler)",
    "remove_listener": "use target.removeEventListener(name, handler)",
    "remove_all_listeners": "use target.removeEventListener(name, handler) for each",
    "listeners": "keep your handlers yourself; target.on<name> is the one that was set",
}
"""The remedies for methods that event emitters of other libraries have."""


class _Listener:
    """One entry of the list of listeners. `removed` is seen by a dispatch that is under way."""

    __slots__ = ("callback", "once", "removed")

    def __init__(self, callback: Handler[Any], *, once: bool) -> None:
        self.callback = callback
        self.once = once
        self.removed = False


class Home(Protocol):
    """The event loop that an object belongs to."""

    def require_thread(self, what: str) -> None:
        """Raise RuntimeError if `what` is called in another thread than that of the event loop."""


class EventTarget:
    """An object that events happen to. https://dom.spec.whatwg.org/#interface-eventtarget

    Thread safety: use it in the thread of its event loop.
    """

    __slots__ = (
        "__weakref__",
        "_backlog",
        "_ended",
        "_handlers",
        "_home",
        "_listeners",
        "_running",
        "_since",
        "_waiters",
    )

    def __init__(self, home: Home | None = None) -> None:
        self._home = home
        self._listeners: dict[str, list[_Listener]] = {}
        self._handlers: dict[str, _Listener] = {}
        self._waiters: dict[str, list[asyncio.Future[Any]]] = {}
        self._backlog: deque[tuple[Event, int]] = deque()
        self._running: asyncio.Task[None] | None = None
        self._since = 0.0
        self._ended: str | None = None

    def __dir__(self) -> list[str]:
        """The names that are there."""
        return _present(self)

    # --- the DOM's methods -----------

    def addEventListener(
        self,
        type: str,
        callback: Handler[Any],
        options: bool | Mapping[str, Any] | None = None,
        *,
        once: bool = False,
    ) -> None:
        """Call `callback` with each event of this type.

        Args:
            type: the name of the event, such as "message".
            callback: a plain function or a coroutine function. The same one twice is one listener.
            options: as in the DOM: a mapping, of which only `once` counts, or a bool, which is ignored.
            once: only for the first event.

        Raises:
            TypeError: `callback` is not callable.
            RuntimeError: this is not the thread of its event loop.
        """
        self._require_thread("addEventListener()")
        if not callable(callback):
            raise TypeError(f"the listener of {type!r} is {callback!r}, which is not callable")
        if isinstance(options, Mapping):
            once = once or bool(options.get("once", False))
        listeners = self._listeners.setdefault(type, [])
        attribute = self._handlers.get(type)
        if not any(listener.callback == callback and listener is not attribute for listener in listeners):
            listeners.append(_Listener(callback, once=once))
            self._rewired()
            self._listened(type)

    def removeEventListener(
        self,
        type: str,
        callback: Handler[Any],
        options: object = None,  # noqa: ARG002
    ) -> None:
        """Remove a listener. Does nothing if it is not registered."""
        self._require_thread("removeEventListener()")
        attribute = self._handlers.get(type)
        for listener in self._listeners.get(type, ()):
            if listener.callback == callback and listener is not attribute:
                self._remove(type, listener)
                return

    def dispatchEvent(self, event: Event) -> bool:
        """Fire an event: who awaits it is woken, then its handlers run, one after the other.

        Returns:
            True, always: no event of WebRTC can be cancelled.
        """
        self._require_thread("dispatchEvent()")
        self._fire(event)
        return True

    # --- for the classes that are event targets -----------

    def _require_thread(self, method: str) -> None:
        if self._home is not None:
            self._home.require_thread(f"{type(self).__name__}.{method}")

    def _fire(self, event: Event, size: int = 0) -> bool:
        """Dispatch. Whether the handlers have been entered; else they wait, and `_taken(size)` tells when they are."""
        event.target = self
        if self._waiters:
            self._wake(event)
        if self._running is not None:
            self._backlog.append((event, size))
            self._warn_of_slowness(event)
            return False
        listeners = self._listeners.get(event.type)
        if listeners is None:
            return True
        if len(listeners) > 1 or listeners[0].once:
            self._call_each(event, listeners)
            return True
        # The way of a message, hundreds of thousands of times a second: no further call than the handler's.
        try:
            result = listeners[0].callback(event)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 see _enter
            self._report(error, event)
        else:
            if result is not None and iscoroutine(result):
                self._begin(result, event, ())
        return True

    def _listens(self, type_: str) -> bool:
        """Whether firing this would reach anybody: a handler, or one that may be there when it is due."""
        return self._running is not None or type_ in self._listeners or type_ in self._waiters

    def _listened(self, type_: str) -> None:
        """Called when somebody listens to this from now on."""

    def _rewired(self) -> None:
        """Called when the listeners or the waiters have changed, and when an async handler begins or ends."""

    def _unlistened(self) -> None:
        """Called when somebody has stopped listening."""

    def _only_handler(self, type_: str) -> Handler[Any] | None:
        """The one plain listener that `_fire` would call at once and do nothing else. None if there is more to do."""
        listeners = self._listeners.get(type_)
        if self._running is not None or type_ in self._waiters or listeners is None:
            return None
        return None if len(listeners) > 1 or listeners[0].once else listeners[0].callback

    def handle_returned(self, result: object, event: Event) -> None:
        """Handle the result of the only handler: await it if it is a coroutine."""
        if iscoroutine(result):
            self._begin(result, event, ())

    def handle_raised(self, error: Exception, event: Event) -> None:
        """Report what the only handler has raised."""
        self._report(error, event)

    def _is_observed(self, *, but_handlers: bool) -> bool:
        """See `is_observed`."""
        return bool(self._waiters or self._running or (self._listeners and not but_handlers))

    def _taken(self, size: int) -> None:
        """Note that a waiting event was given to its handlers; `size` is the size that `_fire` got."""

    def _end(self, why: str, *, forget: bool) -> None:
        """See `end_events`."""
        if forget:
            self._backlog.clear()
        if self._ended is not None:
            return
        self._ended = why
        for futures in self._waiters.values():
            for future in futures:
                if not future.done() and not future.get_loop().is_closed():
                    future.set_exception(AbortError(why))
        self._waiters.clear()
        self._rewired()

    def _await_event(self, type_: str) -> asyncio.Future[Any]:
        """Return the future that `once` awaits."""
        self._require_thread(f"once({type_!r})")
        if self._ended is not None:
            raise InvalidStateError(f"{type_!r} cannot happen now: {self._ended}")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(type_, []).append(future)
        self._rewired()
        self._listened(type_)
        return future

    def _forget_waiter(self, type_: str, future: asyncio.Future[Any]) -> None:
        waiters = self._waiters.get(type_)
        if waiters is not None and future in waiters:
            waiters.remove(future)
            if not waiters:
                del self._waiters[type_]
        self._rewired()
        self._unlistened()

    # --- event handler attributes (https://html.spec.whatwg.org/#event-handler-attributes) -----------

    def _handler(self, type_: str) -> Handler[Any] | None:
        listener = self._handlers.get(type_)
        return None if listener is None else listener.callback

    def _set_handler(self, type_: str, callback: Handler[Any] | None) -> None:
        self._require_thread(f"on{type_} = ...")
        listener = self._handlers.get(type_)
        if callback is None:
            if listener is not None:
                self._remove(type_, listener)
        elif listener is not None:
            listener.callback = callback  # it keeps its place in the order
            self._rewired()
        else:
            listener = self._handlers[type_] = _Listener(callback, once=False)
            self._listeners.setdefault(type_, []).append(listener)
            self._rewired()
            self._listened(type_)

    # --- how it works -----------

    def _remove(self, type_: str, listener: _Listener) -> None:
        listener.removed = True
        listeners = self._listeners[type_]
        listeners.remove(listener)
        if not listeners:
            del self._listeners[type_]
        if self._handlers.get(type_) is listener:
            del self._handlers[type_]
        self._rewired()
        self._unlistened()

    def _wake(self, event: Event) -> None:
        waiters = self._waiters.pop(event.type, None)
        if waiters is None:
            return
        for future in waiters:
            if not future.done():
                future.set_result(event)
        self._rewired()

    def _call_each(self, event: Event, listeners: list[_Listener]) -> None:
        """Call them in their order. The first one that is a coroutine makes a task that does the rest."""
        rest = deque(listeners)
        while rest:
            if (coroutine := self._enter(rest.popleft(), event)) is not None:
                self._begin(coroutine, event, rest)
                return

    def _enter(self, listener: _Listener, event: Event) -> Coroutine[Any, Any, Any] | None:
        """Call a handler, and await its result if it is a coroutine."""
        if listener.removed:
            return None
        if listener.once:
            self._remove(event.type, listener)
        try:
            result = listener.callback(event)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 it is the handler's, see the module
            self._report(error, event)
            return None
        return result if result is not None and iscoroutine(result) else None

    def _begin(self, coroutine: Coroutine[Any, Any, Any], event: Event, rest: deque[_Listener] | tuple[()]) -> None:
        loop = asyncio.get_running_loop()
        self._since = loop.time()
        self._running = loop.create_task(
            self._run(coroutine, event, deque(rest)), name=f"adieu: on{event.type} of {type(self).__name__}"
        )
        self._rewired()

    async def _run(self, coroutine: Coroutine[Any, Any, Any], event: Event, rest: deque[_Listener]) -> None:
        """Await an async handler, then call the others, then what has happened meanwhile."""
        try:
            await self._await(coroutine, event)
            while True:
                while rest:
                    if (following := self._enter(rest.popleft(), event)) is not None:
                        await self._await(following, event)
                if not self._backlog:
                    break
                event, size = self._backlog.popleft()
                self._taken(size)
                rest.extend(self._listeners.get(event.type, ()))
        finally:
            self._running = None
            # Only when the task was cancelled, as the loop does at its end, is anything left here.
            for _, size in self._backlog:
                self._taken(size)
            self._backlog.clear()
            self._rewired()

    async def _await(self, coroutine: Coroutine[Any, Any, Any], event: Event) -> None:
        self._since = asyncio.get_running_loop().time()
        try:
            await coroutine
        except (Exception, asyncio.CancelledError) as error:
            if is_own_cancel(error):
                raise
            self._report(error, event)  # what waits behind it goes on

    def _report(self, error: BaseException, event: Event) -> None:
        asyncio.get_running_loop().call_exception_handler(
            {"message": f"the {event.type!r} handler of {self!r} failed", "exception": error}
        )

    def _warn_of_slowness(self, event: Event) -> None:
        waited = asyncio.get_running_loop().time() - self._since
        if waited > SLOW_HANDLER:
            self._since += waited  # once in so many seconds
            logger.warning(
                "%r of %r waits: %s has been running for %.0f s. Handlers of one object run one after the other; "
                "do long work in a task of its own",
                event.type,
                self,
                self._running.get_name() if self._running is not None else "a handler",
                waited,
            )


_refuse(
    EventTarget,
    {
        name: f"{remedy}. Handlers get an event, as in a browser (docs/guides/from-aiortc.md)"
        for name, remedy in _OF_EMITTERS.items()
    },
)


class EventHandler(Generic[E]):
    """An `on<name>` attribute: `onopen = EventHandler[Event]("open")`."""

    __slots__ = ("_type",)

    def __init__(self, type: str) -> None:
        self._type = type

    @overload
    def __get__(self, target: None, owner: type[EventTarget]) -> EventHandler[E]: ...
    @overload
    def __get__(self, target: EventTarget, owner: type[EventTarget]) -> Handler[E] | None: ...
    def __get__(self, target: EventTarget | None, owner: type[EventTarget]) -> EventHandler[E] | Handler[E] | None:
        """The handler, or None."""
        return self if target is None else target._handler(self._type)  # noqa: SLF001 a part of it # pyright: ignore[reportPrivateUsage]

    def __set__(self, target: EventTarget, callback: Handler[E] | None) -> None:
        """Set the handler, or with None remove it.

        Raises:
            TypeError: the handler is not callable.
        """
        if callback is not None and not callable(callback):
            raise TypeError(f"on{self._type} is {callback!r}: a function that takes the event, or None")
        target._set_handler(self._type, callback)  # noqa: SLF001 a part of it # pyright: ignore[reportPrivateUsage]


def is_own_cancel(error: BaseException) -> bool:
    """Whether this cancels the running task. Else it is an error, or a CancelledError of something that it awaited."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def end_events(target: EventTarget, why: str, *, forget: bool = False) -> None:
    """End an object's events: everything that awaits one gets an AbortError.

    Args:
        target: the object.
        why: for the error.
        forget: also drop the events that still wait behind an async handler.
    """
    target._end(why, forget=forget)  # noqa: SLF001 a part of it # pyright: ignore[reportPrivateUsage]


def is_observed(target: EventTarget, *, but_handlers: bool = False) -> bool:
    """Whether anybody awaits one of its events, has a handler for one, or is at it.

    Args:
        target: the object.
        but_handlers: handlers do not count.
    """
    return target._is_observed(but_handlers=but_handlers)  # noqa: SLF001 a part of it # pyright: ignore[reportPrivateUsage]


def is_heard(target: EventTarget, type: str) -> bool:
    """Whether anybody has a handler for this event, or awaits it."""
    return target._listens(type)  # noqa: SLF001 a part of it # pyright: ignore[reportPrivateUsage]


async def once(target: EventTarget, type: str) -> Any:
    """Wait for the next event of this type. It comes at once, also while an async handler of the object is running.

    Raises:
        AbortError: the object ends during the wait, so the event cannot come.
        InvalidStateError: the object has ended already.

    Cancellation: nothing is left behind.
    """
    future = target._await_event(type)  # noqa: SLF001 a part of it # pyright: ignore[reportPrivateUsage]
    try:
        return await future
    finally:
        target._forget_waiter(type, future)  # noqa: SLF001 a part of it # pyright: ignore[reportPrivateUsage]
