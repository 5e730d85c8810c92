"""A screen that nobody looks at (Xvfb), so that a browser has windows that can be closed."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from Xlib.display import Display as Connection
from Xlib.protocol.event import ClientMessage
from Xlib.X import CurrentTime

from e2e.lab.processes import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

START = 30.0  # seconds that it may take on a busy machine


@dataclass(frozen=True)
class Display:
    """A running screen.

    Attributes:
        name: what DISPLAY holds for its programs.
    """

    name: str

    async def close_window(self, title: str) -> None:
        """What the close button of a window does (ICCCM section 4.2.8.1, WM_DELETE_WINDOW).

        Args:
            title: part of the window's title.

        Raises:
            LookupError: there is none.
        """
        await asyncio.to_thread(self._close_window, title)

    def _close_window(self, title: str) -> None:
        with closing(Connection(self.name)) as connection:
            name, kind = connection.intern_atom("_NET_WM_NAME"), connection.intern_atom("UTF8_STRING")
            for window in connection.screen().root.query_tree().children:
                told = window.get_full_property(name, kind)
                if told is not None and title in told.value.decode():
                    break
            else:
                raise LookupError(f"no window on {self.name} has {title!r} in its title")
            protocols, delete = connection.intern_atom("WM_PROTOCOLS"), connection.intern_atom("WM_DELETE_WINDOW")
            message = (32, [delete, CurrentTime, 0, 0, 0])
            window.send_event(ClientMessage(window=window, client_type=protocols, data=message))
            connection.sync()


@asynccontextmanager
async def display() -> AsyncIterator[Display]:
    """Run a screen while the block lasts."""
    command = ("Xvfb", "-displayfd", "1", "-screen", "0", "1280x800x24", "-nolisten", "tcp")
    async with running(*command, stdout=PIPE, stderr=DEVNULL) as server:
        assert server.stdout is not None
        async with asyncio.timeout(START):
            number = (await server.stdout.readline()).decode().strip()
        yield Display(f":{number}")
