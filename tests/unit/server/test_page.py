"""The page as browsers get it: headers, caches, refusals, and that what is served is what was written."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from adieu.server import serve

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
async def server():
    async with serve() as running:
        yield running


@pytest.fixture
async def client(server):
    async with httpx.AsyncClient(base_url=server.http_url, trust_env=False) as opened:
        yield opened


async def test_the_page_may_do_nothing_but_what_it_needs(client):
    answer = await client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-cache"
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == policy["style-src"] == "'self'"
    assert "unsafe" not in answer.headers["content-security-policy"]


async def test_nothing_comes_from_elsewhere_and_nothing_is_inline(client):
    page = (await client.get("/")).text
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", page)
    loaded = re.findall(r"(?:src|href)=\"([^\"]*)\"", page)
    assert loaded
    for path in loaded:
        assert path.startswith("./assets/")
        answer = await client.get(path)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_what_a_browser_has_is_not_sent_again(client):
    first = await client.get("/")
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = await client.get("/", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    other = await client.get("/", headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.content) == (200, first.content)


async def test_head_is_get_without_a_body(client):
    answer, whole = await client.head("/"), await client.get("/")
    assert answer.content == b""
    assert answer.headers == whole.headers


@pytest.mark.parametrize("path", ["/lab", "/assets/", "/assets/none.js", "/assets/%2e%2e/index.html", "/index.html"])
async def test_there_is_nothing_else(client, path):
    assert (await client.get(path)).status_code == 404


async def test_the_page_is_only_read(client):
    assert (await client.post("/")).status_code == 405


async def test_a_server_may_do_without():
    async with serve(page=False) as server, httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(server.http_url + "/")).status_code == 404
        assert (await client.get(server.http_url + "/healthz")).status_code == 200


def test_what_is_served_was_built_of_what_is_written():
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "page.py"), "--stamp"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
