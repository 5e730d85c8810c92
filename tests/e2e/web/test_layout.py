"""How the page looks, and how it is read out: nothing is cut off or covered, at any size and in any state."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from e2e.web.people import PICTURES, REFUSE, SEES, SEND_FILE, come_in, say, together
from e2e.web.screen import screen
from e2e.web.sizes import AXE, LOW, SIZES, covered, each_size, fits, is_accessible, out_of_sight, set_size

if TYPE_CHECKING:
    from adieu.server.serving import Server
    from e2e.web.screen import Screen

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


async def switch(person: Screen) -> None:
    """Show the conversation instead of the people, or the other way round; its words tell what is new, too."""
    words = await person.run("return document.querySelector('.switch').textContent")
    assert not await out_of_sight(person, ".switch")
    await person.run("document.querySelector('.switch').click()")
    await person.until("document.querySelector('.switch').textContent !== words", words=words)


async def look(person: Screen, name: str) -> None:
    """On a desktop and a phone, in light and dark: look, and have it checked."""
    dark = (False, True) if person.browser.name == "chromium" else (False,)
    for scheme in dark:
        for size, (width, height) in SIZES.items():
            where = f"{person.browser.name}-{name}-{size}{'-dark' if scheme else ''}"
            await set_size(person, width, height, dark=scheme)
            await person.picture(PICTURES / f"{where}.png")
            await fits(person, where)
            await is_accessible(person, where)
    await person.resize(1280, 800)


async def test_it_is_accessible_and_fits_everywhere(browser: Any, server: Server) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: npm ci in web/")
    async with screen(browser, f"{server.http_url}/") as visitor:
        await look(visitor, "start")
    async with AsyncExitStack() as stack:
        ada = await stack.enter_async_context(screen(browser, f"{server.http_url}/#lab"))
        await look(ada, "enter")
        await come_in(ada, "Ada Lovelace")
        await look(ada, "alone")
        host = server.http_url.replace("127.0.0.1", "localhost")
        ben = await stack.enter_async_context(screen(browser, f"{host}/#lab"))
        await come_in(ben, "Ben")
        await ada.until(SEES)
        await say(ada, "Hello Ben, can you hear me? See https://example.org/lisbon")
        await say(ben, "Yes, and I see you. I have something for you: https://example.org/holiday.")
        await ben.run(SEND_FILE, name="holiday in Lisbon.jpg", size=3_000_000)
        await ada.sees("It is here")
        await look(ada, "call")
        await ben.run(SEND_FILE, name="film of the whole holiday.mp4", size=21_000_000)
        await ada.sees("Do you want it?")
        await look(ada, "asked")
        await ada.press("No, thanks film of the whole holiday.mp4")
        await ben.press("Leave")
        await ada.sees("Ben left.")
        await ada.press("Receipt")
        await look(ada, "left")
        await ada.press("Leave")
        await ada.sees("nobody else was there")
        await look(ada, "end")
        await ben.press("Receipt")
        await look(ben, "receipt")
        if browser.name == "chromium":
            assert not await ada.run(
                "const seen = []; const observer = new ReportingObserver((all) => seen.push(...all),"
                " { types: ['csp-violation'], buffered: true }); observer.observe();"
                "await new Promise((done) => setTimeout(done, 50)); return seen.map(({ body }) => body)"
            ), "the page broke its own policy"


async def test_a_long_conversation_leaves_everything_in_its_place(browser: Any, server: Server) -> None:
    """What is hidden in a conversation makes nothing higher, and nothing is cut at 200 or 400 % of zoom."""
    async with together(browser, server) as (ada, ben):
        for number in range(4):
            await ben.run(SEND_FILE, name=f"picture {number}.jpg", size=30_000)
        for number in range(12):
            await say(ada, f"line {number} " + "and so on " * 8)
        await ben.run(SEND_FILE, name="film.mp4", size=21_000_000)
        await ada.sees("Do you want it?")
        await ada.until("document.querySelectorAll('a[download]').length === 4")
        for size, (width, height) in {**SIZES, "400 percent": (320, 200)}.items():
            where = f"{browser.name}-long-{size.replace(' ', '-')}"
            await set_size(ada, width, height)
            await fits(ada, where)
            assert not await out_of_sight(ada, ".controls button:not(#screen), .state, friend-tile, own-tile"), where
            await ada.picture(PICTURES / f"{where}.png")
            if width <= 800 and height <= LOW:
                await switch(ada)
                await fits(ada, where)
                await ada.picture(PICTURES / f"{where}-chat.png")
            assert not await out_of_sight(ada, ".write textarea, .write button[type=button], .write .primary"), where
            log = await ada.run("return document.querySelector('.log').getBoundingClientRect().height")
            assert log >= height / 4, f"{where}: the conversation is {log} pixels high, of {height}"
            if width <= 800 and height <= LOW:
                await switch(ada)


async def test_a_low_window_says_that_there_is_something_new_in_the_conversation(browser: Any, server: Server) -> None:
    async with together(browser, server) as (ada, ben):
        await set_size(ada, 640, 400)
        await ada.front()
        await say(ben, "are you there?")
        await ada.press("Chat (1 new)")
        await ada.sees("are you there?")
        await switch(ada)
        await ada.until("document.querySelector('.switch').innerText.trim() === 'Chat'")
        await ada.until(SEES)


async def test_a_name_of_any_length_covers_nothing(browser: Any, server: Server) -> None:
    long = "W" * 64
    host = server.http_url.replace("127.0.0.1", "localhost")
    async with (
        screen(browser, f"{server.http_url}/#lab") as ada,
        screen(browser, f"{host}/#lab") as first,
        screen(browser, f"{host}/#lab") as second,
    ):
        await come_in(ada, long, devices=False)
        await come_in(first, long, devices=False)
        await second.fill("Your name", long)
        await second.press("Come in")
        await second.press("Be here twice")
        await ada.until("document.querySelectorAll('friend-tile').length === 2")
        await ada.sees("(2) came in.")
        await say(first, "hello")
        await ada.sees("hello")
        async for where, width, height in each_size(ada, "long-names"):
            assert not await out_of_sight(ada, ".state, .controls button:not(#screen), friend-tile, own-tile"), where
            assert not await covered(ada), f"{where}: one of three people covers another"
            low = width <= 800 and height <= LOW
            if low:
                await switch(ada)
                await ada.picture(PICTURES / f"{where}-chat.png")
            wide, room = await ada.run(
                "const { scrollWidth, clientWidth } = document.querySelector('.log'); return [scrollWidth, clientWidth]"
            )
            assert wide <= room, f"{where}: the conversation is {wide} pixels wide, in {room}"
            cut = await ada.run(
                "const chat = document.querySelector('.chat').getBoundingClientRect();"
                "const { right, top } = document.querySelector('.state').getBoundingClientRect();"
                "return right > chat.left && top >= chat.top && top < chat.bottom"
            )
            assert not cut, f"{where}: how it stands runs under the conversation"
            if low:
                await switch(ada)


async def test_one_sentence_tells_of_both_devices_and_goes_when_it_is_read(browser: Any, server: Server) -> None:
    async with screen(browser, f"{server.http_url}/#lab") as ada:
        await ada.run(REFUSE, name="NotAllowedError")
        await come_in(ada, "Ada")
        await ada.sees("Your browser blocks your microphone and camera on this page.")
        assert await ada.run("return document.querySelectorAll('.trouble p').length") == 1
        async for where, _, _ in each_size(ada, "denied"):
            high = await ada.run("return document.querySelector('.trouble').getBoundingClientRect().height")
            assert high <= 130, f"{where}: {high}"
        await is_accessible(ada, "denied")
        await ada.press("Close")
        await ada.until("!document.querySelector('.trouble')")
        assert await ada.run("return document.activeElement.id") == "microphone"
        await ada.press("Camera")
        await ada.sees("Your browser blocks your camera on this page.")
