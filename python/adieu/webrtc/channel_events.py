"""The reports of a data channel to its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.webrtc import connection_log
from adieu.webrtc.lifetime import close_if_idle

if TYPE_CHECKING:
    from adieu.driver import Driver
    from adieu.webrtc.data_channel import RTCDataChannel
    from adieu.webrtc.internals import Internals


class ChannelEvents:
    """The `ChannelOwner` of the channels of one connection."""

    __slots__ = ("_internals",)

    def __init__(self, internals: Internals) -> None:
        self._internals = internals

    @property
    def is_closed(self) -> bool:
        """The W3C's [[IsClosed]]."""
        return self._internals.is_closed

    @property
    def driver(self) -> Driver:
        """Queues tasks."""
        return self._internals.driver

    def forget_channel(self, channel: RTCDataChannel) -> None:
        """W3C closing procedure step 3."""
        self._internals.channels.forget(channel)
        connection_log.channel(self._internals, channel, "closing")

    def channel_opened(self, channel: RTCDataChannel) -> None:
        """Count an opened channel."""
        self._internals.channels.opened += 1
        connection_log.channel(self._internals, channel, "open")

    def channel_closed(self, channel: RTCDataChannel, *, reusable: bool) -> None:
        """Remove a closed channel; `reusable`: its stream may be used again."""
        self._internals.channels.remove(channel, reusable=reusable)
        connection_log.channel(self._internals, channel, "closed")
        if self._internals.is_dropped:
            self._internals.driver.queue_task(close_if_idle, self._internals)
