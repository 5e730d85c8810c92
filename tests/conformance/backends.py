"""Whose objects a page gets: adieu's, or nobody's."""

from __future__ import annotations

import importlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from conformance.bridge import NotImplementedHere

if TYPE_CHECKING:
    from collections.abc import Callable


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


BACKENDS: dict[str, Callable[[], Backend]] = {"adieu": Adieu, "nul": Nul}
