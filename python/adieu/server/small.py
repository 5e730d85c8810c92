"""A small signaling server inside a program that needs one for itself: without tokens, TLS and metrics.

It needs no extra: its WebSockets are those of the library that the signaling client uses. It can serve the page, whose
files are in the package. `adieu.server.serve` is the server for everything else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from websockets.asyncio.server import serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response

from adieu.protocol.signaling import SUBPROTOCOL
from adieu.server.assets import Asset, assets
from adieu.server.bridge import Bridge, GoneError
from adieu.server.guard import Guard
from adieu.server.hub import Hub, Settings
from adieu.server.hub.state import everybody

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request
    from websockets.typing import Subprotocol

OPEN_TIMEOUT = 5.0
"""Seconds for the HTTP request of a WebSocket."""
CLOSE_TIMEOUT = 2.0
SETTINGS = Settings(connections=64, pending=64, seats=128)


@dataclass(frozen=True, slots=True)
class SmallServer:
    """A running server.

    Attributes:
        port: the port that it listens on.
        hub: for reading.
    """

    port: int
    hub: Hub

    def url(self, host: str = "127.0.0.1") -> str:
        """Return its url for programs that reach it by this address."""
        return f"ws://{f'[{host}]' if ':' in host else host}:{self.port}/ws"


class _Frames:
    """A WebSocket, as the bridge uses it."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection

    async def receive(self) -> str | bytes | None:
        """Return the next frame; None: there will be no other."""
        try:
            return await self._connection.recv()
        except ConnectionClosed:
            return None

    async def send(self, text: str) -> None:
        """Send a frame."""
        try:
            await self._connection.send(text)
        except ConnectionClosed:
            raise GoneError from None

    async def close(self, code: int, reason: str) -> None:
        """Send the close frame."""
        await self._connection.close(code, reason)


@asynccontextmanager
async def serve_small(
    host: str | None = "127.0.0.1", port: int = 0, *, page: bool = False
) -> AsyncGenerator[SmallServer]:
    """Run a small server while the block runs; at its end it says goodbye to its clients.

    Args:
        host: the address to listen on; None: all addresses of this computer.
        port: the port; 0 takes a free one.
        page: serve the page too, at `/`.

    Raises:
        OSError: it cannot listen there.
    """
    hub = Hub(SETTINGS, random=os.urandom, authenticate=everybody)
    bridge, guard = Bridge(hub), Guard()
    files = assets() if page else {}
    loop = asyncio.get_running_loop()

    def look(connection: ServerConnection, request: Request) -> Response | None:
        hosts, origins = request.headers.get_all("Host"), request.headers.get_all("Origin")
        refusal = guard.refusal(hosts[0] if len(hosts) == 1 else None, origins[0] if origins else None)
        if refusal is not None:
            return connection.respond(HTTPStatus.FORBIDDEN, refusal.text)
        path = request.path.partition("?")[0]
        if path in files:
            return _file(files[path], request)
        if path != "/ws":
            return connection.respond(HTTPStatus.NOT_FOUND, "the path of a signaling server ends with /ws")
        if hub.gauges()["connections"] >= hub.settings.connections:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "full: try again later")
        return None

    async def carry(connection: ServerConnection) -> None:
        def cut_off(seconds: float | None) -> None:
            loop.call_later(CLOSE_TIMEOUT if seconds is None else seconds, connection.transport.abort)

        await bridge.carry(_Frames(connection), _address(connection), cut_off)

    protocol: Subprotocol = SUBPROTOCOL  # type: ignore[assignment]
    server = await serve(
        carry,
        sock=_listen(host, port),
        subprotocols=[protocol],
        process_request=look,
        max_size=hub.settings.message_bytes,
        compression=None,
        open_timeout=OPEN_TIMEOUT,
        ping_interval=hub.settings.ping,
        ping_timeout=hub.settings.ping,
        close_timeout=CLOSE_TIMEOUT,
        server_header=None,
    )
    try:
        yield SmallServer(server.sockets[0].getsockname()[1], hub)
        await bridge.shut_down(0.0, 1.0)
    finally:
        server.close()
        await server.wait_closed()
        bridge.stop()


def _file(asset: Asset, request: Request) -> Response:
    def asked(name: str) -> str:
        return ",".join(request.headers.get_all(name))

    status, given, body = asset.answer(tags=asked("If-None-Match"), codings=asked("Accept-Encoding"))
    headers = Headers(given)
    headers["Connection"] = "close"
    if status == HTTPStatus.OK:
        headers["Content-Length"] = str(len(body))
    return Response(status, HTTPStatus(status).phrase, headers, body)


def _address(connection: ServerConnection) -> str:
    return str(connection.remote_address[0]) if connection.remote_address else ""


def _listen(host: str | None, port: int) -> socket.socket:
    if host is not None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    if socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):  # IPv6 is switched off
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))
