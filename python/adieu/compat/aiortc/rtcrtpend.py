"""The part that a sender and a receiver have in common: their transport and their statistics."""

from __future__ import annotations

from typing import Generic, TypeVar

from adieu.compat.aiortc.rtcdtlstransport import RTCDtlsTransport
from adieu.compat.aiortc.stats import RTCStatsReport, report_of
from adieu.webrtc import RTCRtpReceiver, RTCRtpSender

End = TypeVar("End", RTCRtpSender, RTCRtpReceiver)


class RTPEnd(Generic[End]):
    """A sender or a receiver.

    Attributes:
        w3c: adieu's own.
    """

    def __init__(self, inner: End) -> None:
        self.w3c: End = inner
        self._transport: RTCDtlsTransport | None = None

    @property
    def transport(self) -> RTCDtlsTransport | None:
        """The transport; None before a description says which."""
        inner = self.w3c.transport
        if inner is not None and self._transport is None:
            self._transport = RTCDtlsTransport(inner)
        return self._transport

    async def getStats(self) -> RTCStatsReport:
        """Return its statistics."""
        return report_of(await self.w3c.getStats())
