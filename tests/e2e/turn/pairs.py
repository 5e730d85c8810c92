"""Pairs of connections over a TURN server."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from adieu.webrtc import RTCDataChannel, RTCPeerConnection, TransportSettings

HOST = os.environ.get("ADIEU_LAB", "127.0.0.1")


def relayed(*servers: dict[str, str], trusted: str | None = None) -> RTCPeerConnection:
    """Return a connection that uses relayed candidates alone; `trusted` is the authority of the servers, in PEM."""
    configuration = {"iceServers": list(servers), "iceTransportPolicy": "relay"}
    return RTCPeerConnection(configuration, settings=TransportSettings(trustedCertificates=trusted))


class Relayed:
    """Two connections of this program, over relayed candidates alone, and a channel between them.

    Attributes:
        a: the one that offers.
        b: the other.
        errors: code and URL of each icecandidateerror.
    """

    def __init__(self, *servers: dict[str, str], trusted: str | None = None) -> None:
        self.a, self.b = (relayed(*servers, trusted=trusted) for _ in range(2))
        self.errors: list[tuple[int, str]] = []
        self.candidates: list[Any] = []
        self.channels: list[RTCDataChannel] = []
        self._waiting: set[asyncio.Task[None]] = set()
        for one, other in ((self.a, self.b), (self.b, self.a)):
            self._join(one, other)

    def _join(self, one: RTCPeerConnection, other: RTCPeerConnection) -> None:
        def candidate(event: Any) -> None:
            if event.candidate is not None:
                self.candidates.append(event.candidate)
                task = asyncio.ensure_future(other.addIceCandidate(event.candidate))
                self._waiting.add(task)
                task.add_done_callback(self._waiting.discard)

        one.onicecandidate = candidate
        one.onicecandidateerror = lambda event: self.errors.append((event.errorCode, event.url))

    async def negotiate(self, **options: Any) -> None:
        """Make an offer and an answer."""
        await self.a.setLocalDescription(await self.a.createOffer(**options))
        await self.b.setRemoteDescription(self.a.localDescription)
        await self.b.setLocalDescription()
        await self.a.setRemoteDescription(self.b.localDescription)

    async def open(self) -> Relayed:
        """Connect, and open a channel."""
        channel = self.a.createDataChannel("x")
        opened, came = asyncio.Event(), asyncio.Event()
        channel.onopen = lambda _: opened.set()

        def incoming(event: Any) -> None:
            self.channels.append(event.channel)
            came.set()

        self.channels.append(channel)
        self.b.ondatachannel = incoming
        await self.negotiate()
        await asyncio.wait_for(asyncio.gather(opened.wait(), came.wait()), 20)
        return self

    async def exchange(self, size: int = 262144) -> None:
        """Send a message of this size each way, and wait for both."""
        for sender, receiver in (self.channels, self.channels[::-1]):
            got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            receiver.onmessage = lambda event, got=got: got.done() or got.set_result(event.data)
            data = os.urandom(size)
            sender.send(data)
            assert await asyncio.wait_for(got, 20) == data

    async def close(self) -> list[Any]:
        """Close both. Returns what their ledgers say is left."""
        self.a.close()
        self.b.close()
        return [dict(await self.a.wait_closed()), dict(await self.b.wait_closed())]
