"""The page of the demo. A friend waits there, and the page stays if somebody wants it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from adieu.cli.screen import Screen
    from adieu.server.serving import Server

FRIEND = "Echo"
ROOM = "demo"
ASKING = 15.0
"""Seconds to wait for an answer; then the demo ends by itself."""


@dataclass
class Page:
    """The page of a running demo."""

    server: Server
    screen: Screen
    visited: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def address(self) -> str:
        """Return the address to open in a browser on this computer."""
        return f"{self.server.http_url}/#{ROOM}"

    def said(self, text: str) -> None:
        """Print a line of the friend."""
        if text.endswith("came in."):
            self.visited.set()
        self.screen.line("   ", ("dim", f"{FRIEND}:"), f" {text}")

    async def offer(self, stop: asyncio.Event, *, ask: bool) -> None:
        """Stay until Ctrl-C (`stop`); if `ask`, only when Enter is pressed, or when somebody has opened the page."""
        self.screen.line()
        self.screen.line(("bold", "The page"), f"   {self.address}   ", ("dim", f"{FRIEND} waits there"))
        if ask and not self.visited.is_set():
            self.screen.line(f"   Open it, or press Enter to keep it; otherwise the demo ends in {ASKING:.0f} s.")
            with _enter_pressed() as pressed:
                await _first(stop, self.visited, pressed, timeout=ASKING)
                if not (self.visited.is_set() or pressed.is_set()):
                    return
        if not stop.is_set():
            self.screen.line("   It stays until Ctrl-C.")
            await stop.wait()


@asynccontextmanager
async def beside(server: Server, screen: Screen) -> AsyncGenerator[Page]:
    """Serve the page, with the friend in its room, while the block runs."""
    from adieu.cli.friend import Place, keep_company  # noqa: PLC0415 quick help

    page = Page(server, screen)
    over = asyncio.Event()
    friend = asyncio.create_task(keep_company(Place(server.url, ROOM), FRIEND, page.said, over))
    try:
        yield page
    finally:
        over.set()
        await friend


async def _first(*events: asyncio.Event, timeout: float) -> None:  # noqa: ASYNC109 it is a time to think, no deadline
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


@contextlib.contextmanager
def interrupted() -> Generator[asyncio.Event]:
    """Yield an event that Ctrl-C or SIGTERM sets, so that the friend can say goodbye to everybody."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C is KeyboardInterrupt there
            loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in numbers:
            with contextlib.suppress(NotImplementedError):
                loop.remove_signal_handler(number)


@contextlib.contextmanager
def _enter_pressed() -> Generator[asyncio.Event]:
    """Yield an event that is set when a line comes from the terminal."""
    loop = asyncio.get_running_loop()
    pressed = asyncio.Event()

    def read() -> None:
        if sys.stdin.readline():
            pressed.set()
        else:
            loop.remove_reader(sys.stdin)  # its end

    with contextlib.suppress(NotImplementedError):  # Windows: opening the page is enough
        loop.add_reader(sys.stdin, read)
    try:
        yield pressed
    finally:
        with contextlib.suppress(NotImplementedError):
            loop.remove_reader(sys.stdin)
