"""The hub on the network: the routes of the server. `bridge` carries frames between its sockets and the hub."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
from email.utils import formatdate
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from adieu.bucket import Bucket
from adieu.protocol.signaling import SUBPROTOCOL, CloseCode, Error, encode
from adieu.server import network
from adieu.server import page as web_page
from adieu.server.admin import routes as admin_routes
from adieu.server.bridge import GoneError
from adieu.server.guard import Authority
from adieu.server.hub.state import close_reason
from adieu.server.metrics import CONTENT_TYPE, Metrics

if TYPE_CHECKING:
    from collections.abc import Generator

    from starlette.requests import HTTPConnection, Request
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope
    from starlette.types import Send as AsgiSend

    from adieu.server.admin import AdminToken
    from adieu.server.bridge import Bridge, CutOff
    from adieu.server.guard import Guard

logger: Final = logging.getLogger("adieu.server")

LINES_AT_ONCE = 20
LINES_PER_MINUTE = 6
MAX_BEACON = 64 * 1024
BEACON_TIMEOUT = 5.0


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


class _Frames:
    """Starlette's WebSocket, as the bridge uses it."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def receive(self) -> str | bytes | None:
        """Return the next frame; None: there will be no other."""
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        text: str | None = message.get("text")
        frame: bytes = message.get("bytes", b"")
        return frame if text is None else text

    async def send(self, text: str) -> None:
        """Send a frame."""
        with _gone():
            await self._websocket.send_text(text)

    async def close(self, code: int, reason: str) -> None:
        """Send the close frame."""
        with _gone():
            await self._websocket.close(code, reason)


@contextlib.contextmanager
def _gone() -> Generator[None]:
    try:
        yield
    except (WebSocketDisconnect, RuntimeError):
        # # RuntimeError: the connection was closed between two frames.
        raise GoneError from None


class Access(Enum):
    """The access to `/metrics`."""

    NOBODY = auto()
    LOCAL = auto()
    """Only programs on this computer, and not through a proxy on it."""
    ALL = auto()


def make_app(
    bridge: Bridge,
    guard: Guard,
    *,
    metrics: Access,
    page: bool,
    everywhere: bool = False,
    date: bool = True,
    admin: AdminToken | None = None,
) -> ASGIApp:
    """Return the application with all routes, behind the guard.

    Args:
        bridge: carries the frames.
        guard: refuses requests.
        metrics: the access to `/metrics`.
        page: whether there is a page for people.
        everywhere: whether the server listens on all addresses, so that the page may name one for other devices.
        date: whether `/healthz` says the time; False: the web server does.
        admin: the token of the operators; None: they have no part of their own.
    """
    hub = bridge.hub

    async def websocket(websocket: WebSocket) -> None:
        if SUBPROTOCOL not in websocket.scope.get("subprotocols", ()):
            text = f"the WebSocket subprotocol is {SUBPROTOCOL}"
            await websocket.send_denial_response(PlainTextResponse(text, status_code=400))
            return
        await websocket.accept(subprotocol=SUBPROTOCOL)
        await bridge.carry(_Frames(websocket), _address(websocket), _cut_off_of(websocket))

    async def leave(request: Request) -> Response:
        body = await _read_body(request)
        if body is None:
            return PlainTextResponse("the request is too long, or came too slowly", status_code=413)
        bridge.leaving(body)
        return Response(status_code=204)  # the same answer for unknown tokens, so guessing reveals nothing

    async def healthz(_: Request) -> Response:
        # # Alive, also when full or about to stop: a supervisor restarts the server without this answer.
        headers = {"Date": formatdate(usegmt=True)} if date else None  # `adieu doctor` compares the clocks
        return PlainTextResponse("ok", headers=headers)

    async def readyz(_: Request) -> Response:
        return PlainTextResponse("ok") if hub.ready else PlainTextResponse("full, or stopping", status_code=503)

    numbers = Metrics(bridge)

    async def show_metrics(request: Request) -> Response:
        if metrics is Access.LOCAL and not _is_local(request):
            return PlainTextResponse("Not Found", status_code=404)
        return Response(numbers.text(), media_type=CONTENT_TYPE)

    routes: list[BaseRoute] = [
        WebSocketRoute("/ws", websocket),
        # # A shard is for the proxy in front, which chooses a server by it; each server takes all.
        WebSocketRoute("/ws/{shard}", websocket),
        WebSocketRoute("/{path:path}", _elsewhere),
        Route("/v1/leave", leave, methods=["POST"]),
        Route("/ws/{shard}/v1/leave", leave, methods=["POST"]),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
    ]
    if metrics is not Access.NOBODY:
        routes.append(Route("/metrics", show_metrics))
    if admin is not None:
        routes += admin_routes(bridge, admin, _read_body)
    if page:
        routes += [*web_page.routes(), *([network.route(_is_local)] if everywhere else [])]
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


async def _elsewhere(websocket: WebSocket) -> None:
    text = "the path of a signaling server ends with /ws, and this one does not"
    await _turn_away(websocket, CloseCode.BAD_REQUEST, "path", text)


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
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > MAX_BEACON:  # h11 has checked that it is a number, others may not
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
