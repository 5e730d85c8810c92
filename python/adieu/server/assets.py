"""The files of the built page, with their headers: for both servers, the large one and the small one.

The names of its assets have their hash, so that browsers cache them for good. `/` itself is requested each time, and
answered with 304 if nothing has changed. Text is sent compressed to browsers that take it: all of them.
"""

from __future__ import annotations

import gzip
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
        packed: the same, compressed; None for a picture, which is compressed already.
        kind: its media type.
        headers: of each answer, also of a 304.
    """

    body: bytes
    packed: bytes | None
    kind: str
    headers: dict[str, str]

    def answer(self, *, tags: str, codings: str) -> tuple[int, dict[str, str], bytes]:
        """Return the status, the headers and the body of the answer to a GET.

        Args:
            tags: the header If-None-Match, or an empty text.
            codings: the header Accept-Encoding, or an empty text.
        """
        if self._is_known(tags):
            return 304, self.headers, b""
        headers = self.headers | {"Content-Type": self.kind}
        if self.packed is None or not _takes_gzip(codings):
            return 200, headers, self.body
        return 200, headers | {"Content-Encoding": "gzip"}, self.packed

    def _is_known(self, tags: str) -> bool:
        """Whether the client has this version. RFC 9110, 13.1.2: the comparison is weak."""
        known = [each.strip().removeprefix("W/") for each in tags.split(",")]
        return self.headers["ETag"].removeprefix("W/") in known or known == ["*"]


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
    body, ending = file.read_bytes(), file.name.rpartition(".")[2]
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    if ending == "png":
        return Asset(body, None, _KINDS[ending], headers | {"ETag": tag})
    # RFC 9110, 8.8.1: a tag that two codings share is weak.
    more = {"ETag": f"W/{tag}", "Vary": "Accept-Encoding"}
    return Asset(body, gzip.compress(body, mtime=0), _KINDS[ending], headers | more)


def _takes_gzip(codings: str) -> bool:
    """Read an Accept-Encoding (RFC 9110, 12.5.3): `gzip`, or `*`, without a weight of 0."""
    for each in codings.lower().split(","):
        name, _, weight = each.replace(" ", "").partition(";")
        if name in {"gzip", "*"}:
            return not weight.startswith("q=") or weight[2:].strip("0.") != ""
    return False
