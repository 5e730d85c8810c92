"""The operators' part of the server, over HTTP. It lists rooms and peers, removes a peer, closes a room, and drains.

It is there only if the server was given a token for it. A request carries it in `Authorization: Bearer`. Requests of
pages are refused, whatever they carry: a browser must not be a way to it.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from msgspec import Meta
from starlette.responses import Response
from starlette.routing import Route

import adieu
from adieu.protocol.signaling import MAX_ROOM
from adieu.protocol.words import MAX_ID, MAX_TEXT
from adieu.server.hub.overview import MAX_PAGE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from adieu.server.bridge import Bridge

PREFIX = "/v1/admin"
MIN_TOKEN = 32
"""Characters: nobody guesses a random token of this length."""
PAGE = 100
MAX_DRAIN = 3600.0

Text = Annotated[str, Meta(max_length=MAX_TEXT)]
T = TypeVar("T")


class _Kick(msgspec.Struct, forbid_unknown_fields=True):
    peer: Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
    reason: Text = ""


class _Close(msgspec.Struct, forbid_unknown_fields=True):
    room: Annotated[str, Meta(min_length=1, max_length=MAX_ROOM)]
    reason: Text = ""


class _Drain(msgspec.Struct, forbid_unknown_fields=True):
    after: Annotated[float, Meta(ge=0, le=MAX_DRAIN)] = 0.0


class AdminToken:
    """The token of the operators, as a hash: it is in no log, dump or error.

    Raises:
        ValueError: the token is too short; the error never shows it.
    """

    def __init__(self, token: str) -> None:
        token = token.strip()
        if len(token) < MIN_TOKEN:
            raise ValueError(
                f"an admin token of {len(token)} characters is too short: it needs {MIN_TOKEN};"
                " `openssl rand -hex 32` makes one"
            )
        self._hash = _hash(token.encode())

    def allows(self, header: str) -> bool:
        """Whether this value of `Authorization` carries the token. Takes the same time for every wrong one."""
        scheme, _, given = header.partition(" ")
        same = hmac.compare_digest(_hash(given.strip().encode("latin-1", "replace")), self._hash)
        return same and scheme.lower() == "bearer"


def _hash(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


def routes(bridge: Bridge, token: AdminToken, read: Callable[[Request], Awaitable[bytes | None]]) -> list[Route]:
    """Return the routes.

    Args:
        bridge: carries the wishes to the hub.
        token: the token of the operators.
        read: returns the body of a request; None if it is too long, or came too slowly.
    """

    async def status(_: Request) -> Response:
        hub = bridge.hub
        return _json(
            {"version": adieu.__version__, "ready": hub.ready, "now": hub.gauges(), "events": dict(hub.counters)}
        )

    async def rooms(request: Request) -> Response:
        after, count = _page(request)
        found = bridge.hub.rooms(after=after, count=count + 1)
        return _json({"rooms": found[:count], "next": found[count - 1].room if len(found) > count else None})

    async def peers(request: Request) -> Response:
        after, count = _page(request)
        found = bridge.hub.peers(room=request.query_params.get("room"), after=after, count=count + 1)
        return _json({"peers": found[:count], "next": found[count - 1].peer if len(found) > count else None})

    async def kick(request: Request) -> Response:
        wish = await _body(request, read, _Kick)
        if not bridge.kick(wish.peer, wish.reason):
            return _problem(404, "there is no peer of this id")
        return _json({"kicked": 1})

    async def close(request: Request) -> Response:
        wish = await _body(request, read, _Close)
        return _json({"closed": bridge.close_room(wish.room, wish.reason)})

    async def drain(request: Request) -> Response:
        wish = await _body(request, read, _Drain)
        bridge.drain(wish.after)
        return _json({"draining": wish.after})

    doors = {"/status": status, "/rooms": rooms, "/peers": peers, "/kick": kick, "/close": close, "/drain": drain}
    writes = {kick, close, drain}
    return [
        Route(PREFIX + path, _guarded(door, token, bridge), methods=["POST" if door in writes else "GET"])
        for path, door in doors.items()
    ]


class _BadRequestError(Exception):
    """The request cannot be read; its text is the answer."""


def _guarded(
    door: Callable[[Request], Awaitable[Response]], token: AdminToken, bridge: Bridge
) -> Callable[[Request], Awaitable[Response]]:
    async def guarded(request: Request) -> Response:
        if "origin" in request.headers or not token.allows(request.headers.get("authorization", "")):
            bridge.hub.counters["admin_refused"] += 1
            return _problem(401, "the admin token is missing or wrong", {"WWW-Authenticate": "Bearer"})
        bridge.hub.counters["admin_requests"] += 1
        try:
            return await door(request)
        except _BadRequestError as error:
            return _problem(400, str(error))

    return guarded


def _page(request: Request) -> tuple[str, int]:
    """Return after which name the page begins, and its length."""
    given = request.query_params
    text = given.get("limit", str(PAGE))
    count = int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0
    if not 1 <= count < MAX_PAGE:
        raise _BadRequestError(f"limit is {text[:32]!r}, but must be a number from 1 to {MAX_PAGE - 1}")
    return given.get("after", ""), count


async def _body(request: Request, read: Callable[[Request], Awaitable[bytes | None]], kind: type[T]) -> T:
    body = await read(request)
    if body is None:
        raise _BadRequestError("the request is too long, or came too slowly")
    try:
        wish = msgspec.json.decode(body or b"{}", type=kind)
    except (ValueError, RecursionError) as error:
        raise _BadRequestError(f"the request is not valid: {error}") from None
    if isinstance(wish, _Drain) and not math.isfinite(wish.after):
        raise _BadRequestError("after must be a number of seconds")
    return wish


def _json(value: Any) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode(value), media_type="application/json", headers=headers)


def _problem(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    body = msgspec.json.encode({"error": text})
    return Response(
        body, status, media_type="application/json", headers={"Cache-Control": "no-store", **(headers or {})}
    )
