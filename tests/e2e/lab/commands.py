"""The command `adieu` as a process, in an environment without any extra, and the events that its `--json` prints."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from e2e.lab.processes import running

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncGenerator
    from pathlib import Path

PIPE = asyncio.subprocess.PIPE
NO_EXTRAS = "sys.modules.update(dict.fromkeys('rich starlette uvicorn jwt prometheus_client'.split()))"
CODE = f"import sys; {NO_EXTRAS}; from adieu.cli import main; sys.argv[0] = 'adieu'; main()"
ENVIRONMENT = {"ADIEU_SERVER": "", "ADIEU_CODE": ""}


@asynccontextmanager
async def adieu(*arguments: str | Path, **more: Any) -> AsyncGenerator[Process]:
    """A command, in an environment without any extra."""
    command = (sys.executable, "-c", CODE, *map(str, arguments))
    async with running(*command, stdout=PIPE, stderr=PIPE, **{"env": ENVIRONMENT, **more}) as process:
        yield process


async def event(process: Process, name: str) -> dict[str, Any]:
    """The next event of this name that `--json` prints."""
    assert process.stdout is not None
    async with asyncio.timeout(60):
        async for line in process.stdout:
            told: dict[str, Any] = json.loads(line)
            if told["event"] == name:
                return told
    raise AssertionError(f"never: {name}")


async def ended(process: Process) -> tuple[int | None, str, str]:
    """The exit code, and what it printed."""
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert b"Traceback" not in err, err.decode()
    return process.returncode, out.decode(), err.decode()
