"""TCP candidates (RFC 6544): connections where no datagram comes through."""

from __future__ import annotations

import socket
import struct
import time
from typing import Any

from adieu import _core
from unit.core.peers import Peer, RealPair, VirtualPair

LOOPBACK = _core.Addresses(loopback="always")
PASSIVE: dict[str, Any] = {"tcp_port": 0}


class TcpPeer(Peer):
    """Sends only its TCP candidates to the other side."""

    def tell_candidate(self, generation: int, line: str) -> None:
        if " tcp " in line:
            super().tell_candidate(generation, line)


class RealTcpPair(RealPair):
    Peer = TcpPeer


def lines(peer: Peer) -> list[str]:
    return [event[2] for event in peer.seen["CANDIDATE"]]


def passive_ports(peer: Peer) -> list[tuple[str, int]]:
    words = [line.split() for line in lines(peer) if line.endswith("tcptype passive")]
    return [(one[4], int(one[5])) for one in words]


def pair_of(peer: Peer) -> tuple[str, str]:
    event = peer.last("ICE_PAIR")
    assert event is not None
    return event[-2], event[-1]


def ended(peer: Peer) -> str:
    """The message with which the other side has closed."""
    _, state, cause, message, _ = peer.last("SCTP_STATE") or (None,) * 5
    assert (state, cause) == ("closed", 12)
    return str(message)


def without_udp(*, both_passive: bool = False) -> VirtualPair:
    """Two peers, of which `a` has a passive candidate, behind firewalls that let no datagram through."""
    pair = VirtualPair()
    for address in ("10.0.0.1", "10.0.0.2"):
        pair.net.block_udp(address)
    pair.a.gather(1, controlling=True, **PASSIVE)
    pair.b.gather(1, controlling=False, **(PASSIVE if both_passive else {}))
    pair.a.set_remote(1)
    pair.b.set_remote(1)
    pair.a.secure(client=False)
    pair.b.secure(client=True)
    return pair


def sockets(peer: Peer) -> int:
    return peer.loop.counters()["sockets"]


def test_an_active_candidate_has_port_9_and_a_passive_one_its_port() -> None:
    with without_udp() as pair:
        pair.until(lambda: pair.b.count("GATHERING") == 2)
        ours, theirs = lines(pair.a), lines(pair.b)
        assert [line.split(" ", 1)[1].split(" ", 1)[1].split(" ")[0] for line in ours] == ["udp", "tcp", "tcp"]
        assert ours[1].endswith(" 10.0.0.1 9 typ host tcptype active")
        assert passive_ports(pair.a) == [("10.0.0.1", 9000)]
        assert [line.rsplit(" ", 2)[1:] for line in theirs if " tcp " in line] == [["tcptype", "active"]]


def test_two_peers_connect_over_tcp_where_no_datagram_comes_through() -> None:
    for both_passive in (False, True):
        with without_udp(both_passive=both_passive) as pair:
            pair.until(pair.is_connected)
            assert all(" tcp " in line for peer in (pair.a, pair.b) for line in pair_of(peer))
            theirs, ours = pair.channel()
            ours.send(b"x" * 200_000)
            theirs.send("and back")
            pair.until(lambda: pair.a.count("MESSAGE") == 1 and pair.b.count("MESSAGE") == 1)
            assert pair.a.messages() == [b"x" * 200_000]


def test_the_stream_is_closed_with_its_transport_and_the_last_words_arrive() -> None:
    with without_udp() as pair:
        pair.until(pair.is_connected)
        assert (sockets(pair.a), sockets(pair.b)) == (2, 2), "one for datagrams, one stream"
        pair.b.close("enough")
        pair.until(lambda: pair.a.count("SCTP_STATE") == 2)
        assert ended(pair.a) == "User-Initiated Abort, reason=enough"
        pair.run(1)
        assert sockets(pair.b) == 0
        assert sockets(pair.a) == 1, "the peer's end is our end"
        pair.a.close()
        pair.run(1)
        assert sockets(pair.a) == 0


def test_a_restart_has_streams_of_its_own_and_loses_nothing() -> None:
    with without_udp() as pair:
        pair.until(pair.is_connected)
        theirs, ours = pair.channel()
        for number in range(50):
            ours.send(f"{number}")
        pair.a.gather(2, controlling=True, **PASSIVE)
        pair.b.gather(2, controlling=False)
        pair.a.set_remote(2)
        pair.b.set_remote(2)
        for number in range(50, 100):
            ours.send(f"{number}")
        pair.until(lambda: all((peer.last("ICE_PAIR") or (0, 0))[1] == 2 for peer in (pair.a, pair.b)))
        pair.until(lambda: pair.a.count("MESSAGE") == 100)
        assert pair.a.messages() == [str(number) for number in range(100)]
        assert sockets(pair.b) == 3
        pair.run(11)
        assert sockets(pair.b) == 2, "the streams of the generation before end with it"
        theirs.send("still there")
        pair.until(lambda: pair.b.count("MESSAGE") == 1)


def test_a_cut_is_noticed_and_healed_as_with_datagrams() -> None:
    with without_udp() as pair:
        pair.until(pair.is_connected)
        pair.net.cut("10.0.0.1")
        waited = pair.until(lambda: pair.b.last("ICE_STATE") == (pair.b.transport, "disconnected"))
        assert 2.4 < waited < 5.1
        pair.net.cut("10.0.0.1", cut=False)
        pair.until(lambda: pair.b.last("ICE_STATE") != (pair.b.transport, "disconnected"), limit=1.5)


def test_a_stream_that_is_refused_leaves_the_others_alone() -> None:
    with VirtualPair() as pair:
        pair.start()
        pair.a.loop.add_candidate(
            pair.a.transport, 1, "candidate:1 1 tcp 1518214911 10.0.0.2 4430 typ host tcptype passive"
        )
        pair.until(pair.is_connected)
        assert " udp " in pair_of(pair.a)[0]
        pair.run(2)
        assert sockets(pair.a) == 1


def test_real_connections_over_tcp_are_counted_and_closed() -> None:
    with RealTcpPair() as pair:
        pair.a.gather(1, controlling=True, addresses=LOOPBACK, **PASSIVE)
        pair.b.gather(1, controlling=False, addresses=LOOPBACK)
        pair.a.set_remote(1)
        pair.b.set_remote(1)
        pair.a.secure(client=False)
        pair.b.secure(client=True)
        pair.until(pair.is_connected)
        assert all(" tcp " in line for line in pair_of(pair.a))
        theirs, ours = pair.channel()
        for _ in range(40):
            ours.send(bytes(256 * 1024))
        pair.until(lambda: pair.a.count("MESSAGE") == 40)
        theirs.send("done")
        pair.until(lambda: pair.b.count("MESSAGE") == 1)
        pair.a.close("enough")
        pair.until(lambda: pair.b.count("SCTP_STATE") == 2)
        assert ended(pair.b) == "User-Initiated Abort, reason=enough"
        pair.b.close()
        pair.until(lambda: pair.a.count("CONNECTION_ENDED") == 1 and pair.b.count("CONNECTION_ENDED") == 1)
        assert (sockets(pair.a), sockets(pair.b)) == (0, 0)


def test_one_tcp_port_serves_many_connections_and_drops_strangers() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    first, second = RealTcpPair(), RealTcpPair()
    with first, second:
        for number, pair in enumerate((first, second)):
            pair.a.name = f"a{number}aa"
            pair.a.gather(1, controlling=True, addresses=LOOPBACK, tcp_port=port)
            pair.b.gather(1, controlling=False, addresses=LOOPBACK)
            pair.a.set_remote(1)
            pair.b.set_remote(1)
            pair.a.secure(client=False)
            pair.b.secure(client=True)
        for pair in (first, second):
            pair.until(pair.is_connected)
            assert ("127.0.0.1", port) in passive_ports(pair.a)
        for bytes_ in (frame(b"GET / HTTP/1.1"), b"\xff\xff" + bytes(5000), frame(check("nobody:else"))):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as stranger:
                stranger.sendall(bytes_)
                assert closed(stranger), "it is dropped"
        end = time.monotonic() + 5
        while sum(pair.a.loop.counters()["dropped_stream"] for pair in (first, second)) < 3:
            assert time.monotonic() < end, "each is counted, soon after it was dropped"
            time.sleep(0.001)  # nothing tells that a counter has changed


def closed(stranger: socket.socket) -> bool:
    try:
        return stranger.recv(100) == b""
    except ConnectionResetError:
        return True


def frame(datagram: bytes) -> bytes:
    return struct.pack("!H", len(datagram)) + datagram


def check(username: str) -> bytes:
    """A Binding request with this user name, without integrity."""
    name = username.encode()
    padded = name + bytes(-len(name) % 4)
    attribute = struct.pack("!HH", 6, len(name)) + padded
    return struct.pack("!HHI", 1, len(attribute), 0x2112A442) + bytes(12) + attribute
