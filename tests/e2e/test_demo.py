"""`adieu demo` on a terminal, as a person runs it: a pseudo-terminal stands for the person's."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import urllib.request
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from e2e.lab.processes import mark_of, marked, running

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncGenerator
    from pathlib import Path

pytestmark = pytest.mark.anyio
CODE = "import sys; from adieu.cli import main; sys.argv[0] = 'adieu'; main()"


class Terminal:
    """What a program shows on it, and what is typed there."""

    def __init__(self, process: Process, end: int) -> None:
        self.process = process
        self.text = ""
        self._end = end
        self._changed = asyncio.Event()
        asyncio.get_running_loop().add_reader(end, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._end, 65536)
        except OSError:  # the program has let go of it
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._end)
        self.text += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data.decode(errors="replace"))
        self._changed.set()

    async def shows(self, pattern: str, seconds: float = 90.0) -> str:
        """Wait until it does; what was found."""
        try:
            async with asyncio.timeout(seconds):
                while not (found := re.search(pattern, self.text)):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"never: {pattern}\n{self.text}") from None
        return found.group()

    def press(self, keys: bytes) -> None:
        """Type."""
        os.write(self._end, keys)


@asynccontextmanager
async def demo(folder: Path, *options: str, code: str = CODE) -> AsyncGenerator[Terminal]:
    """`adieu demo` on a terminal of its own; what it keeps meanwhile is in `folder`."""
    end, other = os.openpty()
    environment = {"TMPDIR": str(folder), "TERM": "xterm", "COLUMNS": "160", "CI": ""}
    command = (sys.executable, "-c", code, "demo", *options)
    try:
        async with running(*command, env=environment, stdin=other, stdout=other, stderr=other) as process:
            os.close(other)
            terminal = Terminal(process, end)
            yield terminal
            asyncio.get_running_loop().remove_reader(end)
    finally:
        os.close(end)


def kept(folder: Path) -> list[Path]:
    """What a program has left there."""
    return list(folder.iterdir())


def _page(address: str) -> str:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return str(answer.read().decode())


async def test_the_page_is_there_and_stays_when_it_is_wanted(tmp_path: Path) -> None:
    async with demo(tmp_path) as terminal:
        address = await terminal.shows(r"http://127\.0\.0\.1:\d+/#demo")
        assert "<title>adieu</title>" in (await asyncio.to_thread(_page, address)).lower()
        await terminal.shows("press Enter to keep it")
        assert "Every check passed" in terminal.text
        terminal.press(b"\n")
        await terminal.shows("It stays until Ctrl-C")
        await asyncio.to_thread(_page, address)
        terminal.process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(terminal.process.wait(), 15) == 0
    assert not kept(tmp_path)


async def test_without_an_answer_it_ends_by_itself(tmp_path: Path) -> None:
    async with demo(tmp_path) as terminal:
        await terminal.shows("press Enter to keep it")
        assert await asyncio.wait_for(terminal.process.wait(), 30) == 0


async def test_without_extras_it_does_all_but_the_page(tmp_path: Path) -> None:
    missing = "sys.modules.update(dict.fromkeys('rich starlette uvicorn jwt prometheus_client'.split()))"
    async with demo(tmp_path, code=CODE.replace("import sys;", f"import sys; {missing};")) as terminal:
        await terminal.shows("Every check passed")
        assert "pip install 'adieu[server]'" in terminal.text
        assert await asyncio.wait_for(terminal.process.wait(), 15) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_stopped_in_the_middle_it_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    async with demo(tmp_path, "--keep") as terminal:
        await terminal.shows("Ada +is process")
        assert kept(tmp_path)
        mark = mark_of(terminal.process.pid)
        terminal.process.send_signal(number)
        assert await asyncio.wait_for(terminal.process.wait(), 15) == 130
        await terminal.shows("Stopped")
        assert "Traceback" not in terminal.text
        assert not list(marked(mark))
        assert not kept(tmp_path)
