"""What cancelling does, and who has an answer (closing rule S11): the shell over real engines, on virtual time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import adieu
from sim.stack.pair import connected
from support.virtual import simulated

if TYPE_CHECKING:
    from support.virtual import World


@simulated()
async def test_cancelling_the_last_who_awaits_a_close_makes_it_abrupt(world: World) -> None:
    async with connected(world) as pair:
        pair.cut()
        closes = [asyncio.create_task(pair.first.close(timeout=30.0)) for _ in range(2)]
        await asyncio.sleep(1.0)
        closes[0].cancel()
        await asyncio.sleep(1.0)
        assert pair.first.state == "closing", "somebody still awaits it"
        closes[1].cancel()
        receipt = await asyncio.wait_for(pair.first.wait_closed(), 3.0)
        assert receipt.path == "abrupt"
        for closing in closes:
            assert (await asyncio.gather(closing, return_exceptions=True))[0].__class__ is asyncio.CancelledError


@simulated()
async def test_a_reset_goes_on_when_one_wait_is_cancelled(world: World) -> None:
    async with connected(world) as pair:
        waits = [asyncio.create_task(pair.first.reset("transport")) for _ in range(2)]
        await asyncio.sleep(0)
        waits[0].cancel()
        assert (await waits[1]).level == "transport"
        assert pair.first.state == "open"


@simulated()
async def test_who_waits_for_a_reset_when_the_session_is_closed_is_told(world: World) -> None:
    async with connected(world) as pair:
        waiting = asyncio.create_task(pair.first.reset("transport"))
        await asyncio.sleep(0)
        await pair.first.close()
        with pytest.raises(adieu.ResetFailedError, match="closing"):
            await waiting
