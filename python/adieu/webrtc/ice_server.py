"""The URLs of STUN and TURN servers (RFC 7064, RFC 7065), as the W3C's "set a configuration" reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from adieu.errors import DOMSyntaxError

_HOST_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\s\[\]:/?#@]+)(:(?P<port>[0-9]{1,5}))?", re.ASCII)
_DEFAULT_PORTS = {"stun": 3478, "turn": 3478, "stuns": 5349, "turns": 5349}


@dataclass(frozen=True, slots=True)
class IceUrl:
    """The URL of a server.

    Attributes:
        scheme: "stun", "stuns", "turn" or "turns".
        host: a name or an address; an IPv6 address without its brackets.
        port: the given one, or that of the scheme.
        transport: the value of `?transport=`.
    """

    scheme: str
    host: str
    port: int
    transport: str | None = None

    @property
    def is_supported(self) -> bool:
        """Whether the core can use it."""
        return self.scheme == "stun" or (self.is_turn and (self.scheme, self.transport) != ("turns", "udp"))

    @property
    def is_turn(self) -> bool:
        """Whether it is of a TURN server."""
        return self.scheme in {"turn", "turns"}

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        transport = f"?transport={self.transport}" if self.transport is not None else ""
        return f"{self.scheme}:{host}:{self.port}{transport}"


def parse_ice_url(url: str) -> IceUrl:
    """Read a URL (W3C set a configuration steps 6.4.1 to 6.4.7).

    Raises:
        DOMSyntaxError: it is malformed, or not of one of the four schemes.
    """
    scheme, colon, rest = url.partition(":")
    scheme = scheme.lower()
    if not colon or scheme not in _DEFAULT_PORTS:
        raise DOMSyntaxError(f"{url!r} is not a stun:, stuns:, turn: or turns: URL")
    path, question, query = rest.partition("?")
    if "#" in rest or (question and scheme.startswith("stun")):
        raise DOMSyntaxError(f"{url!r} has a query or a fragment, which it may not have")
    transport = None
    if question:
        name, _, transport = query.partition("=")
        if name != "transport" or transport not in {"udp", "tcp"}:
            raise DOMSyntaxError(f"{url!r}: after the ? only transport=udp or transport=tcp is known")
    found = _HOST_PORT.fullmatch(path)
    if found is None or (found["port"] is not None and int(found["port"]) > 65535):
        raise DOMSyntaxError(f"{url!r} has no host, or no port from 0 to 65535 after it")
    port = _DEFAULT_PORTS[scheme] if found["port"] is None else int(found["port"])
    return IceUrl(scheme, found["host"].strip("[]"), port, transport)
