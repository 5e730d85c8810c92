"""The ICE servers of a room's connections. Their credentials expire, so they are asked for again."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from adieu.errors import DOMException, InvalidStateError, SignalingError
from adieu.session.tasks import report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from adieu.signaling import SignalingClient
    from adieu.webrtc import RTCPeerConnection

ASK_AGAIN = 30.0
"""Seconds, after the server could not be asked, or its answer could not be used."""

UNUSABLE = "the ICE servers that the signaling server names cannot be used"


class IceServers:
    """Gives new connections the newest servers, and open connections too.

    Attributes:
        servers: as `RTCConfiguration` has them.
        known: the server has been asked; it may have failed.
    """

    def __init__(self, client: SignalingClient) -> None:
        self.servers: list[dict[str, Any]] = []
        self.known: asyncio.Event = asyncio.Event()
        self._client = client

    async def renew(self, open_connections: Callable[[], Iterable[RTCPeerConnection]]) -> None:
        """Ask the server again and again, each time well before the credentials expire."""
        while True:
            try:
                self.servers, seconds = await self._client.ice_servers()
                self._give(open_connections())
            except SignalingError:
                seconds = ASK_AGAIN
            except DOMException as error:  # the server names servers that there cannot be
                report(
                    asyncio.get_running_loop(), "the ICE servers that the signaling server names cannot be used", error
                )
                seconds = ASK_AGAIN
            self.known.set()
            if not seconds:
                return
            await asyncio.sleep(seconds * 2 / 3)

    def _give(self, connections: Iterable[RTCPeerConnection]) -> None:
        for pc in connections:
            with suppress(InvalidStateError):  # it is being closed
                certificates = pc.getConfiguration().certificates  # they stay, and must be named
                pc.setConfiguration({"iceServers": self.servers, "certificates": certificates})
