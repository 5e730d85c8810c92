"""The page as browsers get it: headers, caches, refusals, and that what is served is what was written."""

from __future__ import annotations

import gzip
import ipaddress
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from adieu.server import network, serve

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
    features = dict(part.strip().split("=") for part in answer.headers["permissions-policy"].split(","))
    own = {feature for feature, who in features.items() if who == "(self)"}
    assert own == {"camera", "microphone", "speaker-selection", "display-capture"}
    assert set(features.values()) == {"(self)", "()"}


async def test_nothing_comes_from_elsewhere_and_nothing_is_inline(client):
    page = (await client.get("/")).text
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", page)
    loaded = re.findall(r"(?:src|href)=\"([^\"]*)\"", page)
    assert loaded
    for path in loaded:
        if path == "./manifest.webmanifest":
            continue
        assert path.startswith("./assets/")
        answer = await client.get(path)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_the_first_load_is_small(client):
    """The room, the other languages and the panel are loaded when they are used."""
    page = (await client.get("/")).text
    loaded = [path for path in re.findall(r"(?:src|href)=\"([^\"]*)\"", page) if path.endswith((".js", ".css"))]
    size = sum([int((await client.get(path)).headers["content-length"]) for path in loaded])
    assert size <= 40_000, f"{size} bytes: {loaded}"


@pytest.mark.parametrize(
    ("codings", "is_packed"),
    [
        ("gzip, deflate, br", True),
        ("br;q=1.0, GZIP;q=0.8", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0, *", False),
        ("br", False),
        ("identity", False),
        ("x-gzip-not", False),
        ("", False),
    ],
)
async def test_text_is_compressed_for_those_that_take_it(client, codings, is_packed):
    """Nothing of it is secret, so that the length may tell what it is."""
    page = (await client.get("/")).text
    for path in ("/", *re.findall(r"(?:src|href)=\"\./(assets/[^\"]*\.(?:js|css))\"", page)):
        async with client.stream("GET", path, headers={"Accept-Encoding": codings}) as answer:
            body = b"".join([part async for part in answer.aiter_raw()])
        assert (answer.headers.get("content-encoding") == "gzip") == is_packed
        assert answer.headers["vary"] == "Accept-Encoding"
        assert answer.headers["content-length"] == str(len(body))
        whole = (await client.get(path)).content
        assert (gzip.decompress(body) if is_packed else body) == whole
        again = await client.get(path, headers={"If-None-Match": answer.headers["etag"], "Accept-Encoding": codings})
        assert (again.status_code, again.content) == (304, b"")


async def test_the_page_can_be_installed(client):
    """Without a service worker: nothing old is ever shown."""
    page = (await client.get("/")).text
    [manifest] = re.findall(r"<link rel=\"manifest\" href=\"\./([^\"]*)\"", page)
    answer = await client.get(f"/{manifest}")
    assert answer.headers["content-type"] == "application/manifest+json"
    assert answer.headers["cache-control"] == "no-cache"
    said = answer.json()
    assert (said["start_url"], said["scope"], said["display"]) == ("./", "./", "standalone")
    for icon in said["icons"]:
        body = (await client.get(f"/{icon['src'].removeprefix('./')}")).content
        assert body.startswith(b"\x89PNG")
        width, height = (int.from_bytes(body[at : at + 4]) for at in (16, 20))
        assert f"{width}x{height}" == icon["sizes"]
    assert {icon["sizes"] for icon in said["icons"]} == {"192x192", "512x512"}
    assert "serviceworker" not in page.lower()


async def test_the_page_learns_its_address_in_the_network_only_on_this_computer(monkeypatch):
    monkeypatch.setattr(network, "own_address", lambda: "192.168.7.9")
    async with serve("0.0.0.0", open_to_all=True) as server, httpx.AsyncClient(trust_env=False) as client:
        port = server.addresses[0][1]
        address = f"{server.http_url}/v1/address"
        assert (await client.get(address)).json() == {"address": f"http://192.168.7.9:{port}/"}
        for headers in ({"X-Forwarded-For": "203.0.113.9"}, {"Via": "1.1 proxy"}, {"Host": f"192.168.7.9:{port}"}):
            assert (await client.get(address, headers=headers)).status_code == 404, headers
        monkeypatch.setattr(network, "own_address", lambda: "fd00::9")
        assert (await client.get(address)).json() == {"address": f"http://[fd00::9]:{port}/"}
        monkeypatch.setattr(network, "own_address", lambda: "")
        assert (await client.get(address)).status_code == 404, "this computer is in no network"
    async with serve() as server, httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"{server.http_url}/v1/address")).status_code == 404, "it is for this computer only"


def test_an_address_of_this_computer_is_found_without_a_packet():
    found = network.own_address()
    assert not found or not ipaddress.ip_address(found).is_loopback


async def test_what_a_browser_has_is_not_sent_again(client):
    first = await client.get("/")
    tag = first.headers["etag"]
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
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
