"""Two peers on the core alone: signaling by hand, events sorted by kind, over a virtual network or real sockets."""

from __future__ import annotations

import selectors
import time
from typing import TYPE_CHECKING, Any, Self

from adieu import _core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

KINDS = {number: name for number, (name, *_) in enumerate(_core.EVENTS)}
Poller = getattr(selectors, "PollSelector", selectors.SelectSelector)
"""It needs no descriptor; Windows has only the other one."""


class Peer:
    """One loop with one connection and one transport; `seen[KIND]` has the events without their first member."""

    def __init__(self, loop: _core.EventQueue, name: str, **options: Any) -> None:
        self.loop = loop
        self.name = name
        self.certificate = _core.Certificate.generate()
        self.connection = loop.connection(self.certificate)
        self.transport = loop.transport(self.connection, **options)
        self.seen: dict[str, list[tuple[Any, ...]]] = {kind: [] for kind in KINDS.values()}
        self.order: list[str] = []
        self.other: Peer | None = None
        self.reads = True

    def ufrag(self, generation: int) -> str:
        return f"{self.name}{generation:03}x"

    def pwd(self, generation: int) -> str:
        return f"{self.name}{generation:02}".ljust(24, "p")

    def gather(self, generation: int = 1, *, controlling: bool, servers: Iterable[str] = (), **options: Any) -> None:
        servers = list(servers)
        ufrag, pwd = self.ufrag(generation), self.pwd(generation)
        self.loop.gather(self.transport, generation, ufrag, pwd, controlling, servers, **options)

    def set_remote(self, generation: int = 1) -> None:
        assert self.other is not None
        self.loop.set_remote(self.transport, generation, self.other.ufrag(generation), self.other.pwd(generation))

    def secure(self, *, client: bool) -> None:
        assert self.other is not None
        self.loop.start_dtls(self.transport, client, [("sha-256", self.other.certificate.fingerprint())])
        self.loop.start_sctp(self.transport, 5000, 5000, 262144)

    def open(self, stream_id: int, **options: Any) -> _core.Channel:
        options = {"label": "chat"} | options
        return self.loop.open_channel(self.transport, stream_id, _core.ChannelOptions(**options))

    def take(self) -> bool:
        """Drain everything that waits; candidates go straight to the other peer."""
        taken = False
        while True:
            events, _more = self.loop.drain(500, 1 << 20)
            if not events:
                return taken
            taken = True
            for event in events:
                kind = KINDS[event[0]]
                self.seen[kind].append(event[1:])
                self.order.append(kind)
                if self.other is not None and kind == "CANDIDATE":
                    self.tell_candidate(event[2], event[3])
                if self.other is not None and kind == "GATHERING" and event[3] == "complete":
                    self.other.loop.add_candidate(self.other.transport, event[2], None)
                if kind == "MESSAGE" and self.reads:
                    self.loop.consumed(self.transport, event[3])

    def tell_candidate(self, generation: int, line: str) -> None:
        assert self.other is not None
        self.other.loop.add_candidate(self.other.transport, generation, line)

    def count(self, kind: str) -> int:
        return len(self.seen[kind])

    def last(self, kind: str) -> tuple[Any, ...] | None:
        return self.seen[kind][-1] if self.seen[kind] else None

    def messages(self) -> list[str | bytes]:
        return [event[1] for event in self.seen["MESSAGE"]]

    def routes(self) -> list[tuple[str, ...]]:
        """The addresses of the pairs, one after the other. A pair that a check found first is told twice."""
        found = [tuple(" ".join(line.split()[4:6]) for line in event[-2:]) for event in self.seen["ICE_PAIR"]]
        return [pair for before, pair in zip([None, *found], found, strict=False) if pair != before]

    def close(self, reason: str = "Close called") -> None:
        self.loop.close_connection(self.connection, reason)


class Pair:
    """Two peers that know each other; `a` controls and is the DTLS server."""

    Peer = Peer

    def __init__(self, a: _core.EventQueue, b: _core.EventQueue, **options: Any) -> None:
        self.a = self.Peer(a, "aaaa", **options)
        self.b = self.Peer(b, "bbbb", **options)
        self.a.other, self.b.other = self.b, self.a

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.a.loop.close()
        self.b.loop.close()

    def negotiate(self, generation: int = 1, **options: Any) -> None:
        self.a.gather(generation, controlling=True, **options)
        self.b.gather(generation, controlling=False, **options)
        self.a.set_remote(generation)
        self.b.set_remote(generation)

    def start(self, **options: Any) -> None:
        self.negotiate(**options)
        self.a.secure(client=False)
        self.b.secure(client=True)

    def connect(self, **options: Any) -> Self:
        self.start(**options)
        self.until(self.is_connected)
        return self

    def is_connected(self) -> bool:
        return all(peer.count("SCTP_STATE") for peer in (self.a, self.b))

    def channel(self, stream_id: int = 0, **options: Any) -> tuple[_core.Channel, _core.Channel]:
        """Open on both sides, by `b`: (its handle at `a`, its handle at `b`)."""
        before = self.a.count("CHANNEL_INCOMING")
        opened = self.b.open(stream_id, **options)
        self.until(lambda: self.a.count("CHANNEL_INCOMING") > before)
        return self.a.seen["CHANNEL_INCOMING"][before][1], opened

    def until(self, holds: Callable[[], bool], limit: float = 10.0) -> float:
        raise NotImplementedError


class VirtualPair(Pair):
    """Over a virtual network of its own."""

    def __init__(self, seed: int = 1, *, addresses: tuple[str, str] = ("10.0.0.1", "10.0.0.2"), **options: Any) -> None:
        self.net = _core.VirtualNetwork(seed)
        self.net.link(delay=0.01)
        super().__init__(self.net.host(addresses[0]), self.net.host(addresses[1]), **options)

    def until(self, holds: Callable[[], bool], limit: float = 10.0) -> float:
        """Run until something holds; the virtual seconds it took."""
        start = self.net.now
        while True:
            while self.a.take() | self.b.take():
                pass
            if holds():
                return self.net.now - start
            due = self.net.next()
            if due is None or due > start + limit:
                raise AssertionError(f"not within {limit} s; nothing due" if due is None else f"not within {limit} s")
            self.net.advance(due)

    def run(self, seconds: float) -> None:
        end = self.net.now + seconds
        while True:
            while self.a.take() | self.b.take():
                pass
            due = self.net.next()
            if due is None or due > end:
                break
            self.net.advance(due)
        self.net.advance(end)
        while self.a.take() | self.b.take():
            pass


class RealPair(Pair):
    """Over sockets of this machine, with two loops on the process's one I/O thread."""

    def __init__(self, **options: Any) -> None:
        super().__init__(_core.EventQueue(), _core.EventQueue(), **options)
        self.poller = Poller()
        self.poller.register(self.a.loop.fileno(), selectors.EVENT_READ)
        self.poller.register(self.b.loop.fileno(), selectors.EVENT_READ)

    def connect(self, **options: Any) -> Self:
        return super().connect(addresses=_core.Addresses(loopback="always"), **options)

    def until(self, holds: Callable[[], bool], limit: float = 20.0) -> float:
        """Wait for events until something holds; the seconds it took."""
        start = time.monotonic()
        while True:
            self.a.take()
            self.b.take()
            if holds():
                return time.monotonic() - start
            left = start + limit - time.monotonic()
            assert left > 0, f"not within {limit} s"
            self.poller.select(left)


def wait(loop: _core.EventQueue, *kinds: int, limit: float = 10.0) -> tuple[Any, ...]:
    """The next event of one of these kinds on a loop with a descriptor; others are dropped."""
    poller = Poller()
    poller.register(loop.fileno(), selectors.EVENT_READ)
    end = time.monotonic() + limit
    while True:
        events, more = loop.drain(1, 1 << 20)
        for event in events:
            if event[0] in kinds:
                return event
        if not events and not more:
            left = end - time.monotonic()
            assert left > 0, f"{' or '.join(KINDS[kind] for kind in kinds)} not within {limit} s"
            poller.select(left)
