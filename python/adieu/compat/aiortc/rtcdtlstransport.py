"""RTCDtlsTransport."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.compat.aiortc.emitter import EventEmitter
from adieu.compat.aiortc.rtcicetransport import RTCIceTransport
from adieu.webrtc import RTCCertificate

if TYPE_CHECKING:
    from adieu.webrtc import RTCDtlsTransport as Inner

__all__ = ["RTCCertificate", "RTCDtlsTransport"]


class RTCDtlsTransport(EventEmitter):
    """The DTLS transport of a connection. Events: "statechange"."""

    def __init__(self, inner: Inner) -> None:
        super().__init__()
        self._inner = inner
        self._transport = RTCIceTransport(inner.iceTransport)
        inner.addEventListener("statechange", lambda _event: self.emit("statechange"))

    @property
    def state(self) -> str:
        """The state: "new", "connecting", "connected", "closed" or "failed"."""
        return self._inner.state

    @property
    def transport(self) -> RTCIceTransport:
        """The ICE transport below."""
        return self._transport
