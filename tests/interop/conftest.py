"""The peers of the interop tests. Run them in a network of their own:

python tests/e2e/lab/namespace.py pytest tests/interop
"""

from __future__ import annotations

import shutil
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from conftest import missing
from e2e.lab import browsers
from e2e.lab.pages import Pages
from interop.peers import programs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from e2e.lab.peer import Peer

OTHERS = ("chromium", "firefox", "aiortc", "pion")


class Lab:
    """Makes peers by name; browsers start when they are first asked for and stay for the whole run."""

    def __init__(self, stack: AsyncExitStack, pages: Pages) -> None:
        self._stack = stack
        self._pages = pages
        self._browsers: dict[str, browsers.Browser] = {}

    @asynccontextmanager
    async def peer(self, name: str) -> AsyncIterator[Peer]:
        """A fresh peer, with a connection made: chromium or firefox (or -mdns), aiortc, pion or adieu."""
        async with self._bare(name) as peer:
            yield peer

    def _bare(self, name: str) -> Any:
        if name == "aiortc":
            return programs.aiortc_peer()
        if name == "pion":
            if shutil.which("go") is None and not (programs.PION / "pion-peer").exists():
                missing("Go", "install Go 1.24 or newer from https://go.dev/dl")
            programs.build_pion()
            return programs.pion_peer()
        if name == "adieu":
            from interop.peers.adieu_peer import adieu_peer

            return adieu_peer()
        return self._page(name)

    @asynccontextmanager
    async def _page(self, name: str) -> AsyncIterator[Peer]:
        async with self._pages.peer(await self.browser(name)) as peer:
            yield peer

    async def browser(self, name: str) -> browsers.Browser:
        """The running browser of that name."""
        if name not in self._browsers:
            programs_and_starts: dict[str, tuple[Callable[[], str | None], Callable[[], Any]]] = {
                "chromium": (browsers.chromium_program, browsers.chromium),
                "chromium-mdns": (browsers.chromium_program, lambda: browsers.chromium(hide_addresses=True)),
                "firefox": (browsers.firefox_program, browsers.firefox),
                "firefox-mdns": (browsers.firefox_program, lambda: browsers.firefox(hide_addresses=True)),
            }
            installed, start = programs_and_starts[name]
            if installed() is None:
                missing(name, "python tools/system.py installs it, or says how")
            self._browsers[name] = await self._stack.enter_async_context(start())
        return self._browsers[name]


@pytest.fixture(scope="session")
async def lab(anyio_backend: str) -> AsyncIterator[Lab]:
    async with AsyncExitStack() as stack:
        pages = await stack.enter_async_context(Pages().serving())
        yield Lab(stack, pages)
