"""The npm package as a project installs it (npm_project.py): in Vite, in a plain page, in Node, and its types."""

from __future__ import annotations

import asyncio
import functools
import http.server
import json
import os
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import adieu
from adieu.server import serve
from conftest import missing
from e2e.lab import browsers

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio
PROJECT = Path(os.environ.get("ADIEU_NPM_PROJECT", Path(__file__).resolve().parents[2] / "target" / "package" / "npm"))


@pytest.fixture(autouse=True)
def project() -> None:
    if not (PROJECT / "built" / "index.html").exists():
        missing("a project with the npm package", "nox -s package makes it")


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(params=["plain", "vite"])
def page(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a page that another server than adieu's serves."""
    folder, path = (PROJECT, "plain.html") if request.param == "plain" else (PROJECT / "built", "index.html")
    handler = functools.partial(_Silent, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{path}"
        server.shutdown()
        thread.join()


async def test_a_page_with_the_package_talks_to_a_program(page: str) -> None:
    if browsers.chromium_program() is None:
        missing("Chromium", "python tools/system.py")
    origin = page.rsplit("/", 1)[0]
    async with (
        serve(origins=[origin]) as server,
        browsers.chromium() as browser,
        adieu.join(server.url, room="lab", name="program") as room,
        asyncio.timeout(60),
    ):
        await browser.open(f"{page}?url={server.url}")
        session = await room.session()
        chat = await session.open("chat")
        assert await chat.receive() == "hello from a page"
        await chat.send("goodbye")
        receipt = await session.wait_closed()
        assert receipt.agreed is not None
        assert receipt.clean
        assert receipt.reason.text == "done"


def test_node_loads_every_entry_and_says_what_it_lacks() -> None:
    ran = subprocess.run(["node", "node.mjs"], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    causes, goodbye, send, error = json.loads(ran.stdout)
    assert (causes, goodbye, send) == (True, "function", "function")
    assert "ws://127.0.0.1:1/ws" in error


@pytest.mark.parametrize("resolution", ["nodenext", "bundler"])
def test_its_types_are_found_and_strict(resolution: str) -> None:
    module = "nodenext" if resolution == "nodenext" else "esnext"
    options = ["--strict", "--noEmit", "--target", "es2022", "--module", module, "--moduleResolution", resolution]
    tsc = PROJECT / "node_modules" / ".bin" / "tsc"
    ran = subprocess.run(
        [str(tsc), *options, "types.ts", "--ignoreConfig"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
