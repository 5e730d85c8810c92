"""uvicorn's connections with the ends that a public server needs.

A stranger may connect and say nothing, or read nothing, for ever. uvicorn waits for it; here every wait ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from adieu.protocol.signaling import CloseCode

if TYPE_CHECKING:
    import socket
    from collections.abc import Generator, Iterable

CLOSE_TIMEOUT = 2.0
"""Seconds for the other side's close frame, and for what was sent before it."""
REQUEST_TIMEOUT = 20.0
"""Seconds for an HTTP connection, from its first byte to its upgrade or its last answer."""


async def stop_accepting(sockets: Iterable[socket.socket]) -> None:
    """Let nobody in any more, and whoever is on the way in become a connection: to be called before a server is closed.

    A socket that was accepted becomes a connection some turns of the event loop later. If the server is closed in
    between, asyncio drops it without closing it (CPython 3.11).
    """
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError):  # a loop that waits for connections in another way
        for listener in sockets:
            loop.remove_reader(listener)
    for _ in range(4):
        await asyncio.sleep(0)


class HttpConnection(H11Protocol):
    """HTTP/1.1 that has to get on with it."""

    _too_late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuse what is too much, and set the clock."""
        super().connection_made(transport)
        limit = self.config.limit_concurrency
        if limit is not None and len(self.connections) > limit:
            transport.abort()
            return
        self._too_late = self.loop.call_later(REQUEST_TIMEOUT, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_clock()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Stop the clock: the hub's begins."""
        self._stop_clock()
        super().handle_websocket_upgrade(event)

    def _stop_clock(self) -> None:
        if self._too_late is not None:
            self._too_late.cancel()
            self._too_late = None


class WebSocketConnection(WebSocketsSansIOProtocol):
    """A WebSocket that can be cut off, and that says 3012 when no pong comes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.close_timeout = CLOSE_TIMEOUT
        self._cut: asyncio.TimerHandle | None = None

    async def run_asgi(self) -> None:
        """Give the application the means to cut off, and no query: it would be logged, and could hold a secret."""
        self.scope["query_string"] = b""
        self.scope["state"] = {"cut_off": self.cut_off}
        await super().run_asgi()

    def cut_off(self) -> None:
        """End the connection within `CLOSE_TIMEOUT`, also when the other side reads nothing."""
        if self._cut is None:
            self._cut = self.loop.call_later(self.close_timeout, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        if self._cut is not None:
            self._cut.cancel()
        super().connection_lost(exc)

    def keepalive_timeout(self) -> None:
        """No pong."""
        self.pong_timer: asyncio.TimerHandle | None = None
        self.pending_ping_payload: bytes | None = None
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.fail(CloseCode.NO_PONG, "no pong")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()
        self.cut_off()  # what was not read is still in the way of the end


class UvicornServer(uvicorn.Server):
    """A server inside somebody's event loop: it takes no signals, says when it is ready, and does not poll."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready: asyncio.Event = asyncio.Event()
        self._stop = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals are the program's."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        """Until `stop`."""
        await self.on_tick(0)
        await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close what listens, and who is there."""
        await stop_accepting(sockets or ())
        await super().shutdown(sockets)

    def stop(self) -> None:
        """Let nobody in any more, wait a moment for who is there, end."""
        self.should_exit = True
        self._stop.set()
