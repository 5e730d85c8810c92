"""The link that opens the page, or goes to `adieu receive`: where both meet, and a secret that nobody can guess.

`https://host/#receive/4821/Zm9vYmFy…`: what comes after the `#` is the place on the server, and a key of 128 random
bits. A browser keeps that part to itself, so no server reads it. The key needs no PAKE: guesses of it do not pay.
"""

from __future__ import annotations

import base64
import re
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

BYTES = 16
_FRAGMENT = re.compile(r"receive/(?P<place>[0-9a-z]{1,32})/(?P<key>[0-9A-Za-z_-]{22})")
_SCHEMES = {"ws": "http", "wss": "https"}


@dataclass(frozen=True, slots=True)
class Link:
    """A link.

    Attributes:
        page: the address of the page, which ends with a slash.
        place: of the room on the server.
        key: the secret.
    """

    page: str
    place: str
    key: bytes

    @property
    def room(self) -> str:
        """Return the room where all meet."""
        return f"send-{self.place}"

    @property
    def server(self) -> str:
        """Return the url of the signaling server, which is beside the page."""
        scheme, rest = self.page.split(":", 1)
        return f"{'wss' if scheme == 'https' else 'ws'}:{rest}ws"

    def __str__(self) -> str:
        key = base64.urlsafe_b64encode(self.key).rstrip(b"=").decode()
        return f"{self.page}#receive/{self.place}/{key}"

    def __repr__(self) -> str:
        return f"<Link {self.place}>"  # not the secret


def make(server: str, place: str) -> Link:
    """Return a new link to the page of a signaling server.

    Raises:
        ValueError: its url has no place for a page.
    """
    parts = urlsplit(server)
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not parts.path.endswith("/ws"):
        raise ValueError(f"there is no page beside {server}: a link needs a server like `adieu serve`, wss://host/ws")
    page = urlunsplit((scheme, parts.netloc, parts.path.removesuffix("ws"), "", ""))
    return Link(page, place, secrets.token_bytes(BYTES))


def is_link(text: str) -> bool:
    """Whether a text is meant as a link, and not as a code."""
    return text.strip().lower().startswith(("http://", "https://"))


def parse(text: str) -> Link:
    """Read a link.

    Raises:
        ValueError: it is not one; the error does not show it.
    """
    parts = urlsplit(text.strip())
    found = _FRAGMENT.fullmatch(parts.fragment)
    if found is None or not parts.hostname or not parts.path.endswith("/") or parts.query or parts.username:
        raise ValueError("this is not a link of `adieu send`: it ends with #receive/, a place and 22 letters")
    key = base64.urlsafe_b64decode(found["key"] + "==")
    return Link(urlunsplit((parts.scheme.lower(), parts.netloc, parts.path, "", "")), found["place"], key)
