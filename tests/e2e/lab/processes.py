"""Child processes that end when their owner says so, with everything they started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
import uuid
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Iterator, Mapping

MARK = "ADIEU_LAB_MARK"


@asynccontextmanager
async def running(*command: str, env: Mapping[str, str] | None = None, **options: Any) -> AsyncIterator[Process]:
    """Run `command` while the block lasts, then kill it and all its descendants, and wait until they are gone.

    A browser's helpers leave its process group and its session, so they are known by a mark in their environment.
    Where the system can, the command dies with this process too (setpriv --pdeathsig).
    """
    mark = uuid.uuid4().hex
    if shutil.which("setpriv"):
        command = ("setpriv", "--pdeathsig", "KILL", *command)
    environment = {**os.environ, **(env or {}), MARK: mark}
    process = await asyncio.create_subprocess_exec(*command, env=environment, start_new_session=True, **options)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()  # however little of its environment shows: it may just be becoming another program
        quiet = 0
        while quiet < 2:  # a process that is just being made shows no environment for a moment
            family = list(marked(mark))
            for pid in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            quiet = 0 if family else quiet + 1
            await asyncio.sleep(0.01)  # the kernel's time to take them down
        await process.wait()
        # Its pipes are to be closed before the loop is: their other ends went with the family.
        if process.stdin is not None:
            process.stdin.close()
        for output in (process.stdout, process.stderr):
            if output is not None:
                await output.read()


def family(process: Process) -> list[int]:
    """A process of `running`, and all that descend from it."""
    return list(marked(mark_of(process.pid)))


def mark_of(pid: int) -> str:
    """The mark of a living process, which its descendants inherit."""
    environment = Path(f"/proc/{pid}/environ")
    for _ in range(1000):  # while a process becomes another program (setpriv does) it shows no environment
        entries = dict(entry.partition(b"=")[::2] for entry in environment.read_bytes().split(b"\0"))
        if MARK.encode() in entries:
            return entries[MARK.encode()].decode()
        time.sleep(0.001)
    raise LookupError(f"process {pid} has no mark")


def marked(mark: str) -> Iterator[int]:
    """The living processes that inherited this mark."""
    sought = f"{MARK}={mark}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # gone meanwhile, or not ours to read
            if sought in (entry / "environ").read_bytes().split(b"\0"):
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                if state not in "ZX":
                    yield int(entry.name)


@contextlib.contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A temporary directory that goes away even while its last writer is dying."""
    directory = Path(tempfile.mkdtemp(prefix=f"adieu-{prefix}-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        shutil.rmtree(directory, ignore_errors=True)
