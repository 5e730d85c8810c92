"""Rules for requests from browsers.

WebSockets have no CORS: every page in a browser may open one to every address that the browser reaches, including
loopback. So `Origin`, the origin of the page, is always checked. `Host` is checked because an attacker can point a name
at this server (DNS rebinding); then the attacker's page has the same origin.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


@dataclass(frozen=True, slots=True)
class Remedies:
    """The words by which the program that runs the server would allow a request.

    Attributes:
        name: for another host name; `{}` is its place.
        origin: for another origin.
    """

    name: str
    origin: str


ON_THE_COMMAND_LINE = Remedies("--name {}", "--origin {}")
IN_CODE = Remedies("names=['{}']", "origins=['{}']")


@dataclass(frozen=True, slots=True)
class Authority:
    """A host and optionally a port, as in the header `Host`."""

    host: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> Authority | None:
        """Read a host and port; None if the text is not valid."""
        try:
            parts = urlsplit(f"//{text}")
            host, port = parts.hostname, parts.port
        except ValueError:
            return None
        if not host or parts.username is not None or parts.path or parts.query or parts.fragment:
            return None
        return cls(host.rstrip("."), port)

    @property
    def is_address(self) -> bool:
        """Whether the host is an IP address, which no attacker can point elsewhere."""
        try:
            ipaddress.ip_address(self.host.partition("%")[0])
        except ValueError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reason for refusing a request.

    Attributes:
        code: `host` or `origin`.
        text: the reason with its remedy, which comes early: a close frame holds 123 bytes.
    """

    code: str
    text: str


class Guard:
    """The allowed values of `Host` and `Origin`.

    Args:
        hosts: names of this server, in addition to `localhost` and IP addresses.
        origins: origins of pages from other servers, such as `https://app.example.org`; `*` for all, which is safe only
        if tokens are needed.
        secure: whether this server itself uses TLS, which decides the default port of `Host`.
        remedies: the words of the remedy in refusals.

    Raises:
        ValueError: an origin or a host is not valid.
    """

    def __init__(
        self,
        *,
        hosts: tuple[str, ...] = (),
        origins: tuple[str, ...] = (),
        secure: bool = False,
        remedies: Remedies = ON_THE_COMMAND_LINE,
    ) -> None:
        self._any_origin = "*" in origins
        self._origins = frozenset(_origin(text) for text in origins if text != "*")
        self._hosts = frozenset(_host(text) for text in hosts)
        self._own_port = 443 if secure else 80
        self._remedies = remedies

    def refusal(self, host: str | None, origin: str | None) -> Refusal | None:
        """Return the reason for refusing this request, with the remedy; None: it is allowed.

        Other programs than browsers send no origin, and could send any.
        """
        authority = None if host is None else Authority.parse(host)
        if authority is None:
            return Refusal("host", f"the Host header is missing or malformed: {_short(repr(host))}")
        known = authority.host == "localhost" or authority.is_address or authority.host in self._hosts
        if not known:
            name = _short(authority.host)
            return Refusal(
                "host", f"start the server with {self._remedies.name.format(name)}: it does not know this host name"
            )
        if origin is None or self._any_origin or self._is_same(origin, authority) or origin in self._origins:
            return None
        try:
            _origin(origin)
        except ValueError:
            text = (
                "a page without an origin, such as a file, may not use this server"
                f" ({self._remedies.origin.format('*')}): {_short(origin)!r}"
            )
            return Refusal("origin", text)
        remedy = self._remedies.origin.format(_short(origin))
        return Refusal("origin", f"start the server with {remedy}: pages from other servers may not use it")

    def _is_same(self, origin: str, authority: Authority) -> bool:
        try:
            parts = urlsplit(origin)
            port = parts.port or _DEFAULT_PORTS[parts.scheme]
        except (ValueError, KeyError):
            return False
        # # Behind a proxy that ends TLS, `Host` without a port means the default port of the page's scheme.
        own = authority.port or (443 if parts.scheme == "https" else self._own_port)
        return parts.hostname == authority.host and port == own


def _short(text: str) -> str:
    """Return a text from a stranger, cut to be shown."""
    return text if len(text) <= 200 else text[:200] + "…"


def _origin(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError(
            f"{text!r} is not an origin: give one such as https://app.example.org or http://localhost:5173"
        )
    return f"{parts.scheme}://{parts.netloc}".lower()


def _host(text: str) -> str:
    authority = Authority.parse(text)
    if authority is None or authority.port is not None:
        raise ValueError(f"{text!r} is not a host name: give one such as signaling.example.org, without a port")
    return authority.host
