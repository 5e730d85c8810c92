"""What the receipt of `adieu.goodbye(pc)` says where the end took the counts away, or came before the last word."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import adieu
from support.farewell import two, until
from support.virtual import simulated

if TYPE_CHECKING:
    from support.virtual import World

LOST = ["It ended before its close: left.", "Your messages may be lost."]


@pytest.mark.parametrize("patience", [0.0, 0.1, 0.2])
@simulated()
async def test_a_closer_without_time_leaves_no_receipt_that_all_is_well(world: World, patience: float) -> None:
    """All its words come in one go with its end: nothing was counted since the messages were sent."""
    async with two(world) as (here, there):
        world.link(delay=0.1)
        here.queue(17)
        there.queue(12)
        await here.end.close(timeout=patience)
        await asyncio.sleep(1)
        receipt = there.end.receipt or await there.end.close()
        [account] = receipt.channels
        assert here.heard == 0
        assert (account.label, account.delivered, account.proof, account.drained) == ("chat", None, "none", True)
        assert (receipt.clean, receipt.confirmed, receipt.cause, receipt.notice) == (False, False, "left", LOST)


@pytest.mark.parametrize("before", [0.1, 1.0])
@pytest.mark.parametrize("who", ["here", "there"])
@simulated()
async def test_after_a_close_by_hand_the_channels_are_named(world: World, who: str, before: float) -> None:
    async with two(world) as (here, there):
        world.link(delay=0.05, rate=100_000)
        here.queue(100)
        await asyncio.sleep(before)
        (here if who == "here" else there).pc.close()
        await asyncio.sleep(3)
        receipt = await here.end.close()
        [account] = receipt.channels
        assert there.heard < 100
        assert (account.delivered, account.proof, receipt.notice) == (None, "none", LOST)
        assert account.sent == (100 if before > 0.5 else 0)  # as of the last count


@pytest.mark.parametrize("jitter", [0.0, 0.01])
@simulated()
async def test_a_closer_that_left_with_a_part_of_the_messages_makes_no_clean_receipt(
    world: World, jitter: float
) -> None:
    """It runs out of time, and its talk channel stays open: so it still hears what arrived there."""
    async with two(world) as (here, there):
        world.link(delay=0.1, jitter=jitter)
        here.queue(8)
        there.queue(51)
        receipt = await here.end.close(timeout=5)
        await until(lambda: there.end.receipt)
        other = there.end.receipt
        [account] = other.channels
        assert account.sent == 51 > here.heard >= account.delivered
        assert (other.clean, other.cause) == (False, "left")
        assert f"{51 - account.delivered} of your messages did not arrive." in other.notice
        assert receipt.channels[0].delivered == there.heard == 8
        assert receipt.confirmed == other.confirmed


@simulated()
async def test_a_word_that_comes_after_the_drain_is_heard(world: World) -> None:
    async with two(world) as (here, there):
        world.link(delay=0.15)
        here.channel.send("here")
        there.channel.send("there")
        receipt = await here.end.close(timeout=0.5)  # 0.3 s of them for the drain
        await until(lambda: there.end.receipt)
        for each in (receipt, there.end.receipt):
            assert [account.delivered for account in each.channels] == [1]
        assert not receipt.clean


@pytest.mark.parametrize("cut", [0.45, 0.55, 0.65, 0.75])
@simulated()
async def test_confirmed_is_what_the_other_side_has_heard(world: World, cut: float) -> None:
    async with two(world) as (here, there):
        world.link(delay=0.15)
        here.queue(3)
        there.queue(2)
        asyncio.get_running_loop().call_later(cut, world.network.cut, "10.0.0.1", True)
        receipt = await here.end.close(timeout=0.8)
        await until(lambda: there.end.receipt, 70)
        for each, other in ((receipt, there.end.receipt), (there.end.receipt, receipt)):
            heard = [account.delivered for account in other.channels]
            assert not each.confirmed or None not in heard


@simulated()
async def test_a_channel_that_ended_by_itself_is_not_named(world: World) -> None:
    async with two(world) as (here, there):
        ours, _ = await world.open_channel(here.pc, there.pc, "more")
        await asyncio.sleep(0.6)  # it is counted
        ours.close()
        await adieu.once(ours, "close")
        receipt = await here.end.close()
        assert [each.label for each in receipt.channels] == ["chat"]
        assert (receipt.clean, receipt.notice) == (True, [])


@simulated()
async def test_a_channel_that_never_opened_is_not_named(world: World) -> None:
    pc, _ = world.pair()
    pc.createDataChannel("never")
    receipt = await adieu.goodbye(pc).close()
    assert (receipt.channels, receipt.cause) == ((), "not-connected")
