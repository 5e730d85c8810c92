"""RTCConfiguration and its members. https://www.w3.org/TR/webrtc/#configuration"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from adieu import _core
from adieu.errors import DOMSyntaxError, InvalidAccessError, InvalidModificationError, NotSupportedError
from adieu.webrtc.addresses import native, port_range, public_addresses, rules
from adieu.webrtc.capture import Capture
from adieu.webrtc.certificate import RTCCertificate
from adieu.webrtc.dictionaries import boolean, choice, dictionary, string, unsigned
from adieu.webrtc.ice_server import IceUrl, parse_ice_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
        iceServers: STUN and TURN servers. STUN over TLS and TURN over DTLS are not supported: such a URL fires an
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

    def relays(self) -> list[tuple[str, str, str]]:
        """Return the TURN servers that can be used: URL, username and credential of each."""
        return [
            (str(url), server.username or "", server.credential or "")
            for server in self.iceServers
            for url in server.parsed()
            if url.is_turn and url.is_supported
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportSettings:
    """Settings that the W3C leaves to the implementation. Times are seconds, sizes bytes.

    Attributes:
        disconnectedAfter: silence until iceConnectionState is "disconnected".
        failedAfter: silence until it is "failed".
        receiveBuffer: the unread bytes, of all channels together, that stop the peer.
        maxMessageSize: the largest message that is accepted; the peer learns it from the description.
        loopback: whether loopback addresses are candidates; "auto": only if there are no others.
        tcpPort: the port on which TCP connections of peers come in, for networks that let no UDP through. All
            connections of the process share it. 0: a port that the system chooses. None: only this side connects, if
            the peer has such a port.
        trustedCertificates: certificates in PEM for `turns:` URLs: of CAs, or of the servers themselves. Then no others
            are trusted. None: those that the operating system trusts.
        congestion: who decides how much is sent, see docs/topics/congestion.md. "tolerant": a loss without a queue does
            not slow the sender down; "cubic": each loss does, as in most TCPs.
        hideAddresses: whether host candidates show names of mDNS in place of addresses, as in browsers. Only peers on
            the same local network can look such a name up. Names of peers are looked up in any case.
        capture: the file of `adieu.debug` that gets a copy of every packet.
        ports: the UDP ports that may be used, such as `(50000, 50999)`, both included. Each address of each connection
            takes one of them. None: the system chooses.
        sharedPort: the UDP port that all connections with this setting share, with one socket for each address of the
            machine; 0: one port that the system chooses. None: each connection has its own sockets. Two programs that
            both share a port have one connection with each other, and no second one.
        publicAddresses: the addresses of a 1:1 NAT, which passes on to this machine, port for port. A list: each is for
            all addresses of its family; or a mapping of inside to public addresses.
        publicAddressMode: "replace": the other side learns the public address in place of the inside one; "add": it
            learns both.
        interfaces: which of the machine's addresses are used: names of interfaces ("eth0", "docker*"), addresses, and
            networks ("10.0.0.0/8"). Those with "!" before them are left out. Empty: all are used.
        defaultRouteOnly: use only the addresses by which the default routes lead out, one of IPv4 and one of IPv6.
    """

    disconnectedAfter: float = 2.5
    failedAfter: float = 15.0
    receiveBuffer: int = 8388608
    maxMessageSize: int = 262144
    loopback: Literal["auto", "always", "never"] = "auto"
    tcpPort: int | None = None
    trustedCertificates: str | bytes | None = None
    congestion: Literal["tolerant", "cubic"] = "tolerant"
    hideAddresses: bool = False
    capture: Capture | None = None
    ports: tuple[int, int] | None = None
    sharedPort: int | None = None
    publicAddresses: str | Sequence[str] | Mapping[str, str] | tuple[tuple[str | None, str], ...] = ()
    publicAddressMode: Literal["replace", "add"] = "replace"
    interfaces: Sequence[str] = ()
    defaultRouteOnly: bool = False

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
        choice("TransportSettings.congestion", self.congestion, Literal["tolerant", "cubic"])
        if self.tcpPort is not None:
            unsigned("TransportSettings.tcpPort", self.tcpPort, 65535)
        self._check_certificates()
        boolean("TransportSettings.hideAddresses", self.hideAddresses)
        if not _is_capture(self.capture):
            raise TypeError(f"TransportSettings.capture is {self.capture!r}, not an adieu.debug.Capture")
        choice("TransportSettings.publicAddressMode", self.publicAddressMode, Literal["replace", "add"])
        boolean("TransportSettings.defaultRouteOnly", self.defaultRouteOnly)
        for name, read in (("ports", port_range), ("interfaces", rules), ("publicAddresses", public_addresses)):
            object.__setattr__(self, name, read(f"TransportSettings.{name}", getattr(self, name)))
        if self.sharedPort is not None:
            unsigned("TransportSettings.sharedPort", self.sharedPort, 65535)
            if self.ports is not None:
                raise ValueError(
                    f"TransportSettings.sharedPort is {self.sharedPort} and ports is {self.ports}: set one of them"
                )
        try:
            self.addresses()
        except ValueError as error:
            raise ValueError(f"TransportSettings: {error}") from None

    def _check_certificates(self) -> None:
        given: Any = self.trustedCertificates
        if given is None:
            return
        if not isinstance(given, str | bytes):
            raise TypeError(f"TransportSettings.trustedCertificates is {given!r}, not text or bytes in PEM")
        try:
            _core.Trust(given.encode() if isinstance(given, str) else given)
        except ValueError as error:
            raise ValueError(
                f"TransportSettings.trustedCertificates: {error}; give the contents of a PEM file, not its name"
            ) from None

    def addresses(self) -> _core.Addresses:
        """Return the settings of addresses as the core takes them."""
        return native(
            loopback=self.loopback,
            ports=self.ports,
            shared_port=self.sharedPort,
            publics=public_addresses("TransportSettings.publicAddresses", self.publicAddresses),
            keeps_inside=self.publicAddressMode == "add",
            interfaces=rules("TransportSettings.interfaces", self.interfaces),
            default_route_only=self.defaultRouteOnly,
        )


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


def _is_capture(value: object) -> bool:
    return value is None or isinstance(value, Capture)
