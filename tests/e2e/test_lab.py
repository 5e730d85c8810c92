"""The lab itself: what it starts it ends."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from conftest import missing
from e2e.lab import browsers
from e2e.lab.processes import mark_of, marked, running

FAMILY = """
import subprocess, sys
subprocess.Popen(["setsid", "sh", "-c", "echo up; sleep 600; :"])
sys.stdin.read()
"""


async def test_a_process_takes_its_whole_family_with_it():
    async with running(sys.executable, "-c", FAMILY, stdin=PIPE, stdout=PIPE) as process:
        assert await process.stdout.readline() == b"up\n"
        mark = mark_of(process.pid)
        assert len(list(marked(mark))) >= 2
    assert list(marked(mark)) == []
    assert process.returncode is not None


async def test_cancelling_kills_too():
    started = asyncio.Event()
    marks = []

    async def run():
        async with running("sleep", "600") as process:
            marks.append(mark_of(process.pid))
            started.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(run())
    await asyncio.wait_for(started.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(marked(marks[0])) == []


@pytest.mark.browser
@pytest.mark.parametrize("name", ["chromium", "firefox"])
async def test_a_browser_leaves_no_process_and_no_profile(name):
    installed = {"chromium": browsers.chromium_program, "firefox": browsers.firefox_program}[name]
    if installed() is None:
        missing(name, "python tools/system.py installs it, or says how")
    async with {"chromium": browsers.chromium, "firefox": browsers.firefox}[name]() as browser:
        mark = mark_of(browser.process.pid)
        profile = _profile(browser.process.pid)
        assert _is_there(profile)
        await browser.open("about:blank")
        assert len(list(marked(mark))) > 1
    assert list(marked(mark)) == []
    assert not _is_there(profile)


def _profile(pid: int) -> Path:
    command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return next(Path(part.partition("=")[2] or part) for part in command if part.endswith("/profile"))


def _is_there(path: Path) -> bool:
    return path.exists()
