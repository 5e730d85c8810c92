"""New ICE credentials."""

from __future__ import annotations

import secrets
from typing import Final

from adieu.jsep import IceCredentials

_ICE_CHARS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def fresh_credentials() -> IceCredentials:
    """Make new credentials. RFC 8445 section 5.3 asks for 24 and 128 random bits; these have 48 and 144."""
    return IceCredentials(_random(8), _random(24))


def _random(length: int) -> str:
    return "".join(secrets.choice(_ICE_CHARS) for _ in range(length))
