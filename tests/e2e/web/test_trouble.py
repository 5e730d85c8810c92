"""What the page says when something is wrong: at once, with its cause, and no longer than it is so."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from e2e.lab.figures import Figures, slowness
from e2e.web.people import SEES, come_in, friend, say, together
from e2e.web.screen import screen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.server.serving import Server

pytestmark = [pytest.mark.anyio, pytest.mark.browser]
TIMES = 5


@pytest.fixture(scope="module")
def figures() -> Iterator[Figures]:
    kept = Figures("page", "The page: when what is known is shown")
    yield kept
    kept.write()


NOTE_WHEN = """
const state = document.querySelector(".state");
window.when = new Promise((resolve) => {
  const look = () => /ended without a word/.test(state.textContent) && resolve(Date.now() / 1000);
  new MutationObserver(look).observe(state, { childList: true, characterData: true, subtree: true });
});
"""


async def test_a_killed_peer_is_named_with_its_cause_within_a_second(
    browser: Any, server: Server, figures: Figures
) -> None:
    """Closing rule S7: who waits for it reads what is known as soon as it is known."""
    figures.versions[browser.name] = browser.version
    for number in range(TIMES):
        room = f"lab-{number}"
        async with friend(server, room) as program, screen(browser, f"{server.http_url}/#{room}") as ada:
            await come_in(ada, "Ada", devices=False)
            await ada.sees("Hello Ada")
            await ada.run(NOTE_WHEN)
            figures.before = slowness()
            program.kill()
            killed = time.time()
            seen = await ada.run("return await window.when")
            figures.within("A killed peer is named with its cause", browser.name, "SIGKILL", seen - killed, 1.0)


async def test_being_offline_is_told_and_no_longer_than_it_is_so(browser: Any, server: Server) -> None:
    async with screen(browser, f"{server.http_url}/#lab") as ada:
        await come_in(ada, "Ada", devices=False)
        await ada.sees("Nobody else is here yet.")
        await ada.offline(True)
        await ada.sees("You are offline.")
        await ada.offline(False)
        await ada.until("!document.body.innerText.includes('You are offline')")


STAND_STILL = "setTimeout(() => { const end = performance.now() + ms; while (performance.now() < end); })"


async def test_a_page_that_hangs_is_said_to_and_its_moving_picture_stays_bright(browser: Any, server: Server) -> None:
    async with together(browser, server) as (ada, ben):
        await ada.front()  # behind another one no pictures are drawn
        await ada.until(SEES)
        await ben.run(STAND_STILL, ms=18_000)
        await ada.sees("Ben’s program is busy")
        await ada.until("/busy.*\\(10 seconds so far\\)/.test(document.body.innerText)", 25)
        dim = "return !!document.querySelector('.tile.still') || getComputedStyle(document.querySelector("
        assert not await ada.run(dim + "'friend-tile video')).opacity !== '1'")
        await ada.sees("Connected with Ben.", 25)


async def test_a_picture_that_stands_still_is_dimmed(browser: Any, server: Server) -> None:
    async with together(browser, server) as (ada, ben):
        await ada.front()
        await ada.until(SEES)
        pid = await browser.pid(ben.tab)
        assert pid != await browser.pid(ada.tab)
        os.kill(pid, signal.SIGSTOP)
        try:
            await ada.until("document.querySelector('friend-tile .still video')")
        finally:
            os.kill(pid, signal.SIGCONT)
        await ada.sees("Connected with Ben.")
        await ada.until("!document.querySelector('.still')")
