"""RTCDataChannelEvent. https://www.w3.org/TR/webrtc/#rtcdatachannelevent"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adieu.events import EventOf
from adieu.webrtc.data_channel import RTCDataChannel

if TYPE_CHECKING:
    from collections.abc import Mapping


class RTCDataChannelEvent(EventOf):
    """The peer has made a channel.

    Args:
        type: "datachannel".
        eventInitDict: a mapping with `channel`, or the keyword.
    """

    __slots__ = ("_channel",)

    _holds = "channel"

    def __init__(self, type: str, eventInitDict: Mapping[str, Any] | None = None, **members: Any) -> None:
        super().__init__(type)
        channel = {**(eventInitDict or {}), **members}.get("channel")
        if not isinstance(channel, RTCDataChannel):
            raise TypeError(f"RTCDataChannelEventInit.channel is {channel!r}, not an RTCDataChannel")
        self._channel = channel

    @property
    def channel(self) -> RTCDataChannel:
        """The channel. It is open."""
        return self._channel
