"""Whose objects a page gets: adieu's, or nobody's."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, Protocol

from adieu.events import Event, EventTarget
from conformance.bridge import NotImplementedHere

if TYPE_CHECKING:
    from collections.abc import Generator


Seen = Callable[[Any, Event], None]


class Backend(Protocol):
    """Where a page's objects come from."""

    def interface(self, name: str) -> Any:
        """The class of this name, or the object: `mediaDevices`."""
        ...

    def member(self, subject: Any, name: str) -> Any:
        """A member of an object or of a class."""
        ...

    def listen(self, subject: Any, type_: str, callback: Callable[[Any], None]) -> None:
        """Have it called with each event of this type."""

    def watch(self, seen: Seen) -> AbstractContextManager[None]:
        """In this block it is called with every event and its target, whether somebody listens or not."""
        ...


class Adieu:
    """adieu's objects have the W3C's names."""

    def __init__(self) -> None:
        self._modules = []
        for name in ("adieu.webrtc", "adieu.errors", "adieu.media", "adieu"):
            with suppress(ModuleNotFoundError):
                self._modules.append(importlib.import_module(name))

    def interface(self, name: str) -> Any:
        """The first one of this name."""
        for module in self._modules:
            if hasattr(module, name):
                return getattr(module, name)
        raise NotImplementedHere(name)

    def member(self, subject: Any, name: str) -> Any:
        """The attribute."""
        return getattr(subject, name)

    def listen(self, subject: Any, type_: str, callback: Callable[[Any], None]) -> None:
        """The same in Python."""
        subject.addEventListener(type_, callback)

    @contextmanager
    def watch(self, seen: Seen) -> Generator[None]:
        """All events go through one method."""
        fire = EventTarget._fire

        def watched(target: EventTarget, event: Event, size: int = 0) -> bool:
            seen(target, event)
            return fire(target, event, size)

        EventTarget._fire = watched  # type: ignore[method-assign]
        try:
            yield
        finally:
            EventTarget._fire = fire  # type: ignore[method-assign]


class Nul:
    """Has nothing: what passes with it, the bindings have earned and not adieu."""

    def interface(self, name: str) -> Any:
        """There is none."""
        raise NotImplementedHere(name)

    def member(self, subject: Any, name: str) -> Any:
        """There is none."""
        raise NotImplementedHere(name)

    def listen(self, subject: Any, type_: str, callback: Callable[[Any], None]) -> None:
        """Nothing will happen."""

    def watch(self, seen: Seen) -> AbstractContextManager[None]:
        """Nothing will be seen."""
        return nullcontext()


BACKENDS: dict[str, Callable[[], Backend]] = {"adieu": Adieu, "nul": Nul}
