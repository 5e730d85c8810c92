"""RTCPeerConnectionIceEvent and RTCPeerConnectionIceErrorEvent. https://www.w3.org/TR/webrtc/#rtcpeerconnectioniceevent"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from adieu.events import Event
from adieu.webrtc.dictionaries import dictionary, string, unsigned
from adieu.webrtc.ice_candidate import RTCIceCandidate


@dataclass(frozen=True, slots=True)
class RTCPeerConnectionIceEventInit:
    """The members of an icecandidate event."""

    candidate: RTCIceCandidate | None = None
    url: str | None = None

    def __post_init__(self) -> None:
        candidate: Any = self.candidate
        if candidate is not None and not isinstance(candidate, RTCIceCandidate):
            raise TypeError(f"RTCPeerConnectionIceEventInit.candidate is {candidate!r}, not an RTCIceCandidate")


class RTCPeerConnectionIceEvent(Event):
    """A candidate was gathered. Without a candidate, gathering is complete.

    Args:
        type: "icecandidate".
        eventInitDict: a mapping, or members as keywords: `candidate`, `url`.
    """

    __slots__ = ("_init",)

    def __init__(self, type: str, eventInitDict: object = None, **members: Any) -> None:
        super().__init__(type)
        self._init = dictionary(RTCPeerConnectionIceEventInit, eventInitDict, members)

    @property
    def candidate(self) -> RTCIceCandidate | None:
        """The candidate. Its line is empty at the end of a generation; None at the end of gathering."""
        return self._init.candidate

    @property
    def url(self) -> str | None:
        """The URL of the server that showed it."""
        return self._init.url


@dataclass(frozen=True, slots=True)
class RTCPeerConnectionIceErrorEventInit:
    """The members of an icecandidateerror event; errorCode is required."""

    errorCode: int
    address: str | None = None
    port: int | None = None
    url: str = ""
    errorText: str = ""

    def __post_init__(self) -> None:
        unsigned("RTCPeerConnectionIceErrorEventInit.errorCode", self.errorCode, 65535)
        if self.port is not None:
            unsigned("RTCPeerConnectionIceErrorEventInit.port", self.port, 65535)
        if self.address is not None:
            string("RTCPeerConnectionIceErrorEventInit.address", self.address)
        string("RTCPeerConnectionIceErrorEventInit.url", self.url)
        string("RTCPeerConnectionIceErrorEventInit.errorText", self.errorText)


class RTCPeerConnectionIceErrorEvent(Event):
    """A server gave no candidate. With an empty `url`, this machine has no address or no socket to offer.

    Args:
        type: "icecandidateerror".
        eventInitDict: a mapping, or members as keywords: `errorCode`, `address`, `port`, `url`, `errorText`.
    """

    __slots__ = ("_init",)

    def __init__(self, type: str, eventInitDict: object = None, **members: Any) -> None:
        super().__init__(type)
        self._init = dictionary(RTCPeerConnectionIceErrorEventInit, eventInitDict, members)

    @property
    def address(self) -> str | None:
        """The local address that was used."""
        return self._init.address

    @property
    def port(self) -> int | None:
        """The local port that was used."""
        return self._init.port

    @property
    def url(self) -> str:
        """The server; empty if the error is on this machine."""
        return self._init.url

    @property
    def errorCode(self) -> int:
        """The server's error code (RFC 8489), or 701: the server was not reached, or there was no socket for it."""
        return self._init.errorCode

    @property
    def errorText(self) -> str:
        """The text of the error."""
        return self._init.errorText
