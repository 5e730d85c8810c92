"""Ctrl-C in the middle of a session: the receipt is there, and nothing is left that Python complains about."""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest

PROGRAM = """
import asyncio, sys
import adieu
from adieu.server import serve
from adieu.signaling import memory_signaling

async def busy(session):
    channel = await session.open("chat")
    async with asyncio.TaskGroup() as group:
        group.create_task(reading(channel))
        print("ready", flush=True)
        while True:
            await channel.send(bytes(1000))
            await asyncio.sleep(0)

async def reading(channel):
    async for _ in channel:
        pass

async def joined(url):
    async with adieu.join(url, room="lab", name="ada") as room:
        sessions.append(await room.session())
        await busy(sessions[0])

async def room():
    async with serve() as server, adieu.join(server.url, room="lab", name="ben") as other:
        other.on("session", lambda session: sessions.append(session) or session.open("chat"))
        await joined(server.url)

async def pair():
    async with adieu.memory_pair() as (here, there):
        sessions.extend([here, there])
        await there.open("chat")
        await busy(here)

async def close():
    here, there = memory_signaling()
    one = adieu.Session(connect=adieu.RTCPeerConnection, signaling=here, role="first")
    other = adieu.Session(connect=adieu.RTCPeerConnection, signaling=there, role="second")
    sessions.append(one)
    one.start()
    other.start()
    await one.open("chat")

    @other.on("closing")
    async def _(event):
        print("ready", flush=True)
        await asyncio.sleep(60)

    try:
        await one.close("by hand", timeout=60)
    finally:
        print("cancelled", one.receipt and one.receipt.path)
        await other.end()

sessions = []
try:
    asyncio.run(globals()[sys.argv[1]]())
except KeyboardInterrupt:
    print("interrupted")
for session in sessions:
    print(session.receipt and session.receipt.path)
"""


@pytest.mark.parametrize("where", ["room", "pair", "close"])
async def test_after_ctrl_c_each_session_has_its_receipt_and_no_task_is_left(where: str) -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "default", "-c", PROGRAM, where, stdout=-1, stderr=-1
    )
    assert program.stdout is not None
    async with asyncio.timeout(60):
        assert await program.stdout.readline() == b"ready\n"
        program.send_signal(signal.SIGINT)
        said, complaints = await program.communicate()
    assert complaints.decode() == ""
    lines = said.decode().splitlines()
    if where == "close":
        assert lines == ["cancelled abrupt", "interrupted", "abrupt"]
    else:
        assert lines[0] == "interrupted" and lines[1] == "graceful" and "None" not in lines
    assert program.returncode == 0
