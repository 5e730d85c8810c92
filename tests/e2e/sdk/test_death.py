"""All ways in which a page or a program can go, as a page of each browser and a program see it (closing rule S7)."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from adieu.server import serve
from e2e.lab.display import display
from e2e.sdk.child import Child, child
from e2e.sdk.conftest import START, look, some
from e2e.sdk.sides import BLOCK, JOIN, KINDS, Page, Program, meet, now, side, until
from e2e.sdk.tabs import PageGoneError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from e2e.lab.browsers import Browser, Chromium
    from e2e.lab.figures import Figures
    from e2e.sdk.sides import Side, State
    from e2e.sdk.tabs import Tab, Tabs

pytestmark = [pytest.mark.anyio, pytest.mark.browser]
BROWSERS = ("Chromium", "Firefox")
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
    """How a page or a program goes, and what is promised.

    Attributes:
        act: ends the tab or the child, and may tell when.
        causes: that are accepted; the last one told is looked at.
        bound: seconds until the others know.
        ends: their sessions end at once, too.
        whole: the browser goes with it.
        window: it is closed in a window on a screen.
    """

    act: Callable[[Any], Awaitable[Any]]
    causes: set[str]
    bound: float = 1.0
    ends: bool = True
    whole: bool = False
    window: bool = False


OF_A_PAGE = {
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


async def signal_to(child: Child, number: int) -> None:
    child.process.send_signal(number)


OF_A_PROGRAM = {
    "pc.close() by the program": Way(Child.close_connections, {"connection-closed"}),
    "dc.close() by the program": Way(Child.close_all_channels, {"connection-closed"}),
    "program, SIGTERM": Way(lambda child: signal_to(child, signal.SIGTERM), {"crashed"}, ends=False),
    "program, SIGKILL": Way(lambda child: signal_to(child, signal.SIGKILL), {"crashed"}, ends=False),
    "program, SIGSTOP": Way(lambda child: signal_to(child, signal.SIGSTOP), {"frozen, network-lost"}, 5.0, ends=False),
}
WAYS = {"Chromium": OF_A_PAGE, "Firefox": OF_A_PAGE, "Python": OF_A_PROGRAM}
ENDS = [(victim, way) for victim, ways in WAYS.items() for way in ways]
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


@pytest.mark.parametrize("seen_by", some(("others", "its own kind"), {"others"}))
@pytest.mark.parametrize("end", some(ENDS, set(itertools.product(BROWSERS, OFTEN))), ids="-".join)
async def test_who_goes_is_missed(
    end: tuple[str, str], seen_by: str, both: dict[str, Browser], tabs: Tabs, figures: Figures
) -> None:
    """The others know in time, with the cause; what it had sent before arrived."""
    victim, way = end
    how = WAYS[victim][way]
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve(origins=[tabs.origin]))
        watching = [kind for kind in KINDS if (kind == victim) is (seen_by == "its own kind")]
        watchers = [await stack.enter_async_context(side(kind, tabs, both)) for kind in watching]
        browsers = dict(both)
        if victim in BROWSERS and (how.whole or victim in watching):
            screen = await stack.enter_async_context(display()) if how.window else None
            browsers[victim] = await stack.enter_async_context(START[victim](screen=screen))
        gone = await stack.enter_async_context(child() if victim == "Python" else side(victim, tabs, browsers))
        if isinstance(gone, Page):
            await gone.tab.run(KEEP)
        await asyncio.gather(*(one.join(server.url, one.kind) for one in watchers))
        await gone.join(server.url, "gone")
        waiting = [asyncio.create_task(one.meet("gone")) for one in watchers]
        for one in watchers:
            await gone.meet(one.kind)
            await gone.say("last words")
        await asyncio.gather(*waiting)
        for one in watchers:
            await one.read()
            await _until(one, lambda got: got == ["last words"])
        if isinstance(gone, Page):
            gone.tab.closed = how.whole or way == "window.close()"
            if how.whole:
                stack.callback(thaw, await gone.tab.browser.processes())
        began = now()
        began = await how.act(gone.tab if isinstance(gone, Page) else gone) or began
        for one in watchers:
            change = await known(one, began)
            cause = change.cause
            if how.ends:
                receipt = await asyncio.wait_for(one.ended(), PATIENCE)
                cause = receipt["cause"]
                assert receipt["by"] == "remote", receipt
            who = f"{victim}, seen by {one.kind}"
            figures.within("Somebody goes", who, way, change.at - began, how.bound, cause, causes=how.causes)
            if isinstance(one, Program) and cause in {"tab-closed", "navigated"}:
                await until(lambda one=one: not is_in_room(one, "gone"), 2, "its seat is free")
            assert await one.got() == ["last words"]


def is_in_room(one: Program, name: str) -> bool:
    return name in {peer.name for peer in one.room.peers}


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


@pytest.mark.parametrize("victim", BROWSERS)
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
            "Somebody goes", f"{victim}, seen by Python", "pc.close() with 8 MiB under way", change.at - began, 1.0
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
