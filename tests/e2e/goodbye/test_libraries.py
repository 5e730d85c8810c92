"""`goodbye` beside the libraries that applications use: each example of examples/web, in two tabs of one browser."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conftest import missing
from e2e.goodbye.apps import Apps
from e2e.sdk.tabs import found

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request, Response

    from e2e.sdk.tabs import Tab

pytestmark = [pytest.mark.anyio, pytest.mark.browser]
WEB = Path(__file__).resolve().parents[3] / "examples" / "web"
NAMES = sorted(path.stem for path in (WEB / "src").glob("*.jsx"))
LEAVES = {"react": "the component went", "vue": "the component went"}


class Examples(Apps):
    """The server of one example."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._file = WEB / "dist" / f"{name}.js"

    def _requested(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.path != "/example.js":
            return super()._requested(connection, request)
        return found(self._file.read_bytes())


@asynccontextmanager
async def peer_server() -> AsyncIterator[int]:
    """Run PeerJS's own signaling server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = WEB / "node_modules" / ".bin" / "peerjs"
    command = (str(program), "--port", str(port), "--host", "127.0.0.1")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=sys.stderr)
    try:
        assert process.stdout is not None
        await asyncio.wait_for(process.stdout.readline(), 20)  # it says that it has started
        yield port
    finally:
        process.terminate()
        await process.wait()


@pytest.fixture(params=["Chromium", "Firefox"])
def browser(request: pytest.FixtureRequest, both: dict[str, Any]) -> Any:
    return both[request.param]


@pytest.fixture
async def port(name: str) -> AsyncIterator[int]:
    if name != "peerjs":
        yield 0
        return
    async with peer_server() as found:
        yield found


async def begin(tab: Tab, port: int, fragment: str) -> None:
    """Start the application in this tab."""
    address = f"?port={port}{fragment}"
    await tab.run("history.replaceState(null, '', address); await import('/example.js')", address=address)


async def says(tab: Tab, text: str) -> str:
    """Wait until the page says something with this text in it."""
    code = """
    const status = () => document.querySelector("#status")?.textContent ?? "";
    for (const end = performance.now() + 15000; !status().includes(text); )
      if (performance.now() > end) throw new Error(`it says ${status()}, not ${text}`);
      else await new Promise((resolve) => setTimeout(resolve, 10));
    return status();
    """
    return await tab.run(code, text=text)


def test_there_is_an_example_for_each() -> None:
    assert NAMES == ["peerjs", "plain", "react", "simple-peer", "vue"]


@asynccontextmanager
async def calling(browser: Any, name: str, port: int) -> AsyncIterator[tuple[Tab, Tab]]:
    """Two tabs of an example that are connected: the caller, and the callee."""
    if not (WEB / "dist" / f"{name}.js").exists():
        missing("the examples for pages, built", "python tools/sdk.py --build")
    async with Examples(name).serving() as server, server.open(browser) as callee, server.open(browser) as caller:
        await begin(callee, port, "")
        if name == "peerjs":
            await asyncio.sleep(1)  # its server has no word for "is there"
        await begin(caller, port, "#call")
        await asyncio.gather(says(callee, "connected"), says(caller, "connected"))
        yield caller, callee


@pytest.mark.parametrize("name", NAMES)
async def test_it_ends_well(browser: Any, name: str, port: int) -> None:
    async with calling(browser, name, port) as (caller, callee):
        await caller.run("document.querySelector('#leave').click()")
        await asyncio.gather(says(callee, "closed, on both sides"), says(caller, "closed, on both sides"))


@pytest.mark.parametrize("name", NAMES)
async def test_a_tab_that_closes_has_left(browser: Any, name: str, port: int) -> None:
    async with calling(browser, name, port) as (caller, callee):
        await asyncio.sleep(1)
        await caller.close()
        await says(callee, "tab-closed")  # some libraries close their own connection then, too
