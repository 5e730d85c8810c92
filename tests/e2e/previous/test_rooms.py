"""Rooms with a program of the version before this one: its first session, and a server that is started anew."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

import adieu
from adieu.server import serve
from e2e.lab.processes import running
from e2e.previous.test_sessions import previous  # noqa: F401 a fixture

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio


async def until(condition: Callable[[], bool], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_server_started_anew_ends_no_session_and_makes_no_second_one(
    previous: str,  # noqa: F811 the fixture
    tmp_path: Path,
) -> None:
    """It says its new peer id in-band only."""
    program = str(Path(__file__).with_name("echo.py"))
    async with AsyncExitStack() as stack:
        first = AsyncExitStack()
        server = await first.enter_async_context(serve())
        port = urlsplit(server.url).port
        assert port is not None
        process = await stack.enter_async_context(
            running(
                *(sys.executable, program, server.url, "lab", str(tmp_path)),
                env={"PYTHONPATH": previous},
                stdout=asyncio.subprocess.PIPE,
            )
        )
        room = await stack.enter_async_context(adieu.join(server.url, room="lab", name="present"))
        made: list[adieu.Session] = []
        room.on("session", made.append)
        session = await asyncio.wait_for(room.session("previous"), 20)
        orders = await session.open("orders")

        async def obeys(**order: str) -> dict[str, int]:
            await orders.send(json.dumps(order))
            return json.loads(await asyncio.wait_for(orders.receive(), 30))

        me = room.me
        await first.aclose()
        async with serve(port=port):
            await until(lambda: room.me != me and any(peer.name == "previous" for peer in room.peers), 20)
            await asyncio.sleep(4.0)  # nothing more comes: no second session
            assert made == [session] and session.state == "open"
            assert (await session.reset()).epoch == 2  # by way of the new server
            assert (await obeys(do="reset", level="transport"))["epoch"] == 3
            receipt = await session.close("done", timeout=20.0)
            assert receipt.clean
            assert process.stdout is not None
            theirs = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
            assert theirs["agreed"] == receipt.agreed
