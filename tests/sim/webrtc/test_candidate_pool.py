"""iceCandidatePoolSize (RFC 9429 section 3.5.4): candidates that are there before the first local description."""

from __future__ import annotations

import gc
import weakref

import pytest

import adieu
from adieu import once
from adieu.webrtc.candidate_pool import MAX_POOLED
from adieu.webrtc.transport_events import TransportEvents
from sim.webrtc.support import PC_EVENTS, Log
from support.virtual import reached, simulated


def sockets(host):
    return host.core.counters()["sockets"]


@simulated()
async def test_it_gathers_unheard_before_the_first_description(world):
    host, other = world.hosts()
    a, b = world.connection(host, iceCandidatePoolSize=1), world.connection(other)
    log = Log()
    log.watch(a, *PC_EVENTS)
    await world.settle(5)
    assert sockets(host) == 1
    assert log == []
    assert a.iceGatheringState == "new"
    a.createDataChannel("x")
    await once(a, "negotiationneeded")
    await a.setLocalDescription()
    world.network.record()
    candidate = (await once(a, "icecandidate")).candidate
    assert candidate.address == "10.0.0.1"
    assert candidate.usernameFragment in a.localDescription.sdp
    await once(a, "icecandidate")
    await world.settle()
    assert log[:2] == ["negotiationneeded", "signalingstatechange"]
    assert log[2:] == [
        *("icegatheringstatechange", "icecandidate", "icecandidate", "icecandidate"),  # UDP, TCP, the last one
        *("icegatheringstatechange", "icecandidate"),
    ]
    assert sockets(host) == 1, "the one of the pool"
    a.close()
    b.close()


@simulated()
async def test_the_candidates_of_the_pool_are_those_that_connect(world):
    host, other = world.hosts()
    a, b = (world.connection(h, iceCandidatePoolSize=1) for h in (host, other))
    await world.settle(5)
    conflicts = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransportEvents, "handle_role", lambda _, role: conflicts.append(role))
        ours, theirs = await world.open_channel(a, b)
        await world.settle()
    assert conflicts == [], "the core knows by then who offers"
    ours.send("hello")
    assert (await once(theirs, "message")).data == "hello"
    assert (sockets(host), sockets(other)) == (1, 1)
    assert [pc.sctp.transport.iceTransport.role for pc in (a, b)] == ["controlling", "controlled"]
    log = Log()
    log.watch(a, "icecandidate")
    a.restartIce()
    await once(a, "icecandidate")
    a.close()
    b.close()
    assert not await a.wait_closed()
    assert not await b.wait_closed()
    assert (sockets(host), sockets(other)) == (0, 0)


@simulated()
async def test_the_first_description_gives_back_and_gathers_what_is_missing(world):
    host, other = world.hosts()
    many, few = world.connection(host, iceCandidatePoolSize=3), world.connection(other, iceCandidatePoolSize=1)
    await world.settle()
    assert (sockets(host), sockets(other)) == (3, 1)
    many.createDataChannel("x")
    few.addTransceiver("audio")
    few.addTransceiver("video")
    for pc in (many, few):
        await pc.setLocalDescription()
        await world.settle()
        assert pc.iceGatheringState == "complete"
    assert (sockets(host), sockets(other)) == (1, 2)
    assert [t.sender.transport.iceTransport.gatheringState for t in few.getTransceivers()] == ["complete", "complete"]
    for pc in (many, few):
        pc.close()
        assert not await pc.wait_closed()
    assert (sockets(host), sockets(other)) == (0, 0)


@simulated()
async def test_an_unused_pool_goes_with_its_connection(world):
    host = world.host("10.0.0.1")
    closed, forgotten = (world.connection(host, iceCandidatePoolSize=2) for _ in range(2))
    await world.settle()
    assert sockets(host) == 4
    closed.close()
    assert not await closed.wait_closed()
    assert sockets(host) == 2
    reference = weakref.ref(forgotten)
    del forgotten
    gc.collect()
    await world.settle()
    assert reference() is None
    assert sockets(host) == 0
    assert not host.handles.transports
    assert not host.handles.connections


@simulated()
async def test_another_configuration_before_the_first_description_fills_it_anew(world):
    host = world.host("10.0.0.1")
    pc = world.connection(host)
    for size in (3, 0, 2):
        pc.setConfiguration(iceCandidatePoolSize=size)
        await world.settle()
        assert sockets(host) == size
    pc.setConfiguration(iceCandidatePoolSize=2, iceTransportPolicy="relay")
    await world.settle()
    assert sockets(host) == 0, "nothing but relayed candidates, and there is no server"
    pc.setConfiguration(iceCandidatePoolSize=255)
    await world.settle()
    assert sockets(host) == MAX_POOLED
    pc.createDataChannel("x")
    await pc.setLocalDescription()
    with pytest.raises(adieu.InvalidModificationError):
        pc.setConfiguration(iceCandidatePoolSize=1)
    pc.setConfiguration(iceCandidatePoolSize=255, iceServers=[{"urls": "stun:10.0.0.9"}])
    await world.settle()
    assert sockets(host) == 1, "after it there is no pool any more"
    pc.close()
    assert not await pc.wait_closed()


@simulated()
async def test_an_offer_made_before_the_pool_was_filled_anew_still_works(world):
    host, other = world.hosts()
    a, b = world.connection(host, iceCandidatePoolSize=1), world.connection(other)
    a.createDataChannel("x")
    offer = await a.createOffer()
    a.setConfiguration(iceCandidatePoolSize=1, iceServers=[{"urls": "stun:10.0.0.9"}])
    await a.setLocalDescription(offer)
    await b.setRemoteDescription(a.localDescription)
    await b.setLocalDescription()
    await a.setRemoteDescription(b.localDescription)
    for pc, peer in ((a, b), (b, a)):
        pc.onicecandidate = lambda event, peer=peer: world.task(peer.addIceCandidate(event.candidate))
    await reached(a, "connected")
    for pc in (a, b):
        pc.close()
        assert not await pc.wait_closed()
