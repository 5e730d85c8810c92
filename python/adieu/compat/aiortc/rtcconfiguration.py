"""RTCConfiguration and RTCIceServer, with the constructors of aiortc."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from adieu.errors import NotSupportedError


@dataclass
class RTCIceServer:
    """A STUN or TURN server.

    Attributes:
        urls: one URL, or a list of them.
        username: for TURN.
        credential: for TURN.
        credentialType: "password".
    """

    urls: str | list[str]
    username: str | None = None
    credential: str | None = None
    credentialType: str = "password"


class RTCBundlePolicy(enum.Enum):
    """Choice of the media that share a transport with a peer that does not know BUNDLE."""

    BALANCED = "balanced"
    MAX_COMPAT = "max-compat"
    MAX_BUNDLE = "max-bundle"


class RTCIceTransportPolicy(enum.Enum):
    """Choice of the candidates: all, or only those of relays."""

    ALL = "all"
    RELAY = "relay"


@dataclass
class RTCConfiguration:
    """The configuration of a connection.

    Attributes:
        iceServers: STUN and TURN servers. adieu asks no server that is not named here.
        iceTransportPolicy: which candidates are used.
        bundlePolicy: which media share a transport.
        alwaysNegotiateDataChannels: not supported by adieu: an offer has a section for data channels when there is one.
    """

    iceServers: list[RTCIceServer] | None = None
    iceTransportPolicy: RTCIceTransportPolicy = RTCIceTransportPolicy.ALL
    bundlePolicy: RTCBundlePolicy = RTCBundlePolicy.BALANCED
    alwaysNegotiateDataChannels: bool = False


def as_dictionary(configuration: RTCConfiguration) -> dict[str, Any]:
    """Return the W3C's dictionary of it."""
    if configuration.alwaysNegotiateDataChannels:
        raise NotSupportedError(
            "RTCConfiguration.alwaysNegotiateDataChannels: aiortc has it, adieu has not: create a data channel before"
            " the offer"
        )
    servers: list[dict[str, Any]] = []
    for server in configuration.iceServers or ():
        if server.credentialType != "password":
            raise ValueError(f"RTCIceServer.credentialType={server.credentialType!r}: adieu has 'password' alone")
        known = {"urls": server.urls, "username": server.username, "credential": server.credential}
        servers.append({name: value for name, value in known.items() if value is not None})
    return {
        "iceServers": servers,
        "iceTransportPolicy": RTCIceTransportPolicy(configuration.iceTransportPolicy).value,
        "bundlePolicy": RTCBundlePolicy(configuration.bundlePolicy).value,
    }
