"""`gathered()`: the local description with all its candidates, for signaling that sends it whole."""

from __future__ import annotations

import asyncio

import pytest

from adieu import AbortError, InvalidStateError
from support.virtual import simulated


@simulated()
async def test_two_connect_by_whole_descriptions(world):
    a, b = world.pair()
    channel = a.createDataChannel("x")
    await a.setLocalDescription()
    offer = await a.gathered()
    assert "a=candidate:" in offer.sdp
    assert "a=end-of-candidates" in offer.sdp
    await b.setRemoteDescription(offer)
    await b.setLocalDescription()
    await a.setRemoteDescription(await b.gathered())
    async with asyncio.timeout(10):
        while channel.readyState != "open":
            await asyncio.sleep(0.01)
    assert (await a.gathered()).sdp == a.localDescription.sdp, "it is complete already"
    a.close()
    b.close()


@simulated()
async def test_there_is_a_clear_error_where_nothing_can_be_gathered(world):
    a, b = world.pair()
    with pytest.raises(InvalidStateError, match="setLocalDescription"):
        await a.gathered()
    b.close()
    with pytest.raises(InvalidStateError, match="closed"):
        await b.gathered()
    await a.setLocalDescription()  # without any section
    assert "m=" not in (await a.gathered()).sdp
    a.close()


@simulated()
async def test_a_close_ends_the_wait(world):
    pc = world.connection(world.host("10.1.0.1"), iceServers=[{"urls": "stun:10.9.9.9"}])
    pc.createDataChannel("x")
    await pc.setLocalDescription()
    waiting = asyncio.create_task(pc.gathered())
    await asyncio.sleep(0.1)
    pc.close()
    with pytest.raises(AbortError):
        await waiting


@pytest.mark.parametrize("by", ["the program", "an offer of the other side"])
@simulated()
async def test_a_rollback_ends_the_wait(world, by):
    pc = world.connection(world.host("10.1.0.1"), iceServers=[{"urls": "stun:10.9.9.9"}])
    other = world.connection(world.host("10.1.0.2"))
    for each in (pc, other):
        each.createDataChannel("x")
        await each.setLocalDescription()
    waiting = asyncio.create_task(pc.gathered())
    await asyncio.sleep(0.1)
    if by == "the program":
        await pc.setLocalDescription({"type": "rollback"})
    else:
        await pc.setRemoteDescription(await other.gathered())
    with pytest.raises(AbortError, match="rolled back"):
        await asyncio.wait_for(waiting, 60)
    await pc.setLocalDescription()
    assert "a=candidate:" in (await pc.gathered()).sdp, "another description has its candidates"
    pc.close()
    other.close()
