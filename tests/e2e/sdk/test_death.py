"""All ways in which a page can go, as a program and a page of the other browser see it (closing rule S7)."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from adieu.server import serve
from e2e.lab.display import display
from e2e.sdk.conftest import START, look, some
from e2e.sdk.sides import BLOCK, JOIN, Page, Program, meet, now, side, until
from e2e.sdk.tabs import PageGoneError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from e2e.lab.browsers import Browser, Chromium
    from e2e.lab.figures import Figures
    from e2e.sdk.sides import Side, State
    from e2e.sdk.tabs import Tab, Tabs

pytestmark = [pytest.mark.anyio, pytest.mark.browser]
OTHER = {"Chromium": "Firefox", "Firefox": "Chromium"}
PATIENCE = 12.0  # longer than any bound: the time is judged when it is known


async def run(tab: Tab, code: str) -> None:
    """What ends the page can not be awaited there."""
    with suppress(PageGoneError):
        await tab.run(f"setTimeout(() => {{ {code} }})")


async def kill_renderer(tab: Tab) -> float:
    """When: to find the process takes longer than to kill it."""
    pid = await tab.browser.pid(tab.target)
    began = now()
    os.kill(pid, signal.SIGKILL)
    return began


async def close_window(tab: Tab) -> None:
    screen = tab.browser.screen
    assert screen is not None, "a headless browser has no window"
    await screen.close_window("adieu")  # the page's title


async def freeze(tab: Tab) -> None:
    for pid in await tab.browser.processes():
        os.kill(pid, signal.SIGSTOP)


def thaw(pids: list[int]) -> None:
    """So that it can be ended."""
    for pid in pids:
        with suppress(OSError):
            os.kill(pid, signal.SIGCONT)


@dataclass(frozen=True)
class Way:
    """How a page goes, and what is promised.

    Attributes:
        act: ends it, and may tell when.
        causes: that may be told; the last one told is looked at.
        bound: seconds until the others know.
        ends: their sessions end at once, too.
        whole: the browser goes with it.
        window: it is closed in a window on a screen.
    """

    act: Callable[[Tab], Awaitable[Any]]
    causes: set[str]
    bound: float = 1.0
    ends: bool = True
    whole: bool = False
    window: bool = False


WAYS = {
    "tab closed": Way(lambda tab: tab.close(), {"tab-closed"}),
    "window.close()": Way(lambda tab: run(tab, "close()"), {"tab-closed"}),
    "its window closed": Way(close_window, {"tab-closed"}, whole=True, window=True),
    "reload": Way(lambda tab: run(tab, "location.reload()"), {"reloaded"}),
    "navigation": Way(lambda tab: run(tab, "location.href = 'about:blank'"), {"navigated"}),
    "pc.close() by the page": Way(lambda tab: run(tab, "for (const pc of kept.pcs) pc.close()"), {"connection-closed"}),
    "dc.close() by the page": Way(lambda tab: run(tab, "for (const dc of kept.dcs) dc.close()"), {"connection-closed"}),
    "its process killed": Way(kill_renderer, {"crashed"}, ends=False),
    "browser, SIGTERM": Way(
        lambda tab: tab.browser.signal(signal.SIGTERM), {"left", "crashed", "tab-closed"}, ends=False, whole=True
    ),
    "browser, SIGKILL": Way(lambda tab: tab.browser.signal(signal.SIGKILL), {"crashed"}, ends=False, whole=True),
    "browser, SIGSTOP": Way(freeze, {"frozen, network-lost"}, 5.0, ends=False, whole=True),
}
OFTEN = {"tab closed", "window.close()", "its window closed", "reload", "pc.close() by the page", "its process killed"}
KEEP = """
const { RTCPeerConnection: P } = globalThis;
kept.pcs = [];
kept.dcs = [];
const make = P.prototype.createDataChannel;
P.prototype.createDataChannel = function (...all) {
  const dc = make.apply(this, all);
  if (!kept.pcs.includes(this)) kept.pcs.push(this);
  kept.dcs.push(dc);
  return dc;
};
"""


@pytest.mark.parametrize("way", some(WAYS, OFTEN))
@pytest.mark.parametrize("victim", list(OTHER))
async def test_a_page_that_goes_is_missed(
    victim: str, way: str, both: dict[str, Browser], tabs: Tabs, figures: Figures
) -> None:
    """The others know in time, with the cause; what it had sent before arrived."""
    how = WAYS[way]
    async with AsyncExitStack() as stack:
        browsers = dict(both)
        if how.whole:
            screen = await stack.enter_async_context(display()) if how.window else None
            browsers[victim] = await stack.enter_async_context(START[victim](screen=screen))
        server = await stack.enter_async_context(serve(origins=[tabs.origin]))
        program, page, gone = [
            await stack.enter_async_context(side(kind, tabs, browsers)) for kind in ("Python", OTHER[victim], victim)
        ]
        assert isinstance(gone, Page) and isinstance(program, Program)
        tab = gone.tab
        await tab.run(KEEP)
        await asyncio.gather(program.join(server.url, "program"), page.join(server.url, "page"))
        await gone.join(server.url, "gone")
        waiting = [asyncio.create_task(one.meet("gone")) for one in (program, page)]
        for name in ("program", "page"):
            await gone.meet(name)
            await tab.run("await kept.data.send('last words')")
        await asyncio.gather(*waiting)
        for one in (program, page):
            await one.read()
            await _until(one, lambda got: got == ["last words"])
        tab.closed = tab.closed or how.whole or way == "window.close()"
        if how.whole:
            stack.callback(thaw, await tab.browser.processes())
        began = now()
        began = await how.act(tab) or began
        for one in (program, page):
            change = await known(one, began)
            cause = change.cause
            if how.ends:
                receipt = await asyncio.wait_for(one.ended(), PATIENCE)
                cause = receipt["cause"]
                assert receipt["by"] == "remote", receipt
            figures.within("A page goes", f"{victim}, seen by {one.kind}", way, change.at - began, how.bound, cause)
            assert cause in how.causes, (cause, change)
            if isinstance(one, Program) and cause in {"tab-closed", "navigated"}:
                await until(lambda: "gone" not in {peer.name for peer in program.room.peers}, 2, "its seat is free")
            assert await one.got() == ["last words"]


async def known(one: Side, began: float) -> State:
    """The first change of the state that tells of it."""
    told = {"suspect", "recovering", "closing", "closed"}
    async with asyncio.timeout(PATIENCE):
        while True:
            for change in await one.states():
                if change.at >= began and change.state in told:
                    return change
            await asyncio.sleep(0.01)


async def _until(one: Side, condition: Callable[[list[Any]], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition(await one.got()):
            await asyncio.sleep(0.01)


async def test_a_crashed_page_that_is_loaded_again_is_told_as_that(chromium: Chromium, tabs: Tabs) -> None:
    """No word was said by the first page; the second one joins from the same tab."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve(origins=[tabs.origin]))
        program, page = [
            await stack.enter_async_context(side(kind, tabs, {"Chromium": chromium})) for kind in ("Python", "Chromium")
        ]
        assert isinstance(page, Page) and isinstance(program, Program)
        await meet(server.url, {"program": program, "page": page})
        began = now()
        await kill_renderer(page.tab)
        change = await known(program, began)
        assert (change.state, change.cause) == ("suspect", "crashed")
        again = await tabs.again(page.tab)
        await again.run(JOIN, url=server.url, name="page")
        receipt = await asyncio.wait_for(program.ended(), 5)
        assert receipt["cause"] == "reloaded", receipt
        second = await program.room.session("page")
        assert second.state == "open" and second is not program.session


@pytest.mark.parametrize("victim", list(OTHER))
async def test_the_receipt_accounts_for_what_a_closed_connection_took_with_it(
    victim: str, both: dict[str, Browser], tabs: Tabs, figures: Figures
) -> None:
    """8 MiB are accepted, then the page closes the connection: nothing counts as delivered that was not taken."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve(origins=[tabs.origin]))
        page, program = [await stack.enter_async_context(side(kind, tabs, both)) for kind in (victim, "Python")]
        assert isinstance(page, Page)
        await page.tab.run(KEEP)
        await meet(server.url, {"page": page, "program": program})
        await program.read()
        await page.send(32)
        began = now()
        await page.tab.run("kept.at = kept.now(); for (const pc of kept.pcs) pc.close()")
        here, there = await asyncio.gather(page.ended(), program.ended())
        change = await known(program, began)
        figures.within(
            "A page goes", f"{victim}, seen by Python", "pc.close() with 8 MiB under way", change.at - began, 1.0
        )
        assert (here["by"], there["by"]) == ("local", "remote")
        assert here["cause"] == there["cause"] == "connection-closed"
        assert not here["clean"] and here["id"] == there["id"]
        sent = here["channels"]["data"]["sent"]
        parts = [sent[part] for part in ("delivered", "unknown", "unsent")]
        assert sent["accepted"] == {"messages": 32, "bytes": 32 * BLOCK}
        assert sum(part["messages"] for part in parts) == 32 and sum(part["bytes"] for part in parts) == 32 * BLOCK
        await program.left()
        got = await program.got()
        assert got == list(range(len(got)))
        taken = there["channels"]["data"]["received"]["delivered"]["messages"]
        assert sent["delivered"]["messages"] <= taken <= len(got) <= 32
        assert len(got) <= sent["delivered"]["messages"] + sent["unknown"]["messages"]


def test_the_browsers_are_here() -> None:
    look("Chromium", "Firefox")
