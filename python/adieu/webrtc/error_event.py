"""RTCErrorEvent. https://www.w3.org/TR/webrtc/#rtcerrorevent-interface"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from adieu.errors import RTCError
from adieu.events import Event
from adieu.webrtc.dictionaries import dictionary


@dataclass(frozen=True, slots=True)
class RTCErrorEventInit:
    """The members of an error event."""

    error: RTCError

    def __post_init__(self) -> None:
        error: Any = self.error
        if not isinstance(error, RTCError):
            raise TypeError(f"RTCErrorEventInit.error is {error!r}, not an RTCError")


class RTCErrorEvent(Event):
    """An error of a transport or of a channel.

    Args:
        type: "error".
        eventInitDict: a mapping with `error`, or the keyword.
    """

    __slots__ = ("_error",)

    def __init__(self, type: str, eventInitDict: object = None, **members: Any) -> None:
        super().__init__(type)
        self._error = dictionary(RTCErrorEventInit, eventInitDict, members, open_=True).error

    @property
    def error(self) -> RTCError:
        """The error."""
        return self._error
