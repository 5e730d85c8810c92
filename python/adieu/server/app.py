"""The hub on the network: routes, and a bridge that carries frames between sockets and the hub."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from adieu.protocol.redact import redact
from adieu.protocol.signaling import SUBPROTOCOL
from adieu.server import page as web_page
from adieu.server.hub import Close, Hub, Send
from adieu.server.metrics import CONTENT_TYPE, Metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import HTTPConnection, Request
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope
    from starlette.types import Send as AsgiSend

    from adieu.server.guard import Guard

logger: Final = logging.getLogger("adieu.server")

MAX_BEACON = 64 * 1024
BEACON_TIMEOUT = 5.0
OUTBOX_FACTOR = 3
"""Times `Settings.queue_bytes`: what the hub keeps for one client is bounded already, this bounds the answers too."""


class _Outlet:
    """What waits to be written to one socket."""

    def __init__(self, cut_off: Callable[[], None]) -> None:
        self.frames: deque[str] = deque()
        self.size = 0
        self.close: Close | None = None
        self.woken = asyncio.Event()
        self._cut_off = cut_off

    def put(self, frame: str) -> None:
        """After what is there."""
        self.frames.append(frame)
        self.size += len(frame)
        self.woken.set()

    def pop(self) -> str:
        """The next one."""
        frame = self.frames.popleft()
        self.size -= len(frame)
        return frame

    def end(self, close: Close) -> None:
        """After what is there, and soon, whether the other side reads or not."""
        self.close = close
        self.woken.set()
        self._cut_off()


class Bridge:
    """Carries frames between sockets and one hub, and keeps the hub's time. Owned by one event loop."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self._outlets: dict[int, _Outlet] = {}
        self._limit = OUTBOX_FACTOR * hub.settings.queue_bytes
        self._timer: asyncio.TimerHandle | None = None
        self._emptied = asyncio.Event()
        self._emptied.set()

    async def carry(self, websocket: WebSocket, address: str, cut_off: Callable[[], None]) -> None:
        """A socket, from its opening to its end."""
        await websocket.accept(subprotocol=SUBPROTOCOL)
        outlet = _Outlet(cut_off)
        number = self.hub.handle_connect(address, self._now())
        self._outlets[number] = outlet
        self._emptied.clear()
        self.flush()
        try:
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(self._write(websocket, outlet, number))
                await self._read(websocket, number)
                writer.cancel()
        finally:
            self.hub.handle_disconnect(number, self._now())
            self.flush()
            del self._outlets[number]
            if not self._outlets:
                self._emptied.set()

    async def _read(self, websocket: WebSocket, number: int) -> None:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
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
            # RuntimeError: the connection was closed between two frames. The reader hears of it in either case.
            return

    def flush(self) -> None:
        """Hand out what the hub has to say, until it has nothing more; then set its clock."""
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
        """A page's last word."""
        known = self.hub.handle_leaving(body, self._now())
        self.flush()
        return known

    async def shut_down(self, after: float, patience: float) -> None:
        """Say `goaway`, wait so many seconds, close all, and wait for them, but no longer than `patience` more."""
        self.hub.handle_shutdown(after if self._outlets else 0.0, self._now())
        self.flush()
        try:
            async with asyncio.timeout(after + patience):
                await self._emptied.wait()
        except TimeoutError:
            logger.warning("%d sockets did not end in time", len(self._outlets))

    def stop(self) -> None:
        """The hub's time stands still."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def make_app(bridge: Bridge, guard: Guard, *, metrics: bool, page: bool) -> ASGIApp:
    """The routes, behind the guard."""

    async def websocket(websocket: WebSocket) -> None:
        if SUBPROTOCOL not in websocket.scope.get("subprotocols", ()):
            text = f"the WebSocket subprotocol is {SUBPROTOCOL}"
            await websocket.send_denial_response(PlainTextResponse(text, status_code=400))
            return
        await bridge.carry(websocket, _address(websocket), websocket.scope.get("state", {}).get("cut_off", _nothing))

    async def leave(request: Request) -> Response:
        body = await _read_body(request)
        if body is None:
            return PlainTextResponse("too long, or too late", status_code=413)
        bridge.leaving(body)
        return Response(status_code=204)  # the same for a token of nobody: who guesses learns nothing

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok")

    numbers = Metrics(bridge.hub)

    async def show_metrics(_: Request) -> Response:
        return Response(numbers.text(), media_type=CONTENT_TYPE)

    routes: list[BaseRoute] = [
        WebSocketRoute("/ws", websocket),
        Route("/v1/leave", leave, methods=["POST"]),
        Route("/healthz", healthz),
    ]
    if metrics:
        routes.append(Route("/metrics", show_metrics))
    if page:
        routes += web_page.routes()
    return _Guarded(Starlette(routes=routes), guard)


class _Guarded:
    """Refuses before anything is read."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: AsgiSend) -> None:
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope.get("headers", ()):
            headers.setdefault(name, []).append(value)
        refusal = self._guard.refusal(_one(headers.get(b"host")), _one(headers.get(b"origin")))
        if refusal is None:
            await self._app(scope, receive, send)
            return
        logger.info("refused %r: %s", scope["path"], refusal)
        response = PlainTextResponse(refusal, status_code=403)
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, send).send_denial_response(response)
        else:
            await response(scope, receive, send)


def _one(values: list[bytes] | None) -> str | None:
    """A header that may stand once; twice is as good as something that is never allowed."""
    if not values:
        return None
    return values[0].decode("latin-1").lower() if len(values) == 1 else "?"


async def _read_body(request: Request) -> bytes | None:
    body = bytearray()
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


def _nothing() -> None:
    """Under a server that is not ours connections end as that server has it."""


def random_bytes(count: int) -> bytes:
    """What ids and resume tokens are made of."""
    return os.urandom(count)
