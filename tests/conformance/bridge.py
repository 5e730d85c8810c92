"""The door between a page's JavaScript and adieu's objects. It has no logic of WebRTC: names and values, nothing else.

JavaScript calls `Bridge.call`; what happens in Python enters JavaScript by `Bridge.enter`, after which everything that
awaits a promise runs. `webidl.js` says how values look in between.
"""

from __future__ import annotations

import asyncio
import base64
import contextvars
import json
import math
import traceback
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from adieu.errors import DOMException, RTCError
from adieu.events import Event, MessageEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from conformance.backends import Backend
    from conformance.idl import Table

ENDED_INSIDE = {"MediaStreamTrack.stop", "RTCPeerConnection.close", "RTCRtpTransceiver.stop"}
"""Where the specifications fire inside the call: `ended`, and nothing else."""


class NotImplementedHere(Exception):  # noqa: N818 the name of what the page sees
    """adieu has no such member."""


class Bridge:
    """The objects of one page.

    Args:
        table: the interfaces.
        backend: where the interfaces' classes are.
        enter: runs a function of the page by its name, then what awaits promises.

    Attributes:
        calls: how often Python was called, as `RTCPeerConnection.close`.
        missing: members that were asked for and are not there.
        events_in_calls: events that were fired before the call had returned, as `RTCPeerConnection.close: close`.
        events_after_close: events of connections that were closed.
        bugs: exceptions that are none of the W3C's.
        connections: every RTCPeerConnection that was made and is not collected.
    """

    def __init__(self, table: Table, backend: Backend, enter: Callable[..., Any]) -> None:
        self._interfaces: Mapping[str, Any] = table["interfaces"]
        self._backend = backend
        self._enter = enter
        self._objects: dict[int, Any] = {}
        self._handles: dict[int, int] = {}
        self._listening: set[tuple[int, str]] = set()
        self._names: dict[type, str | None] = {}
        self._last = 0
        self._promises: dict[int, Promise] = {}
        self._inside: list[str] = []
        self.calls = 0
        self.missing: list[str] = []
        self.events_in_calls: Counter[str] = Counter()
        self.events_after_close: Counter[str] = Counter()
        self.bugs: list[str] = []
        self.connections: WeakSet[Any] = WeakSet()

    # --- from JavaScript -----------

    def call(self, operation: str, target: int | str, name: str = "", arguments: str = "[]") -> str:
        """One access to an object, or to a class by its name. What it gives is `{v: value}`, `{e: …}` or `{p: id}`."""
        what = self._what(target, name) if operation != "new" else f"new {name}"
        self._inside.append(what)
        try:
            return json.dumps(self._perform(operation, target, name, arguments, what))
        except BaseException as error:  # noqa: BLE001 an exception must not cross
            return json.dumps({"e": self._error(error, what)})
        finally:
            self._inside.pop()

    def _perform(self, operation: str, target: int | str, name: str, arguments: str, what: str) -> dict[str, Any]:
        self.calls += 1
        subject = self._backend.interface(target) if isinstance(target, str) and target else self._objects.get(target)
        match operation:
            case "new":
                made = self._backend.interface(name)(*self._decode(arguments))
                if name == "RTCPeerConnection":
                    self.connections.add(made)
                return {"v": {"$h": self._handle(made)}}
            case "get":
                return {"v": self.encode(self._member(subject, name, what))}
            case "set":
                self._member(subject, name, what)
                setattr(subject, name, self._decode(arguments))
                return {"v": None}
            case "call":
                return {"v": self.encode(self._member(subject, name, what)(*self._decode(arguments)))}
            case "promise":
                result = self._member(subject, name, what)(*self._decode(arguments))
                return self._promise(result, what) if iscoroutine(result) else {"v": self.encode(result)}
            case "entries":
                return {"v": [[key, self.encode(value)] for key, value in subject.items()]}
            case "devices":
                return {"v": self.encode(self._backend.interface("mediaDevices"))}
            case "generated":
                return {"v": self.encode(self._generated(name))}
            case _:
                raise AssertionError(operation)

    def _member(self, subject: Any, name: str, what: str) -> Any:
        try:
            return self._backend.member(subject, name)
        except AttributeError as error:
            if error.obj is subject and error.name == name:
                raise NotImplementedHere(what) from None
            raise

    def _generated(self, kind: str) -> Any:
        """A track of a generated device, at once: what makes sound in a page needs not ask for a device."""
        asking = self._backend.interface("mediaDevices").getUserMedia({kind: True})
        while True:
            try:
                asking.send(None)
            except StopIteration as end:
                return end.value.getTracks()[0]

    def listen(self, handle: int, type_: str) -> None:
        """From now on events of this type come to the page."""
        if (handle, type_) not in self._listening:
            self._listening.add((handle, type_))
            self._backend.listen(self._objects[handle], type_, partial(self._fire, handle))

    def drop(self, handle: int) -> None:
        """The page has no reference any more."""
        subject = self._objects.pop(handle, None)
        if subject is not None:
            del self._handles[id(subject)]

    def object_of(self, handle: int) -> Any:
        """What the page has under this handle; None for 0."""
        return self._objects.get(handle)

    # --- promises -----------

    def _promise(self, coroutine: Coroutine[Any, Any, Any], what: str) -> dict[str, Any]:
        self._last += 1
        promise = Promise(coroutine, partial(self._settle, self._last, what))
        if promise.begin():
            assert promise.outcome is not None
            value, error = promise.outcome
            return {"e": self._error(error, what)} if error is not None else {"v": self.encode(value)}
        self._promises[self._last] = promise
        return {"p": self._last}

    def _settle(self, number: int, what: str, value: Any, error: BaseException | None) -> None:
        del self._promises[number]
        answer = {"v": self.encode(value)} if error is None else {"e": self._error(error, what)}
        self._enter("settle", number, json.dumps(answer))

    # --- events -----------

    def see(self, target: Any, event: Event) -> None:
        """Every event of every object: count those that come too early or too late."""
        if self._inside:
            call = self._inside[-1]
            if not (event.type == "ended" and call in ENDED_INSIDE):
                self.events_in_calls[f"{call}: {event.type}"] += 1
        elif self._interface_of(type(target)) == "RTCPeerConnection" and target.connectionState == "closed":
            self.events_after_close[event.type] += 1

    def _fire(self, handle: int, event: Event) -> None:
        if handle not in self._objects:
            return
        encoded: dict[str, Any] = {"type": event.type}
        if isinstance(event, MessageEvent):
            encoded["data"] = self.encode(event.data)
        elif self._interface_of(type(event)) is not None:
            encoded |= self.encode(event)
        listeners = self._enter("begin", handle, json.dumps(encoded))
        for index in range(listeners or 0):
            self._enter("enter", index)
        if listeners is not None:
            self._enter("end")

    @property
    def is_inside_call(self) -> bool:
        """JavaScript is waiting for Python: what awaits promises must wait too."""
        return bool(self._inside)

    # --- values -----------

    def encode(self, value: Any) -> Any:
        """A value of Python for `webidl.js`."""
        match value:
            case None | bool() | str():
                return value
            case int() | float():
                return value if math.isfinite(value) else {"$n": str(value).replace("inf", "Infinity")}
            case bytes() | bytearray() | memoryview():
                return {"$b": base64.b64encode(value).decode()}
        if (name := self._interface_of(type(value))) is not None:
            return {"$h": self._handle(value), "$i": name}
        if isinstance(value, Mapping):
            return {str(key): self.encode(member) for key, member in value.items()}
        if is_dataclass(value):
            return {field.name: self.encode(getattr(value, field.name)) for field in fields(value)}
        return [self.encode(item) for item in value]

    def _decode(self, text: str) -> Any:
        return json.loads(text, object_hook=self._decode_object)

    def _decode_object(self, value: dict[str, Any]) -> Any:
        match value:
            case {"$h": handle}:
                return self._objects[handle]
            case {"$b": data}:
                return base64.b64decode(data)
            case {"$n": number}:
                return float(number)
            case {"$f": number}:
                return partial(self._call_function, number)
        return value

    def _call_function(self, number: int, *values: Any) -> None:
        self._enter("callFunction", number, json.dumps([self._value_or_error(value) for value in values]))

    def _value_or_error(self, value: Any) -> Any:
        return self._error(value, "") if isinstance(value, BaseException) else self.encode(value)

    def _handle(self, value: Any) -> int:
        known = self._handles.get(id(value))
        if known is None:
            self._last += 1
            known = self._handles[id(value)] = self._last
            self._objects[known] = value
        return known

    def _interface_of(self, class_: type) -> str | None:
        if class_ not in self._names:
            names = (base.__name__ for base in class_.__mro__)
            self._names[class_] = next((name for name in names if name in self._interfaces), None)
        return self._names[class_]

    def _what(self, target: int | str, name: str) -> str:
        if isinstance(target, str):
            return f"{target}.{name}"
        return f"{self._interface_of(type(self._objects.get(target)))}.{name}"

    def _error(self, error: BaseException, what: str) -> dict[str, Any]:
        message = f"{error}"
        match error:
            case RTCError():
                return {"$e": "object", "value": self.encode(error)}
            case DOMException():
                return {"$e": error.name, "message": message}
            case NotImplementedHere():
                self.missing.append(message)
                return {"$e": "NotImplemented", "message": f"{message} is not implemented"}
            case TypeError() if _is_of_the_call(error):
                self.missing.append(f"{what}: {message}")
                return {"$e": "NotImplemented", "message": message}
            case TypeError():
                return {"$e": "TypeError", "message": message}
            case ValueError():
                return {"$e": "RangeError", "message": message}
        self.bugs.append("".join(traceback.format_exception(error)))
        return {"$e": "bug", "message": f"{type(error).__name__}: {message}"}

    # --- the end -----------

    def close(self) -> None:
        """Let everything go. A promise that is still pending stays so: nobody awaits it."""
        for promise in self._promises.values():
            promise.abandon()
        self._promises.clear()
        self._objects.clear()
        self._handles.clear()


def _is_of_the_call(error: TypeError) -> bool:
    """The arguments do not fit the signature: no line of adieu has run."""
    frames = list(traceback.walk_tb(error.__traceback__))
    return frames[-1][0].f_code.co_filename == __file__


class Promise:
    """A coroutine that begins at once, as a call in JavaScript does, and tells of its end in the task in which it ends.

    A task of asyncio does neither: it begins one round of the event loop later, and who awaits it learns of its end
    one round later.

    Args:
        coroutine: what runs.
        settle: called with the value and the error, unless it ended at once.

    Attributes:
        outcome: the value and the error.
    """

    def __init__(
        self, coroutine: Coroutine[Any, Any, Any], settle: Callable[[Any, BaseException | None], None]
    ) -> None:
        self._coroutine = coroutine
        self._settle = settle
        self._context = contextvars.copy_context()
        self.outcome: tuple[Any, BaseException | None] | None = None

    def begin(self) -> bool:
        """Run to the first thing that has to be waited for. Whether it has ended already."""
        self._context.run(self._step)
        return self.outcome is not None

    def _step(self) -> None:
        try:
            awaited = self._coroutine.send(None)
        except StopIteration as end:
            self.outcome = (end.value, None)
        except Exception as raised:  # noqa: BLE001 it is what the promise is rejected with
            self.outcome = (None, raised)
        else:
            if awaited is None:
                asyncio.get_running_loop().call_soon(self._resume, context=self._context)
            else:
                awaited._asyncio_future_blocking = False  # how a task says that it has taken the future
                awaited.add_done_callback(self._resume, context=self._context)

    def _resume(self, _: object = None) -> None:
        self._step()
        if self.outcome is not None:
            self._settle(*self.outcome)

    def abandon(self) -> None:
        """It stays pending for ever."""
        self._coroutine.close()
