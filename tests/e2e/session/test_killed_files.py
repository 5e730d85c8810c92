"""Files and folders between two programs, either of which is killed and started again."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from adieu.server import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio
MIB = 1 << 20


class Courier:
    """One program, and the lines it has said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def until(self, *names: str, more_than: int = 0) -> dict[str, Any]:
        """The next line with one of these members; a number is to be more than this."""
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            while line := await self.process.stdout.readline():
                said = json.loads(line)
                for name in names:
                    if name in said and not (isinstance(said[name], int) and said[name] <= more_than):
                        return said
        raise AssertionError(f"it ended without {names}")

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


def content(path: Path) -> dict[str, bytes]:
    """The bytes of each file in a folder, or of the one."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return {str(each.relative_to(path)): each.read_bytes() for each in files}


@asynccontextmanager
async def couriers() -> AsyncIterator[Any]:
    made: list[Courier] = []

    async def start(role: str, url: str, place: Path) -> Courier:
        program = (sys.executable, str(Path(__file__).with_name("courier.py")), role, url, str(place))
        made.append(Courier(await asyncio.create_subprocess_exec(*program, stdout=asyncio.subprocess.PIPE)))
        return made[-1]

    try:
        yield start
    finally:
        for courier in made:
            if courier.process.returncode is None:
                await courier.kill()


@pytest.mark.parametrize("what", ["file", "folder"])
async def test_it_goes_on_at_the_chunk_after_a_program_was_killed(tmp_path: Path, what: str) -> None:
    root, to = tmp_path / "film", tmp_path / "in"
    for folder in (root / "some", to):
        folder.mkdir(parents=True)
    (root / "large.bin").write_bytes(os.urandom(48 * MIB))
    for number in range(300):
        (root / "some" / f"{number}.txt").write_bytes(os.urandom(1000))
    source = root if what == "folder" else root / "large.bin"
    async with serve() as server, couriers() as start:
        receiver = await start("receive", server.url, to)
        sender = await start("send", server.url, source)
        await sender.until("done", more_than=10 * MIB)
        await receiver.kill()
        receiver = await start("receive", server.url, to)
        first = await receiver.until("begun")
        assert first["begun"] > 5 * MIB
        await receiver.until("done", more_than=first["begun"] + 10 * MIB)
        await sender.kill()
        sender = await start("send", server.url, source)
        second = await receiver.until("begun")
        assert second["begun"] > first["begun"] + 8 * MIB
        ended, proved = await asyncio.gather(receiver.until("path"), sender.until("proof"))
        assert ended["proof"] == proved["proof"]
        path = Path(ended["path"])
        assert content(path) == content(source)
        assert list(content(to)) == [str(Path(path.name) / each) for each in content(path)]
        async with asyncio.timeout(30):
            assert await sender.process.wait() == 0
