"""The SDK's own tests, `js/test`, which `npm test` runs in Node, run in each browser: the same built modules.

An import map puts `js/test/browser` in the place of Node's modules. Each file of tests has a page to itself.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from conftest import missing
from e2e.sdk.tabs import BUNDLE, PAGE, Tabs, found

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request, Response

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

ROOT = BUNDLE.parents[2]
BUILT = ROOT / "js" / "build" / "test"
SERVED = (ROOT / "js" / "build", ROOT / "vectors", ROOT / "docs" / "reference")
KINDS = {".js": "text/javascript; charset=utf-8", ".json": "application/json"}
IMPORTS = {
    "node:test": "/js/build/test/browser/test.js",
    "node:assert/strict": "/js/build/test/browser/assert.js",
    "node:fs": "/js/build/test/browser/fs.js",
}
IN_NODE_ONLY = {"bundle": "looks at the bundle's file and compresses it; in browsers all tests here run the bundle"}
# They put another document in the place of the page's own; `test_lifecycle.py` has a page really go.
SKIPPED = {
    "parts": {"the page: says how it goes away, and that it is back"},
    "signaling": {
        f"a room: a page that goes away says so by beacon, and {way} is enough for the other side"
        for way in ("in-band", "signaling")
    },
}
FILES = sorted(path.name.removesuffix(".test.ts") for path in (ROOT / "js" / "test").glob("*.test.ts"))


class Modules(Tabs):
    """The server of a page with the tests in reach."""

    def _requested(self, connection: ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if path == "/":
            imports = f'<script type="importmap">{json.dumps({"imports": IMPORTS})}</script>'
            return found(PAGE.replace("<script", f"{imports}<script", 1).encode(), "text/html; charset=utf-8")
        place = (ROOT / path.lstrip("/")).resolve()
        if not any(place.is_relative_to(folder) for folder in SERVED):
            return super()._requested(connection, request)
        if place.is_dir():
            return found(json.dumps([each.name for each in place.iterdir()]).encode(), KINDS[".json"])
        return found(place.read_bytes(), KINDS.get(place.suffix, "text/plain"))


@pytest.mark.parametrize("file", [file for file in FILES if file not in IN_NODE_ONLY])
async def test_they_pass_in_the_browser(browser: Any, file: str) -> None:
    if not (BUILT / f"{file}.test.js").exists():
        missing("the SDK's tests, built", "python tools/sdk.py --build")
    code = "return (await import('/js/build/test/browser/test.js')).run(`/js/build/test/${file}.test.js`)"
    async with Modules().serving() as server, server.open(browser) as tab:
        results = await tab.run(code, patience=120.0, file=file)
    assert not results["failed"], "\n".join(f"{name}: {error}" for name, error in results["failed"].items())
    assert results["passed"]
    assert set(results["skipped"]) == SKIPPED.get(file, set())


def test_what_is_left_out_is_there() -> None:
    assert set(IN_NODE_ONLY) | set(SKIPPED) <= set(FILES)
