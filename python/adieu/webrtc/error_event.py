"""RTCErrorEvent. https://www.w3.org/TR/webrtc/#rtcerrorevent-interface"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adieu.errors import RTCError
from adieu.events import Event

if TYPE_CHECKING:
    from collections.abc import Mapping


class RTCErrorEvent(Event):
    """An error of a transport or of a channel.

    Args:
        type: "error".
        eventInitDict: a mapping with `error`, or the keyword.
    """

    __slots__ = ("_error",)

    def __init__(self, type: str, eventInitDict: Mapping[str, Any] | None = None, **members: Any) -> None:
        super().__init__(type)
        error = {**(eventInitDict or {}), **members}.get("error")
        if not isinstance(error, RTCError):
            raise TypeError(f"RTCErrorEventInit.error is {error!r}, not an RTCError")
        self._error = error

    @property
    def error(self) -> RTCError:
        """What went wrong."""
        return self._error
