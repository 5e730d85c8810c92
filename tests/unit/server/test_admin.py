"""The operators' part of the server: over HTTP, and what the hub does."""

from __future__ import annotations

import asyncio
import logging

import httpx
import pytest

from adieu.errors import SignalingRefusedError
from adieu.protocol.signaling import CloseCode, Kicked, Left, PeerLeft
from adieu.server import serve
from adieu.signaling import SignalingClient
from unit.server.bench import Bench

pytestmark = pytest.mark.anyio
TOKEN = "admin-token-0123456789-abcdefghij"


# --- the hub --------------------------------------------------------------------------------------------------


def test_everybody_in_a_closed_room_hears_code_and_reason():
    bench = Bench()
    ada, ben, eve = bench.person("lab"), bench.person("lab"), bench.person("office")
    assert bench.hub.handle_close_room("lab", "the lab is closed", bench.now) == 2
    bench.pump()
    for person in (ada, ben):
        assert person.got(Kicked) == [Kicked(reason="the lab is closed", code="room-closed")]
        assert (person.closed.code, person.closed.reason) == (CloseCode.KICKED, "the lab is closed")
    assert eve.closed is None
    assert bench.hub.gauges()["rooms"] == bench.hub.gauges()["seats"] == 1


def test_a_peer_leaves_only_the_closed_room_also_after_a_resume():
    bench = Bench()
    ada, ben, eve = bench.person("lab"), bench.person("office"), bench.person("office")
    for person in (ada, ben):
        person.join("office")
        person.join("lab")
    ben.lose()
    bench.hub.handle_close_room("lab", "over", bench.now)
    bench.pump()
    told = Left(room="lab", code="room-closed", text="over")
    assert (ada.got(Left), ada.closed) == ([told], None)
    again = bench.back(ben)
    assert again.welcome.resumed
    assert again.got(Left) == [told]
    assert [view.room for view in bench.hub.rooms()] == ["office"]
    assert [left.room for left in eve.got(PeerLeft)] == []


def test_an_operators_kick_frees_also_the_seat_of_an_absent_peer():
    bench = Bench()
    ada, ben = bench.person(), bench.person()
    ben.lose()
    assert bench.hub.handle_kick(ben.peer, "bye", bench.now)
    bench.pump()
    assert [(left.reason, left.text) for left in ada.got(PeerLeft)] == [("kicked", "bye")]
    assert not bench.hub.handle_kick(ben.peer, "bye", bench.now)
    assert not bench.back(ben).welcome.resumed


def test_pages_of_rooms_and_peers_are_ordered_and_bounded():
    bench = Bench()
    people = [bench.person(f"room-{number}", name=f"p{number}") for number in range(5)]
    people[3].lose()
    assert [view.room for view in bench.hub.rooms(count=2)] == ["room-0", "room-1"]
    assert [view.room for view in bench.hub.rooms(after="room-1", count=9)] == ["room-2", "room-3", "room-4"]
    assert bench.hub.rooms(after="room-2", count=1)[0].away == 1
    assert [view.peer for view in bench.hub.peers()] == sorted(person.peer for person in people)
    (view,) = bench.hub.peers(room="room-3")
    assert (view.name, view.rooms, view.away) == ("p3", ["room-3"], True)
    assert bench.hub.peers(room="elsewhere") == []


# --- over HTTP ------------------------------------------------------------------------------------------------


def asking(server, token=TOKEN, **headers):
    headers |= {"Authorization": f"Bearer {token}"} if token is not None else {}
    return httpx.AsyncClient(base_url=f"{server.http_url}/v1/admin", headers=headers)


async def test_without_a_token_the_server_has_no_such_part():
    async with serve() as server, asking(server) as web:
        assert (await web.get("/rooms")).status_code == 404


@pytest.mark.parametrize("header", [None, "", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer", f"Bearer {TOKEN[:-1]}"])
async def test_a_wrong_token_is_refused_and_never_logged(header, caplog):
    caplog.set_level(logging.DEBUG)
    async with serve(admin_token=TOKEN) as server, asking(server, None) as web:
        answer = await web.get("/rooms", headers={} if header is None else {"Authorization": header})
        assert answer.status_code == 401
        assert server.hub.counters["admin_refused"] == 1
        assert TOKEN[:-1] not in caplog.text.replace(f"'{header}'", "")
        assert TOKEN not in answer.text


async def test_a_page_is_refused_whatever_it_carries():
    async with serve(admin_token=TOKEN) as server, asking(server, Origin=server.http_url) as web:
        assert (await web.get("/rooms")).status_code == 401


async def test_a_short_token_is_refused_at_the_start():
    with pytest.raises(ValueError, match="32") as caught:
        await serve(admin_token="secret").__aenter__()
    assert "secret" not in str(caught.value)


async def test_an_operator_sees_pages_of_rooms_and_peers_kicks_closes_and_drains():
    async with (
        serve(admin_token=TOKEN) as server,
        asking(server) as web,
        SignalingClient(server.url, name="ada") as ada,
        SignalingClient(server.url, name="ben") as ben,
        SignalingClient(server.url, name="eve") as eve,
    ):
        await ada.join("a/b ?")
        for client in (ben, eve):
            await client.join("lab")
        first = (await web.get("/rooms", params={"limit": 1})).json()
        assert first == {"rooms": [{"room": "a/b ?", "peers": 1, "away": 0}], "next": "a/b ?"}
        second = (await web.get("/rooms", params={"limit": 1, "after": first["next"]})).json()
        assert second == {"rooms": [{"room": "lab", "peers": 2, "away": 0}], "next": None}
        (peer,) = (await web.get("/peers", params={"room": "a/b ?"})).json()["peers"]
        assert (peer["peer"], peer["name"], peer["rooms"], peer["away"]) == (ada.peer, "ada", ["a/b ?"], False)
        assert "127.0.0.1" in peer["address"]
        assert (await web.get("/status")).json()["ready"]

        assert (await web.post("/kick", json={"peer": ada.peer, "reason": "noise"})).json() == {"kicked": 1}
        await ended(ada, "noise")
        assert (await web.post("/kick", json={"peer": ada.peer})).status_code == 404
        assert (await web.post("/close", json={"room": "lab", "reason": "over"})).json() == {"closed": 2}
        for client in (ben, eve):
            await ended(client, "over")
        assert (await web.post("/drain", json={"after": 0.5})).json() == {"draining": 0.5}
        assert not (await web.get("/status")).json()["ready"]


async def ended(client, reason):
    async with asyncio.timeout(10):
        events = [event async for event in client.events()]
    assert isinstance(events[-1].error, SignalingRefusedError)
    assert reason in str(events[-1].error)


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("GET", "/rooms", {"params": {"limit": "0"}}),
        ("GET", "/rooms", {"params": {"limit": "1000"}}),
        ("GET", "/peers", {"params": {"limit": "-1"}}),
        ("GET", "/peers", {"params": {"limit": "٣"}}),
        ("POST", "/kick", {"json": {}}),
        ("POST", "/kick", {"content": b"["}),
        ("POST", "/kick", {"content": b"[" * 60_000}),
        ("POST", "/close", {"json": {"room": ""}}),
        ("POST", "/close", {"json": {"room": "x", "rooom": "y"}}),
        ("POST", "/close", {"content": b"x" * 70_000}),
        ("POST", "/drain", {"json": {"after": -1}}),
        ("POST", "/drain", {"json": {"after": 1e9}}),
    ],
)
async def test_a_wish_that_cannot_be_read_is_answered_with_its_fault(method, path, options):
    async with serve(admin_token=TOKEN) as server, asking(server) as web:
        answer = await web.request(method, path, **options)
        assert answer.status_code == 400
        assert answer.json()["error"]
        assert server.hub.ready
