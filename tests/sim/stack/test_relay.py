"""Connections over a TURN server in memory: what closing gives back, and what receipts say is left (rule 15)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from support.virtual import simulated

if TYPE_CHECKING:
    from adieu.webrtc import RTCPeerConnection
    from support.virtual import World


@simulated()
async def test_sessions_over_a_relay_talk_and_give_their_addresses_back(world: World) -> None:
    world.link(delay=0.02)
    turn = world.turn_server()
    async with world.sessions(configuration=turn.relay_only) as pair:
        chat, other = await asyncio.gather(pair.first.open("chat"), pair.second.open("chat"))
        await chat.send(bytes(200_000))
        assert await other.receive() == bytes(200_000)
        assert turn.allocations == 2
        receipt = await pair.first.close()
        seen = await pair.second.wait_closed()
        assert (receipt.path, seen.path) == ("graceful", "graceful")
        assert not receipt.ledger and not seen.ledger
    assert turn.allocations == 0


@simulated(limit=2000.0)
async def test_an_outage_of_the_relay_is_survived(world: World) -> None:
    turn = world.turn_server()
    async with world.sessions(configuration=turn.relay_only) as pair:
        chat, other = await asyncio.gather(pair.first.open("chat"), pair.second.open("chat"))
        turn.cut()
        await chat.send("through")
        await asyncio.sleep(20.0)
        turn.heal()
        assert await other.receive() == "through"
        await pair.first.close()
        await pair.second.wait_closed()
    await asyncio.sleep(600.0)
    assert turn.allocations == 0, "what was given back during the outage ends with its lifetime"


@simulated(limit=2000.0)
async def test_receipts_name_the_addresses_that_no_server_has_taken_back(world: World) -> None:
    """The server stalls: it never answers a release."""
    turn = world.turn_server()
    async with world.sessions(configuration=turn.relay_only) as pair:
        turn.keep()
        receipt = await pair.first.close()
        seen = await pair.second.wait_closed()
        for one in (receipt, seen):
            assert one.path == "graceful"
            assert [(held.kind, held.count) for held in one.ledger.held] == [("allocations", 1)]
            assert "allocations: connection 1" in one.to_json()
            with pytest.raises(AssertionError, match="still held: \n- allocations"):
                one.ledger.assert_released()
        assert receipt.id == seen.id
        assert turn.allocations == 2
    await asyncio.sleep(600.0)
    assert turn.allocations == 0, "its lifetime is over"


@simulated()
async def test_a_reset_gives_the_old_addresses_back(world: World) -> None:
    turn = world.turn_server()
    async with world.sessions(configuration=turn.relay_only) as pair:
        await pair.first.reset("full")
        await asyncio.sleep(3.0)
        assert turn.allocations == 2
    assert turn.allocations == 0


@simulated()
async def test_one_release_lost_after_another_is_sent_again(world: World) -> None:
    for lost in range(5):
        turn = world.turn_server()
        a, b = await _relayed(world, turn.relay_only)
        a.close()
        turn.cut("in")
        await asyncio.sleep((0.0, 0.05, 0.15, 0.35, 0.75)[lost])  # so many of its five releases are lost
        turn.heal()
        assert dict(await a.wait_closed()) == {}, f"{lost} lost"
        assert turn.allocations == 1
        turn.cut()
        b.close()
        assert dict(await b.wait_closed()) == {"allocations": 1}
        turn.heal()
        assert turn.allocations == 1, "it heard nothing"


@simulated()
async def test_a_close_during_the_allocation_leaves_nothing(world: World) -> None:
    world.link(delay=0.05)
    turn = world.turn_server()
    for moment in range(12):
        host = world.host()
        pc = world.connection(host, **turn.relay_only)
        pc.createDataChannel("x")
        await pc.setLocalDescription()
        await asyncio.sleep(0.025 * moment)
        pc.close()
        assert dict(await pc.wait_closed()) == {}, moment
        await asyncio.sleep(1.0)
        assert turn.allocations == 0, moment


@simulated(limit=9000.0)
async def test_an_hour_over_a_relay_needs_nothing_from_the_program(world: World) -> None:
    turn = world.turn_server()
    a, b = await _relayed(world, turn.relay_only)
    await asyncio.sleep(3600.0)
    assert (a.connectionState, b.connectionState, turn.allocations) == ("connected", "connected", 2)
    a.close()
    b.close()
    await asyncio.gather(a.wait_closed(), b.wait_closed())
    assert turn.allocations == 0


async def _relayed(world: World, configuration: dict[str, object]) -> tuple[RTCPeerConnection, RTCPeerConnection]:
    pair = world.pair(**configuration)
    await world.connect(*pair)
    return pair
