"""RTCIceCandidate, as aiortc's constructor takes it, and RTCIceTransport."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adieu.compat.aiortc.emitter import EventEmitter

if TYPE_CHECKING:
    from adieu.webrtc import RTCIceTransport as Inner


@dataclass
class RTCIceCandidate:
    """A candidate: an address at which the other side may be reached.

    Attributes:
        component: 1 for RTP and for all that is multiplexed with it.
        foundation: equal for candidates of the same type, base and server.
        ip: an address, or a name of mDNS.
        port: its port.
        priority: its priority.
        protocol: "udp" or "tcp".
        type: "host", "srflx", "prflx" or "relay".
        relatedAddress: the address that it was derived from.
        relatedPort: the port that it was derived from.
        sdpMid: the mid of its section.
        sdpMLineIndex: the index of its section.
        tcpType: "active", "passive" or "so", of a TCP candidate.
    """

    component: int
    foundation: str
    ip: str
    port: int
    priority: int
    protocol: str
    type: str
    relatedAddress: str | None = None
    relatedPort: int | None = None
    sdpMid: str | None = None
    sdpMLineIndex: int | None = None
    tcpType: str | None = None


@dataclass
class RTCIceParameters:
    """The user fragment and the password of one side of ICE."""

    usernameFragment: str | None = None
    password: str | None = None
    iceLite: bool = False


class RTCIceTransport(EventEmitter):
    """The ICE transport of a connection. Events: "statechange"."""

    def __init__(self, inner: Inner) -> None:
        super().__init__()
        self._inner = inner
        inner.addEventListener("statechange", lambda _event: self.emit("statechange"))

    @property
    def state(self) -> str:
        """The state, as the W3C names it."""
        return self._inner.state

    @property
    def role(self) -> str:
        """The role: "controlling", "controlled" or "unknown"."""
        return self._inner.role
