"""Whatever two peers do, and whenever they close: events in their order, messages in theirs, and every await ends."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from adieu import MediaStream
from adieu.errors import DOMException
from adieu.jsep import parse_description
from sim.webrtc.support import PC_EVENTS, Log, log_of
from support.media import track
from support.virtual import World, simulate

SIDES = st.sampled_from(["a", "b"])
KINDS = st.sampled_from(["audio", "video"])
DIRECTIONS = st.sampled_from(["sendrecv", "sendonly", "recvonly", "inactive"])
POLICIES = st.sampled_from(["balanced", "max-compat", "max-bundle"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("channel"), SIDES, st.booleans()),
        st.tuples(st.just("send"), SIDES, st.integers(0, 5), st.integers(1, 6), st.sampled_from([0, 10, 20_000])),
        st.tuples(st.just("read"), SIDES, st.integers(0, 5), st.booleans()),
        st.tuples(st.just("close channel"), SIDES, st.integers(0, 5)),
        st.tuples(st.just("restart"), SIDES),
        st.tuples(st.just("call"), SIDES, st.sampled_from(["createOffer", "createAnswer", "getStats"]), st.booleans()),
        st.tuples(st.just("add track"), SIDES, KINDS, st.booleans()),
        st.tuples(st.just("add transceiver"), SIDES, KINDS, DIRECTIONS),
        st.tuples(st.just("direction"), SIDES, st.integers(0, 5), DIRECTIONS),
        st.tuples(st.just("stop"), SIDES, st.integers(0, 5)),
        st.tuples(st.just("remove track"), SIDES, st.integers(0, 5)),
        st.tuples(st.just("replace track"), SIDES, st.integers(0, 5), st.booleans()),
        st.tuples(st.just("wait"), st.sampled_from([0.0, 0.001, 0.02, 0.1])),
        st.tuples(st.just("wait"), st.floats(0.2, 20.0)),
        st.tuples(st.just("cut"), st.booleans()),
        st.tuples(st.just("link"), st.sampled_from([0.0, 0.1]), st.sampled_from([0.0, 0.02])),
        st.tuples(st.just("close"), SIDES),
    ),
    min_size=3,
    max_size=25,
)
ENDINGS = st.sampled_from([("a", "b"), ("b", "a")])


class Peer:
    """One side: its connection, its channels, and what has come."""

    def __init__(self, world: World, number: int, policy: str) -> None:
        self.host = world.host(f"10.0.0.{number}")
        self.pc = world.connection(self.host, bundlePolicy=policy)
        self.pc.ondatachannel = lambda event: self.watch(event.channel)
        self.channels: list[Any] = []
        self.logs: list[tuple[Any, Log]] = []
        self.got: dict[int, list[str | bytes]] = {}
        self.awaits: list[asyncio.Task[Any]] = []
        self.after_close = Log()
        self.pc.ontrack = self.tracked

    def tracked(self, event: Any) -> None:
        """W3C: what a track event shows is so when it is fired."""
        assert event.track is event.receiver.track is event.transceiver.receiver.track
        assert event.transceiver in self.pc.getTransceivers()
        assert all(event.track in stream.getTracks() for stream in event.streams)

    def transceiver(self, index: int) -> Any:
        """One that can still be changed."""
        live = [t for t in self.pc.getTransceivers() if t.direction != "stopped"]
        return live[index % len(live)] if live and self.pc.signalingState != "closed" else None

    def watch(self, channel: Any) -> None:
        self.channels.append(channel)
        self.logs.append((channel, log_of(channel)))
        channel.onmessage = lambda event: self.got.setdefault(id(channel), []).append(event.data)

    def pick(self, index: int) -> Any:
        return self.channels[index % len(self.channels)] if self.channels else None

    def wait_for(self, coroutine: Any) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(coroutine)
        self.awaits.append(task)
        return task

    def close(self) -> None:
        if self.pc.signalingState != "closed":
            self.pc.close()
            self.after_close.watch(self.pc, *PC_EVENTS)


async def play(
    world: World, steps: list[Any], ending: tuple[str, str], *, negotiated: bool, policies: tuple[str, str]
) -> None:
    peers = {"a": Peer(world, 1, policies[0]), "b": Peer(world, 2, policies[1])}
    world.negotiate(peers["a"].pc, peers["b"].pc)
    if negotiated:  # one channel from the start that needs no announcement
        for peer in peers.values():
            peer.watch(peer.pc.createDataChannel("both", negotiated=True, id=1000))
    sent = 0
    for step in steps:
        peer = peers.get(str(step[1]))
        match step:
            case ("channel", _, ordered) if peer and peer.pc.signalingState != "closed":
                peer.watch(peer.pc.createDataChannel("x", ordered=ordered))
            case ("send", _, index, count, size) if peer and (channel := peer.pick(index)):
                for _ in range(count):
                    if channel.readyState == "open":
                        sent += 1
                        channel.send(sent.to_bytes(4, "big") + bytes(size))
            case ("read", _, index, cancel) if peer and (channel := peer.pick(index)):
                reading = peer.wait_for(channel.receive())
                if cancel:
                    await asyncio.sleep(0)
                    reading.cancel()
            case ("close channel", _, index) if peer and (channel := peer.pick(index)):
                channel.close()
            case ("restart", _) if peer:
                peer.pc.restartIce()
            case ("call", _, name, cancel) if peer:
                call = peer.wait_for(getattr(peer.pc, name)())
                if cancel:
                    await asyncio.sleep(0)
                    call.cancel()
            case ("add track", _, kind, streamed) if peer and peer.pc.signalingState != "closed":
                one = track(kind)
                peer.pc.addTrack(one, *([MediaStream([one])] if streamed else []))
            case ("add transceiver", _, kind, direction) if peer and peer.pc.signalingState != "closed":
                peer.pc.addTransceiver(kind, direction=direction)
            case ("direction", _, index, direction) if peer and (transceiver := peer.transceiver(index)):
                transceiver.direction = direction
            case ("stop", _, index) if peer and (transceiver := peer.transceiver(index)):
                transceiver.stop()
            case ("remove track", _, index) if peer and (transceiver := peer.transceiver(index)):
                peer.pc.removeTrack(transceiver.sender)
            case ("replace track", _, index, away) if peer and (transceiver := peer.transceiver(index)):
                new = None if away else track(transceiver.receiver.track.kind)
                peer.wait_for(transceiver.sender.replaceTrack(new))
            case ("wait", seconds):
                await asyncio.sleep(seconds)
            case ("cut", cut):
                world.network.cut("10.0.0.2", cut)
            case ("link", loss, delay):
                world.link(loss=loss, delay=delay)
            case ("close", _) if peer:
                peer.close()
    await agree(world, peers["a"].pc, peers["b"].pc)
    await finish(world, [peers[side] for side in ending])


async def agree(world: World, a: Any, b: Any) -> None:
    """Both are stable or one is closed; then both have the same sections, and one transport or none carries each."""
    world.network.cut("10.0.0.2", cut=False)
    await world.settle(5)
    if "closed" in {a.signalingState, b.signalingState}:
        return
    assert (a.signalingState, b.signalingState) == ("stable", "stable")
    descriptions = [getattr(pc, name) for pc in (a, b) for name in ("localDescription", "remoteDescription")]
    lines = [[(s.media.kind, s.mid, s.rejected) for s in sections_of(d)] for d in descriptions]
    assert [[(kind, mid) for kind, mid, _ in line] for line in lines] == [[m[:2] for m in lines[0]]] * 4
    rejected = [any(line[place][2] for line in lines) for place in range(len(lines[0]))]
    mids = [mid for (_, mid, _), gone in zip(lines[0], rejected, strict=True) if not gone]
    for pc in (a, b):
        negotiated = {t.mid for t in pc.getTransceivers() if t.mid is not None}
        assert negotiated <= set(mids)


def sections_of(description: Any) -> Any:
    return parse_description("offer", description.sdp).sections if description is not None else ()


async def finish(world: World, peers: list[Peer]) -> None:
    for peer in peers:
        peer.close()
        states = {peer.pc.signalingState, peer.pc.connectionState, peer.pc.iceConnectionState}
        assert states == {"closed"}
        assert all(channel.readyState == "closed" for channel in peer.channels)
    for peer in peers:
        async with asyncio.timeout(10):
            assert not await peer.pc.wait_closed()
            results = await asyncio.gather(*peer.awaits, return_exceptions=True)
        for result in results:
            assert not isinstance(result, Exception) or isinstance(result, DOMException), result
        assert (peer.host.handles.transports, peer.host.handles.channels) == ({}, {})
    await world.settle()
    for peer in peers:
        assert peer.after_close == [], "closing rules 33, 34"
        for channel, log in peer.logs:
            check(channel, log, [int.from_bytes(data[:4], "big") for data in peer.got.get(id(channel), [])])


def check(channel: Any, log: Log, got: list[int]) -> None:
    """Closing rules 11, 43, 44, 56: in this order, and each at most once."""
    order = ["open (open)", "closing (closing)", "error (closed)", "close (closed)"]
    assert sorted(log, key=order.index) == log
    assert len(set(log)) == len(log)
    assert log[-1] == "close (closed)"
    assert len(set(got)) == len(got), "a message twice"
    if channel.ordered:
        assert got == sorted(got)


@settings(max_examples=200, deadline=None)
@given(
    steps=STEPS,
    ending=ENDINGS,
    negotiated=st.booleans(),
    policies=st.tuples(POLICIES, POLICIES),
    seed=st.integers(0, 2**32),
)
def test_two_peers(
    steps: list[Any], ending: tuple[str, str], negotiated: bool, policies: tuple[str, str], seed: int
) -> None:
    def program(world: World) -> Any:
        return play(world, steps, ending, negotiated=negotiated, policies=policies)

    simulate(program, seed=seed, limit=2000)
