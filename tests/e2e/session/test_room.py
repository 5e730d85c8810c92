"""Rooms on a real server, in one process."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

import adieu
from adieu.server import serve
from adieu.session.session import shell_of

if TYPE_CHECKING:
    from adieu.session import Room

pytestmark = pytest.mark.anyio


async def until(condition: Any, limit: float = 10.0) -> None:
    async with asyncio.timeout(limit):
        while not condition():
            await asyncio.sleep(0.01)


async def say(one: adieu.Session, other: adieu.Session, text: str, channel: str = "chat") -> None:
    here, there = await asyncio.gather(one.open(channel), other.open(channel))
    await here.send(text)
    assert await there.receive() == text


async def test_everybody_in_a_room_meets_everybody_and_leaving_closes_all() -> None:
    async with serve() as server, AsyncExitStack() as stack:
        names = ("ada", "ben", "eve")
        rooms = {name: await stack.enter_async_context(adieu.join(server.url, room="lab", name=name)) for name in names}
        pairs = {(name, other): await rooms[name].session(other) for name in names for other in names if other != name}
        for (name, other), session in pairs.items():
            if name < other:
                assert session.id == pairs[other, name].id
                await say(session, pairs[other, name], f"{name} to {other}")
        reports = await rooms["ada"].reset()
        assert len(reports) == 2
        assert all(isinstance(report, adieu.ResetReport) for report in reports)
        receipts = await rooms["ada"].close("bye")
        assert len(receipts) == 2 and all(receipt.clean for receipt in receipts)
        assert (await pairs["ben", "ada"].wait_closed()).notice == "ada left (bye)."
        assert pairs["ben", "eve"].state == "open"
        with pytest.raises(adieu.SignalingLostError, match="it was left"):
            await rooms["ada"].session()


async def test_who_is_not_accepted_gets_no_session_and_is_told() -> None:
    async def accept(peer: Any) -> bool:
        await asyncio.sleep(0.05)
        return peer.name == "ben"

    async with serve() as server, AsyncExitStack() as stack:
        ada = await stack.enter_async_context(adieu.join(server.url, room="lab", name="ada", accept=accept))
        ben = await stack.enter_async_context(adieu.join(server.url, room="lab", name="ben"))
        here, there = await asyncio.gather(ada.session(), ben.session("ada"))
        await say(here, there, "hello")
        eve = await stack.enter_async_context(adieu.join(server.url, room="lab", name="eve"))
        made: list[adieu.Session] = []
        eve.on("session", made.append)
        await eve.session("ben")
        await until(lambda: len(eve.sessions) == 1)
        assert [session.name for session in ada.sessions] == ["ben"]


async def test_a_server_started_anew_ends_no_session_and_makes_no_second_one() -> None:
    async with AsyncExitStack() as stack:
        first = AsyncExitStack()
        server = await first.enter_async_context(serve())
        port = urlsplit(server.url).port
        assert port is not None
        rooms: list[Room] = [
            await stack.enter_async_context(adieu.join(server.url, room="lab", name=name)) for name in ("ada", "ben")
        ]
        here, there = await asyncio.gather(rooms[0].session(), rooms[1].session())
        await say(here, there, "before")
        ids = (here.me, there.me)
        downs: list[float] = []
        here.on("signaling", lambda event: downs.append(time.monotonic()) if not event.up else None)
        ended = time.monotonic()
        await first.aclose()
        await until(lambda: downs)
        assert downs[0] - ended <= 1.0
        await say(here, there, "without a server")
        async with serve(port=port):
            began = time.monotonic()
            await until(lambda: here.signaling_up and there.signaling_up and rooms[0].me != ids[0])
            await until(lambda: shell_of(here).peer_now == rooms[1].me and shell_of(there).peer_now == rooms[0].me)
            assert time.monotonic() - began <= 5.0
            await asyncio.sleep(3.0)  # nothing more comes: no second session
            assert rooms[0].sessions == [here] and rooms[1].sessions == [there]
            assert here.state == there.state == "open"
            report = await here.reset()  # by way of the new server
            assert report.epoch == 2
            await say(here, there, "after")
            receipt = await here.close("done")
            assert receipt.clean
            assert (await there.wait_closed()).agreed == receipt.agreed


async def test_an_ended_session_is_not_opened_again_with_the_same_peer() -> None:
    async with (
        serve() as server,
        adieu.join(server.url, room="lab", name="ada") as one,
        adieu.join(server.url, room="lab", name="ben") as other,
    ):
        here, _ = await asyncio.gather(one.session(), other.session())
        await here.close()
        await asyncio.sleep(0.5)
        assert one.sessions == [] and other.sessions == []


async def test_nobody_there_is_a_clear_error() -> None:
    with pytest.raises(adieu.SignalingLostError, match="no signaling at ws:"):
        async with adieu.join("ws://127.0.0.1:9/ws", room="lab"):
            pass
    with pytest.raises(ValueError, match="it needs ws:// or wss://"):
        async with adieu.join("http://127.0.0.1:9/ws", room="lab"):
            pass


async def test_an_error_in_the_block_still_closes_gracefully() -> None:
    async with serve() as server, adieu.join(server.url, room="lab", name="ben") as other:
        with pytest.raises(RuntimeError, match="mine"):
            async with adieu.join(server.url, room="lab", name="ada") as one:
                here, there = await asyncio.gather(one.session(), other.session())
                await say(here, there, "hello")
                raise RuntimeError("mine")
        receipt = await there.wait_closed()
        assert receipt.clean and receipt.reason.text == "RuntimeError"


async def test_what_was_not_sent_can_be_sent_again_in_the_next_session() -> None:
    async with serve() as server, adieu.join(server.url, room="lab", name="ben") as other:
        async with adieu.join(server.url, room="lab", name="ada") as one:
            here, there = await asyncio.gather(one.session(), other.session())
            chat, reader = await asyncio.gather(here.open("chat"), there.open("chat"))
            for number in range(200):
                await chat.send(number.to_bytes(4) + bytes(65532))
            await here.close(timeout=0)
            receipt = await here.wait_closed()
            unsent, unknown = receipt.unsent("chat"), receipt.unknown("chat")
            assert unsent and unknown
            assert len(unsent) + len(unknown) + receipt.channels["chat"].sent.delivered.messages == 200
        heard = []
        with pytest.raises(adieu.SessionClosedError):
            while True:
                heard.append(await reader.receive())
        async with adieu.join(server.url, room="lab", name="ada") as one:
            here, there = await asyncio.gather(one.session(), other.session())
            chat, reader = await asyncio.gather(here.open("chat"), there.open("chat"))
            listener = asyncio.create_task(collect(reader))
            for message in (*unknown, *unsent):
                await chat.send(message)
            await here.close(timeout=20)
            heard += await listener
        assert [int.from_bytes(data[:4]) for data in heard] == list(range(200))


async def collect(channel: adieu.Channel) -> list[Any]:
    return [data async for data in channel]
