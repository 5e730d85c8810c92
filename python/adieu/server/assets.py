"""The files of the built page, with their headers: for both servers, the large one and the small one.

The names of its assets have their hash, so that browsers cache them for good. `/` itself is requested each time, and
answered with 304 if nothing has changed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

INSTALLED = ("manifest.webmanifest", "icon-192.png", "icon-512.png")
"""The files that an installed page needs."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:; worker-src blob:;"
    " connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types lit-html adieu-rtc"
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
    "Permissions-Policy": (
        "camera=(self), microphone=(self), speaker-selection=(self), display-capture=(self), geolocation=(),"
        " payment=(), usb=()"
    ),
    "Cache-Control": "no-cache",
}
_LOOSE = _ALWAYS | {"Cache-Control": "no-cache"}
"""The manifest and the icons that it names. They have no hash in their names: it is not built."""
_ASSET = _ALWAYS | {"Cache-Control": "public, max-age=31536000, immutable"}
_KINDS = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "webmanifest": "application/manifest+json",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page.

    Attributes:
        body: its bytes.
        kind: its media type.
        headers: of each answer, also of a 304.
    """

    body: bytes
    kind: str
    headers: dict[str, str]

    def is_known(self, tags: str) -> bool:
        """Whether the client has this version. RFC 9110, 13.1.2: the comparison is weak."""
        known = [each.strip().removeprefix("W/") for each in tags.split(",")]
        return self.headers["ETag"] in known or known == ["*"]


def assets() -> dict[str, Asset]:
    """Return the files by their paths: `/`, those of the installed page, and each below `/assets`."""
    static = resources.files("adieu.server") / "static"
    names = sorted((static / "assets").iterdir(), key=lambda asset: asset.name)
    return {
        "/": _read(static / "index.html", _DOCUMENT),
        **{f"/{name}": _read(static / name, _LOOSE) for name in INSTALLED},
        **{f"/assets/{asset.name}": _read(asset, _ASSET) for asset in names},
    }


def _read(file: Traversable, headers: dict[str, str]) -> Asset:
    body = file.read_bytes()
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return Asset(body, _KINDS[file.name.rpartition(".")[2]], headers | {"ETag": tag})
