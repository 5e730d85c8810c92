"""The five steps over real engines with loss, on virtual time (closing rules S1-S6)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from adieu import RTCPeerConnection, Session
from adieu.session.session import HANDLERS_FINISH, RELEASED
from adieu.signaling import memory_signaling
from sim.stack.pair import connected, fill, numbers
from support.virtual import simulated

if TYPE_CHECKING:
    from adieu.webrtc.ledger import ReleaseLedger
    from support.virtual import World

BLOCKS, SIZE = 128, 65536


@pytest.mark.parametrize("loss", [0.0, 0.01, 0.05])
@pytest.mark.parametrize("closer", ["first", "second", "both"])
@simulated(limit=1000)
async def test_eight_mib_in_flight_both_ways_arrive(world: World, closer: str, loss: float) -> None:
    world.link(loss=loss, delay=0.01)
    async with connected(world) as pair:
        here, there = await asyncio.gather(pair.first.open("data"), pair.second.open("data"))
        listeners = [asyncio.create_task(numbers(channel)) for channel in (here, there)]
        await asyncio.gather(fill(here, BLOCKS, SIZE), fill(there, BLOCKS, SIZE))
        began = world.now
        knew: list[float] = []
        for session in pair.sessions:
            session.on("state", lambda event: knew.append(world.now) if event.state == "closing" else None)
        closing = {"first": [pair.first], "second": [pair.second], "both": [pair.first, pair.second]}[closer]
        await asyncio.gather(*(session.close("done", timeout=120.0) for session in closing))
        one, other = await asyncio.gather(pair.first.wait_closed(), pair.second.wait_closed())
        assert max(knew) - began <= 1.0, "the remote side knows"
        assert one.agreed == other.agreed
        assert one.path == other.path == "graceful"
        assert one.clean and other.clean
        for account in (one.channels["data"].sent, one.channels["data"].received):
            assert account.delivered.messages == BLOCKS
        for heard in await asyncio.gather(*listeners):
            assert heard == list(range(1, BLOCKS + 1))
        assert not one.ledger and not other.ledger


@simulated()
async def test_the_same_name_from_both_at_once_carries_data_both_ways(world: World) -> None:
    world.link(delay=0.005)
    async with connected(world) as pair:
        for name in ("a", "b", "c"):
            here, there = await asyncio.gather(pair.first.open(name), pair.second.open(name))
            await asyncio.gather(here.send("1"), there.send("2"))
            assert await asyncio.gather(here.receive(), there.receive()) == ["2", "1"]


@pytest.mark.parametrize(("late", "left"), [(0.0, []), (2.0, []), (30.0, ["connection"])])
@simulated()
async def test_an_end_waits_for_a_late_release_with_a_bound(world: World, late: float, left: list[str]) -> None:
    """On a busy machine the core lets go of a connection after the close has had its time (closing rule S9)."""

    class Late(RTCPeerConnection):
        async def wait_closed(self) -> ReleaseLedger:
            await asyncio.sleep(late)
            return await super().wait_closed()

    def make() -> RTCPeerConnection:
        with one.use():
            return Late()

    here, there = memory_signaling()
    one, two = world.hosts()
    first = Session(connect=make, signaling=here, role="first", name="second")
    second = Session(connect=lambda: world.connection(two), signaling=there, role="second", name="first")
    first.start()
    second.start()
    await asyncio.gather(first.wait_open(), second.wait_open())
    began = world.now
    receipt = await first.close(timeout=0.5)
    assert world.now - began <= 0.5, "a close keeps its own time"
    assert [held.kind for held in receipt.ledger.held] == (["connection"] if late else []), "and says what it left"
    await first.end()
    assert world.now - began <= 0.5 + HANDLERS_FINISH + RELEASED
    assert [held.kind for held in first.ledger().held] == left
    await second.wait_closed()
    await second.end()
