"""The five steps in every pairing of Chromium, Firefox and Python."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from adieu.server import serve
from e2e.sdk.conftest import some
from e2e.sdk.sides import BLOCK, KINDS, meet, now, side

if TYPE_CHECKING:
    from e2e.lab.figures import Figures
    from e2e.sdk.sides import Side
    from e2e.sdk.tabs import Tabs

pytestmark = [pytest.mark.anyio, pytest.mark.browser]
PAIRINGS = list(itertools.product(KINDS, KINDS))
OFTEN = {("Chromium", "Firefox"), ("Firefox", "Python"), ("Python", "Chromium")}
COUNT = 32  # blocks: 8 MiB; the credit of a channel is 4, so that at least half is on its way when the close begins


async def film(sides: list[Side]) -> None:
    """Every page sends its camera and its microphone, and has the other's."""
    await asyncio.gather(*(one.media() for one in sides))
    pages = [one for one in sides if one.kind != "Python"]
    if len(pages) < len(sides):
        return  # a program sends none
    async with asyncio.timeout(20):
        while [await one.live() for one in pages] != [2] * len(pages):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("closer", some(("first", "second"), {"first"}))
@pytest.mark.parametrize("pairing", some(PAIRINGS, OFTEN), ids="-".join)
async def test_the_five_steps(
    pairing: tuple[str, str], closer: str, both: dict[str, Any], tabs: Tabs, figures: Figures
) -> None:
    """8 MiB under way both ways arrive, both hold one account, the camera is let go (closing rules S1, S2)."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve(origins=[tabs.origin]))
        first, second = [await stack.enter_async_context(side(kind, tabs, both)) for kind in pairing]
        await meet(server.url, {"first": first, "second": second})
        await film([first, second])
        cameras = [one for one in (first, second) if one.kind != "Python"]
        for one in cameras:
            await capture(one, True)
        await asyncio.gather(first.send(COUNT), second.send(COUNT))
        one, other = (first, second) if closer == "first" else (second, first)
        waiting = asyncio.create_task(other.ended())
        began = now()
        here = await one.close()
        took = now() - began
        there = await waiting
        knew = next(change.at for change in await other.states() if change.state in {"closing", "closed"}) - began
        assert here["agreed"] == there["agreed"] and here["id"] == there["id"]
        for receipt, by in ((here, "local"), (there, "remote")):
            assert (receipt["path"], receipt["clean"], receipt["confirmed"]) == ("graceful", True, True), receipt
            assert receipt["by"] == by and not receipt["ledger"]
            assert [step["outcome"] for step in receipt["steps"]] == ["ok"] * 5, receipt["steps"]
        for each in (one, other):
            await each.read()
            assert await each.left() == {"live": 0, "held": "nothing"}
            assert await each.got() == list(range(COUNT))
        assert here["channels"]["data"]["sent"]["delivered"] == {"messages": COUNT, "bytes": COUNT * BLOCK}
        proof, who = "Close with 8 MiB under way both ways", " – ".join(pairing)
        figures.within(proof, who, f"the {closer} closes: the other knows", knew, 1.0)
        figures.within(proof, who, f"the {closer} closes: all is done", took, 20.0)
        for each in cameras:
            await capture(each, False)


@pytest.mark.parametrize("closer", some(("first", "second"), {"first"}))
@pytest.mark.parametrize("pairing", some(PAIRINGS, OFTEN), ids="-".join)
async def test_a_channel_closes_and_the_session_goes_on(
    pairing: tuple[str, str], closer: str, both: dict[str, Any], tabs: Tabs, figures: Figures
) -> None:
    """8 MiB under way both ways arrive, both hold one account, and the name is free at once (closing rule S14)."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve(origins=[tabs.origin]))
        sides = [await stack.enter_async_context(side(kind, tabs, both)) for kind in pairing]
        await meet(server.url, dict(zip(("first", "second"), sides, strict=True)))
        one, other = sides if closer == "first" else sides[::-1]
        for again in range(3):
            await asyncio.gather(*(each.send(COUNT) for each in sides))
            began = now()
            waiting = asyncio.create_task(other.channel_ended())
            here, there = await one.close_channel(), await waiting
            took = now() - began
            for receipt in (here, there):
                assert (receipt["path"], receipt["confirmed"], receipt["reason"]) == ("graceful", True, "done"), receipt
                for direction in ("sent", "received"):
                    assert receipt[direction]["delivered"] == {"messages": COUNT, "bytes": COUNT * BLOCK}
            for each in sides:
                await each.read()
                async with asyncio.timeout(10):
                    while await each.got() != list(range(COUNT)):
                        await asyncio.sleep(0.02)
                assert await each.state() == "open"
            await asyncio.gather(*(each.open_again() for each in sides))
            if not again:
                who, how = " – ".join(pairing), f"the {closer} closes the channel"
                figures.within("Close of a channel, 8 MiB both ways", who, how, took, 20.0)


async def capture(one: Side, wanted: bool) -> None:
    """The browser itself says that devices are in use, or are not: its indicator may be a moment behind."""
    try:
        async with asyncio.timeout(5):
            while await one.capturing() is not wanted:
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"{one.kind}: capturing is not {wanted}") from None
