"""The hub on the network: routes, and a bridge that carries frames between sockets and the hub."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from adieu.protocol.bucket import Bucket
from adieu.protocol.redact import redact
from adieu.protocol.signaling import SUBPROTOCOL, CloseCode, Error, encode
from adieu.server import page as web_page
from adieu.server.guard import Authority
from adieu.server.hub import Close, Hub, Send
from adieu.server.hub.state import close_reason
from adieu.server.metrics import CONTENT_TYPE, Metrics
from adieu.server.transport import FAREWELL_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import HTTPConnection, Request
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope
    from starlette.types import Send as AsgiSend

    from adieu.server.guard import Guard

logger: Final = logging.getLogger("adieu.server")

CutOff: TypeAlias = "Callable[[float | None], None]"
"""Ends a connection within this many seconds; None: within its own timeout."""
LINES_AT_ONCE = 20
LINES_PER_MINUTE = 6
MAX_BEACON = 64 * 1024
BEACON_TIMEOUT = 5.0
OUTBOX_FACTOR = 3
"""Times `Settings.queue_bytes`. The hub bounds what it keeps for one client; this bounds the answers too."""


class _Outlet:
    """Frames that wait to be written to one socket."""

    def __init__(self, cut_off: CutOff) -> None:
        self.frames: deque[str] = deque()
        self.size = 0
        self.close: Close | None = None
        self.woken = asyncio.Event()
        self._cut_off = cut_off

    def put(self, frame: str) -> None:
        """Add a frame."""
        self.frames.append(frame)
        self.size += len(frame)
        self.woken.set()

    def pop(self) -> str:
        """Return the next frame."""
        frame = self.frames.popleft()
        self.size -= len(frame)
        return frame

    def end(self, close: Close) -> None:
        """End the socket after the queued frames, and soon, even if the client does not read."""
        self.close = close
        self.woken.set()
        self._cut_off(FAREWELL_TIMEOUT if close.code is CloseCode.SHUTDOWN else None)


class _Sparing:
    """Logs events that strangers cause, but does not let them fill the log: some lines at once, then a few a minute."""

    def __init__(self) -> None:
        self._bucket: Bucket | None = None
        self._left_out = 0

    def tell(self, text: str, *values: object) -> None:
        """Log one line at INFO."""
        now = asyncio.get_running_loop().time()
        if self._bucket is None:
            self._bucket = Bucket(LINES_PER_MINUTE / 60, LINES_AT_ONCE, now)
        if not self._bucket.take(now):
            self._left_out += 1
            return
        if self._left_out:
            logger.info("%d others were refused", self._left_out)
            self._left_out = 0
        logger.info(text, *values)


class Bridge:
    """Carries frames between sockets and one hub, and keeps the hub's time. Use it in one event loop only."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self._outlets: dict[int, _Outlet] = {}
        self._limit = OUTBOX_FACTOR * hub.settings.queue_bytes
        self._timer: asyncio.TimerHandle | None = None
        self._emptied = asyncio.Event()
        self._emptied.set()

    async def carry(self, websocket: WebSocket, address: str, cut_off: CutOff) -> None:
        """Serve a socket from its opening to its end."""
        await websocket.accept(subprotocol=SUBPROTOCOL)
        outlet = _Outlet(cut_off)
        number = self.hub.handle_connect(address, self._now())
        self._outlets[number] = outlet
        self._emptied.clear()
        self.flush()
        try:
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(self._write(websocket, outlet, number))
                await self._read(websocket, outlet, number)
                writer.cancel()
        finally:
            self.hub.handle_disconnect(number, self._now())
            self.flush()
            del self._outlets[number]
            if not self._outlets:
                self._emptied.set()

    async def _read(self, websocket: WebSocket, outlet: _Outlet, number: int) -> None:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if outlet.close is not None:
                continue  # the hub has closed it: its frames are ignored
            text: str | None = message.get("text")
            frame: str | bytes = message.get("bytes", b"") if text is None else text
            if logger.isEnabledFor(logging.DEBUG):
                logger.debug("%d > %s", number, redact(frame))
            self.hub.handle_message(number, frame, self._now())
            self.flush()

    async def _write(self, websocket: WebSocket, outlet: _Outlet, number: int) -> None:
        try:
            while True:
                outlet.woken.clear()
                while outlet.frames:
                    frame = outlet.pop()
                    if logger.isEnabledFor(logging.DEBUG):
                        logger.debug("%d < %s", number, redact(frame))
                    await websocket.send_text(frame)
                if outlet.close is not None:
                    await websocket.close(int(outlet.close.code), outlet.close.reason)
                    return
                await outlet.woken.wait()
        except (WebSocketDisconnect, RuntimeError):
            # # RuntimeError: the connection was closed between two frames. The reader notices in either case.
            return

    def flush(self) -> None:
        """Carry out all outputs of the hub, then set its timer."""
        while (output := self.hub.poll_output()) is not None:
            outlet = self._outlets.get(output.connection)
            if outlet is None or outlet.close is not None:
                continue
            match output:
                case Send(connection=connection, text=text):
                    outlet.put(text)
                    if outlet.size > self._limit:
                        self.hub.handle_slow(connection, self._now())
                case Close():
                    outlet.end(output)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.hub.poll_timeout()
        if due is not None:
            self._timer = asyncio.get_running_loop().call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.hub.handle_timeout(self._now())
        self.flush()

    def leaving(self, body: bytes) -> bool:
        """Handle the goodbye of a page."""
        known = self.hub.handle_leaving(body, self._now())
        self.flush()
        return known

    async def shut_down(self, after: float, patience: float) -> None:
        """Send `goaway`, wait `after` seconds, close all sockets, and wait at most `patience` seconds."""
        self.hub.handle_shutdown(after if self._outlets else 0.0, self._now())
        self.flush()
        try:
            async with asyncio.timeout(after + patience):
                await self._emptied.wait()
        except TimeoutError:
            logger.info("%d sockets have not read everything yet: they are closed after that", len(self._outlets))

    def stop(self) -> None:
        """Stop the hub's timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


class Access(Enum):
    """The access to `/metrics`."""

    NOBODY = auto()
    LOCAL = auto()
    """Only programs on this computer, and not through a proxy on it."""
    ALL = auto()


def make_app(bridge: Bridge, guard: Guard, *, metrics: Access, page: bool) -> ASGIApp:
    """Return the application with all routes, behind the guard."""
    hub = bridge.hub

    async def websocket(websocket: WebSocket) -> None:
        if SUBPROTOCOL not in websocket.scope.get("subprotocols", ()):
            text = f"the WebSocket subprotocol is {SUBPROTOCOL}"
            await websocket.send_denial_response(PlainTextResponse(text, status_code=400))
            return
        await bridge.carry(websocket, _address(websocket), _cut_off_of(websocket))

    async def elsewhere(websocket: WebSocket) -> None:
        text = "the path of a signaling server ends with /ws, and this one does not"
        await _turn_away(websocket, CloseCode.BAD_REQUEST, "path", text)

    async def leave(request: Request) -> Response:
        body = await _read_body(request)
        if body is None:
            return PlainTextResponse("the request is too long, or came too slowly", status_code=413)
        bridge.leaving(body)
        return Response(status_code=204)  # the same answer for unknown tokens, so guessing reveals nothing

    async def healthz(_: Request) -> Response:
        return PlainTextResponse(
            "ok"
        )  # alive, also when full or about to stop: a supervisor restarts the server without this answer

    async def readyz(_: Request) -> Response:
        return PlainTextResponse("ok") if hub.ready else PlainTextResponse("full, or stopping", status_code=503)

    numbers = Metrics(hub)

    async def show_metrics(request: Request) -> Response:
        if metrics is Access.LOCAL and not _is_local(request):
            return PlainTextResponse("Not Found", status_code=404)
        return Response(numbers.text(), media_type=CONTENT_TYPE)

    routes: list[BaseRoute] = [
        WebSocketRoute("/ws", websocket),
        WebSocketRoute("/{path:path}", elsewhere),
        Route("/v1/leave", leave, methods=["POST"]),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
    ]
    if metrics is not Access.NOBODY:
        routes.append(Route("/metrics", show_metrics))
    if page:
        routes += web_page.routes()
    return _Guarded(Starlette(routes=routes), guard)


class _Guarded:
    """Refuses requests before anything is read."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard
        self._log = _Sparing()

    async def __call__(self, scope: Scope, receive: Receive, send: AsgiSend) -> None:
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope.get("headers", ()):
            headers.setdefault(name, []).append(value)
        try:
            if b"content-length" in headers and b"transfer-encoding" in headers:
                # # RFC 9112 section 6.1: with two lengths, the bytes after the shorter one would be another request.
                text = "a request must not have both Content-Length and Transfer-Encoding"
                response = PlainTextResponse(text, status_code=400, headers={"Connection": "close"})
                await response(scope, receive, send)
                return
            refusal = self._guard.refusal(_one(headers.get(b"host")), _one(headers.get(b"origin")))
            if refusal is None:
                await self._app(scope, receive, send)
                return
            self._log.tell("refused %r: %s", scope["path"][:100], refusal.text)
            if scope["type"] == "websocket":
                # # Not by HTTP's 403: a page cannot read that, not even the status.
                websocket = WebSocket(scope, receive, send)
                await _turn_away(websocket, CloseCode.DENIED, refusal.code, refusal.text)
            else:
                await PlainTextResponse(refusal.text, status_code=403)(scope, receive, send)
        except (WebSocketDisconnect, ClientDisconnect):
            return  # the stranger has hung up meanwhile


async def _turn_away(websocket: WebSocket, close: CloseCode, code: str, text: str) -> None:
    """Accept a WebSocket to send it the reason for its refusal: a page cannot read an HTTP answer."""
    offered = websocket.scope.get("subprotocols", ())
    await websocket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
    _cut_off_of(websocket)(None)
    await websocket.send_text(encode(Error(code=code, message=text)))
    await websocket.close(int(close), close_reason(text))


def _one(values: list[bytes] | None) -> str | None:
    """Return a header that may come once. If it comes twice, return a value that is never allowed."""
    if not values:
        return None
    return values[0].decode("latin-1").lower() if len(values) == 1 else "?"


def _is_local(request: Request) -> bool:
    """Whether the request comes from a program on this computer, and not through a proxy."""
    host = Authority.parse(request.headers.get("host", ""))
    named = host is not None and (host.host == "localhost" or _is_loopback(host.host))
    passed_on = any(name in _FORWARDED or name.startswith("x-forwarded-") for name in request.headers)
    return named and _is_loopback(_address(request)) and not passed_on


_FORWARDED = frozenset({"forwarded", "via", "x-real-ip", "cf-connecting-ip", "true-client-ip"})


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


async def _read_body(request: Request) -> bytes | None:
    body = bytearray()
    if int(request.headers.get("content-length", "0")) > MAX_BEACON:  # a number: h11 has checked it
        return None
    try:
        async with asyncio.timeout(BEACON_TIMEOUT):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BEACON:
                    return None
    except TimeoutError:
        return None
    return bytes(body)


def _address(connection: HTTPConnection[Any]) -> str:
    return connection.client.host if connection.client is not None else ""


def _cut_off_of(websocket: WebSocket) -> CutOff:
    cut_off: CutOff = websocket.scope.get("state", {}).get("cut_off", _nothing)
    return cut_off


def _nothing(_: float | None) -> None:
    """Do nothing: under another server, connections end as that server decides."""


def random_bytes(count: int) -> bytes:
    """Return random bytes for ids and resume tokens."""
    return os.urandom(count)
