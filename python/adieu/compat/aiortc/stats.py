"""Statistics as objects with attributes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class RTCStats:
    """A part of the statistics: the W3C's members are attributes, in the W3C's units.

    Attributes:
        id: its name in the report.
        type: the W3C's type, as "inbound-rtp".
        timestamp: when it was taken.
    """

    def __init__(self, members: Mapping[str, Any]) -> None:
        self.__dict__.update(members)
        self.id: str = members["id"]
        self.type: str = members["type"]
        self.timestamp: datetime = datetime.fromtimestamp(members["timestamp"] / 1000, UTC)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the statistics of type {self.type!r} have no {name!r}", name=name, obj=self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"


class RTCInboundRtpStreamStats(RTCStats):
    """A stream that is received."""


class RTCOutboundRtpStreamStats(RTCStats):
    """A stream that is sent."""


class RTCRemoteInboundRtpStreamStats(RTCStats):
    """A stream that is sent, as the other side received it."""


class RTCRemoteOutboundRtpStreamStats(RTCStats):
    """A stream that is received, as the other side sent it."""


class RTCTransportStats(RTCStats):
    """A transport."""


_CLASSES: Final = {
    "inbound-rtp": RTCInboundRtpStreamStats,
    "outbound-rtp": RTCOutboundRtpStreamStats,
    "remote-inbound-rtp": RTCRemoteInboundRtpStreamStats,
    "remote-outbound-rtp": RTCRemoteOutboundRtpStreamStats,
    "transport": RTCTransportStats,
}


class RTCStatsReport(dict[str, RTCStats]):
    """Statistics by id."""

    def add(self, stats: RTCStats) -> None:
        """Put a part in."""
        self[stats.id] = stats


def report_of(found: Mapping[str, Mapping[str, Any]]) -> RTCStatsReport:
    """Return adieu's statistics as objects."""
    report = RTCStatsReport()
    for members in found.values():
        report.add(_CLASSES.get(members["type"], RTCStats)(members))
    return report
