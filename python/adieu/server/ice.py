"""STUN and TURN servers for clients; TURN credentials in coturn's shared-secret scheme.

The user name is `expiry:peer`, and the password is its HMAC-SHA1. The TURN server checks it without asking another
server, and it is worthless after the expiry. To change the secret, first give both secrets to the TURN server, then the
new one to this server.
"""

from __future__ import annotations

import hmac
import time
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adieu.protocol.signaling import IceServer

if TYPE_CHECKING:
    from collections.abc import Callable

TTL = 3600
"""Seconds that credentials are valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IceConfig:
    """The STUN and TURN servers for clients.

    Attributes:
        stun: `stun:` URLs.
        turn: `turn:` and `turns:` URLs.
        secret: coturn's `static-auth-secret`; needed with `turn`.
        ttl: seconds that credentials are valid.
        clock: seconds since 1970.
    """

    stun: tuple[str, ...] = ()
    turn: tuple[str, ...] = ()
    secret: str = ""
    ttl: int = TTL
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        for url in self.stun:
            if not url.startswith(("stun:", "stuns:")):
                raise ValueError(f"{url!r} is not a STUN server: give one such as stun:stun.example.org:3478")
        for url in self.turn:
            if not url.startswith(("turn:", "turns:")):
                raise ValueError(
                    f"{url!r} is not a TURN server: give one such as turn:turn.example.org:3478?transport=udp"
                )
        if self.turn and not self.secret:
            raise ValueError("TURN servers need a secret: set ADIEU_TURN_SECRET to their static-auth-secret")

    def servers(self, peer: str, *, joined: bool) -> tuple[list[IceServer], int]:
        """Return the servers for a peer, and the seconds that they are valid. TURN is only for peers in a room."""
        servers = [IceServer(urls=list(self.stun))] if self.stun else []
        if not (self.turn and joined):
            return servers, 0
        username = f"{int(self.clock()) + self.ttl}:{peer}"
        credential = b64encode(hmac.digest(self.secret.encode(), username.encode(), "sha1")).decode()
        servers.append(IceServer(urls=list(self.turn), username=username, credential=credential))
        return servers, self.ttl
