"""Whatever two peers do, and whenever they close: events in their order, messages in theirs, and every await ends."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from adieu.errors import DOMException
from sim.webrtc.support import PC_EVENTS, Log, log_of
from support.virtual import World, simulate

SIDES = st.sampled_from(["a", "b"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("channel"), SIDES, st.booleans()),
        st.tuples(st.just("send"), SIDES, st.integers(0, 5), st.integers(1, 6), st.sampled_from([0, 10, 20_000])),
        st.tuples(st.just("read"), SIDES, st.integers(0, 5), st.booleans()),
        st.tuples(st.just("close channel"), SIDES, st.integers(0, 5)),
        st.tuples(st.just("restart"), SIDES),
        st.tuples(st.just("call"), SIDES, st.sampled_from(["createOffer", "createAnswer", "getStats"]), st.booleans()),
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

    def __init__(self, world: World, number: int) -> None:
        self.host = world.host(f"10.0.0.{number}")
        self.pc = world.connection(self.host)
        self.pc.ondatachannel = lambda event: self.watch(event.channel)
        self.channels: list[Any] = []
        self.logs: list[tuple[Any, Log]] = []
        self.got: dict[int, list[str | bytes]] = {}
        self.awaits: list[asyncio.Task[Any]] = []
        self.after_close = Log()

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


async def play(world: World, steps: list[Any], ending: tuple[str, str], *, negotiated: bool) -> None:
    peers = {"a": Peer(world, 1), "b": Peer(world, 2)}
    world.link(peers["a"].pc, peers["b"].pc)
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
            case ("wait", seconds):
                await asyncio.sleep(seconds)
            case ("cut", cut):
                world.network.cut("10.0.0.2", cut)
            case ("link", loss, delay):
                world.network.link(loss=loss, delay=delay)
            case ("close", _) if peer:
                peer.close()
    await finish(world, [peers[side] for side in ending])


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


@settings(max_examples=400, deadline=None)
@given(steps=STEPS, ending=ENDINGS, negotiated=st.booleans(), seed=st.integers(0, 2**32))
def test_two_peers(steps: list[Any], ending: tuple[str, str], negotiated: bool, seed: int) -> None:
    simulate(lambda world: play(world, steps, ending, negotiated=negotiated), seed=seed, limit=2000)
