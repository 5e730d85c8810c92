"""A screen that nobody looks at (Xvfb) with a window manager, so that a window can be closed as a person closes it."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from e2e.lab.processes import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

START = 30.0  # seconds that both programs may take on a busy machine


@dataclass(frozen=True)
class Display:
    """A running screen.

    Attributes:
        name: what DISPLAY holds for its programs.
    """

    name: str

    async def close_window(self, title: str) -> None:
        """Press the close button of the window that has this in its title.

        Raises:
            LookupError: there is none.
        """
        if await self._wmctrl("-c", title):
            raise LookupError(f"no window on {self.name} has {title!r} in its title")

    async def managed(self) -> bool:
        """Whether the window manager is there yet."""
        return await self._wmctrl("-m") == 0

    async def _wmctrl(self, *arguments: str) -> int:
        command = ("wmctrl", *arguments)
        process = await asyncio.create_subprocess_exec(
            *command, env={"DISPLAY": self.name, "PATH": "/usr/bin"}, stdout=DEVNULL, stderr=DEVNULL
        )
        return await process.wait()


@asynccontextmanager
async def display() -> AsyncIterator[Display]:
    """Run a screen while the block lasts."""
    command = ("Xvfb", "-displayfd", "1", "-screen", "0", "1280x800x24", "-nolisten", "tcp")
    async with running(*command, stdout=PIPE, stderr=DEVNULL) as server, asyncio.timeout(START) as patience:
        assert server.stdout is not None
        screen = Display(f":{(await server.stdout.readline()).decode().strip()}")
        async with running("openbox", env={"DISPLAY": screen.name}, stdout=DEVNULL, stderr=DEVNULL):
            while not await screen.managed():
                await asyncio.sleep(0.05)  # it tells nobody when it is there
            patience.reschedule(None)
            yield screen
