"""The container's command and health check, and the systemd unit, as the server has them."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from adieu.cli.app import parser_of
from adieu.server import serve

PACKAGING = Path(__file__).parents[3] / "packaging"


def test_the_commands_are_ones_that_adieu_has() -> None:
    [entry] = re.findall(r"^ENTRYPOINT (\[.*\])$", (PACKAGING / "Dockerfile").read_text(), re.MULTILINE)
    program, command, *options = json.loads(entry)
    assert (program, command) == ("adieu", "serve")
    parser_of(command).read([*options, "--jwt-key", "/key"])
    [start] = re.findall(r"^ExecStart=(.*)$", (PACKAGING / "adieu.service").read_text(), re.MULTILINE)
    _, command, *options = shlex.split(start)
    given = parser_of(command).read(options)
    [stop] = re.findall(r"^TimeoutStopSec=(\d+)$", (PACKAGING / "adieu.service").read_text(), re.MULTILINE)
    assert int(stop) >= given.drain + 10, "docs/topics/deploying.md"


@pytest.mark.anyio
async def test_the_health_check_of_the_container_sees_a_server_and_its_absence() -> None:
    [check] = re.findall(r"HEALTHCHECK .* CMD (\[.*\])", (PACKAGING / "Dockerfile").read_text())
    _, flag, code = json.loads(check)
    assert "127.0.0.1:8080/healthz" in code

    async def look(place: str) -> int:
        command = (sys.executable, flag, code.replace("127.0.0.1:8080", place))
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
        return await process.wait()

    async with serve() as server:
        assert await look(server.http_url.removeprefix("http://")) == 0
    assert await look(server.http_url.removeprefix("http://")) != 0
