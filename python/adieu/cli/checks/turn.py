"""TURN servers: does each give a relayed address, and how long does a message take through it and back?"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from adieu.cli.checks.finding import Finding, milliseconds
from adieu.webrtc import RTCPeerConnection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adieu.events import MessageEvent
    from adieu.webrtc import RTCPeerConnectionIceErrorEvent, RTCPeerConnectionIceEvent

BOUND = 12.0
"""Seconds for a server: two relayed addresses, a connection between them, a message and its answer."""

_REMEDIES = {
    401: "look at the user name and at ADIEU_TURN_PASSWORD (or ADIEU_TURN_SECRET, for a shared secret)",
    403: "the server does not let this user relay: ask the people who run it",
    437: "try again: the server still knows an older allocation of this computer",
    438: "try again: the server has changed its nonce",
    486: "this user has too many allocations: close other programs, or raise the server's quota",
    508: "the server has no relay ports left: raise its range",
}
_UNREACHABLE = "look at its address and port, at the firewall, and for turns: at its certificate (--ca FILE)"


@dataclass(slots=True)
class _Attempt:
    """Two connections of this program that reach each other through the server only."""

    server: dict[str, Any]
    trusted: str | None
    errors: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    gathered: float | None = None
    """Seconds until the first relayed address."""

    async def round_trip(self) -> float:
        """Connect, and return the seconds of a message and its answer."""
        a, b = (self._connection() for _ in range(2))
        try:
            return await self._through(a, b)
        finally:
            for pc in (a, b):
                pc.close()
            await asyncio.gather(a.wait_closed(), b.wait_closed())

    def _connection(self) -> RTCPeerConnection:
        configuration = {"iceServers": [self.server], "iceTransportPolicy": "relay"}
        return RTCPeerConnection(configuration, settings={"trustedCertificates": self.trusted})

    async def _through(self, a: RTCPeerConnection, b: RTCPeerConnection) -> float:
        began = time.perf_counter()
        tasks: set[asyncio.Task[None]] = set()

        def hand_over(event: RTCPeerConnectionIceEvent, to: RTCPeerConnection) -> None:
            if event.candidate is not None and event.candidate.candidate:
                self.gathered = self.gathered or time.perf_counter() - began
                tasks.add(asyncio.create_task(to.addIceCandidate(event.candidate)))

        def failed(event: RTCPeerConnectionIceErrorEvent) -> None:
            self.errors.append((event.errorCode, event.errorText))

        for pc, other in ((a, b), (b, a)):
            pc.onicecandidateerror = failed
            pc.onicecandidate = lambda event, to=other: hand_over(event, to)
        channel, mirror = (pc.createDataChannel("doctor", negotiated=True, id=0) for pc in (a, b))
        opened, answered = asyncio.Event(), asyncio.Event()

        def answer(_: MessageEvent) -> None:
            mirror.send("!")

        channel.onopen = lambda _: opened.set()
        channel.onmessage = lambda _: answered.set()
        mirror.onmessage = answer
        await a.setLocalDescription()
        await b.setRemoteDescription(a.localDescription)
        await b.setLocalDescription()
        await a.setRemoteDescription(b.localDescription)
        await opened.wait()
        sent = time.perf_counter()
        channel.send("?")
        await answered.wait()
        await asyncio.gather(*tasks)
        return time.perf_counter() - sent


async def check(servers: Sequence[dict[str, Any]], trusted: str | None) -> list[Finding]:
    """Return a finding for each URL.

    Args:
        servers: members of `RTCConfiguration.iceServers`, with one URL each.
        trusted: certificates for `turns:`, in PEM; None: those of the system.
    """
    return [await _one(server, trusted) for server in servers]


async def _one(server: dict[str, Any], trusted: str | None) -> Finding:
    url = server["urls"]
    attempt = _Attempt(server, trusted)
    work = asyncio.create_task(attempt.round_trip())
    end = asyncio.get_running_loop().time() + BOUND
    while not work.done() and asyncio.get_running_loop().time() < end:
        await asyncio.wait({work}, timeout=0.1)
        if attempt.errors and attempt.gathered is None:
            break  # the server has refused: nothing else will come
    figures: dict[str, Any] = {"url": url}
    if work.done() and work.exception() is None:
        figures["round_trip_ms"] = round(work.result() * 1000, 2)
        figures["allocated_ms"] = round((attempt.gathered or 0.0) * 1000, 1)
        text = f"{url} relays: an address in {milliseconds(attempt.gathered or 0.0)}, a message and its answer in"
        return Finding("TURN", "ok", f"{text} {milliseconds(work.result())}", figures=figures)
    work.cancel()
    await asyncio.wait({work})
    if attempt.errors:
        code, reason = attempt.errors[0]
        figures["code"] = code
        text = f"{url} gives no relayed address: {code} {reason}"
        return Finding("TURN", "failed", text, _REMEDIES.get(code, _UNREACHABLE), figures)
    if attempt.gathered is None:
        text = f"{url} does not answer within {BOUND:.0f} s"
        return Finding("TURN", "failed", text, _UNREACHABLE, figures)
    text = f"{url} gives addresses, but nothing passes between two of them"
    remedy = "let the server relay to its own addresses, or look at its denied peers (denied-peer-ip)"
    return Finding("TURN", "failed", text, remedy, figures)
