"""A page with the SDK and a program with the session layer, over a real server."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.server import serve
from e2e.lab import browsers
from e2e.sdk.tabs import Tabs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from e2e.sdk.tabs import Tab

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

JOIN = """
kept.room = await adieu.join(url, { room: "lab", name });
kept.session = await kept.room.session();
kept.states = [];
kept.session.addEventListener("state", ({ state }) => kept.states.push(state));
kept.session.addEventListener("channel", ({ channel }) => { kept[channel.name] = channel; });
return [kept.session.name, kept.session.id, kept.session.state];
"""
CLOSE = "return (await kept.session.close({ reason: 'done', timeout: 5000 })).toJSON()"
WAIT = "return (await kept.session.waitClosed()).toJSON()"


@asynccontextmanager
async def together(browser: Any) -> AsyncIterator[tuple[Tab, adieu.Session, adieu.Room]]:
    """A tab and this program, in one room."""
    async with (
        Tabs().serving() as tabs,
        serve(origins=[tabs.origin]) as server,
        tabs.open(browser) as tab,
        adieu.join(server.url, room="lab", name="ada") as room,
    ):
        joined = asyncio.create_task(tab.run(JOIN, url=server.url, name="ben"))
        async with asyncio.timeout(20):
            session = await room.session()
        name, id_, state = await joined
        assert (name, id_, state, session.name) == ("ada", session.id, "open", "ben")
        yield tab, session, room


@pytest.fixture(scope="module", params=["chromium", "firefox"])
async def browser(request: Any) -> AsyncIterator[Any]:
    async with {"chromium": browsers.chromium, "firefox": browsers.firefox}[request.param]() as started:
        yield started


def agree(here: adieu.CloseReceipt, there: dict[str, Any]) -> None:
    assert here.confirmed and there["confirmed"], (str(here), there)
    assert json.loads(here.agreed) == there["agreed"]
    assert (here.id, here.path) == (there["id"], there["path"])


@pytest.mark.parametrize("closer", ["page", "program"])
async def test_the_five_steps_with_data_both_ways(browser: Any, closer: str) -> None:
    async with together(browser) as (tab, session, _):
        chat = await session.open("chat")
        await tab.run("kept.chat = await kept.session.open('chat')")
        await chat.send("hellö")
        assert await tab.run("return kept.chat.receive()") == "hellö"
        await tab.run("kept.sent = await kept.chat.send('wörld')")
        assert await chat.receive() == "wörld"
        await tab.run("await kept.sent.delivered()")
        # 4 MiB in flight both ways when the close begins.
        await tab.run("for (let n = 0; n < 16; n++) await kept.chat.send(new Uint8Array(256 * 1024).fill(n))")
        for number in range(16):
            await chat.send(bytes([number]) * 256 * 1024)
        if closer == "page":
            there, here = await asyncio.gather(tab.run(CLOSE), session.wait_closed())
        else:
            there, here = await asyncio.gather(tab.run(WAIT), session.close("done"))
        agree(here, there)
        assert here.clean and there["clean"] and here.path == "graceful"
        assert here.by == ("remote" if closer == "page" else "local")
        assert there["by"] == ("local" if closer == "page" else "remote")
        assert here.channels["chat"].received.delivered.bytes == 16 * 256 * 1024 + 6
        read = [message async for message in chat]
        assert [(len(message), message[0]) for message in read] == [(256 * 1024, number) for number in range(16)]
        assert await tab.run("let n = 0; for await (const m of kept.chat) n += m.length; return n") == 16 * 256 * 1024
        assert not here.ledger and there["ledger"] == []
        assert all(step["outcome"] == "ok" for step in there["steps"]), there["steps"]
        assert all(step.outcome == "ok" for step in here.steps), here.steps


@pytest.mark.parametrize("level", ["ice", "transport", "full"])
@pytest.mark.parametrize("asker", ["page", "program"])
async def test_a_reset_in_the_middle_of_a_stream(browser: Any, asker: str, level: str) -> None:
    async with together(browser) as (tab, session, _):
        numbers = await session.open("numbers")
        await tab.run("""
            kept.numbers = await kept.session.open("numbers");
            kept.got = [];
            (async () => { for await (const m of kept.numbers) kept.got.push(Number(m)); })();
            kept.sending = (async () => { for (let n = 0; n < 300; n++) {
                await kept.numbers.send(String(n));
                await new Promise((done) => setTimeout(done, 3));
            } })();
        """)

        async def send() -> None:
            for number in range(300):
                await numbers.send(str(number))
                await asyncio.sleep(0.003)

        sending = asyncio.create_task(send())
        await asyncio.sleep(0.2)
        epoch = session.epoch
        if asker == "page":
            report = await tab.run("return kept.session.reset({ level })", level=level)
            assert report["level"] == level
        else:
            assert (await session.reset(level)).level == level  # type: ignore[arg-type]
        await sending
        await tab.run("await kept.sending")
        got = [int(str(await numbers.receive())) for _ in range(300)]
        assert got == list(range(300))
        async with asyncio.timeout(10):
            while await tab.run("return kept.got.length") < 300:
                await asyncio.sleep(0.05)
        assert await tab.run("return kept.got") == list(range(300))
        assert session.epoch == (epoch if level == "ice" else epoch + 1)
        there, here = await asyncio.gather(tab.run(CLOSE), session.wait_closed())
        agree(here, there)
        assert here.clean
