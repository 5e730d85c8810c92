"""TCP candidates as a program sees them: its connection works where no datagram comes through."""

from __future__ import annotations

from itertools import pairwise

import pytest

import adieu
from adieu import once
from support.virtual import reached, simulated


def without_udp(world, **settings):
    """Two connections behind firewalls that let no datagram through; connections come in at the first."""
    one, two = world.hosts()
    for address in ("10.0.0.1", "10.0.0.2"):
        world.network.block_udp(address)
    return world.connection(one, settings={"tcpPort": 443, **settings}), world.connection(two)


async def selected(pc):
    stats = await pc.getStats()
    pairs = [one for one in stats.values() if one["type"] == "candidate-pair"]
    (pair,) = [one for one in pairs if one["nominated"]]
    return stats[pair["localCandidateId"]], stats[pair["remoteCandidateId"]], pair


@simulated()
async def test_a_connection_over_tcp_is_like_any_other(world):
    a, b = without_udp(world)
    found = []
    a.addEventListener("icecandidate", lambda event: found.append(event.candidate))
    ours, theirs = await world.open_channel(a, b)
    ours.send("over TCP")
    assert (await once(theirs, "message")).data == "over TCP"
    tcp = [one for one in found if one is not None and one.protocol == "tcp"]
    assert [(one.tcpType, one.port, one.type) for one in tcp] == [("active", 9, "host"), ("passive", 443, "host")]
    local, remote, pair = await selected(a)
    assert (local["protocol"], local["tcpType"], local["port"]) == ("tcp", "passive", 443)
    assert (remote["protocol"], remote["tcpType"], remote["candidateType"]) == ("tcp", "active", "prflx")
    assert pair["bytesSent"] > 0
    local, remote, _ = await selected(b)
    assert (local["tcpType"], remote["tcpType"], remote["port"]) == ("active", "passive", 443)
    a.close()
    b.close()


@simulated()
async def test_the_default_address_of_a_description_is_never_one_of_tcp(world):
    a, b = without_udp(world)
    await world.connect(a, b)
    media = a.localDescription.sdp.split("\r\n")
    assert [line for line in media if line.startswith("m=")] != []
    assert not any(line.startswith("m=application 443 ") for line in media)
    assert any(line.endswith("tcptype passive") for line in media)
    a.close()
    b.close()


@simulated()
async def test_datagrams_are_preferred_where_they_come_through(world):
    one, two = world.hosts()
    a, b = world.connection(one, settings={"tcpPort": 0}), world.connection(two)
    await world.connect(a, b)
    await world.settle(3)
    local, remote, _ = await selected(a)
    assert (local["protocol"], remote["protocol"]) == ("udp", "udp")
    a.close()
    b.close()


@simulated()
async def test_a_restart_over_tcp_goes_on_without_a_gap(world):
    a, b = without_udp(world)
    ours, theirs = await world.open_channel(a, b)
    got = []
    theirs.onmessage = lambda event: got.append((world.now, event.data))
    a.restartIce()
    for number in range(200):
        ours.send(str(number))
        await world.settle(0.01)
    await world.settle(1)
    assert [data for _, data in got] == [str(number) for number in range(200)]
    times = [at for at, _ in got]
    assert max(later - earlier for earlier, later in pairwise(times)) < 0.3
    assert await reached(a, "connected") is None
    a.close()
    b.close()


def test_a_port_that_is_no_port_is_refused_and_named():
    for port in (-1, 65536, "443"):
        with pytest.raises((TypeError, ValueError), match="tcpPort"):
            adieu.TransportSettings(tcpPort=port)


def test_trusted_certificates_that_are_no_pem_are_refused_and_named():
    for text in ("", "/etc/ssl/ca.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        with pytest.raises(ValueError, match="trustedCertificates"):
            adieu.TransportSettings(trustedCertificates=text)
    with pytest.raises(TypeError, match="trustedCertificates"):
        adieu.TransportSettings(trustedCertificates=5)
