"""Rooms on a real server, in one process."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import jwt
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


SECRET = "a secret that is long enough for the tests"


def token(name: str, *can: str) -> str:
    claims = {"sub": name, "room": "*", "can": can, "exp": int(time.time()) + 60}
    return jwt.encode(claims, SECRET, algorithm="HS256")


async def test_a_room_is_closed_for_all_and_each_receipt_names_that() -> None:
    """Those who hear it close their sessions with each other, too. Without the right nothing is closed."""
    async with serve(keys=[SECRET]) as server, AsyncExitStack() as stack:
        rooms = {
            name: await stack.enter_async_context(
                adieu.join(server.url, room="lab", name=name, token=token(name, *can))
            )
            for name, can in {"host": ("kick", "close"), "ben": ("kick",), "eve": ()}.items()
        }
        pairs = [(one, other) for one in rooms for other in rooms if one != other]
        sessions = {(one, other): await rooms[one].session(other) for one, other in pairs}
        await say(sessions["ben", "eve"], sessions["eve", "ben"], "hello")
        assert [room.may_close_for_all for room in rooms.values()] == [True, False, False]
        with pytest.raises(adieu.SignalingRefusedError, match="right `close`"):
            await rooms["ben"].close_for_all("mine")
        assert all(session.state == "open" for session in sessions.values())
        receipts = await rooms["host"].close_for_all("the lesson is over")
        assert len(receipts) == 2
        async with asyncio.timeout(10):
            ends = {pair: await session.wait_closed() for pair, session in sessions.items()}
        for (one, other), receipt in ends.items():
            assert receipt.clean and receipt.path == "graceful", (one, other, receipt.to_json())
            assert receipt.cause == receipt.reason.code == "room-closed"
            assert receipt.agreed == ends[other, one].agreed
            assert receipt.notice.startswith("The room was closed for everybody (the lesson is over).")
        with pytest.raises(adieu.SignalingLostError, match="the room was closed: the lesson is over"):
            await rooms["eve"].session()
        assert rooms["ben"].over == "the room was closed: the lesson is over"


async def test_who_is_in_another_room_too_stays_there_when_one_is_closed() -> None:
    async with (
        serve(keys=[SECRET]) as server,
        adieu.join(server.url, room="lab", name="ada", token=token("ada")) as ada,
        adieu.join(server.url, room="lab", name="host", token=token("host", "close")) as host,
    ):
        await ada.client.join("hall")
        here, there = await asyncio.gather(ada.session(), host.session())
        await host.close_for_all("it is late")
        async with asyncio.timeout(10):
            ends = [await here.wait_closed(), await there.wait_closed()]
        assert [end.cause for end in ends] == ["room-closed", "room-closed"]
        assert ada.over == "the room was closed: it is late" and ada.client.up


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


async def test_a_message_goes_to_everybody_on_the_channel_they_have() -> None:
    async with serve() as server, AsyncExitStack() as stack:
        names = ("ada", "ben", "eve")
        rooms = {name: await stack.enter_async_context(adieu.join(server.url, room="lab", name=name)) for name in names}
        theirs = [await rooms[name].session("ada") for name in ("ben", "eve")]
        ours = [await rooms["ada"].session(name) for name in ("ben", "eve")]
        # One has the channel with other options than those of an `open()` without any.
        loose = await asyncio.gather(ours[0].open("news", ordered=False), theirs[0].open("news", ordered=False))
        sent = await rooms["ada"].broadcast("news", "tea is ready")
        assert set(sent) == set(ours)
        assert await loose[1].receive() == "tea is ready"
        assert await (await theirs[1].open("news")).receive() == "tea is ready"
        await asyncio.gather(*(message.delivered() for message in sent.values() if not isinstance(message, Exception)))
        await theirs[0].close()
        await ours[0].wait_closed()
        assert list(await rooms["ada"].broadcast("news", b"more")) == [ours[1]]
        with pytest.raises(TypeError, match="not int"):
            await rooms["ada"].broadcast("news", 5)  # type: ignore[arg-type]


async def test_sessions_are_iterated_until_this_side_leaves() -> None:
    """A session is open at one side a moment before it is at the other: what counts is what this side has met."""
    async with serve() as server, adieu.join(server.url, room="lab", name="ada") as ada:
        met: list[str] = []

        async def meet() -> None:
            async for session in ada:
                met.append(session.name)

        meeting = asyncio.create_task(meet())
        async with (
            adieu.join(server.url, room="lab", name="ben"),
            adieu.join(server.url, room="lab", name="eve"),
        ):
            await until(lambda: sorted(met) == ["ben", "eve"])
            assert not meeting.done()
            await ada.close()
            await asyncio.wait_for(meeting, 10)
            assert sorted(met) == ["ben", "eve"]


async def test_somebody_is_followed_from_session_to_session() -> None:
    async with serve() as server, adieu.join(server.url, room="lab", name="ada") as ada:
        heard: list[str] = []

        async def follow() -> None:
            async for session in ada.follow("robot"):
                chat = await session.open("chat")
                heard.append(str(await chat.receive()))
                await session.wait_closed()

        following = asyncio.create_task(follow())
        for number in range(3):  # another program each time, and somebody else beside it
            async with (
                adieu.join(server.url, room="lab", name=f"other {number}"),
                adieu.join(server.url, room="lab", name="robot") as room,
            ):
                session = await room.session("ada")
                await (await session.open("chat")).send(f"robot {number}")
        await until(lambda: len(heard) == 3)
        await ada.close()
        await asyncio.wait_for(following, 10)
        assert heard == ["robot 0", "robot 1", "robot 2"]


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
