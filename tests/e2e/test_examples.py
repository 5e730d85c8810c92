"""The examples run, and say what the README says of them."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from adieu.server import serve

pytestmark = pytest.mark.anyio
EXAMPLES = Path(__file__).parents[2] / "examples"

EXPECTED = {
    "echo_bot.py": ["tone 25 came back", "of 65 tones came back", "left: nothing left, nothing left"],
    "voice_agent.py": [
        "I interrupt",
        "agent: interrupted after",
        "0.0 s were not said",
        "first left (the call is over)",
    ],
    "answering_machine.py": [
        "machine: a message of audio/opus, 10",
        "machine: plays 2 s",
        "machine: 0.0 s were not said",
        "of 40 tones again; first left (that was your message)",
    ],
    "process_video.py": [
        "came back as a negative, 640x480",
        "of 30 negatives came back",
        "left: nothing left, nothing left",
    ],
    "camera_robot.py": [
        "robot: the path carries",
        "the first picture is 640x480",
        "saw 75 pictures, in order: True, missing: 0",
        "frames were passed on: True",
    ],
    "goodbye.py": ["Ben learns: done", "2 of 2 messages reached Ben's program", "the same receipt: True"],
    "first_try.py": ["hello", "sent before the reset", "queued", "the same receipt: True"],
    "robot.py": ["robot: land", "brakes on (end of the flight)", "every order was obeyed: True"],
    "mounted.py": [
        "ada says: hello from ada",
        "ben says: hello from ben",
        "without a token: this server needs a token",
    ],
    "own_signaling.py": ["you said hello", "SCTP cause 12", "left of them: nothing left, nothing left"],
}


async def start(name: str, *arguments: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-W", "error", str(EXAMPLES / name), *arguments)
    return await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT)


def test_each_example_is_tried() -> None:
    """Here, or in sim/testing/test_plugin.py: the tests of a program."""
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*EXPECTED, "chat.py", "test_my_program.py"}


@pytest.mark.parametrize("name", EXPECTED)
async def test_an_example_runs(name: str) -> None:
    process = await start(name)
    output, _ = await asyncio.wait_for(process.communicate(), 90.0)
    text = output.decode()
    assert process.returncode == 0, text
    for line in EXPECTED[name]:
        assert line in text


async def test_two_people_chat() -> None:
    async with serve() as server:
        ada, ben = [await start("chat.py", "--url", server.url, "--name", name) for name in ("Ada", "Ben")]
        for person, other in ((ada, "Ben"), (ben, "Ada")):
            await until(person, f"{other} is here")
        assert ada.stdin is not None
        ada.stdin.write(b"hello Ben\n")
        await until(ben, "Ada: hello Ben")
        ada.stdin.write_eof()
        await until(ben, "Ada left (left the chat).")
        await until(ada, "Everything was delivered.")
        assert await asyncio.wait_for(asyncio.gather(ada.wait(), ben.wait()), 10.0) == [0, 0]


async def until(person: asyncio.subprocess.Process, text: str) -> None:
    """Read on until a line has the text."""
    assert person.stdout is not None
    lines: list[str] = []
    async with asyncio.timeout(20.0):
        while line := (await person.stdout.readline()).decode():
            lines.append(line)
            if text in line:
                return
    pytest.fail(f"ended without {text!r}: {''.join(lines)}")
