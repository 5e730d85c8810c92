"""What the page says when something is wrong: at once, with its cause, and no longer than it is so."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from e2e.lab.figures import Figures, slowness
from e2e.web.people import ARRIVED, KEEP_FILES, SEES, SEND_FILE, come_in, friend, say, together
from e2e.web.screen import screen
from e2e.web.sizes import each_size, is_accessible, out_of_sight

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
            # A process that is dead is not called busy a moment later.
            await ada.until("performance.now() - (window.began ??= performance.now()) > 1500")
            assert "busy" not in await ada.run("return document.querySelector('.state').textContent")


LARGE = """
const data = new DataTransfer();
data.items.add(new File([new Uint8Array(120_000_000)], "film.mp4"));
const input = document.querySelector("#files");
input.files = data.files;
window.began = Date.now() / 1000;
input.dispatchEvent(new Event("change"));
return window.began;
"""
ASKED_WHEN = """
window.asked = new Promise((resolve) => {
  const look = () => /Do you want it/.test(document.body.innerText) && resolve(Date.now() / 1000);
  new MutationObserver(look).observe(document.querySelector(".log"), { childList: true, subtree: true });
});
"""


async def test_a_large_file_is_offered_at_once(browser: Any, server: Server, figures: Figures) -> None:
    """Nothing of it is read before somebody wants it."""
    async with together(browser, server) as (ada, ben):
        await ben.run(ASKED_WHEN)
        figures.before = slowness()
        began = await ada.run(LARGE)
        asked = await ben.run("return await window.asked")
        figures.within("A large file is offered", browser.name, "120 MB, between two tabs", asked - began, 0.3)
        await ada.sees("Waiting for Ben")
        await ben.press("No, thanks film.mp4")
        await ada.sees("they do not want it")


async def test_a_page_without_tls_checks_its_files_in_a_worker(browser: Any, server: Server) -> None:
    """The browser gives it no hash of its own, and the page's policy has to let the worker in."""
    async with together(browser, server) as (ada, ben):
        for person in (ada, ben):
            await person.run("Object.defineProperty(crypto, 'subtle', { value: undefined })")
        await ben.run(KEEP_FILES)
        await ada.run(SEND_FILE, name="holiday.jpg", size=3_000_000)
        await ben.sees("It is here")
        assert await ben.run(ARRIVED) == ["holiday.jpg", 3_000_000, -1]
        await ada.until("document.querySelector('.file .fate').textContent.includes('Delivered')")


async def test_nobody_meets_who_has_crashed(browser: Any, server: Server) -> None:
    """Who comes in while the server still keeps a seat for somebody who is away sees no tile of them."""
    async with screen(browser, f"{server.http_url}/#lab") as ben:
        await come_in(ben, "Ben", devices=False)
        async with friend(server) as program:
            await ben.sees("Hello Ben")
            program.kill()
            await program.wait()
            await ben.sees("ended without a word")
            host = server.http_url.replace("127.0.0.1", "localhost")
            async with screen(browser, f"{host}/#lab") as ada:
                await ada.run(
                    "new MutationObserver(() => { window.ghost ||= /Echo/.test(document.body.innerText) })"
                    ".observe(document.body, { childList: true, characterData: true, subtree: true })"
                )
                await come_in(ada, "Ada", devices=False)
                await ada.sees("Connected with Ben.")
                await say(ada, "who is here?")
                await ben.sees("who is here?")
                assert not await ada.run("return window.ghost"), "she has met a ghost"


BREAK = """
const real = RTCPeerConnection;
window.RTCPeerConnection = class {
  constructor(...given) {
    if (window.broken) throw new Error("no memory left");
    return new real(...given);
  }
};
window.broken = true;
"""


async def test_who_is_here_and_not_connected_is_shown_and_tried_again(browser: Any, server: Server) -> None:
    async with friend(server), screen(browser, f"{server.http_url}/#lab") as ada:
        await ada.run(BREAK)
        await come_in(ada, "Ada", devices=False)
        await ada.sees("Echo is here, not connected to you.")
        await ada.until("!document.querySelector('friend-tile')")
        async for where, _, _ in each_size(ada, "apart"):
            assert not await out_of_sight(ada, ".controls button:not(#screen)"), where
        await is_accessible(ada, "apart")
        await ada.run("window.broken = false")
        await ada.press("Try again with Echo")
        await ada.sees("Connected with Echo.")
        await ada.sees("Hello Ada")
        assert not await ada.run("return document.querySelector('.apart')")


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
