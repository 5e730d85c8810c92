"""uvicorn's connections with the timeouts that a public server needs.

A stranger may connect and then say nothing or read nothing forever. uvicorn waits for it; here every wait ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from adieu.protocol.signaling import CloseCode
from adieu.server import door
from adieu.server.bridge import FAREWELL_TIMEOUT
from adieu.server.door import Door, Doorway

if TYPE_CHECKING:
    import socket
    from collections.abc import Generator, Iterable

    from adieu.server.door import Visitor

NO_UTF8 = 1007
"""The close code of RFC 6455 for text that is not UTF-8."""
CLOSE_TIMEOUT = 2.0
"""Seconds for the client's close frame, and for reading the frames before the close."""
REQUEST_TIMEOUT = 20.0
"""Seconds for an HTTP connection, from its first byte to its upgrade or its last answer."""
MAX_RECEIVED = 1024 * 1024
"""Bytes that an HTTP connection may send, all its requests together."""

_uvicorn: Final = logging.getLogger("adieu.server.uvicorn")
_uvicorn.setLevel(
    logging.ERROR
)  # its warnings are about strangers, who could fill the log; its debug lines have tokens


async def stop_accepting(sockets: Iterable[socket.socket]) -> None:
    """Stop accepting, and let accepted sockets become connections. Call it before a server is closed.

    A socket that was accepted becomes a connection some turns of the event loop later. If the server is closed in
    between, asyncio drops it without closing it (CPython 3.11).
    """
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError):  # an event loop that waits for connections in another way
        for listener in sockets:
            loop.remove_reader(listener)
    for _ in range(4):
        await asyncio.sleep(0)


class HttpConnection(H11Protocol):
    """An HTTP/1.1 connection with timeouts."""

    _too_late: asyncio.TimerHandle | None = None
    _received = 0

    def __init__(self, visitor: Visitor, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _uvicorn
        self._visitor = visitor
        self.most: int | None = None
        """The most connections of all kinds in this server."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer."""
        super().connection_made(transport)
        self._too_late = self.loop.call_later(door.FIRST_BYTE_TIMEOUT, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Handle a part of a request."""
        if not self._received:
            self._stop_clock()
            self._too_late = self.loop.call_later(REQUEST_TIMEOUT, self.transport.abort)
        self._received += len(data)
        if self._received > MAX_RECEIVED:
            # # An unwanted body: the request is answered already. All of it would be read and discarded.
            self.transport.abort()
            return
        self._visitor.asks()
        super().data_received(data)

    def on_response_complete(self) -> None:
        """Wait for the next request of the client."""
        self._visitor.answered()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop_clock()
        self._visitor.leave()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Stop the timer; the timer of the hub starts."""
        self._stop_clock()
        self._visitor.leave()
        if self.most is not None and len(self.connections) > self.most:
            self.transport.abort()  # many of them ignore the request to try again later
            return
        super().handle_websocket_upgrade(event)

    def _stop_clock(self) -> None:
        if self._too_late is not None:
            self._too_late.cancel()
            self._too_late = None


class WebSocketConnection(WebSocketsSansIOProtocol):
    """A WebSocket that can be cut off, closes with 3012 if no pong comes, and writes nothing into the log."""

    frames: list[bytes]
    close_sent: bool
    close_timer: asyncio.TimerHandle | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _uvicorn
        self.conn.logger = _uvicorn
        self.close_timeout: float = CLOSE_TIMEOUT
        self._cut: asyncio.TimerHandle | None = None

    async def run_asgi(self) -> None:
        """Give the application a way to cut off, and no query, which could have a secret and would be logged."""
        self.scope["query_string"] = b""
        self.scope["state"] = {"cut_off": self.cut_off}
        await super().run_asgi()

    async def send(self, message: Any) -> None:
        """Send a message; an answer in HTTP ends the handshake too."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def cut_off(self, patience: float | None = None) -> None:
        """End the connection within `patience` seconds, also if the client reads nothing.

        Until then its frames are read and ignored. A connection that is closed with unread bytes is reset, and then the
        client may lose the close frame.
        """
        self.close_timeout = CLOSE_TIMEOUT if patience is None else patience
        if self._cut is None:
            self._cut = self.loop.call_later(self.close_timeout, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        if self._cut is not None:
            self._cut.cancel()
        super().connection_lost(exc)

    def send_receive_event_to_app(self) -> None:
        """Pass on a whole message; text must be UTF-8 (RFC 6455 section 8.1)."""
        if self._cut is not None:
            self.frames = []
            return
        if self.curr_msg_data_type == "text" and not self.close_sent and not _is_utf8(self.frames):
            self.frames = []
            self.conn.fail(NO_UTF8, "the text is not UTF-8")
            self.handle_parser_exception()
            return
        super().send_receive_event_to_app()

    def handle_ping(self) -> None:
        """Answer a ping, but not on a connection that is lost or not read: pings would fill the memory or the log."""
        pong = b"".join(self.conn.data_to_send())
        if self.writable.is_set() and not self.transport.is_closing():
            self.transport.write(pong)

    def keepalive_timeout(self) -> None:
        """Handle a missing pong."""
        self.pong_timer: asyncio.TimerHandle | None = None
        self.pending_ping_payload: bytes | None = None
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.fail(CloseCode.NO_PONG, "no pong")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()
        self.cut_off()  # unread bytes would delay the end

    def shutdown(self) -> None:
        """Stop with the server. A client that got a close frame has time to answer; uvicorn would cut it off."""
        if not self.handshake_complete:
            super().shutdown()
            return
        self.stop_keepalive()
        self.cut_off(FAREWELL_TIMEOUT)
        if not self.close_sent and not self.transport.is_closing():
            self.conn.send_close(CloseCode.SHUTDOWN, "the server is stopping")
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.close_timer = self.loop.call_later(FAREWELL_TIMEOUT, self.transport.close)
            self.queue.put_nowait({"type": "websocket.disconnect", "code": int(CloseCode.SHUTDOWN)})


def _is_utf8(frames: list[bytes]) -> bool:
    try:
        b"".join(frames).decode()
    except UnicodeDecodeError:
        return False
    return True


class UvicornServer(uvicorn.Server):
    """A server inside the program's event loop: it takes no signals, reports when it is ready, and does not poll.

    Args:
        config: the settings of uvicorn; TLS is done at the door.
        places: see `Door`.
        most: the most connections in all.
    """

    servers: list[asyncio.Server]

    def __init__(self, config: uvicorn.Config, places: Door, most: int) -> None:
        super().__init__(config)
        self.ready: asyncio.Event = asyncio.Event()
        self._stop = asyncio.Event()
        self._door = places
        self._most = most

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals to the program."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        await self.lifespan.startup()
        loop = asyncio.get_running_loop()
        make = partial(Doorway, self._door, self._inside, self.config.ssl)
        self.servers = [
            await loop.create_server(make, sock=listener, backlog=self.config.backlog) for listener in sockets or ()
        ]
        self.started = True
        self.ready.set()

    def _inside(self, visitor: Visitor) -> HttpConnection:
        connection = HttpConnection(visitor, self.config, self.server_state, self.lifespan.state)
        connection.most = self._most
        return connection

    async def main_loop(self) -> None:
        """Wait until `stop` is called."""
        await self.on_tick(0)
        await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listening sockets and all connections."""
        await stop_accepting(sockets or ())
        for handshake in list(self._door.tasks):
            handshake.cancel()
        await super().shutdown(sockets)

    def stop(self) -> None:
        """Stop accepting, wait a moment for the open connections, and end."""
        self.should_exit = True
        self._stop.set()
