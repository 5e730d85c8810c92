"""A program that sleeps longer than its session lasts, in a process of its own (closing rule S13)."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.protocol.signaling import PeerLeft
from adieu.server import Settings, serve
from e2e.lab.processes import running
from e2e.session.sleeper import SHORT

if TYPE_CHECKING:
    from asyncio.subprocess import Process

pytestmark = pytest.mark.anyio
SLEEPER = Path(__file__).with_name("sleeper.py")


class Sleeper:
    """The program, and what it has said: the next session may stand before the last has ended."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._said: list[dict[str, Any]] = []

    async def said(self, what: str, session: str, seconds: float = 20.0) -> None:
        """It has said this of a session, or will."""
        assert self.process.stdout is not None
        async with asyncio.timeout(seconds):
            while not any((entry["what"], entry["id"]) == (what, session) for entry in self._said):
                line = await self.process.stdout.readline()
                assert line, "it has ended"
                self._said.append(json.loads(line))


@pytest.mark.parametrize("seat", ["kept", "lost"])
async def test_a_program_that_slept_gets_a_session_again(seat: str) -> None:
    # The seat is lost when the server misses the program's pongs, and then its patience ends.
    settings = Settings(ping=0.5, grace=1.0) if seat == "lost" else Settings()
    async with (
        serve(settings=settings) as server,
        running(sys.executable, str(SLEEPER), server.url, "lab", "sleeper", stdout=asyncio.subprocess.PIPE) as process,
        adieu.join(server.url, room="lab", name="awake", options=SHORT) as room,
    ):
        why: list[str] = []
        left = asyncio.Event()
        room.on("unconnected", lambda lacking: why.append(lacking.why))
        room.on("peer", lambda event: left.set() if isinstance(event, PeerLeft) else None)
        first = await asyncio.wait_for(room.session(), 20)
        sleeper = Sleeper(process)
        await sleeper.said("session", first.id)
        process.send_signal(signal.SIGSTOP)
        await asyncio.wait_for(first.wait_closed(), 20)
        if seat == "lost":
            await asyncio.wait_for(left.wait(), 20)
        else:
            assert [lacking.peer.name for lacking in room.unconnected] == ["sleeper"]
        process.send_signal(signal.SIGCONT)
        await sleeper.said("closed", first.id)
        second = await asyncio.wait_for(room.session(), 20)
        assert second.id != first.id and second.name == "sleeper"
        await sleeper.said("session", second.id)
        chat = await second.open("chat")
        await chat.send("awake?")
        assert await asyncio.wait_for(chat.receive(), 10) == "awake?"
        assert room.unconnected == []
        if seat == "kept":
            assert "again" in why
