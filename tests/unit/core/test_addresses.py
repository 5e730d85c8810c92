"""Which addresses and ports a connection uses, and by which the peer is told to reach them."""

from __future__ import annotations

from typing import Any

import pytest

from adieu import _core
from unit.core.peers import RealPair, VirtualPair, wait


def gathered(loop: _core.EventQueue, net: _core.VirtualNetwork | None, **settings: Any) -> tuple[list[str], list[str]]:
    """Gather in a new transport: (candidates without "candidate:", errors)."""
    transport = loop.transport(loop.connection(_core.Certificate.generate()))
    loop.gather(transport, 1, "aaaa", "a" * 22, True, [], addresses=_core.Addresses(**settings))
    if net is not None:
        net.next()
    events, _ = loop.drain(100, 1 << 20)
    lines = candidates(events)
    errors = [str(event[7]) for event in events if event[0] == _core.CANDIDATE_ERROR]
    return lines, errors


def candidates(events: list[Any]) -> list[str]:
    """The lines of UDP candidates."""
    return [str(event[3]) for event in events if event[0] == _core.CANDIDATE and " udp " in str(event[3])]


def address(line: str) -> str:
    return line.split(" ")[4]


def port(line: str) -> int:
    return int(line.split(" ")[5])


def test_thirty_connections_in_a_range_of_ten_ports() -> None:
    """What fails says which range, how many are in use, and the remedy; a port that is free again is taken again."""
    net = _core.VirtualNetwork()
    loop = net.host("10.0.0.1")
    connections = []
    ports, errors = [], []
    for _ in range(30):
        connections.append(loop.connection(_core.Certificate.generate()))
        transport = loop.transport(connections[-1])
        loop.gather(transport, 1, "aaaa", "a" * 22, True, [], addresses=_core.Addresses(ports=(50000, 50009)))
        net.next()
        events, _ = loop.drain(100, 1 << 20)
        ports += [port(line) for line in candidates(events)]
        errors += [event[3:] for event in events if event[0] == _core.CANDIDATE_ERROR]
        assert [event[3] for event in events if event[0] == _core.GATHERING] == ["gathering", "complete"]
    assert sorted(ports) == list(range(50000, 50010))
    assert len(errors) == 20
    for where, _, url, code, text in errors:
        assert (where, url, code) == ("10.0.0.1", "", 701)
        assert "50000-50009" in text
        assert "all 10 are in use, 10 of them by this program" in text
        assert "widen the setting ports" in text
    loop.close_connection(connections[3])
    net.advance(net.now + 3)
    loop.drain(100, 1 << 20)
    assert [port(line) for line in gathered(loop, net, ports=(50000, 50009))[0]] == [ports[3]]


def test_a_public_address_replaces_the_inside_one() -> None:
    net = _core.VirtualNetwork()
    loop = net.host("10.0.0.1", "fd00::1")
    lines, errors = gathered(loop, net, publics=[(None, "203.0.113.5")])
    assert errors == []
    assert sorted(map(address, lines)) == ["203.0.113.5", "fd00::1"]
    assert all(line.endswith("typ host") for line in lines)
    assert "10.0.0.1" not in "".join(lines)


def test_tcp_candidates_show_the_public_address_too() -> None:
    net = _core.VirtualNetwork()
    loop = net.host("10.0.0.1")
    transport = loop.transport(loop.connection(_core.Certificate.generate()))
    behind = _core.Addresses(publics=[(None, "203.0.113.5")])
    loop.gather(transport, 1, "aaaa", "a" * 22, True, [], addresses=behind, tcp_port=0)
    net.next()
    events, _ = loop.drain(100, 1 << 20)
    lines = [str(event[3]) for event in events if event[0] == _core.CANDIDATE]
    assert sorted(line.partition(" tcptype ")[2] for line in lines) == ["", "active", "passive"]
    assert {address(line) for line in lines} == {"203.0.113.5"}


def test_a_public_address_beside_the_inside_one() -> None:
    net = _core.VirtualNetwork()
    loop = net.host("10.0.0.1", "10.0.0.2")
    lines, _ = gathered(loop, net, publics=[("10.0.0.2", "203.0.113.5")], keeps_inside=True)
    assert sorted(map(address, lines)) == ["10.0.0.1", "10.0.0.2", "203.0.113.5"]
    (public,) = [line for line in lines if address(line) == "203.0.113.5"]
    (inside,) = [line for line in lines if address(line) == "10.0.0.2"]
    assert public.endswith(f"typ srflx raddr 10.0.0.2 rport {port(inside)}")
    assert port(public) == port(inside)


@pytest.mark.parametrize("mode", ["replace", "add"])
def test_a_server_behind_a_nat_is_reached_by_its_public_address(mode: str) -> None:
    """The NAT passes on, port for port: the peer sends to the public address, and sees it as the source."""
    with VirtualPair() as pair:
        pair.net.nat("10.0.0.1", "203.0.113.5")
        behind = _core.Addresses(publics=[("10.0.0.1", "203.0.113.5")], keeps_inside=mode == "add")
        pair.connect(addresses=behind)
        channel, _ = pair.channel()
        channel.send("hello")
        pair.until(lambda: pair.b.messages() == ["hello"])
        (_, _, ours, _), (_, _, _, theirs) = pair.a.last("ICE_PAIR"), pair.b.last("ICE_PAIR")  # type: ignore[misc]
        assert address(str(theirs)) == "203.0.113.5"
        assert address(str(ours)) == ("203.0.113.5" if mode == "replace" else "10.0.0.1")


@pytest.mark.parametrize(
    ("interfaces", "expected"),
    [
        ([], ["10.0.0.1", "172.17.0.1", "fd00::1"]),
        (["10.0.0.0/8"], ["10.0.0.1"]),
        (["!172.16.0.0/12"], ["10.0.0.1", "fd00::1"]),
        (["eth0", "eth2"], ["10.0.0.1", "fd00::1"]),
        (["127.0.0.1"], ["127.0.0.1"]),
    ],
)
def test_interfaces_are_chosen_by_name_and_by_address(interfaces: list[str], expected: list[str]) -> None:
    net = _core.VirtualNetwork()
    loop = net.host("10.0.0.1", "172.17.0.1", "fd00::1", "127.0.0.1")
    lines, errors = gathered(loop, net, interfaces=interfaces)
    assert errors == []
    assert sorted(map(address, lines)) == expected


def test_a_filter_that_nothing_passes_names_what_there_is() -> None:
    net = _core.VirtualNetwork()
    lines, (error,) = gathered(net.host("10.0.0.1"), net, interfaces=["wlan*"])
    assert lines == []
    assert "wlan*" in error
    assert "eth0 10.0.0.1" in error


def test_only_the_default_route() -> None:
    net = _core.VirtualNetwork()
    lines, _ = gathered(net.host("10.0.0.1", "10.0.0.2", "fd00::1"), net, default_route_only=True)
    assert sorted(map(address, lines)) == ["10.0.0.1", "fd00::1"]


def test_a_real_range_of_ports() -> None:
    """Two connections with real sockets in a range of two ports for each address; the third finds none."""
    pair = RealPair()
    with pair:
        settings = {"loopback": "always", "interfaces": ["127.0.0.1"], "ports": (47310, 47311)}
        pair.start(addresses=_core.Addresses(**settings))  # type: ignore[arg-type]
        pair.until(pair.is_connected)
        used = {port(str(peer.seen["CANDIDATE"][0][2])) for peer in (pair.a, pair.b)}
        assert used == {47310, 47311}
        loop = pair.a.loop
        transport = loop.transport(loop.connection(_core.Certificate.generate()))
        loop.gather(transport, 1, "aaaa", "a" * 22, True, [], addresses=_core.Addresses(**settings))  # type: ignore[arg-type]
        error = wait(loop, _core.CANDIDATE_ERROR)
        assert "47310-47311 on 127.0.0.1 are used up: all 2 are in use, 2 of them by this program" in error[7]
