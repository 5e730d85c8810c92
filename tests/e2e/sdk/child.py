"""A program that is a process of its own, as a page is: to be killed and stopped, or to close its connection itself.

It does what a line of JSON says, and answers with another: the name of a method of `Victim`, and its arguments.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from e2e.lab.processes import running
from e2e.sdk.sides import Program
from support.made import channels_made

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

PATIENCE = 30.0


class Child:
    """The test's end of it."""

    kind = "Python"

    def __init__(self, process: Process) -> None:
        self.process = process

    async def join(self, url: str, name: str) -> None:
        await self._tell("join", url, name)

    async def meet(self, name: str) -> None:
        await self._tell("meet", name)

    async def say(self, text: str) -> None:
        await self._tell("say", text)

    async def close_connections(self) -> None:
        await self._tell("close_connections")

    async def close_all_channels(self) -> None:
        await self._tell("close_all_channels")

    async def _tell(self, *words: str) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(words).encode() + b"\n")
        async with asyncio.timeout(PATIENCE):
            assert await self.process.stdout.readline() == b"done\n", words


@asynccontextmanager
async def child() -> AsyncIterator[Child]:
    """Run one while the block lasts."""
    pipe, path = asyncio.subprocess.PIPE, {"PYTHONPATH": os.pathsep.join(sys.path)}
    async with running(sys.executable, "-m", __name__, env=path, stdin=pipe, stdout=pipe) as process:
        yield Child(process)


class Victim(Program):
    """The program itself. An application that closes connections and channels behind adieu's back has made them."""

    def __init__(self, stack: AsyncExitStack) -> None:
        super().__init__(stack)
        self.made = stack.enter_context(channels_made())

    async def close_connections(self) -> None:
        for pc, _ in self.made:
            pc.close()

    async def close_all_channels(self) -> None:
        for _, channel in self.made:
            channel.close()


async def main() -> None:
    async with AsyncExitStack() as stack:
        victim = Victim(stack)
        while line := await asyncio.to_thread(sys.stdin.readline):
            name, *given = json.loads(line)
            await getattr(victim, name)(*given)
            print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
