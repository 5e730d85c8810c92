"""The congestion controller that a transport names, over a link that loses by itself: the whole stack.

The controller's own tests, and figures of many links, are in Rust: rust/congestion, rust/links.
"""

from __future__ import annotations

import logging

import pytest

from support.virtual import simulated


async def _sending(world, congestion):
    """A connection that sends over 20 Mbit/s, 40 ms and 1 % loss, the one it sends to, and the sizes that arrive."""
    world.network.link(delay=0.02, rate=2.5e6, queue=100_000, late_loss=0.01)
    one, two = world.hosts()
    a = world.connection(one, settings={"congestion": congestion})
    b = world.connection(two)
    ours, theirs = await world.open_channel(a, b)
    got = []
    theirs.onmessage = lambda event: got.append(len(event.data))
    for _ in range(800):
        ours.send(b"x" * 16_000)
    return a, b, got


async def _delivered(world, congestion):
    """Bytes that arrive within five seconds, and what getStats says then."""
    a, _b, got = await _sending(world, congestion)
    await world.settle(5)
    [transport] = [stats for stats in (await a.getStats()).values() if stats["type"] == "transport"]
    return sum(got), transport


@simulated()
async def test_a_tolerant_sender_survives_loss(world):
    delivered, stats = await _delivered(world, "tolerant")
    assert delivered > 7_000_000
    assert stats["congestionController"] == "tolerant"
    assert stats["lossesTolerated"] > 10
    assert stats["chunksLost"] >= stats["lossesTolerated"]
    assert stats["sctpPacketsRetransmitted"] > 10
    assert stats["deliveryRate"] == pytest.approx(2.5e6, rel=0.5)
    assert 0 <= stats["queueTime"] < 0.05
    assert stats["congestionWindow"] > 20_000


@simulated()
async def test_cubic_slows_down_with_each_loss(world):
    delivered, stats = await _delivered(world, "cubic")
    assert delivered < 5_000_000
    assert (stats["congestionController"], stats["lossesTolerated"]) == ("cubic", 0)
    assert stats["windowReductions"] > 5


@simulated()
async def test_the_log_says_how_a_lossy_sender_fared(world, caplog):
    caplog.set_level(logging.DEBUG, "adieu")
    sender, receiver, _got = await _sending(world, "cubic")
    await world.settle(3)
    world.network.cut("10.0.0.1")
    await world.settle(3)
    sender.close()
    receiver.close()
    await world.settle(1)
    lines = [record.getMessage() for record in caplog.records if record.name == "adieu.sctp"]
    assert any("! nothing was acknowledged in time: all is sent again" in line for line in lines)
    [told] = [line for line in lines if "= cubic controller" in line]
    assert " 0 tolerated, " in told
