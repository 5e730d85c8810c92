"""The small server that a program runs for itself: programs meet there, pages and strangers are turned away."""

from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

import adieu
from adieu.protocol.signaling import SUBPROTOCOL
from adieu.server import assets, small
from adieu.server.small import serve_small
from adieu.signaling import Down, SignalingClient

pytestmark = pytest.mark.anyio


async def test_two_programs_meet_talk_and_close():
    async with (
        serve_small() as server,
        adieu.join(server.url(), room="lab", name="Ada") as here,
        adieu.join(server.url("localhost"), room="lab", name="Ben") as there,
    ):
        ada, ben = await asyncio.gather(here.session(), there.session())
        chat = await ada.open("chat")
        await chat.send("hello")
        assert await (await ben.open("chat")).receive() == "hello"
        receipt = await ada.close("done")
        assert receipt.clean
        assert receipt.agreed == (await ben.wait_closed()).agreed


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_it_can_listen_on_all_addresses_with_one_port(host):
    async with serve_small(None) as server, SignalingClient(f"ws://{host}:{server.port}/ws") as client:
        assert await client.join("lab") == []


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/ws", {"Origin": "https://example.org"}, 403),
        ("/ws", {"Host": "rebound.example.org"}, 403),
        ("/", {}, 404),
    ],
)
async def test_pages_and_odd_requests_are_turned_away(path, headers, status):
    async with serve_small() as server:
        url = f"ws://127.0.0.1:{server.port}{path}"
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, subprotocols=[SUBPROTOCOL], additional_headers=headers)
        assert refused.value.response.status_code == status


async def answer(server, path, **headers):
    """The status, the headers and the body of the answer to a GET."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        *(f"{name}: {headers[name]}" for name in headers),
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
    writer.close()
    first, *rest = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in rest), body


async def test_it_serves_the_page_from_the_package_where_it_is_asked_to():
    """The same files and headers as those of the large server: the page must not be weaker here."""
    async with serve_small(page=True) as server:
        for path, asset in assets.assets().items():
            status, headers, body = await answer(server, path)
            assert (status, body) == (200, asset.body)
            assert headers["content-type"] == asset.kind
            assert {name.lower(): value.lower() for name, value in asset.headers.items()}.items() <= headers.items()
            etag = asset.headers["ETag"]
            assert (await answer(server, path, **{"If-None-Match": f'"x", W/{etag.removeprefix("W/")}'}))[0::2] == (
                304,
                b"",
            )
            _, headers, body = await answer(server, path, **{"Accept-Encoding": "gzip"})
            assert body == (asset.packed or asset.body)
            assert headers.get("content-encoding") == ("gzip" if asset.packed else None)
        assert (await answer(server, "/assets/../page.py"))[0] == 404
        assert (await answer(server, "/assets/"))[0] == 404
        async with SignalingClient(server.url()) as client:
            assert await client.join("lab") == []
    async with serve_small() as server:
        assert (await answer(server, "/"))[0] == 404


async def test_the_page_is_not_served_under_a_foreign_name():
    """Another site's name that points here would give that site's pages the origin of this one."""
    async with serve_small(page=True) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: rebound.example.org\r\n\r\n")
        assert b" 403 " in (await asyncio.wait_for(reader.read(), 5)).split(b"\r\n")[0]
        writer.close()


@pytest.mark.parametrize("offered", [None, ["chat"]])
async def test_another_subprotocol_is_refused(offered):
    async with serve_small() as server:
        with pytest.raises(InvalidStatus) as refused:
            await connect(server.url(), subprotocols=offered)
        assert refused.value.response.status_code == 400


async def test_it_is_full_at_its_bound(monkeypatch):
    monkeypatch.setattr(small, "SETTINGS", small.Settings(connections=2, pending=4, seats=8))
    async with serve_small() as server, SignalingClient(server.url()), SignalingClient(server.url()):
        with pytest.raises(InvalidStatus) as refused:
            await connect(server.url(), subprotocols=[SUBPROTOCOL])
        assert refused.value.response.status_code == 503


async def test_its_end_is_said_and_leaves_nothing():
    async with serve_small() as server:
        client = await SignalingClient(server.url()).__aenter__()
        await client.join("lab")
        events = client.events()
    async for event in events:
        if isinstance(event, Down):
            assert "the server is stopping" in event.reason
            break
    await client.quit()
    names = [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert not [name for name in names if "adieu" in name], names
