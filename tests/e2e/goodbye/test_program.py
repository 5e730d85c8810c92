"""`goodbye` between a page and a Python program, each with a connection of its own."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from e2e.goodbye.apps import SETUP, Apps
from e2e.lab.cuts import cut
from e2e.lab.figures import slowness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from e2e.sdk.tabs import Tab

pytestmark = [pytest.mark.anyio, pytest.mark.browser]
PIECE, PIECES = 16_000, 512
QUEUE = f"for (let i = 0; i < {PIECES}; i++) kept.chat.send(new Uint8Array({PIECE}));"


class Program:
    """The program's side."""

    def __init__(self, *, goodbye: bool) -> None:
        self.pc = adieu.RTCPeerConnection()
        self.heard = 0
        self.events: list[str] = []
        self.gone: asyncio.Future[adieu.GoodbyeEvent] = asyncio.get_running_loop().create_future()
        self.chat: Any = None
        self.pc.addEventListener("datachannel", self._channel)
        self.end = adieu.goodbye(self.pc) if goodbye else None
        if self.end is not None:
            for name in ("closing", "closed", "reset", "back"):
                self.end.on(name, lambda event: self.events.append(event.type))
            self.end.on("gone", self.gone.set_result)

    def _channel(self, event: adieu.RTCDataChannelEvent) -> None:
        self.chat = event.channel
        self.chat.addEventListener("message", self._hear)
        self.chat.addEventListener("close", lambda _: self.events.append("channel closed"))

    def _hear(self, _: object) -> None:
        self.heard += 1

    async def answer(self, offer: dict[str, str]) -> dict[str, str]:
        await self.pc.setRemoteDescription(offer)
        await self.pc.setLocalDescription()
        while self.pc.iceGatheringState != "complete":
            await adieu.once(self.pc, "icegatheringstatechange")
        return self.pc.localDescription.toJSON()

    def queue(self) -> None:
        for _ in range(PIECES):
            self.chat.send(bytes(PIECE))


@asynccontextmanager
async def met(browser: Any, *, page: bool = True, program: bool = True) -> AsyncIterator[tuple[Tab, Program]]:
    """Connect a page and a program; `page` and `program`: whether it has goodbye."""
    async with Apps().serving() as apps, apps.open(browser) as tab:
        await tab.run(SETUP)
        if page:
            await tab.run("kept.wrap()")
        side = Program(goodbye=program)
        try:
            offer = await tab.run(
                "kept.hear(kept.pc.createDataChannel('chat')); await kept.pc.setLocalDescription();"
                "return kept.gathered()"
            )
            await tab.run("await kept.pc.setRemoteDescription(answer)", answer=await side.answer(offer))
            await tab.run("await kept.until(() => kept.chat.readyState === 'open')")
            if page and program:
                await tab.run("await kept.until(() => kept.end.mutual)")
                await until(lambda: side.end.mutual)
            else:
                await until(lambda: side.chat is not None)
            yield tab, side
        finally:
            side.pc.close()


async def until(holds: Any) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.fixture(params=["Chromium", "Firefox"])
def browser(request: pytest.FixtureRequest, both: dict[str, Any]) -> Any:
    return both[request.param]


@pytest.mark.parametrize("closer", ["page", "program"])
async def test_everything_queued_on_both_sides_arrives_and_both_hold_one_receipt(browser: Any, closer: str) -> None:
    async with met(browser) as (tab, side):
        await tab.run(QUEUE)
        side.queue()
        if closer == "page":
            theirs = await tab.run("return kept.end.close({ reason: 'done', timeout: 20000 })", patience=30.0)
            await until(lambda: side.end.receipt)
            ours = side.end.receipt
        else:
            ours = await side.end.close(reason="done", timeout=20)
            await tab.run("await kept.until(() => kept.end.receipt)")
            theirs = await tab.run("return kept.end.receipt")
        assert (side.heard, await tab.run("return kept.heard.length")) == (PIECES, PIECES)
        assert (ours.id, ours.clean, ours.confirmed, ours.reason) == (theirs["id"], True, True, "done")
        assert (theirs["clean"], theirs["confirmed"], theirs["reason"]) == (True, True, "done")
        assert ours.channels[0].delivered == theirs["channels"][0]["delivered"] == PIECES


@pytest.mark.parametrize("closer", ["page", "program"])
async def test_a_side_alone_loses_nothing(browser: Any, closer: str) -> None:
    async with met(browser, page=closer == "page", program=closer == "program") as (tab, side):
        await tab.run(QUEUE)
        side.queue()
        if closer == "page":
            receipt = await tab.run("return kept.end.close({ timeout: 20000 })", patience=30.0)
            assert (receipt["channels"][0]["proof"], receipt["confirmed"]) == ("reset", False)
        else:
            receipt = await side.end.close(timeout=20)
            assert (receipt.channels[0].proof, receipt.confirmed) == ("reset", False)
        await until(lambda: side.heard == PIECES)
        assert await tab.run("return kept.heard.length") == PIECES


async def test_a_page_that_goes_says_so(browser: Any) -> None:
    async with met(browser) as (tab, side):
        began = asyncio.get_running_loop().time()
        await tab.close()
        event = await asyncio.wait_for(side.gone, 10)
        assert event.cause == "tab-closed"
        assert asyncio.get_running_loop().time() - began <= 1.5 * slowness()


async def test_a_page_that_is_killed_is_missed(browser: Any) -> None:
    async with met(browser) as (tab, side):
        pid = await tab.browser.pid(tab.target)
        began = asyncio.get_running_loop().time()
        os.kill(pid, signal.SIGKILL)
        event = await asyncio.wait_for(side.gone, 12)
        assert event.cause in {"crashed or frozen or network-lost", "left"}
        assert asyncio.get_running_loop().time() - began <= 5 * slowness()


async def test_a_program_that_closes_its_connection_has_left(browser: Any) -> None:
    async with met(browser) as (tab, side):
        began = await tab.run("return performance.now()")
        side.pc.close()
        await tab.run("await kept.until(() => kept.gone)")
        found = await tab.run("return { cause: kept.gone.cause, at: kept.gone.at }")
        assert found["cause"] == "left"
        assert found["at"] - began <= 1000 * slowness()


async def test_a_cut_is_known_and_healed_without_loss(browser: Any) -> None:
    async with met(browser) as (tab, side):
        began = asyncio.get_running_loop().time()
        with cut("-p", "udp"):
            side.chat.send(b"sent in the cut")
            event = await asyncio.wait_for(side.gone, 12)
            assert asyncio.get_running_loop().time() - began <= 5 * slowness()
            await tab.run("kept.chat.send(new Uint8Array(10)); await kept.until(() => kept.gone)")
        assert event.cause == await tab.run("return kept.gone.cause") == "crashed or frozen or network-lost"
        await until(lambda: "back" in side.events)
        await tab.run("await kept.until(() => kept.back && kept.heard.length)")
        receipt = await side.end.close(timeout=20)
        assert (receipt.clean, receipt.confirmed) == (True, True)
        assert side.heard == await tab.run("return kept.heard.length") == 1
