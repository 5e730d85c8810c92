"""Events of sources of pictures."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from adieu.events import Event, EventTarget, is_heard

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.driver import Driver

R = TypeVar("R")


class KeyframeEvent(Event):
    """Somebody cannot decode without a key frame. The `type` is "keyframe"."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("keyframe")


class BitrateEvent(Event):
    """The path carries more or less than before. The `type` is "bitrate".

    Attributes:
        bitrate: bits a second that the source may use; of several connections the least.
    """

    __slots__ = ("bitrate",)

    def __init__(self, bitrate: int) -> None:
        super().__init__("bitrate")
        self.bitrate: int = bitrate


class SourceErrorEvent(Event):
    """A sender of the source gets nothing, and trying again did not help. The `type` is "error".

    Attributes:
        error: says what failed.
    """

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        super().__init__("error")
        self.error: Exception = error


class PictureSource(EventTarget):
    """A source of pictures with events."""

    EVENTS: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, driver: Driver) -> None:
        super().__init__(driver)
        self._driver = driver

    def on(self, name: str, handler: Callable[[Any], R] | None = None) -> Any:
        """Add a handler, or decorate one. It gets the event.

        Raises:
            ValueError: there is no such event; the message lists those there are.
        """
        if name not in self.EVENTS:
            raise ValueError(f"{type(self).__name__} has no event {name!r}; it has {', '.join(sorted(self.EVENTS))}")
        if handler is None:
            return partial(self.on, name)
        self.addEventListener(name, handler)
        return handler

    def fail(self, error: Exception) -> None:
        """Report an error: to the handlers of `error`, else to the event loop's exception handler."""
        if is_heard(self, "error"):
            self._driver.queue_task(self.dispatchEvent, SourceErrorEvent(error))
        elif (loop := self._driver.loop) is not None:
            loop.call_exception_handler({"message": f"{self!r} sends nothing", "exception": error})
