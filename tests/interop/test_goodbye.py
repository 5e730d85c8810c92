"""`adieu.goodbye` towards implementations that never have it: as an SFU, or a program with aiortc or pion."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from e2e.lab.figures import slowness
from interop.support import MARKS, each_offerer, join, pair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from e2e.lab.peer import Peer

each_program = pytest.mark.parametrize("other", [pytest.param(name, marks=MARKS[name]) for name in ("aiortc", "pion")])


class Ending:
    """The end of adieu's connection, and what became of it."""

    def __init__(self, us: Any) -> None:
        self.end = adieu.goodbye(us.pc)
        self.gone: asyncio.Future[adieu.GoodbyeEvent] = asyncio.get_running_loop().create_future()
        self.end.on("gone", self.gone.set_result)


@asynccontextmanager
async def talking(lab: Any, other: str, *, adieu_offers: bool = True) -> AsyncIterator[tuple[Any, Peer, Ending]]:
    """Connected, with one channel `chat` open at both ends; adieu's side alone has goodbye."""
    async with pair(lab, other) as (us, them):
        ending = Ending(us)
        await (us if adieu_offers else them).call("channel", label="chat")
        await join(us, them, adieu_offers=adieu_offers)
        for peer in (us, them):
            await peer.expect("open", label="chat")
        yield us, them, ending


@each_program
@each_offerer
async def test_the_other_program_is_not_disturbed(lab: Any, other: str, adieu_offers: bool) -> None:
    """It sees no channel of goodbye; those that are opened, used and closed later work as ever."""
    async with talking(lab, other, adieu_offers=adieu_offers) as (us, them, ending):
        await asyncio.sleep(2.5)  # as long as goodbye asks whether the other side has it
        opener = us if other == "aiortc" else them  # aiortc opens none once it is connected
        await opener.call("channel", label="later")
        for peer in (us, them):
            await peer.expect("open", label="later")
        assert await us.send("later", "there") == await them.message("later")
        assert await them.send("later", "and back") == await us.message("later")
        await us.call("close_channel", label="later")
        for peer in (us, them):
            await peer.expect("close", label="later")
        labels = {event["label"] for event in them.events if "label" in event}
        assert labels == {"chat", "later"}
        assert "error" not in them.seen("chat")
        assert not ending.end.mutual
        assert not ending.gone.done()


@each_program
async def test_a_close_loses_nothing_and_says_what_it_cannot_know(lab: Any, other: str) -> None:
    size, count = (16384, 32) if other == "aiortc" else (65536, 64)
    async with talking(lab, other) as (us, them, ending):
        await them.call("flood", label="chat", size=size, count=count)
        await us.call("flood", label="chat", size=size, count=count)
        receipt = await ending.end.close(timeout=20)
        await them.expect("close", label="chat")
        for peer in (us, them):
            assert sum(event["event"] == "message" for event in peer.events) == count
        [account] = receipt.channels
        assert (account.sent, account.received, account.delivered, account.proof) == (count, count, None, "reset")
        assert (receipt.clean, receipt.confirmed, receipt.mutual) == (True, False, False)
        assert "Your messages arrived, perhaps unread." in receipt.notice


@each_program
@pytest.mark.parametrize(("way", "cause", "seconds"), [("close", "left", 1), ("kill", "", 8)])
async def test_a_program_that_goes_is_missed(lab: Any, other: str, way: str, cause: str, seconds: float) -> None:
    async with talking(lab, other) as (_, them, ending):
        began = time.monotonic()
        if way == "close":
            await them.call("close")
        else:
            them.kill()
        event = await asyncio.wait_for(ending.gone, 30)
        assert event.cause == (cause or "crashed or frozen or network-lost")
        assert time.monotonic() - began <= seconds * slowness()
        receipt = await ending.end.close()
        assert (receipt.cause, receipt.clean) == (event.cause, False)
