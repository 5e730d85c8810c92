"""New ICE credentials."""

from __future__ import annotations

import secrets
from base64 import b64encode

from adieu.jsep import IceCredentials


def fresh_credentials() -> IceCredentials:
    """Make new credentials. RFC 8445 section 5.3 asks for 24 and 128 random bits; these have 48 and 144."""
    return IceCredentials(_random(6), _random(18))


def _random(size: int) -> str:
    # The characters of base64 are the ice-chars. Three bytes make four of them, with nothing to pad.
    return b64encode(secrets.token_bytes(size)).decode()
