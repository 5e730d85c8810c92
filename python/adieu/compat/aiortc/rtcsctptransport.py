"""RTCSctpTransport."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.compat.aiortc.emitter import EventEmitter
from adieu.compat.aiortc.rtcdtlstransport import RTCDtlsTransport

if TYPE_CHECKING:
    from adieu.webrtc import RTCSctpTransport as Inner

USERDATA_MAX_LENGTH = 1200
"""Programs set this to make packets smaller. adieu finds the size by itself, and does not read it."""


class RTCSctpTransport(EventEmitter):
    """The SCTP transport of a connection's data channels. Events: "statechange"."""

    def __init__(self, inner: Inner) -> None:
        super().__init__()
        self._inner = inner
        self._transport = RTCDtlsTransport(inner.transport)
        inner.addEventListener("statechange", lambda _event: self.emit("statechange"))

    @property
    def state(self) -> str:
        """The state: "connecting", "connected" or "closed"."""
        return self._inner.state

    @property
    def transport(self) -> RTCDtlsTransport:
        """The DTLS transport below."""
        return self._transport

    @property
    def maxChannels(self) -> int | None:
        """The most data channels at a time; None before it is connected."""
        return self._inner.maxChannels
