"""RTCDtlsTransport. https://www.w3.org/TR/webrtc/#rtcdtlstransport-interface"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from adieu.events import Event, EventHandler, EventTarget

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adieu.events import Handler, Home
    from adieu.webrtc.error_event import RTCErrorEvent
    from adieu.webrtc.ice_transport import RTCIceTransport

RTCDtlsTransportState: TypeAlias = Literal["new", "connecting", "connected", "closed", "failed"]


@dataclass(slots=True)
class DtlsTransportInternals:
    """The internals: the connection's algorithms set them, the object shows them."""

    ice: RTCIceTransport
    state: RTCDtlsTransportState = "new"
    remote_certificates: list[bytes] = field(default_factory=list[bytes])


class RTCDtlsTransport(EventTarget):
    """The encryption of one transport. Made by an RTCPeerConnection.

    Events: `statechange`, `error` (RTCErrorEvent).
    """

    __slots__ = ("_internals",)

    onstatechange: EventHandler[Event] = EventHandler("statechange")
    onerror: EventHandler[RTCErrorEvent] = EventHandler("error")

    if TYPE_CHECKING:

        @overload
        def addEventListener(
            self,
            type: Literal["error"],
            callback: Handler[RTCErrorEvent],
            options: bool | Mapping[str, Any] | None = None,
            *,
            once: bool = False,
        ) -> None: ...
        @overload
        def addEventListener(
            self,
            type: str,
            callback: Handler[Event],
            options: bool | Mapping[str, Any] | None = None,
            *,
            once: bool = False,
        ) -> None: ...
        def addEventListener(
            self,
            type: str,
            callback: Handler[Any],
            options: bool | Mapping[str, Any] | None = None,
            *,
            once: bool = False,
        ) -> None:
            """See EventTarget."""

    def __init__(self, internals: DtlsTransportInternals, home: Home) -> None:
        super().__init__(home)
        self._internals = internals

    @property
    def iceTransport(self) -> RTCIceTransport:
        """The ICE transport that it uses."""
        return self._internals.ice

    @property
    def state(self) -> RTCDtlsTransportState:
        """The state; "closed" also says that the peer has closed it (closing rule 60)."""
        return self._internals.state

    def getRemoteCertificates(self) -> list[bytes]:
        """The peer's certificates, DER, the leaf first; empty before the handshake."""
        return list(self._internals.remote_certificates)

    def __repr__(self) -> str:
        return f"<RTCDtlsTransport {self.state}>"
