"""A program that is killed, stopped or cut off, as the other one sees it (closing rules S7, S10)."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

import adieu
from adieu.server import serve
from e2e.session.relay import relay_to

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from e2e.session.relay import Relay

pytestmark = pytest.mark.anyio
PEER = Path(__file__).with_name("peer.py")


class Victim:
    """The other program."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.told: list[dict[str, Any]] = []
        self._changed = asyncio.Condition()

    async def listen(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            async with self._changed:
                self.told.append(json.loads(line))
                self._changed.notify_all()

    async def said(self, what: str) -> dict[str, Any]:
        async with self._changed:
            await self._changed.wait_for(lambda: any(entry["what"] == what for entry in self.told))
        return next(entry for entry in self.told if entry["what"] == what)


@asynccontextmanager
async def together() -> AsyncIterator[tuple[adieu.Session, Victim, Relay]]:
    """A session with a program of its own, whose signaling goes through a relay."""
    room = secrets.token_hex(16)
    async with serve() as server:
        port = urlsplit(server.url).port
        assert port is not None
        async with relay_to("127.0.0.1", port) as relay:
            url = f"ws://127.0.0.1:{relay.port}/ws"
            process = await asyncio.create_subprocess_exec(
                sys.executable, str(PEER), url, room, "victim", stdout=asyncio.subprocess.PIPE
            )
            victim = Victim(process)
            listener = asyncio.create_task(victim.listen())
            try:
                async with adieu.join(server.url, room=room, name="survivor") as place:
                    session = await place.session()
                    await victim.said("connected")
                    yield session, victim, relay
            finally:
                if process.returncode is None:
                    process.send_signal(signal.SIGCONT)
                    process.kill()
                await process.wait()
                relay.heal()
                await listener


def watch(session: adieu.Session) -> list[tuple[float, adieu.StateEvent]]:
    seen: list[tuple[float, adieu.StateEvent]] = []
    session.on("state", lambda event: seen.append((time.monotonic(), event)))
    return seen


async def until(condition: Any, limit: float) -> None:
    async with asyncio.timeout(limit):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("signaling_is_cut", "limit"), [(False, 1.0), (True, 5.0)])
async def test_a_killed_program_is_known_in_time(signaling_is_cut: bool, limit: float) -> None:
    async with together() as (session, victim, relay):
        seen = watch(session)
        await asyncio.sleep(2.5)  # in the middle of the idle checks
        if signaling_is_cut:
            relay.cut()
        killed = time.monotonic()
        victim.process.kill()
        await until(lambda: seen, limit + 1.0)
        when, event = seen[0]
        assert event.state in {"suspect", "recovering"}
        assert when - killed <= limit
        assert event.cause == ("frozen, network-lost" if signaling_is_cut else "crashed")
        assert event.evidence
        receipt = await session.close(timeout=0.5)
        assert not receipt.confirmed


async def test_a_stopped_program_heals_and_nothing_is_lost_or_doubled() -> None:
    async with together() as (session, victim, _):
        channel = await session.open("stream")
        heard: list[int] = []

        async def listen() -> None:
            async for data in channel:
                heard.append(int.from_bytes(data[:8]))

        listener = asyncio.create_task(listen())
        seen = watch(session)
        sent = 0
        stopped = started = time.monotonic()
        victim.process.send_signal(signal.SIGSTOP)
        resumed = 0.0
        while not resumed or time.monotonic() - resumed < 4.0:
            sent += 1
            await channel.send(sent.to_bytes(8) + bytes(1000))
            await asyncio.sleep(0.01)
            if not resumed and time.monotonic() - stopped >= 8.0:
                victim.process.send_signal(signal.SIGCONT)
                resumed = time.monotonic()
        states = [event.state for _, event in seen]
        assert states[0] == "suspect"
        assert seen[0][0] - started <= 5.0
        assert states[-1] == "open"
        assert next(when for when, event in reversed(seen) if event.state == "open") - resumed <= 3.0
        receipt = await session.close(timeout=20.0)
        await listener
        assert receipt.clean
        assert receipt.channels["stream"].sent.delivered.messages == sent
        assert heard == list(range(1, len(heard) + 1))
        assert len(heard) == receipt.channels["stream"].received.accepted.messages
        there = await victim.said("heard")
        assert there["in_order"] and there["count"] == sent
        assert (await victim.said("receipt"))["agreed"] == json.loads(receipt.agreed)


async def test_the_server_killed_and_gone_ends_no_session() -> None:
    room = secrets.token_hex(16)
    async with serve() as first:
        port = urlsplit(first.url).port
        assert port is not None
        async with relay_to("127.0.0.1", port) as relay:
            url = f"ws://127.0.0.1:{relay.port}/ws"
            async with adieu.join(url, room=room, name="a") as one, adieu.join(url, room=room, name="b") as other:
                here, there = await asyncio.gather(one.session(), other.session())
                downs: list[float] = []
                here.on("signaling", lambda event: downs.append(time.monotonic()) if not event.up else None)
                ended = time.monotonic()
                await relay.end()
                await until(lambda: downs, 2.0)
                assert downs[0] - ended < 1.0
                chat, answer = await here.open("chat"), await there.open("chat")
                await chat.send("still here")
                assert await answer.receive() == "still here"
                assert here.state == there.state == "open"
