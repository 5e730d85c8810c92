"""The five steps over real engines with loss, on virtual time (closing rules S1-S6)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from sim.stack.pair import connected, fill, numbers
from support.virtual import simulated

if TYPE_CHECKING:
    from support.virtual import World

BLOCKS, SIZE = 128, 65536


@pytest.mark.parametrize("loss", [0.0, 0.01, 0.05])
@pytest.mark.parametrize("closer", ["first", "second", "both"])
@simulated(limit=1000)
async def test_eight_mib_in_flight_both_ways_arrive(world: World, closer: str, loss: float) -> None:
    world.network.link(loss=loss, delay=0.01)
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
    world.network.link(delay=0.005)
    async with connected(world) as pair:
        for name in ("a", "b", "c"):
            here, there = await asyncio.gather(pair.first.open(name), pair.second.open(name))
            await asyncio.gather(here.send("1"), there.send("2"))
            assert await asyncio.gather(here.receive(), there.receive()) == ["2", "1"]
