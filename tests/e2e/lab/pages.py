"""The bare test page, served by the test, and its WebSocket back to the test."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from adieu.server.transport import stop_accepting
from e2e.lab.peer import PATIENCE, RemotePeer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from e2e.lab.browsers import Browser

HERE = Path(__file__).parent / "page"
JAVASCRIPT = "text/javascript; charset=utf-8"
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/peer.js": ("peer.js", JAVASCRIPT),
    "/sound.js": ("sound.js", JAVASCRIPT),
    "/pictures.js": ("pictures.js", JAVASCRIPT),
}


class Pages:
    """A small server on loopback: the page, and a socket for each page that is open."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[ServerConnection]] = {}
        self._origin = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Pages]:
        """Serve while the block lasts."""
        async with serve(
            self._connected, "127.0.0.1", 0, process_request=self._requested, max_size=None, compression=None
        ) as server:
            host, port = next(iter(server.sockets)).getsockname()[:2]
            self._origin = f"http://{host}:{port}"
            yield self
            await stop_accepting(server.sockets)

    @asynccontextmanager
    async def peer(self, browser: Browser) -> AsyncIterator[RemotePeer]:
        """A new tab of this browser as a peer, closed at the end of the block."""
        key = secrets.token_hex(8)
        arrived: asyncio.Future[ServerConnection] = asyncio.get_running_loop().create_future()
        self._waiting[key] = arrived
        tab = await browser.open(f"{self._origin}/?{key}")
        async with asyncio.timeout(PATIENCE):
            socket = await arrived
        peer = RemotePeer(browser.name, browser.version, socket.send)
        line = asyncio.create_task(peer.run(socket))
        try:
            yield peer
        finally:
            await socket.close()
            await line
            await browser.close(tab)

    async def _connected(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        arrived = self._waiting.pop(socket.request.path.rpartition("?")[2], None)
        if arrived is not None:
            arrived.set_result(socket)
            await socket.wait_closed()

    def _requested(self, connection: ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if path == "/peer":
            return None
        if path not in FILES:
            return connection.respond(HTTPStatus.NOT_FOUND, "nothing here\n")
        name, kind = FILES[path]
        body = (HERE / name).read_bytes()
        headers = Headers({"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-store"})
        return Response(HTTPStatus.OK, "OK", headers, body)
