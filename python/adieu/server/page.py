"""The page: built from `web/` into `static/` next to this module, held in memory, served with strict headers.

The names of its assets have their hash, so that browsers cache them for good. `/` itself is requested each time, and
answered with 304 if nothing has changed.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from starlette.requests import Request

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:; worker-src blob:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for"
    " 'script'; trusted-types lit-html adieu-rtc"
)
"""The content policy. The page may load its own files, talk to its own server (`connect-src` includes the WebSocket),
and hash files in a worker of the SDK (`blob:`). Nothing is inline, and nothing comes from other servers."""

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    # # Not `no-referrer`: with it Firefox sends the page's goodbye with the origin `null`, which is refused.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_DOCUMENT = _ALWAYS | {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=(), display-capture=(), payment=(), usb=()",
    "Cache-Control": "no-cache",
}
_ASSET = _ALWAYS | {"Cache-Control": "public, max-age=31536000, immutable"}
_KINDS = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}


def routes() -> list[Route]:
    """Return the routes of `/` and its assets. They allow GET and HEAD; other methods get 405, other names 404."""
    static = resources.files("adieu.server") / "static"
    assets = sorted((static / "assets").iterdir(), key=lambda asset: asset.name)
    return [
        _route("/", static / "index.html", _DOCUMENT),
        *(_route(f"/assets/{asset.name}", asset, _ASSET) for asset in assets),
    ]


def _route(path: str, file: Traversable, headers: dict[str, str]) -> Route:
    body = file.read_bytes()
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    kind = _KINDS[file.name.rpartition(".")[2]]
    all_headers = headers | {"ETag": tag}

    async def answer(request: Request) -> Response:
        if _knows(request.headers.get("if-none-match", ""), tag):
            return Response(status_code=304, headers=all_headers)
        return Response(body, headers=all_headers, media_type=kind)

    return Route(path, answer, methods=["GET"])  # Starlette adds HEAD


def _knows(tags: str, tag: str) -> bool:
    """Whether the client has this version. RFC 9110, 13.1.2: the comparison is weak."""
    known = [each.strip().removeprefix("W/") for each in tags.split(",")]
    return tag in known or known == ["*"]
