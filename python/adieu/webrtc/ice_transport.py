"""RTCIceTransport. https://www.w3.org/TR/webrtc/#rtcicetransport"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from adieu.events import Event, EventHandler, EventTarget

if TYPE_CHECKING:
    from adieu.events import Home
    from adieu.webrtc.ice_candidate import RTCIceCandidate, RTCIceComponent

RTCIceTransportState: TypeAlias = Literal[
    "new", "checking", "connected", "completed", "disconnected", "failed", "closed"
]
RTCIceGathererState: TypeAlias = Literal["new", "gathering", "complete"]
RTCIceRole: TypeAlias = Literal["unknown", "controlling", "controlled"]


@dataclass(frozen=True, slots=True)
class RTCIceParameters:
    """https://www.w3.org/TR/webrtc/#rtciceparameters"""

    usernameFragment: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RTCIceCandidatePair:
    """https://www.w3.org/TR/webrtc/#rtcicecandidatepair"""

    local: RTCIceCandidate
    remote: RTCIceCandidate


@dataclass(slots=True)
class IceTransportInternals:
    """The internals: the connection's algorithms set them, the object shows them."""

    state: RTCIceTransportState = "new"
    gatherer_state: RTCIceGathererState = "new"
    role: RTCIceRole = "unknown"
    selected_pair: RTCIceCandidatePair | None = None
    local_candidates: list[RTCIceCandidate] = field(default_factory=list["RTCIceCandidate"])
    remote_candidates: list[RTCIceCandidate] = field(default_factory=list["RTCIceCandidate"])
    local_parameters: RTCIceParameters | None = None
    remote_parameters: RTCIceParameters | None = None


class RTCIceTransport(EventTarget):
    """The ICE agent of one transport. Made by an RTCPeerConnection.

    Events: `statechange`, `gatheringstatechange`, `selectedcandidatepairchange`.
    """

    __slots__ = ("_internals",)

    onstatechange: EventHandler[Event] = EventHandler("statechange")
    ongatheringstatechange: EventHandler[Event] = EventHandler("gatheringstatechange")
    onselectedcandidatepairchange: EventHandler[Event] = EventHandler("selectedcandidatepairchange")

    def __init__(self, internals: IceTransportInternals, home: Home) -> None:
        super().__init__(home)
        self._internals = internals

    @property
    def role(self) -> RTCIceRole:
        """The ICE role: the controlling side chooses the pair."""
        return self._internals.role

    @property
    def component(self) -> RTCIceComponent:
        """The component: always "rtp", because all is multiplexed with RTP."""
        return "rtp"

    @property
    def state(self) -> RTCIceTransportState:
        """The state."""
        return self._internals.state

    @property
    def gatheringState(self) -> RTCIceGathererState:
        """The gathering state."""
        return self._internals.gatherer_state

    def getLocalCandidates(self) -> list[RTCIceCandidate]:
        """Return the candidates that were gathered and surfaced."""
        return list(self._internals.local_candidates)

    def getRemoteCandidates(self) -> list[RTCIceCandidate]:
        """Return the candidates of addIceCandidate()."""
        return list(self._internals.remote_candidates)

    def getSelectedCandidatePair(self) -> RTCIceCandidatePair | None:
        """Return the pair that packets are sent on; None without a pair, and in the states "new" and "closed"."""
        return None if self._internals.state in {"new", "closed"} else self._internals.selected_pair

    def getLocalParameters(self) -> RTCIceParameters | None:
        """Return our credentials; None before setLocalDescription()."""
        return self._internals.local_parameters

    def getRemoteParameters(self) -> RTCIceParameters | None:
        """Return the peer's credentials; None before setRemoteDescription()."""
        return self._internals.remote_parameters

    def __repr__(self) -> str:
        return f"<RTCIceTransport {self.state}, {self.role}>"
