"""The log of a session: its life at INFO, each word and state at DEBUG, never a secret or what was sent."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from adieu import log
from adieu.session import session_log
from sim.stack.pair import connected
from support.calls import python_calls
from support.virtual import simulated

if TYPE_CHECKING:
    from pathlib import Path

    from support.virtual import World
    from support.written import Written

pytestmark = pytest.mark.usefixtures("threads_at_once")
CONTENT = "the content of a message"
FILE = b"the content of a file "


def sides(written: Written) -> list[list[str]]:
    """The lines of each session, without the logger's name."""
    ids = dict.fromkeys(id_ for id_, _ in written.lines if id_.startswith("s"))
    return [[line.removeprefix("session ") for line in written.of(id_)] for id_ in ids]


def first_words(lines: list[str]) -> list[str]:
    return [" ".join(line.split()[:3]).rstrip(":,") for line in lines]


@pytest.mark.parametrize("written", ["INFO"], indirect=True)
@simulated()
async def test_info_is_the_life_of_a_session_and_nothing_else(world: World, written: Written) -> None:
    async with connected(world) as pair:
        chat = await pair.first.open("chat")
        await chat.send(CONTENT)
        await pair.first.reset("transport")
        await pair.first.close("it is late")
        await pair.second.wait_closed()
        id_ = pair.first.id[:8]
    for lines in sides(written):
        assert first_words(lines) == [
            "INFO = begins",
            "INFO = open",
            "INFO = resetting",
            "INFO = reset",
            "INFO = open",
            "INFO x closed",
        ]
        assert lines[1].endswith(f", session {id_}")
    one, other = sides(written)
    assert one[-1].startswith("INFO x closed by local, graceful, left: You left second (it is late).")
    assert other[-1].startswith("INFO x closed by remote, graceful, left: first left (it is late).")
    over = [line.split()[4].rstrip(",") for line in (one[1], one[4])]
    assert all(any("= connected, udp host" in line for line in written.of(pc)) for pc in over), "the path is found"
    assert over[0] != over[1]


@simulated()
async def test_debug_has_each_state_word_and_cause_with_its_evidence(world: World, written: Written) -> None:
    async with connected(world) as pair:
        events: list[Any] = []
        pair.first.on("state", events.append)
        await pair.first.open("chat")
        pair.cut()
        await pair.both("recovering")
        pair.cut(False)
        await pair.both("open")
        await pair.first.close()
    one, other = sides(written)
    assert any(event.evidence for event in events)
    for event in events:
        level = "INFO" if event.state in {"open", "recovering", "resetting"} else "DEBUG"
        whole = f"{event.state}{' over' if event.state == 'open' else ''}"
        [*_, line] = [line for line in one if line.startswith(f"{level} = {whole}")]
        assert all(text in line for text in (event.cause, *event.evidence) if event.state != "open")
    for line in ("DEBUG > hello epoch 1", "DEBUG < hello epoch 1", "DEBUG = channel 'chat' is open"):
        assert line in one
    assert any(line.startswith("DEBUG > open name chat, id ") for line in one)
    assert any(line.startswith("DEBUG < open name chat, id ") for line in other)
    assert any(line.startswith("DEBUG < closing deadlineMs 5000, reason left") for line in other)
    connection = next(line for line in one if line.startswith("DEBUG = connection 1 is made: "))
    assert written.of(connection.rpartition(" ")[2]), "the connection has lines of its own"
    assert not any(word in line for line in one for word in ("ping", "pong", "ack ")), "what comes with time"


@simulated()
async def test_no_line_holds_a_password_a_message_or_a_file(world: World, written: Written, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(FILE * 1000)
    async with connected(world) as pair:
        pair.second.on("file", lambda file: file.accept(tmp_path / "taken.txt"))
        chat, theirs = await asyncio.gather(pair.first.open("chat"), pair.second.open("chat"))
        await chat.send(CONTENT)
        assert await theirs.receive() == CONTENT
        transfer = await pair.first.send_file(tmp_path / "notes.txt")
        await transfer.wait()
        await pair.first.reset("ice")
        descriptions = [d.sdp for s in pair.sessions for d in (s.pc.localDescription, s.pc.remoteDescription)]
    passwords = [line.partition(":")[2] for sdp in descriptions for line in sdp.splitlines() if "ice-pwd" in line]
    assert len(passwords) >= 4
    whole = "\n".join(f"{id_} {line}" for id_, line in written.lines)
    assert "file 'notes.txt' of" in whole, "its name and size"
    for secret in (*passwords, CONTENT, FILE.decode().strip()):
        assert secret not in whole


@pytest.mark.parametrize("written", ["WARNING"], indirect=True)
@simulated()
async def test_without_a_level_a_message_costs_no_call_of_the_log(world: World, written: Written) -> None:
    async with connected(world) as pair:
        chat, theirs = await asyncio.gather(pair.first.open("chat"), pair.second.open("chat"))
        await asyncio.sleep(10)
        files = {module.__file__ for module in (log, logging, session_log)}
        with python_calls(files.__contains__) as calls:
            for _ in range(50):
                await chat.send(CONTENT)
                assert await theirs.receive() == CONTENT
        assert calls == []
    assert written.lines == []


@simulated()
async def test_what_the_other_side_says_can_write_no_line_of_its_own(world: World, written: Written) -> None:
    async with connected(world) as pair:
        await pair.first.open("a\nCRITICAL forged")
        await pair.first.close("so\x1b[31m it is\nCRITICAL forged")
        await pair.second.wait_closed()
    assert all(line.isprintable() for _, line in written.lines)
