"""One UDP port for many connections: what goes to whom, and what nobody can take from another."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest

from adieu import _core
from unit.core.peers import Peer, RealPair, VirtualPair

SHARED: dict[str, Any] = {"shared_port": 5000}


class Server:
    """Many peers on one host that share a port, each with a client on a host of its own."""

    def __init__(self, count: int, **settings: Any) -> None:
        self.net = _core.VirtualNetwork(1)
        self.others: list[Any] = []
        """Events of channels."""
        self.net.link(delay=0.01)
        self.loop = self.net.host("10.0.0.1")
        self.addresses = _core.Addresses(**{**SHARED, **settings})
        self.pairs = [self.pair(number) for number in range(count)]

    def pair(self, number: int, client: _core.EventQueue | None = None) -> tuple[Peer, Peer]:
        client = client or self.net.host(f"10.0.{1 + number // 250}.{1 + number % 250}")
        one, two = Peer(self.loop, f"s{number:03}"), Peer(client, f"c{number:03}")
        one.other, two.other = two, one
        return one, two

    def start(self, one: Peer, two: Peer, **client: Any) -> None:
        one.gather(controlling=True, addresses=self.addresses)
        two.gather(controlling=False, **client)
        one.set_remote()
        two.set_remote()
        one.secure(client=False)
        two.secure(client=True)

    def take(self) -> None:
        """Drain the loops: that of the server is one, so its events go to the peer whose transport they name."""
        while any([self._take_server(), *[two.take() for _, two in self.pairs]]):
            pass

    def _take_server(self) -> bool:
        events, _ = self.loop.drain(1000, 1 << 20)
        by_handle = {one.transport: one for one, _ in self.pairs}
        for event in events:
            kind = _core.EVENTS[event[0]][0]
            if (peer := by_handle.get(event[1])) is None:  # type: ignore[call-overload]
                self.others.append(event)
                continue
            peer.seen[kind].append(event[1:])
            if peer.other is not None and kind == "CANDIDATE":
                peer.tell_candidate(event[2], event[3])  # type: ignore[arg-type]
        return bool(events)

    def run(self, seconds: float) -> None:
        end = self.net.now + seconds
        while True:
            self.take()
            due = self.net.next()
            if due is None or due > end:
                break
            self.net.advance(due)
        self.net.advance(end)
        self.take()


def address(line: Any) -> tuple[str, int]:
    words = str(line).split(" ")
    return words[4], int(words[5])


def test_fifty_connections_over_one_port() -> None:
    """Each gets its own data, both ways, and the port is free again at the end."""
    server = Server(50)
    for one, two in server.pairs:
        server.start(one, two)
    server.run(3)
    assert {address(one.seen["CANDIDATE"][0][2]) for one, _ in server.pairs} == {("10.0.0.1", 5000)}
    assert all(one.count("SCTP_STATE") == two.count("SCTP_STATE") == 1 for one, two in server.pairs)
    assert server.loop.counters()["sockets"] == 1
    channels = [two.open(0) for _, two in server.pairs]
    server.run(1)
    for number, channel in enumerate(channels):
        channel.send(f"hello {number}")
    server.run(1)
    heard = sorted(str(event[2]) for event in server.others if event[0] == _core.MESSAGE)
    assert heard == sorted(f"hello {number}" for number in range(50))
    incoming = {event[1]: event[2] for one, _ in server.pairs for event in [(0, *one.seen["CHANNEL_INCOMING"][0])]}
    for number, (one, _) in enumerate(server.pairs):
        incoming[one.transport].send(f"back {number}")
    server.run(1)
    for number, (_, two) in enumerate(server.pairs):
        assert two.messages() == [f"back {number}"]
    counters = server.loop.counters()
    assert (counters["dropped_unknown"], counters["dropped_stun"], counters["dropped_dtls"]) == (0, 0, 0)
    for one, _ in server.pairs[:-1]:
        one.close()
    server.run(3)
    assert server.loop.counters()["sockets"] == 1
    server.pairs[-1][0].close()
    server.run(3)
    assert server.loop.counters()["sockets"] == 0


def test_a_peer_that_moves_is_found_again() -> None:
    """A NAT gives it another port: its own checks, which are authentic, come from there."""
    server = Server(2)
    for one, two in server.pairs:
        server.start(one, two)
    server.run(3)
    channel = server.pairs[0][1].open(0)
    server.run(1)
    server.net.nat("10.0.1.1", "203.0.113.77")
    server.run(6)
    channel.send("still here")
    server.run(5)
    assert "still here" in [event[2] for event in server.others if event[0] == _core.MESSAGE]


def test_nobody_takes_the_address_of_another_connection() -> None:
    """Not by bare packets, not by checks with a wrong password, and not by those of a connection of its own."""
    server = Server(2)
    for one, two in server.pairs:
        server.start(one, two)
    server.run(3)
    victim = address(server.pairs[0][1].seen["CANDIDATE"][0][2])
    server.net.record()
    server.run(3)
    checks = [
        bytes(sent[5])
        for sent in server.net.sent()
        if sent[1] == "10.0.1.2" and sent[3:5] == ("10.0.0.1", 5000) and bytes(sent[5])[:2] == b"\x00\x01"
    ]
    assert checks, "the second client checks its path"
    forged = [checks[0][:-30] + bytes(30), bytes([22]) + bytes(60), bytes(60), checks[0]]
    before = server.loop.counters()
    for datagram in forged * 50:
        server.net.inject(victim, ("10.0.0.1", 5000), datagram)
    server.run(1)
    dropped = {name: value - before[name] for name, value in server.loop.counters().items() if "dropped" in name}
    assert dropped["dropped_stun"] >= 100
    channel = server.pairs[0][1].open(0)
    server.run(1)
    channel.send("mine")
    server.run(1)
    assert [event[2] for event in server.others if event[0] == _core.MESSAGE][-1:] == ["mine"]
    assert all(one.last("ICE_STATE")[1] in {"connected", "completed"} for one, _ in server.pairs)  # type: ignore[index]


def test_what_comes_from_nowhere_is_counted() -> None:
    server = Server(1)
    server.start(*server.pairs[0])
    server.run(2)
    before = server.loop.counters()["dropped_unknown"]
    for number in range(100):
        server.net.inject(("192.0.2.1", 1000 + number), ("10.0.0.1", 5000), bytes([20 + number % 4]) + bytes(50))
    server.run(0.1)
    assert server.loop.counters()["dropped_unknown"] - before == 100


def test_an_address_is_free_for_the_next_connection_of_the_same_socket() -> None:
    """A client that was killed comes back on its port: the old connection is silent, and loses the address."""
    server = Server(1)
    one, two = server.pairs[0]
    fixed = _core.Addresses(ports=(7000, 7000))
    server.start(one, two, addresses=fixed)
    server.run(3)
    assert two.count("SCTP_STATE") == 1
    server.net.cut("10.0.1.1")
    two.close()
    server.run(3)
    server.net.cut("10.0.1.1", False)
    again = server.pair(1, two.loop)
    server.pairs[0] = again
    server.start(*again, addresses=fixed)
    server.run(12)
    assert again[1].count("SCTP_STATE") == 1


def test_a_restart_goes_on_over_the_same_socket() -> None:
    server = Server(1)
    one, two = server.pairs[0]
    server.start(one, two)
    server.run(3)
    one.gather(2, controlling=True, addresses=server.addresses)
    two.gather(2, controlling=False)
    one.set_remote(2)
    two.set_remote(2)
    server.run(5)
    assert one.last("ICE_PAIR")[1] == 2  # type: ignore[index]
    assert server.loop.counters()["sockets"] == 1


def test_a_second_transport_with_the_same_ufrag_gets_a_socket_of_its_own() -> None:
    net = _core.VirtualNetwork()
    loop = net.host("10.0.0.1")
    connection = loop.connection(_core.Certificate.generate())
    ports = []
    for _ in range(2):
        transport = loop.transport(connection)
        loop.gather(transport, 1, "aaaa", "a" * 22, True, [], addresses=_core.Addresses(shared_port=5000))
        net.next()
        events, _ = loop.drain(100, 1 << 20)
        ports += [address(event[3])[1] for event in events if event[0] == _core.CANDIDATE and " udp " in str(event[3])]
    assert ports[0] == 5000
    assert ports[1] != 5000
    assert loop.counters()["sockets"] == 2


def test_both_sides_share_a_port() -> None:
    """The first connection works."""
    with VirtualPair() as pair:
        pair.connect(addresses=_core.Addresses(shared_port=5000))
        channel, _ = pair.channel()
        channel.send("hello")
        pair.until(lambda: pair.b.messages() == ["hello"])


@pytest.mark.parametrize("count", [100, pytest.param(2000, marks=pytest.mark.matrix)])
def test_one_real_port(count: int) -> None:
    """As many connections over one socket of this machine, with data both ways on each."""
    with contextlib.suppress(ImportError):  # Windows has no such limit
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    pairs = []
    start = time.monotonic()
    shared = _core.Addresses(loopback="always", interfaces=["127.0.0.1"], shared_port=47320)
    own = _core.Addresses(loopback="always", interfaces=["127.0.0.1"])
    for number in range(count):
        pair = RealPair()
        pair.a.name, pair.b.name = f"s{number:04}", f"c{number:04}"
        pair.a.gather(controlling=True, addresses=shared)
        pair.b.gather(controlling=False, addresses=own)
        pair.a.set_remote()
        pair.b.set_remote()
        pair.a.secure(client=False)
        pair.b.secure(client=True)
        pairs.append(pair)
    for number, pair in enumerate(pairs):
        pair.until(pair.is_connected, limit=60)
        there, here = pair.channel()
        here.send(f"to {number}")
        there.send(f"back {number}")
    for number, pair in enumerate(pairs):
        pair.until(lambda pair=pair: bool(pair.a.messages() and pair.b.messages()))  # type: ignore[misc]
        assert (pair.a.messages(), pair.b.messages()) == ([f"to {number}"], [f"back {number}"])
        assert [address(event[2])[1] for event in pair.a.seen["CANDIDATE"] if " udp " in event[2]] == [47320]
    assert sum(pair.a.loop.counters()["sockets"] for pair in pairs) == 1
    print(f"{count} connections over one port: {time.monotonic() - start:.1f} s")
    for pair in pairs:
        pair.__exit__()
