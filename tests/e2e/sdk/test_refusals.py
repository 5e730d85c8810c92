"""What a page is told that may not come in: by the SDK, and by a browser's plain WebSocket."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from adieu.protocol.signaling import SUBPROTOCOL
from adieu.server import Settings, serve
from e2e.sdk.sides import until
from e2e.sdk.tabs import Tabs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from e2e.sdk.tabs import Tab

pytestmark = [pytest.mark.anyio, pytest.mark.browser]
SECRET = "a secret that is long enough for HS256"
JOIN = """
const began = performance.now();
try {
  const room = await adieu.join(url, { room: "lab", name: "ada", ...more });
  kept.rooms = [...(kept.rooms ?? []), room];
  return { came: true };
} catch (error) {
  return { name: error.name, code: error.code, message: error.message, seconds: (performance.now() - began) / 1000 };
}
"""
PLAIN = """
const socket = new WebSocket(url, protocol);
return new Promise((resolve) => {
  socket.onclose = ({ code, reason, wasClean }) => resolve({ code, reason, wasClean });
});
"""


@pytest.fixture
async def page(browser: Any) -> AsyncGenerator[tuple[Tab, str]]:
    async with Tabs().serving() as tabs, tabs.open(browser) as opened:
        yield opened, tabs.origin


async def test_a_page_of_another_origin(page: tuple[Tab, str]) -> None:
    tab, origin = page
    remedy = f"start the server with --origin {origin}"
    async with serve() as server:
        refused = await tab.run(JOIN, url=server.url, more={})
        assert (refused["name"], refused["code"]) == ("SignalingRefusedError", 3507)
        assert refused["message"].startswith(remedy)
        closed = await tab.run(PLAIN, url=server.url, protocol=SUBPROTOCOL)
        assert (closed["code"], closed["wasClean"]) == (3507, True)
        assert closed["reason"].startswith(remedy)
    async with serve(origins=[origin]) as server:
        assert await tab.run(JOIN, url=server.url, more={}) == {"came": True}


async def test_a_token_or_a_room_that_is_refused(page: tuple[Tab, str]) -> None:
    tab, origin = page

    def token(**claims: Any) -> str:
        return jwt.encode({"sub": "ada", "room": "lab", "exp": int(time.time()) + 60, **claims}, SECRET, "HS256")

    settings = Settings(room_peers=1)
    async with serve(keys=[SECRET], origins=[origin], settings=settings) as server:
        for more, code, words in (
            ({}, 3500, "needs a token"),
            ({"token": token(exp=1)}, 3005, "expired"),
            ({"token": token(room="office")}, "denied", "does not allow the room 'lab'"),
            ({"token": token()}, None, ""),
            ({"token": token()}, "room-full", "room_peers"),
        ):
            answer = await tab.run(JOIN, url=server.url, more=more)
            if code is None:
                assert answer == {"came": True}
            else:
                assert (answer["name"], answer["code"]) == ("SignalingRefusedError", code)
                assert words in answer["message"]


async def test_an_address_that_is_none(page: tuple[Tab, str]) -> None:
    tab, origin = page
    async with serve(origins=[origin]) as server:
        answer = await tab.run(JOIN, url=server.url.removesuffix("/ws"), more={})
        assert (answer["name"], answer["code"]) == ("SignalingRefusedError", 3501)
        assert "ends with /ws" in answer["message"]
        url = server.url
    answer = await tab.run(JOIN, url=url, more={})
    assert answer["name"] == "SignalingLostError"
    assert "does it run?" in answer["message"]


async def test_a_page_that_is_told_to_come_again_comes_again(page: tuple[Tab, str]) -> None:
    """The second place becomes free while it waits."""
    tab, origin = page
    async with serve(origins=[origin], settings=Settings(connections=1)) as server:
        assert await tab.run(JOIN, url=server.url, more={}) == {"came": True}
        await tab.run(f"kept.second = (async () => {{ {JOIN} }})()", url=server.url, more={})
        await until(lambda: server.hub.counters["closed_3013"] > 1, 10, "it is told to come again")
        await tab.run("await kept.rooms[0].close();")
        assert await tab.run("return kept.second;") == {"came": True}
