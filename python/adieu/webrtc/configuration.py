"""RTCConfiguration and its members. https://www.w3.org/TR/webrtc/#configuration"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from adieu.errors import DOMSyntaxError, InvalidAccessError, InvalidModificationError, NotSupportedError
from adieu.webrtc.certificate import RTCCertificate
from adieu.webrtc.dictionaries import choice, dictionary, string, unsigned
from adieu.webrtc.ice_server import IceUrl, parse_ice_url

if TYPE_CHECKING:
    from collections.abc import Sequence

RTCIceTransportPolicy: TypeAlias = Literal["all", "relay"]
RTCBundlePolicy: TypeAlias = Literal["balanced", "max-compat", "max-bundle"]
RTCRtcpMuxPolicy: TypeAlias = Literal["require"]

MAX_ICE_SERVERS: Final = 32
"""The number of servers that are used; further ones are ignored (W3C set a configuration step 5)."""


@dataclass(frozen=True, slots=True)
class RTCIceServer:
    """A STUN or TURN server. https://www.w3.org/TR/webrtc/#rtciceserver-dictionary

    Attributes:
        urls: one URL or several, as "stun:stun.example.org"; `getConfiguration()` returns a tuple.
        username: for TURN.
        credential: for TURN.

    Unknown members are ignored: such dictionaries come from servers.
    """

    urls: str | Sequence[str]
    username: str | None = None
    credential: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        urls: Any = self.urls
        if not isinstance(urls, str | list | tuple):
            raise TypeError(f"RTCIceServer.urls is {urls!r}, not a URL or a list of URLs")
        for url in [self.urls] if isinstance(self.urls, str) else self.urls:
            string("RTCIceServer.urls", url)
        for name in ("username", "credential"):
            if getattr(self, name) is not None:
                string(f"RTCIceServer.{name}", getattr(self, name))

    def parsed(self) -> list[IceUrl]:
        """Return the URLs (W3C set a configuration step 6).

        Raises:
            DOMSyntaxError: there is no URL, or one is malformed.
            InvalidAccessError: a TURN URL has no username or no credential.
        """
        urls = [self.urls] if isinstance(self.urls, str) else list(self.urls)
        if not urls:
            raise DOMSyntaxError("RTCIceServer.urls is empty")
        parsed = [parse_ice_url(url) for url in urls]
        for url in parsed:
            if url.scheme.startswith("turn") and (self.username is None or self.credential is None):
                raise InvalidAccessError(f"{url} needs a username and a credential")
        return parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class RTCConfiguration:
    """The configuration of a connection. https://www.w3.org/TR/webrtc/#rtcconfiguration-dictionary

    Attributes:
        iceServers: STUN and TURN servers. TURN, and STUN over TLS, are not supported yet: such a URL fires an
            `icecandidateerror` with code 701 when it would be used.
        iceTransportPolicy: "relay" uses relayed candidates only.
        bundlePolicy: how many transports are offered before it is known whether the other side bundles.
        rtcpMuxPolicy: always "require".
        certificates: the first one is used; without one, a certificate is made.
        iceCandidatePoolSize: the number of transports whose candidates are gathered before there is a description. The
            first local description takes them, and the rest is closed. At most 16; with a bundle one is enough.
    """

    iceServers: Sequence[RTCIceServer] = ()
    iceTransportPolicy: RTCIceTransportPolicy = "all"
    bundlePolicy: RTCBundlePolicy = "balanced"
    rtcpMuxPolicy: RTCRtcpMuxPolicy = "require"
    certificates: Sequence[RTCCertificate] = ()
    iceCandidatePoolSize: int = 0

    def __post_init__(self) -> None:
        servers: Any = self.iceServers
        if not isinstance(servers, list | tuple):
            raise TypeError(f"RTCConfiguration.iceServers is {servers!r}, not a list of RTCIceServer")
        known = tuple(dictionary(RTCIceServer, server, open_=True) for server in self.iceServers)
        object.__setattr__(self, "iceServers", known)
        certificates: Any = self.certificates
        if not isinstance(certificates, list | tuple):
            raise TypeError(f"RTCConfiguration.certificates is {certificates!r}, not a list of RTCCertificate")
        given: Sequence[Any] = self.certificates
        for certificate in given:
            if not isinstance(certificate, RTCCertificate):
                raise TypeError(f"RTCConfiguration.certificates has {certificate!r}, which is not an RTCCertificate")
        object.__setattr__(self, "certificates", tuple(self.certificates))
        choice("RTCConfiguration.iceTransportPolicy", self.iceTransportPolicy, RTCIceTransportPolicy)
        choice("RTCConfiguration.bundlePolicy", self.bundlePolicy, RTCBundlePolicy)
        choice("RTCConfiguration.rtcpMuxPolicy", self.rtcpMuxPolicy, RTCRtcpMuxPolicy)
        unsigned("RTCConfiguration.iceCandidatePoolSize", self.iceCandidatePoolSize, 255)

    def urls(self) -> list[IceUrl]:
        """Return the URLs of all servers."""
        return [url for server in self.iceServers for url in server.parsed()]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportSettings:
    """Settings that the W3C leaves to the implementation. Times are seconds, sizes bytes.

    Attributes:
        disconnectedAfter: silence until iceConnectionState is "disconnected".
        failedAfter: silence until it is "failed".
        receiveBuffer: the unread bytes, of all channels together, that stop the peer.
        maxMessageSize: the largest message that is accepted; the peer learns it from the description.
        loopback: whether loopback addresses are candidates; "auto": only if there are no others.
    """

    disconnectedAfter: float = 2.5
    failedAfter: float = 15.0
    receiveBuffer: int = 8388608
    maxMessageSize: int = 262144
    loopback: Literal["auto", "always", "never"] = "auto"

    def __post_init__(self) -> None:
        for name in ("disconnectedAfter", "failedAfter"):
            seconds = getattr(self, name)
            if not isinstance(seconds, int | float) or not 0 < seconds < 1e6:
                raise ValueError(f"TransportSettings.{name} is {seconds!r}, not a number of seconds above 0")
        for name in ("receiveBuffer", "maxMessageSize"):
            unsigned(f"TransportSettings.{name}", getattr(self, name), 2**30)
        if not 0 < self.maxMessageSize <= self.receiveBuffer * 0.9:
            # A message that does not fit into the window with its overhead would never be delivered.
            raise ValueError(
                f"TransportSettings.maxMessageSize is {self.maxMessageSize}: more than 0, "
                f"and at most 0.9 of receiveBuffer, {self.receiveBuffer}"
            )
        choice("TransportSettings.loopback", self.loopback, Literal["auto", "always", "never"])


def checked_configuration(
    configuration: RTCConfiguration, old: RTCConfiguration | None, *, negotiated: bool
) -> RTCConfiguration:
    """W3C "set a configuration": check it. Returns the configuration to store.

    Args:
        configuration: the new configuration.
        old: the configuration before; None in the constructor.
        negotiated: setLocalDescription has been called.

    Raises:
        InvalidModificationError: a member changes that cannot change.
        InvalidAccessError: a certificate has expired, or a TURN server has no credentials.
        DOMSyntaxError: a URL is malformed.
    """
    if old is None:
        # W3C constructor step 3
        for certificate in configuration.certificates:
            if certificate.expires < time.time() * 1000:
                raise InvalidAccessError(f"{certificate!r} has expired")
        if len(configuration.certificates) > 1:
            raise NotSupportedError(f"{len(configuration.certificates)} certificates: only one can be used")
    else:
        # W3C step 3
        same = len(old.certificates) == len(configuration.certificates) and all(
            new is before for new, before in zip(configuration.certificates, old.certificates, strict=True)
        )
        if not same:
            raise InvalidModificationError("the certificates of a connection cannot be changed")
        if configuration.bundlePolicy != old.bundlePolicy:
            raise InvalidModificationError("the bundlePolicy of a connection cannot be changed")
        if configuration.iceCandidatePoolSize != old.iceCandidatePoolSize and negotiated:
            raise InvalidModificationError("iceCandidatePoolSize cannot be changed after setLocalDescription()")
    # W3C steps 4 to 6; step 6.2: a single URL is stored as a list
    servers = configuration.iceServers[:MAX_ICE_SERVERS]
    listed = [
        replace(server, urls=(server.urls,) if isinstance(server.urls, str) else tuple(server.urls))
        for server in servers
    ]
    stored = replace(configuration, iceServers=listed)
    stored.urls()
    return stored
