"""RTCIceCandidate. https://www.w3.org/TR/webrtc/#rtcicecandidate-interface"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias, cast

from adieu.sdp import Candidate, SdpSyntaxError
from adieu.webrtc.dictionaries import choice, dictionary, string, unsigned

RTCIceComponent: TypeAlias = Literal["rtp", "rtcp"]
RTCIceProtocol: TypeAlias = Literal["udp", "tcp"]
RTCIceCandidateType: TypeAlias = Literal["host", "srflx", "prflx", "relay"]
RTCIceTcpCandidateType: TypeAlias = Literal["active", "passive", "so"]
RTCIceServerTransportProtocol: TypeAlias = Literal["udp", "tcp", "tls"]

_TYPES = {"host", "srflx", "prflx", "relay"}
_TCP_TYPES = {None, "active", "passive", "so"}


@dataclass(frozen=True, slots=True)
class RTCIceCandidateInit:
    """https://www.w3.org/TR/webrtc/#dom-rtcicecandidateinit

    Attributes:
        candidate: "candidate:…"; empty for the end of candidates.
        sdpMid: the mid of its section.
        sdpMLineIndex: the index of its section.
        usernameFragment: of its ICE generation.
    """

    candidate: str = ""
    sdpMid: str | None = None
    sdpMLineIndex: int | None = None
    usernameFragment: str | None = None

    def __post_init__(self) -> None:
        string("RTCIceCandidateInit.candidate", self.candidate)
        for name in ("sdpMid", "usernameFragment"):
            if getattr(self, name) is not None:
                string(f"RTCIceCandidateInit.{name}", getattr(self, name))
        if self.sdpMLineIndex is not None:
            unsigned("RTCIceCandidateInit.sdpMLineIndex", self.sdpMLineIndex, 65535)


@dataclass(frozen=True, slots=True)
class RTCLocalIceCandidateInit(RTCIceCandidateInit):
    """https://www.w3.org/TR/webrtc/#dom-rtclocalicecandidateinit

    Attributes:
        relayProtocol: the protocol between a local relay candidate and its server.
        url: of the server that showed a local srflx or relay candidate.
    """

    relayProtocol: RTCIceServerTransportProtocol | None = None
    url: str | None = None

    def __post_init__(self) -> None:
        RTCIceCandidateInit.__post_init__(self)
        if self.relayProtocol is not None:
            choice("RTCLocalIceCandidateInit.relayProtocol", self.relayProtocol, RTCIceServerTransportProtocol)
        if self.url is not None:
            string("RTCLocalIceCandidateInit.url", self.url)


class RTCIceCandidate:
    """A candidate, and the parts of its line. A part that is missing or wrong is None.

    Args:
        candidateInitDict: a candidate, a mapping, or members as keywords: `candidate`, `sdpMid`, `sdpMLineIndex`,
            `usernameFragment`, and for a local one `relayProtocol` and `url`. `sdpMid` or `sdpMLineIndex` is required.

    Raises:
        TypeError: a member of another type, or neither sdpMid nor sdpMLineIndex.
    """

    __slots__ = ("_init", "_parsed")

    def __init__(self, candidateInitDict: object = None, **members: Any) -> None:
        init = dictionary(RTCLocalIceCandidateInit, _as_mapping(candidateInitDict), members, open_=True)
        # W3C constructor step 1
        if init.sdpMid is None and init.sdpMLineIndex is None:
            raise TypeError("RTCIceCandidate needs sdpMid or sdpMLineIndex")
        self._init = init
        self._parsed = _parse(init.candidate)

    @property
    def candidate(self) -> str:
        """The line, "candidate:…"."""
        return self._init.candidate

    @property
    def sdpMid(self) -> str | None:
        """The mid of its section."""
        return self._init.sdpMid

    @property
    def sdpMLineIndex(self) -> int | None:
        """The index of its section."""
        return self._init.sdpMLineIndex

    @property
    def usernameFragment(self) -> str | None:
        """The user fragment of its ICE generation."""
        return self._init.usernameFragment

    @property
    def foundation(self) -> str | None:
        """The foundation: equal for candidates of the same type, base and server."""
        return self._parsed.foundation if self._parsed else None

    @property
    def component(self) -> RTCIceComponent | None:
        """The component: "rtp" for all that is multiplexed with RTP."""
        return ("rtp" if self._parsed.component == 1 else "rtcp") if self._parsed else None

    @property
    def priority(self) -> int | None:
        """The priority."""
        return self._parsed.priority if self._parsed else None

    @property
    def address(self) -> str | None:
        """An IP address or a name."""
        return self._parsed.address if self._parsed else None

    @property
    def protocol(self) -> RTCIceProtocol | None:
        """The transport."""
        return cast("RTCIceProtocol", self._parsed.transport) if self._parsed else None

    @property
    def port(self) -> int | None:
        """The port."""
        return self._parsed.port if self._parsed else None

    @property
    def type(self) -> RTCIceCandidateType | None:
        """The type."""
        return cast("RTCIceCandidateType", self._parsed.type) if self._parsed else None

    @property
    def tcpType(self) -> RTCIceTcpCandidateType | None:
        """The TCP type of a TCP candidate."""
        return cast("RTCIceTcpCandidateType | None", self._parsed.tcp_type) if self._parsed else None

    @property
    def relatedAddress(self) -> str | None:
        """The address that it was derived from."""
        return self._parsed.related_address if self._parsed else None

    @property
    def relatedPort(self) -> int | None:
        """The port that it was derived from."""
        return self._parsed.related_port if self._parsed else None

    @property
    def url(self) -> str | None:
        """The URL of the server, for a local srflx or relay candidate."""
        return self._init.url

    @property
    def relayProtocol(self) -> RTCIceServerTransportProtocol | None:
        """The protocol between a local relay candidate and its server."""
        return self._init.relayProtocol

    def toJSON(self) -> dict[str, str | int | None]:
        """Return a dict that json can write, and that addIceCandidate() takes."""
        init = self._init
        return {
            "candidate": init.candidate,
            "sdpMid": init.sdpMid,
            "sdpMLineIndex": init.sdpMLineIndex,
            "usernameFragment": init.usernameFragment,
        }

    def __repr__(self) -> str:
        return f"<RTCIceCandidate {self.candidate or 'end'}>"


def candidate_init(value: object, members: dict[str, Any] | None = None) -> RTCIceCandidateInit:
    """Read a candidate in any form. It comes from a wire: unknown members are ignored."""
    return dictionary(RTCIceCandidateInit, _as_mapping(value), members, open_=True)


def _as_mapping(value: object) -> object:
    if isinstance(value, RTCIceCandidate):
        return {**value.toJSON(), "relayProtocol": value.relayProtocol, "url": value.url}
    if type(value) is RTCIceCandidateInit:
        return {field.name: getattr(value, field.name) for field in fields(value)}
    # A string: all members are keywords, this one among them.
    return {"candidate": value} if isinstance(value, str) else value


def _parse(line: str) -> Candidate | None:
    """Parse a line (W3C create an RTCIceCandidate step 4); None if it is malformed or has invalid values."""
    if not line:
        return None
    try:
        parsed = Candidate.parse(line)
    except SdpSyntaxError:
        return None
    valid = (
        parsed.component in {1, 2}
        and parsed.transport in {"udp", "tcp"}
        and parsed.type in _TYPES
        and parsed.tcp_type in _TCP_TYPES
    )
    return parsed if valid else None
