"""What browsers really do with a page that is left and come back to, or frozen, and what the SDK makes of it.

No event is made up here: the page is navigated through its history, so that it goes into the back/forward cache where
the browser keeps it, and frozen by the browser itself (closing rule S7).
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.server import serve as http
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

import adieu
from adieu.server import serve
from adieu.server.transport import stop_accepting
from e2e.lab import browsers
from e2e.sdk.conftest import look
from e2e.sdk.tabs import BUNDLE
from e2e.web.screen import screen

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from websockets.asyncio.server import ServerConnection

    from e2e.web.screen import Screen

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

PAGE = """<!doctype html><meta charset="utf-8"><title>adieu</title><script type="module">
import * as adieu from "/adieu-rtc.js";
Object.assign(globalThis, { adieu, states: [], born: Math.random() });
addEventListener("pagehide", ({ persisted }) => sessionStorage.setItem("persisted", persisted));
</script>"""
OTHER = "<!doctype html><title>elsewhere</title>"
JOIN = """
window.room = await adieu.join(url, { room: "lab", name: "ben" });
room.addEventListener("session", ({ session }) => {
  window.session = session;
  session.addEventListener("state", ({ state }) => states.push(state));
  session.open("chat").then((chat) => { window.chat = chat; });
});
"""


def _answer(connection: ServerConnection, request: Request) -> Response:
    pages = {
        "/": (PAGE.encode(), "text/html; charset=utf-8"),
        "/other": (OTHER.encode(), "text/html; charset=utf-8"),
        "/adieu-rtc.js": (BUNDLE.read_bytes(), "text/javascript; charset=utf-8"),
    }
    if request.path not in pages:
        return connection.respond(HTTPStatus.NOT_FOUND, "nothing here\n")
    body, kind = pages[request.path]
    # No `no-store`: it keeps a page out of the back/forward cache.
    headers = Headers({"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "max-age=60"})
    return Response(HTTPStatus.OK, "OK", headers, body)


@asynccontextmanager
async def visited(browser: Any) -> AsyncGenerator[tuple[Screen, str, str]]:
    """A page that has come into the room, where it came from, and the server's address."""

    async def nobody(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async with http(nobody, "127.0.0.1", 0, process_request=_answer) as pages:
        host, port = next(iter(pages.sockets)).getsockname()[:2]
        origin = f"http://{host}:{port}"
        async with serve(origins=[origin]) as server, screen(browser, origin) as page:
            await page.until("window.adieu")
            await page.run(JOIN, url=server.url)
            yield page, origin, server.url
        await stop_accepting(pages.sockets)


async def away_and_back(page: Screen, origin: str) -> bool:
    """Go to another page, stay a moment, and go back by the history. Whether it is the same page that comes back."""
    born = await page.run("return born")
    await go(page, f"{origin}/other")
    persisted = await page.run("return sessionStorage.getItem('persisted')")
    await back(page)
    await page.until("window.adieu")
    same = await page.run("return born") == born
    assert same <= (persisted == "true"), (same, persisted)
    return same


async def go(page: Screen, url: str) -> None:
    call = page.browser.remote.call
    if page.browser.name == "chromium":
        await page.run("location.href = url", url=url)
    else:
        await call("browsingContext.navigate", context=page.tab, url=url, wait="complete")
    await page.until("document.readyState === 'complete' && location.href === url", url=url)


async def back(page: Screen) -> None:
    if page.browser.name == "chromium":
        await page.run("history.back()")
    else:
        await page.browser.remote.call("browsingContext.traverseHistory", context=page.tab, delta=-1)
    await page.until("document.readyState === 'complete' && location.pathname === '/'")


async def test_a_page_with_a_session_is_left_and_come_back_to(browser: Any) -> None:
    """Firefox keeps no page with a connection, nor does Chromium, though it says so beforehand: both said goodbye."""
    async with visited(browser) as (page, origin, url), adieu.join(url, room="lab", name="ada") as room:
        session = await room.session()
        await page.until("window.chat")
        began = time.monotonic()
        await go(page, f"{origin}/other")
        async with asyncio.timeout(5):
            receipt = await session.wait_closed()
        print(f"{browser.name}: known as {receipt.cause!r} {time.monotonic() - began:.2f} s after it began to leave")
        assert receipt.cause in {"navigated", "tab-closed"}
        assert (receipt.by, receipt.reason.code) == ("remote", receipt.cause)
        await back(page)
        await page.until("window.adieu")
        if await page.run("return !!window.session"):  # the page itself, without its connections: it knows that it left
            assert await page.run("return [session.state, session.receipt.reason.code]") == ["closed", receipt.cause]
        async with asyncio.timeout(40):
            await page.run(JOIN, url=url)  # who comes back is somebody new
            assert (await room.session()).id != session.id


async def test_a_page_that_waits_in_a_room_is_left_and_come_back_to(browser: Any) -> None:
    """It has no connection yet, so that the browser may keep it: then it is in the room again by itself."""
    async with visited(browser) as (page, origin, url):
        restored = await away_and_back(page, origin)
        print(f"{browser.name}: a page with a WebSocket is {'kept' if restored else 'not kept'}")
        if not restored:
            await page.run(JOIN, url=url)
        async with adieu.join(url, room="lab", name="ada") as room, asyncio.timeout(20):
            session = await room.session(name="ben")
            chat = await session.open("chat")
            await page.until("window.chat")
            await page.run("await chat.send('still here')")
            assert await chat.receive() == "still here"
            assert (await session.close()).clean


@pytest.fixture
async def chromium() -> AsyncGenerator[Any]:
    """The one that freezes a page on request."""
    look("Chromium")
    async with browsers.chromium() as started:
        yield started


async def test_a_page_that_the_browser_freezes(chromium: Any) -> None:
    """It is suspected while it sleeps; when it wakes nothing is lost, and it suspects nobody for its own sleep."""
    call = chromium.remote.call
    async with visited(chromium) as (page, _, url), adieu.join(url, room="lab", name="ada") as room:
        session = await room.session()
        chat = await session.open("chat")
        await page.until("window.chat")
        await page.run(
            "window.events = []; for (const type of ['freeze', 'resume'])"
            " document.addEventListener(type, () => events.push(type));"
            "window.heard = []; chat.addEventListener('message', (text) => heard.push(text));"
        )
        # Only a page that is not to be seen can be frozen.
        await call("Emulation.setFocusEmulationEnabled", session=page._session, enabled=False)
        await call("Target.activateTarget", targetId=await chromium.open("about:blank"))
        await page.until("document.visibilityState === 'hidden'")
        await call("Page.setWebLifecycleState", session=page._session, state="frozen")
        for n in range(10):
            await chat.send(f"while you sleep {n}")
        async with asyncio.timeout(15):
            while session.state == "open":
                await asyncio.sleep(0.05)
        print(f"while it sleeps: {session.state}")
        await asyncio.sleep(4)  # as long as it would take the page itself to suspect the other side
        await call("Page.setWebLifecycleState", session=page._session, state="active")
        await page.until("heard.length === 10")
        assert await page.run("return events") == ["freeze", "resume"]
        assert await page.run("return [states, heard.at(-1)]") == [["open"], "while you sleep 9"]
        async with asyncio.timeout(10):
            while session.state != "open":
                await asyncio.sleep(0.05)
        assert (await session.close()).clean
