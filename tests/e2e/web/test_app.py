"""The page as an app: the preview, several people and where they are, screens, connections, the panel."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from e2e.lab import browsers
from e2e.web.people import PICTURES, SEES, SHARE, come_in, together
from e2e.web.screen import screen
from e2e.web.sizes import SIZES, covered, fits, is_accessible, out_of_sight, set_size, sizes_in_chromium

if TYPE_CHECKING:
    from adieu.server.serving import Server
    from e2e.web.screen import Screen

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

PREVIEWS = "document.querySelector('device-preview video')?.videoWidth > 0"
HEARS = "document.querySelector('meter')?.value > 0.1"


def tick(name: str) -> str:
    """Click a box, as a person does."""
    return f"document.querySelector('[name={name}]').click()"


async def test_a_person_sees_themselves_first_and_choices_are_remembered(browser: Any, server: Server) -> None:
    async with screen(browser, f"{server.http_url}/#lab") as ada:
        await ada.sees("Chat and files work without them.")
        async with asyncio.timeout(20):
            while await browser.capturing():  # nothing is on before somebody asks; a browser works as it lists devices
                pass
        await ada.press("See and hear yourself first")
        await ada.until(PREVIEWS)
        if browser.name == "chromium":  # Firefox measures no sound on a computer without a speaker
            await ada.until(HEARS)
        async for _ in sizes_in_chromium(ada, "preview"):
            pass
        await is_accessible(ada, "preview")
        camera = (
            "const select = [...document.querySelectorAll('device-preview select')][1];"
            "const other = [...select.options].at(-1); select.value = other.value;"
            "select.dispatchEvent(new Event('change')); return other.value"
        )
        chosen = await ada.run(camera)
        await ada.until("localStorage.getItem('adieu-device-video') === chosen", chosen=chosen)
        await ada.run("window.preview = document.querySelector('device-preview video').srcObject.getTracks()[0]")
        await ada.run(tick("video"))
        await ada.sees("Your camera is off.")
        assert await ada.run("return preview.readyState") == "ended"
        await come_in(ada, "Ada")
        await ada.until("document.querySelector('#microphone.on') && document.querySelector('#camera.off')")
        assert not await ada.run("return document.querySelector('own-tile video').srcObject?.getTracks().length")
        await ada.press("Leave")
        await ada.sees("Adieu")
    async with screen(browser, f"{server.http_url}/#lab") as again:
        boxes = "return [...document.querySelectorAll('[type=checkbox]')].map(({ checked }) => checked)"
        assert await again.run(boxes) == [True, False]


NO_DEVICES = "navigator.mediaDevices.enumerateDevices = async () => []"


async def test_a_computer_without_devices_says_so_at_once(browser: Any, server: Server) -> None:
    async with screen(browser, f"{server.http_url}/#lab") as ada:
        await ada.run(NO_DEVICES + "; navigator.mediaDevices.dispatchEvent(new Event('devicechange'))")
        await ada.sees("No microphone was found. No camera was found. Chat and files work without them.")


SEES_SCREEN = "document.querySelector('shown-tile video')?.videoWidth > 0"
ON_TOP = """
const { left, top, width, height } = document.querySelector("own-tile").getBoundingClientRect();
return !!document.elementFromPoint(left + width / 2, top + height / 2)?.closest("own-tile");
"""
OWN = "const { left, top } = document.querySelector('own-tile').getBoundingClientRect(); return [left, top]"


async def test_a_screen_is_shown_large_beside_the_camera_and_over_a_reset(browser: Any, server: Server) -> None:
    async with together(browser, server) as (ada, ben):
        await ada.run(SHARE)
        await ada.press("Share screen")
        await ada.sees("The others see your screen.")
        await asyncio.gather(ben.until(SEES_SCREEN), ben.until(SEES))
        await ben.sees("Ada shows this")
        async for where, _, _ in sizes_in_chromium(ben, "screen"):
            assert not await out_of_sight(ben, "shown-tile, friend-tile, own-tile"), where
        wide = "const width = (name) => document.querySelector(name).getBoundingClientRect().width;"
        assert await ben.run(wide + "return width('shown-tile') > 2 * width('friend-tile')")
        await is_accessible(ben, "screen")
        await ben.press("Reset")
        await ben.press("Everything")
        await ben.sees("The connection with Ada is new")
        await ben.until(SEES_SCREEN)
        for _ in range(2):  # it comes and goes again and again
            await ada.press("Stop sharing")
            await ben.until("!document.querySelector('shown-tile')")
            await ben.until(SEES)
            await ada.press("Share screen")
            await ben.until(SEES_SCREEN)
        assert await ben.run("return document.querySelectorAll('shown-tile').length") == 1
        await ada.run("window.track = document.querySelector('call-page').model.screen.track")
        await ada.press("Leave")
        await ada.sees("You left Ben.")
        assert await ada.run("return track.readyState") == "ended"


async def test_ones_own_picture_is_moved_and_the_panel_says_how_one_is_connected(browser: Any, server: Server) -> None:
    async with together(browser, server) as (ada, _):
        await ada.front()
        left, top = await ada.run(OWN)
        assert await ada.run(ON_TOP), "the other one covers it"
        await ada.run("document.querySelector('.move').focus()")
        await ada.key("ArrowUp")
        await ada.until("document.querySelector('.stage > [role=status]').textContent.includes('at the top right')")
        up = await ada.run(OWN)
        assert up[0] == left and up[1] < top - 100
        await ada.key("ArrowLeft")
        await ada.until("document.querySelector('.stage').dataset.corner === 'top left'")
        assert (await ada.run(OWN))[0] < left - 100
        drag = (
            "const tile = document.querySelector('own-tile'); const figure = tile.querySelector('figure');"
            "tile.setPointerCapture = () => {};"
            "const { left, top, right, bottom } = document.querySelector('.stage').getBoundingClientRect();"
            "const at = (type, x, y) => figure.dispatchEvent(new PointerEvent(type,"
            " { clientX: x, clientY: y, bubbles: true, pointerId: 1 }));"
            "at('pointerdown', left + 20, top + 20); at('pointermove', right - 20, bottom - 20);"
            "at('pointerup', right - 20, bottom - 20)"
        )
        await ada.run(drag)
        await ada.until("document.querySelector('.stage').dataset.corner === 'bottom right'")
        assert await ada.run(OWN) == [left, top]
        assert await ada.run(ON_TOP)
        assert await ada.run("return localStorage.getItem('adieu-corner')") == "bottom right"
        await ada.run("document.querySelector('#more').focus()")
        await ada.key("Enter")
        await ada.until("/Direct, .* there and back/.test(document.querySelector('dialog dd')?.textContent)")
        async for _ in sizes_in_chromium(ada, "panel"):
            pass
        await is_accessible(ada, "panel")
        await speaks(ada)
        await ada.press("QR code")
        await ada.until("document.querySelector('.qr path')")
        await is_accessible(ada, "code")
        await ada.picture(PICTURES / f"{browser.name}-code.png")
        await ada.key("Escape")
        await ada.until("!document.querySelector('dialog[open]') && document.activeElement.id === 'more'")
        await ada.type("?")
        await ada.until("document.activeElement.textContent === 'Keyboard'")
        await ada.key("Escape")
        await ada.until("!document.querySelector('dialog[open]')")
        await ada.type("m")
        await ada.until("document.querySelector('#microphone.off')")
        await ada.type("c")
        await ada.until("document.activeElement.id === 'words'")
        await ada.type("lm")
        await ada.until("document.querySelector('#words').value === 'lm' && document.querySelector('#microphone.off')")


@pytest.mark.matrix
async def test_six_people_have_their_places_and_the_panel_says_how_they_are_connected(server: Server) -> None:
    """In one browser: six pages are much for a small computer."""
    host = server.http_url.replace("127.0.0.1", "localhost")
    async with AsyncExitStack() as stack:
        chromium = await stack.enter_async_context(browsers.chromium())
        ada = await stack.enter_async_context(screen(chromium, f"{server.http_url}/#lab"))
        await come_in(ada, "Ada")
        for number, name in enumerate(("Ben", "Cy", "Dora", "Eve", "Fred"), 1):
            other = await stack.enter_async_context(screen(chromium, f"{host}/#lab"))
            await other.fill("Your name", name)
            if number == 1:
                await other.press("Come in")
            else:
                await other.run("for (const box of document.querySelectorAll('[type=checkbox]')) box.checked = false")
                await other.press("Come in")
                await other.press("Be here twice")
            await ada.until("document.querySelectorAll('friend-tile').length === number", number=number)
            await ada.until("!document.body.innerText.includes('connecting')")
            if number in (2, 5):
                await has_places(ada, f"people-{number + 1}")
        await ada.front()
        await ada.until(SEES)
        await ada.run("document.querySelector('.move').click()")
        await ada.until("document.querySelector('.stage > [role=status]').textContent.includes('number 1 of 6')")
        await is_accessible(ada, "six people")
        bad = (
            "const [friend] = document.querySelector('call-page').model.friends; friend.measure = async () => {};"
            "const value = { trouble: 'lossy', relay: true, trip: 0.2, loss: 0.12 };"
            "Object.defineProperty(friend, 'quality', { value }); friend.changed()"
        )
        await ada.run(bad)
        await ada.sees("Weak connection: 12 % of the packets are lost. A relay passes everything on.")
        await ada.picture(PICTURES / "chromium-weak.png")


async def has_places(person: Screen, name: str) -> None:
    """Nobody covers anybody, and everybody is in sight, at each size."""
    for size, (width, height) in SIZES.items():
        where = f"{person.browser.name}-{name}-{size}"
        await set_size(person, width, height)
        await fits(person, where)
        assert not await out_of_sight(person, "friend-tile, own-tile"), where
        assert not await covered(person), where
        await person.picture(PICTURES / f"{where}.png")
    await set_size(person, *SIZES["desktop"])


async def speaks(person: Screen) -> None:
    """Every language has its place in the call, in one row of buttons; the last is English again."""
    choose = (
        "const select = document.querySelector('dialog .language select'); select.value = tag;"
        "select.dispatchEvent(new Event('change'))"
    )
    for code, more, came in (("de", "Mehr", "Ben ist gekommen."), ("es", "Más", "Ben ha entrado.")):
        await person.run(choose, tag=code)
        await person.sees(came)
        assert await person.run("return document.documentElement.lang") == code
        await person.until("document.querySelector('#more-title').textContent === more", more=more)
        await person.run("document.querySelector('dialog').close()")
        async for where, _, _ in sizes_in_chromium(person, f"call-{code}"):
            assert not await out_of_sight(person, ".buttons button:not(#screen), .state"), where
            tops = "[...document.querySelectorAll('.buttons button:not(#screen)')].map((one) => one.offsetTop)"
            assert await person.run(f"return new Set({tops}).size") == 1, where
        await person.run("document.querySelector('#more').click()")
        await person.until("document.querySelector('dialog[open]')")
    await person.run(choose, tag="en")
