"""The page: built from `web/` into `static/` next to this module, held in memory, served with strict headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from adieu.server.assets import Asset, assets

if TYPE_CHECKING:
    from starlette.requests import Request


def routes() -> list[Route]:
    """Return the routes of `/` and its assets. They allow GET and HEAD; other methods get 405, other names 404."""
    return [_route(path, asset) for path, asset in assets().items()]


def _route(path: str, asset: Asset) -> Route:
    async def answer(request: Request) -> Response:
        asked = request.headers.get
        status, headers, body = asset.answer(tags=asked("if-none-match", ""), codings=asked("accept-encoding", ""))
        return Response(body, status, headers)

    return Route(path, answer, methods=["GET"])  # Starlette adds HEAD
