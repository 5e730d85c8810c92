"""Browser tabs with the SDK in them, which do what a test says.

The page connects back to the test by WebSocket and runs the JavaScript that comes over it: `adieu` is the SDK, `kept`
an object for what one command leaves for the next.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from adieu.server.transport import stop_accepting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from e2e.lab.browsers import Browser

BUNDLE = Path(__file__).resolve().parents[3] / "js" / "dist" / "adieu-rtc.min.js"
PATIENCE = 30.0
PAGE = """<!doctype html><meta charset="utf-8"><title>adieu</title><script type="module">
import * as adieu from "/adieu-rtc.js";
const kept = {};
const Command = (async () => {}).constructor;
const socket = new WebSocket(`ws://${location.host}/tab${location.search}`);
socket.onmessage = async ({ data }) => {
  const { id, code } = JSON.parse(data);
  let answer;
  try {
    answer = { id, value: (await new Command("adieu", "kept", code)(adieu, kept)) ?? null };
  } catch (error) {
    answer = { id, error: `${error.name}: ${error.message}` };
  }
  socket.send(JSON.stringify(answer));
};
addEventListener("error", (event) => console.error(event.message));
</script>"""


class PageError(Exception):
    """What the page's code threw."""


class PageGoneError(Exception):
    """It went before it answered."""


class Tab:
    """One tab."""

    def __init__(self, browser: Browser, target: str, key: str, socket: ServerConnection) -> None:
        self.browser = browser
        self.key = key
        self.closed = False
        self.target = target
        self._socket = socket
        self._ids = itertools.count()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._reader = asyncio.create_task(self._read())

    async def run(self, code: str, patience: float = PATIENCE, **values: Any) -> Any:
        """Run the body of an async function; `values` are constants in it. What it returns, as JSON has it."""
        id_ = next(self._ids)
        answer = self._answers[id_] = asyncio.get_running_loop().create_future()
        constants = "".join(f"const {name} = {json.dumps(value)};" for name, value in values.items())
        await self._socket.send(json.dumps({"id": id_, "code": constants + code}))
        async with asyncio.timeout(patience):
            return await answer

    async def close(self) -> None:
        """Close the tab, as its owner's program would."""
        if not self.closed:
            self.closed = True
            await self.browser.close(self.target)

    async def _read(self) -> None:
        try:
            async for text in self._socket:
                answer = json.loads(text)
                future = self._answers.pop(answer["id"])
                if future.done():
                    continue  # whoever asked has gone
                if "error" in answer:
                    future.set_exception(PageError(answer["error"]))
                else:
                    future.set_result(answer["value"])
        except ConnectionClosed:
            pass
        for future in self._answers.values():
            if not future.done():
                future.set_exception(PageGoneError("the page has gone"))
                future.exception()  # whoever asked may have gone too

    async def end(self) -> None:
        """The test is over."""
        await self._socket.close()
        await self._reader


class Tabs:
    """The server of the page."""

    origin = ""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[ServerConnection]] = {}

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Tabs]:
        """Serve while the block lasts."""
        async with serve(
            self._connected, "127.0.0.1", 0, process_request=self._requested, max_size=None, compression=None
        ) as server:
            host, port = next(iter(server.sockets)).getsockname()[:2]
            self.origin = f"http://{host}:{port}"
            yield self
            await stop_accepting(server.sockets)

    @asynccontextmanager
    async def open(self, browser: Browser) -> AsyncIterator[Tab]:
        """A new tab, closed at the end of the block if it is still there."""
        key = secrets.token_hex(8)
        arrived = self._waiting[key] = asyncio.get_running_loop().create_future()
        target = await browser.open(f"{self.origin}/?{key}")
        async with asyncio.timeout(PATIENCE):
            socket = await arrived
        tab = Tab(browser, target, key, socket)
        try:
            yield tab
        finally:
            await tab.end()
            await tab.close()

    async def again(self, tab: Tab) -> Tab:
        """Load the page of this tab again."""
        arrived = self._waiting[tab.key] = asyncio.get_running_loop().create_future()
        await tab.browser.load_again(tab.target)
        async with asyncio.timeout(PATIENCE):
            return Tab(tab.browser, tab.target, tab.key, await arrived)

    async def _connected(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        arrived = self._waiting.pop(socket.request.path.rpartition("?")[2], None)
        if arrived is not None and not arrived.done():
            arrived.set_result(socket)
            await socket.wait_closed()

    def _requested(self, connection: ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if path == "/tab":
            return None
        if path == "/":
            return found(PAGE.encode(), "text/html; charset=utf-8")
        if path == "/adieu-rtc.js":
            return found(BUNDLE.read_bytes())
        if path.startswith("/adieu-rtc.") and (later := BUNDLE.with_name(path[1:])).exists():
            return found(later.read_bytes())  # a bundle beside it, which is loaded when it is used
        return connection.respond(HTTPStatus.NOT_FOUND, "nothing here\n")


def found(body: bytes, kind: str = "text/javascript; charset=utf-8") -> Response:
    """Answer with a file that no browser keeps."""
    headers = Headers({"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-store"})
    return Response(HTTPStatus.OK, "OK", headers, body)
