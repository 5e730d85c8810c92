"""The candidate attribute (RFC 8839 section 5.1, RFC 6544 section 4.5 for TCP).

Some candidates do not follow the grammar, and are read as browsers read them. They have extra blanks, an extension
without a value, an IPv6 address in brackets or with a zone, or any word as the foundation.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Self

from adieu.sdp.grammar import SdpSyntaxError, integer, is_token

_MAX_LENGTH: Final = 8192
_ADDRESS_LENGTH: Final = 255
_FOUNDATION: Final = re.compile(r"[A-Za-z0-9+/]{1,32}")
_AGENT_EXTENSIONS: Final = ("generation", "ufrag", "network-id", "network-cost")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One candidate. `priority` and `port` are as on the line. None: the line has no such value.

    Attributes:
        foundation: equal for candidates of the same type, base and server; most often 1 to 32 ice-chars.
        component: 1 for RTP and everything multiplexed with it, 2 for RTCP; others are not used.
        transport: in lower case; "udp" or "tcp", or the word of an extension.
        priority: up to 2**32 - 1.
        address: an IP address without brackets, or a name.
        port: 0 to 65535.
        type: "host", "srflx", "prflx", "relay", or the word of an extension.
        related_address: the address that it was derived from.
        related_port: the port that it was derived from.
        tcp_type: "active", "passive" or "so".
        extensions: name and value of everything else, in order.
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
    def parse(cls, text: str, line: int = 0) -> Candidate:
        """Read `candidate:…`, also with `a=` before it, or only the part after the colon.

        Raises:
            SdpSyntaxError: the candidate is malformed, at `line`.
        """
        return _read(text, line)

    @property
    def ufrag(self) -> str | None:
        """Return the extension `ufrag` that some implementations write."""
        return next((value for name, value in self.extensions if name == "ufrag"), None)

    def for_agent(self) -> Self:
        """Return the candidate in the form of RFC 8839: a foundation and extensions that the ICE agent knows, no zone.

        A zone names an interface of the other host, and means nothing here (RFC 4007 section 11).
        """
        foundation = self.foundation
        if not _FOUNDATION.fullmatch(foundation):  # equal foundations stay equal
            foundation = f"{zlib.crc32(foundation.encode(errors='replace')):08x}"
        return replace(
            self,
            foundation=foundation,
            address=self.address.partition("%")[0],
            extensions=tuple(pair for pair in self.extensions if pair[0] in _AGENT_EXTENSIONS),
        )

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


@lru_cache(maxsize=256)
def _read(text: str, line: int) -> Candidate:
    """Read a candidate. Several descriptions and objects have the same one: all but the first find it here."""
    if len(text) > _MAX_LENGTH:
        raise SdpSyntaxError(line, f"the candidate is too long: {len(text)} characters")
    body = text.rstrip().removeprefix("a=").removeprefix("candidate:")
    fields = body.split()
    if "\r" in body or "\n" in body or "\0" in body or len(fields) < 8 or fields[6] != "typ":
        raise SdpSyntaxError(line, f"{text[:80]!r} is not a candidate")
    foundation, component, transport, priority, address, port, _, kind, *rest = fields
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    if not is_token(transport) or not is_token(kind):
        raise SdpSyntaxError(line, f"{transport[:40]!r} and {kind[:40]!r} are not a transport and a type")
    if len(address) > _ADDRESS_LENGTH or not address.isprintable():
        raise SdpSyntaxError(line, f"{address[:80]!r} is neither an IP address nor a name")
    named = list(zip(rest[::2], rest[1::2], strict=False))  # a last name without a value is ignored
    first: dict[str, str] = {}
    for name, value in named:
        first.setdefault(name, value)
    rport = first.get("rport")
    return Candidate(
        foundation=foundation,
        # Some count from 0, or have no component: such a candidate is not used here.
        component=0 if component[0] == "-" else integer(component, line, "the component", 2**31 - 1),
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
