"""RTCSctpTransport. https://www.w3.org/TR/webrtc/#rtcsctptransport-interface"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from adieu.events import Event, EventHandler, EventTarget

if TYPE_CHECKING:
    from adieu.events import Home
    from adieu.webrtc.dtls_transport import RTCDtlsTransport

RTCSctpTransportState: TypeAlias = Literal["connecting", "connected", "closed"]

CAN_SEND_SIZE: Final = 16777216
"""The core's send buffer, in bytes: a larger message cannot be sent."""


def max_message_size(remote: int) -> float:
    """W3C "update the data max message size", steps 3 to 6.

    Args:
        remote: the size in the peer's description; 0: no limit.
    """
    sizes = [size for size in (remote, CAN_SEND_SIZE) if size]
    return min(sizes) if sizes else math.inf


@dataclass(slots=True)
class SctpTransportInternals:
    """The internals: the connection's algorithms set them, the object shows them."""

    dtls: RTCDtlsTransport
    state: RTCSctpTransportState = "connecting"
    max_message_size: float = 65536
    max_channels: int | None = None


class RTCSctpTransport(EventTarget):
    """The association that carries the data channels. Made by an RTCPeerConnection.

    Events: `statechange`.
    """

    __slots__ = ("_internals",)

    onstatechange: EventHandler[Event] = EventHandler("statechange")

    def __init__(self, internals: SctpTransportInternals, home: Home) -> None:
        super().__init__(home)
        self._internals = internals

    @property
    def transport(self) -> RTCDtlsTransport:
        """The DTLS transport that it uses."""
        return self._internals.dtls

    @property
    def state(self) -> RTCSctpTransportState:
        """The state."""
        return self._internals.state

    @property
    def maxMessageSize(self) -> float:
        """The largest message that can be sent, in bytes."""
        return self._internals.max_message_size

    @property
    def maxChannels(self) -> int | None:
        """The number of channels that can be open at once; None before it is connected."""
        return self._internals.max_channels

    def __repr__(self) -> str:
        return f"<RTCSctpTransport {self.state}>"
