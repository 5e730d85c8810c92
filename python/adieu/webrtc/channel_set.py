"""The data channels of a connection, and their SCTP streams."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adieu.webrtc.stream_ids import FreeIds

if TYPE_CHECKING:
    from adieu.webrtc.data_channel import RTCDataChannel


@dataclass(slots=True, eq=False)
class ChannelSet:
    """The data channels of one connection.

    Attributes:
        listed: [[DataChannels]], which a channel leaves when it begins to close.
        unclosed: all channels that are not closed.
        by_id: the channel of each stream, until both its directions are reset.
        free_ids: finds a stream without a channel.
        has_made: whether the connection "has created any RTCDataChannels".
        opened: how many were opened, for the statistics.
        closed: how many were closed, for the statistics.
    """

    listed: dict[RTCDataChannel, None] = field(default_factory=dict["RTCDataChannel", None])
    unclosed: dict[RTCDataChannel, None] = field(default_factory=dict["RTCDataChannel", None])
    by_id: dict[int, RTCDataChannel] = field(default_factory=dict[int, "RTCDataChannel"])
    free_ids: FreeIds = field(default_factory=FreeIds)
    has_made: bool = False
    opened: int = 0
    closed: int = 0

    def add(self, channel: RTCDataChannel) -> None:
        """Add a channel; its stream is taken if it has one already."""
        self.listed[channel] = None
        self.unclosed[channel] = None
        if channel.id is not None:
            self.by_id[channel.id] = channel

    def forget(self, channel: RTCDataChannel) -> None:
        """Remove it from [[DataChannels]] (W3C closing procedure step 3)."""
        self.listed.pop(channel, None)

    def remove(self, channel: RTCDataChannel, *, reusable: bool) -> None:
        """Remove a closed channel; its stream is free again after both directions were reset (closing rule 47)."""
        self.closed += 1
        self.listed.pop(channel, None)
        self.unclosed.pop(channel, None)
        if reusable and channel.id is not None and self.by_id.get(channel.id) is channel:
            del self.by_id[channel.id]
            self.free_ids.give_back(channel.id)

    def free_all_ids(self) -> None:
        """Free all streams: the next association has its own."""
        self.by_id.clear()
        self.free_ids = FreeIds()

    def clear(self) -> None:
        """Remove all channels: the connection is closed."""
        self.unclosed.clear()
        self.listed.clear()
        self.by_id.clear()
