"""A path between two peers that delays packets and loses some of media: a program of its own, so that busy peers do
not hold it up.

Each peer gets a candidate with an address of the path, in place of the other peer's own. The path passes a packet on
to the other peer; there it seems to come from the candidate of the sender. Media (RTP and RTCP, RFC 7983) is lost as
often in both ways; connectivity checks and handshakes are only delayed.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
import os
import random
import re
import select
import socket
import sys
import time
from asyncio.subprocess import PIPE
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from e2e.lab.peer import Peer

HOST = re.compile(r"(candidate:\S+ 1 udp \d+) (\d+\.\d+\.\d+\.\d+) (\d+) typ host\b.*", re.IGNORECASE)


class Path:
    """The path under the hand of a test."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._lock = asyncio.Lock()

    async def _ask(self, *words: object) -> Any:
        async with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(words).encode() + b"\n")
            async with asyncio.timeout(30):
                return json.loads(await self._process.stdout.readline())

    async def lose(self, share: float) -> None:
        """Lose this share of media from now on, and count anew."""
        await self._ask("lose", share)

    async def counts(self) -> list[dict[int, tuple[int, int]]]:
        """For the first peer and the second: packets of RTP by their SSRC that it sent, and how many were lost."""
        return [dict(of_peer) for of_peer in await self._ask("counts")]

    async def connect(self, offerer: Peer, answerer: Peer) -> None:
        """Connect them over the path. Its first peer is the one that offers."""
        for peer in (offerer, answerer):
            peer.hold_back()
        offer = await offerer.call("offer")
        answer = await answerer.call("answer", sdp=without_candidates(offer))
        await offerer.call("accept", sdp=without_candidates(answer))
        for which, (peer, other) in enumerate([(offerer, answerer), (answerer, offerer)]):
            found = await self._candidate(peer)
            port = await self._ask("peer", which, found[2], int(found[3]))
            line = f"{found[1]} {found[2]} {port} typ host"
            await other.call("candidate", candidate={"candidate": line, "sdpMid": "0", "sdpMLineIndex": 0})

    async def _candidate(self, peer: Peer) -> re.Match[str]:
        while True:
            told = (await peer.expect("candidate"))["candidate"]
            found = HOST.match(told["candidate"]) if told else None
            if found:
                return found


def without_candidates(sdp: str) -> str:
    return re.sub(r"a=(candidate:.*|end-of-candidates)\r\n", "", sdp)


@asynccontextmanager
async def path(delay: float, seed: int = 1) -> AsyncIterator[Path]:
    """A path of so many seconds each way, that loses nothing yet."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, str(delay), str(seed), stdin=PIPE, stdout=PIPE
    )
    try:
        yield Path(process)
    finally:
        process.kill()
        await process.wait()


# --- the program -----------


class Between:
    """Two sockets, one in the place of each peer; the test sets the address of that peer later."""

    def __init__(self, delay: float, seed: int) -> None:
        self.delay = delay
        self.random = random.Random(seed)
        self.share = 0.0
        self.sockets: list[socket.socket | None] = [None, None]
        self.peers: list[tuple[str, int] | None] = [None, None]
        self.counts: list[dict[int, list[int]]] = [{}, {}]
        self.order = itertools.count()
        self.waiting: list[tuple[float, int, int, bytes]] = []

    def run(self) -> None:
        heard = b""
        while True:
            wait = max(0.0, self.waiting[0][0] - time.monotonic()) if self.waiting else None
            ready, _, _ = select.select([sys.stdin, *filter(None, self.sockets)], [], [], wait)
            for which, one in enumerate(self.sockets):
                if one in ready and one is not None:
                    self.take(which, one)
            while self.waiting and self.waiting[0][0] <= time.monotonic():
                _, _, which, packet = heapq.heappop(self.waiting)
                self.give(which, packet)
            if sys.stdin in ready:
                said = os.read(0, 65536)
                if not said:
                    return
                *lines, heard = (heard + said).split(b"\n")
                for line in lines:
                    print(json.dumps(self.obey(*json.loads(line))), flush=True)

    def obey(self, what: str, *given: Any) -> Any:
        if what == "peer":
            which, address, port = given
            own = self.sockets[which] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            own.bind((address, 0))
            own.setblocking(False)
            self.peers[which] = (address, port)
            return own.getsockname()[1]
        if what == "lose":
            [self.share] = given
            self.counts = [{}, {}]
            return None
        return [list(of_peer.items()) for of_peer in self.counts]

    def take(self, which: int, own: socket.socket) -> None:
        """What comes to the socket of a peer is for that peer."""
        due = time.monotonic() + self.delay
        with suppress(BlockingIOError, ConnectionError):
            while True:
                packet = own.recv(65536)
                if not self.loses(1 - which, packet):
                    heapq.heappush(self.waiting, (due, next(self.order), which, packet))

    def loses(self, sender: int, packet: bytes) -> bool:
        if len(packet) < 12 or not 128 <= packet[0] <= 191:
            return False
        is_lost = self.random.random() < self.share
        if not 192 <= packet[1] <= 223:  # RTP
            count = self.counts[sender].setdefault(int.from_bytes(packet[8:12]), [0, 0])
            count[0] += 1
            count[1] += is_lost
        return is_lost

    def give(self, which: int, packet: bytes) -> None:
        through, to = self.sockets[1 - which], self.peers[which]
        if through is not None and to is not None:
            with suppress(BlockingIOError, ConnectionError):
                through.sendto(packet, to)


if __name__ == "__main__":
    with suppress(PermissionError):  # first in its turn, so that a busy computer does not make it a path that jitters
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    Between(float(sys.argv[1]), int(sys.argv[2])).run()
