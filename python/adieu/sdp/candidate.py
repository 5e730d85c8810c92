"""The candidate attribute (RFC 8839 section 5.1, RFC 6544 section 4.5 for TCP)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from adieu.sdp.grammar import ICE_CHARS, SdpSyntaxError, integer, is_token

_MAX_LENGTH: Final = 2048
_FOUNDATION_LENGTH: Final = 32
_ADDRESS_LENGTH: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One candidate. `priority` and `port` are as on the line; what is not on it is None.

    Attributes:
        foundation: 1 to 32 ice-chars.
        component: 1 for RTP and for all that is multiplexed with it, 2 for RTCP.
        transport: in lower case; "udp" or "tcp", or what an extension says.
        priority: up to 2**32 - 1.
        address: an IP address or a name.
        port: 0 to 65535.
        type: "host", "srflx", "prflx", "relay", or what an extension says.
        related_address: from where it was derived.
        related_port: from where it was derived.
        tcp_type: "active", "passive" or "so".
        extensions: name and value of everything else, in its order.
    """

    foundation: str
    component: int
    transport: str
    priority: int
    address: str
    port: int
    type: str
    related_address: str | None = None
    related_port: int | None = None
    tcp_type: str | None = None
    extensions: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str, line: int = 0) -> Self:
        """Read `candidate:…`, also with the `a=` before it, or only what follows the colon.

        Raises:
            SdpSyntaxError: it is malformed, at `line`.
        """
        if len(text) > _MAX_LENGTH:
            raise SdpSyntaxError(line, f"a candidate of {len(text)} characters")
        fields = text.removeprefix("a=").removeprefix("candidate:").rstrip("\r\n").split(" ")
        if len(fields) < 8 or fields[6] != "typ" or not all(fields) or len(fields) % 2:
            raise SdpSyntaxError(line, f"{text[:80]!r} is not a candidate")
        foundation, component, transport, priority, address, port, _, kind, *rest = fields
        if not ICE_CHARS.fullmatch(foundation) or len(foundation) > _FOUNDATION_LENGTH:
            raise SdpSyntaxError(line, f"the foundation {foundation[:40]!r} is not 1 to 32 ice-chars")
        if not is_token(transport) or not is_token(kind):
            raise SdpSyntaxError(line, f"{transport[:40]!r} and {kind[:40]!r} are not a transport and a type")
        if not _is_address(address):
            raise SdpSyntaxError(line, f"{address[:80]!r} is neither an IP address nor a name")
        named = list(zip(rest[::2], rest[1::2], strict=True))
        first: dict[str, str] = {}
        for name, value in named:
            first.setdefault(name, value)
        rport = first.get("rport")
        return cls(
            foundation=foundation,
            component=integer(component, line, "the component", 256),
            transport=transport.lower(),
            priority=integer(priority, line, "the priority", 2**32 - 1),
            address=address,
            port=integer(port, line, "the port", 65535),
            type=kind,
            related_address=first.get("raddr"),
            related_port=None if rport is None else integer(rport, line, "the related port", 65535),
            tcp_type=first.get("tcptype"),
            extensions=tuple((name, value) for name, value in named if name not in {"raddr", "rport", "tcptype"}),
        )

    @property
    def ufrag(self) -> str | None:
        """The extension `ufrag` that some implementations write."""
        return next((value for name, value in self.extensions if name == "ufrag"), None)

    def __str__(self) -> str:
        fields = [
            f"candidate:{self.foundation} {self.component} {self.transport} {self.priority}",
            f"{self.address} {self.port} typ {self.type}",
        ]
        if self.related_address is not None:
            fields.append(f"raddr {self.related_address}")
        if self.related_port is not None:
            fields.append(f"rport {self.related_port}")
        if self.tcp_type is not None:
            fields.append(f"tcptype {self.tcp_type}")
        fields.extend(f"{name} {value}" for name, value in self.extensions)
        return " ".join(fields)


def _is_address(text: str) -> bool:
    """Whether it looks like an IP address or a domain name; what it leads to is not asked here."""
    return len(text) <= _ADDRESS_LENGTH and all(char.isalnum() or char in ".:-_%" for char in text)
