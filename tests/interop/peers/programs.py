"""Peers that are programs of their own and speak JSON lines.

python -m interop.peers.programs    build the one in Go, which takes a network for its modules
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from asyncio.subprocess import PIPE
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.lab.peer import PATIENCE, RemotePeer
from e2e.lab.processes import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HERE = Path(__file__).parent
PION = HERE.parent / "pion"
LINE = 64 << 20  # bytes: the largest message, in base64, and room to spare


@asynccontextmanager
async def program_peer(name: str, *command: str) -> AsyncIterator[RemotePeer]:
    """Run a program as a peer while the block lasts."""
    async with running(*command, stdin=PIPE, stdout=PIPE, limit=LINE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        pipe = process.stdin

        async def write(line: str) -> None:
            pipe.write(line.encode() + b"\n")
            await pipe.drain()

        async with asyncio.timeout(PATIENCE):
            hello = json.loads(await process.stdout.readline())
        peer = RemotePeer(name, hello["version"], write)
        peer.kill = process.kill
        line = asyncio.create_task(peer.run(process.stdout))
        try:
            yield peer
        finally:
            pipe.close()
            with suppress(ProcessLookupError):  # a test may have killed it
                process.kill()
            await line


def aiortc_peer() -> AsyncIterator[RemotePeer]:
    return program_peer("aiortc", sys.executable, str(HERE / "aiortc_peer.py"))


def pion_peer() -> AsyncIterator[RemotePeer]:
    return program_peer("pion", str(PION / "pion-peer"))


def build_pion() -> None:
    """Compile the Go program if its source is newer. Raises what Go says."""
    built = PION / "pion-peer"
    sources = [PION / "main.go", PION / "go.mod", PION / "go.sum"]
    if built.exists() and all(source.stat().st_mtime <= built.stat().st_mtime for source in sources):
        return
    subprocess.run(["go", "build", "-o", "pion-peer", "."], cwd=PION, check=True, timeout=600)


if __name__ == "__main__":
    if shutil.which("go"):  # the tests say so when it is missing
        build_pion()
