"""The server on real sockets, with clients that are rude."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import socket
import ssl
import sys
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

import adieu
from adieu.protocol.signaling import SUBPROTOCOL
from adieu.server import IceConfig, Settings, door, serve, serving, transport
from adieu.signaling import SignalingClient
from support.serving import (
    HELLO,
    closed_with,
    masked,
    opened,
    read_frame,
    refused,
    say,
    turned_away,
    upgrade_request,
)

pytestmark = pytest.mark.anyio


async def test_a_link_local_address_keeps_its_link():
    found = await serving._resolve("fe80::1%lo", 80)
    assert found == [(socket.AF_INET6, (f"fe80::1%{socket.if_nametoindex('lo')}", 80))]


# --- who may come in ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "https://127.0.0.1",
        "http://localhost:1",
        "null",
        "",
        "file://",
        "http://127.0.0.1:x",
        "garbage",
    ],
)
async def test_a_page_of_elsewhere_is_refused_on_an_open_loopback_server_too(origin):
    """A page learns of nothing that HTTP answers: the WebSocket opens, and its close says why, with the remedy."""
    async with serve() as server:
        headers = {} if origin else {"Origin": ""}
        code, reason, error = await turned_away(server, origin=origin or None, additional_headers=headers)
        assert (code, error["code"]) == (3507, "origin")
        assert "--origin" in reason
        assert server.hub.counters["connections"] == 0
        async with httpx.AsyncClient() as web:
            answer = await web.get(server.http_url, headers={"Origin": origin})
            assert (answer.status_code, "--origin" in answer.text) == (403, True)


async def test_the_remedy_for_a_long_origin_is_whole():
    """An origin that is not sane is cut."""
    async with serve() as server:
        for origin in ("https://preview-4711.staging.app.example.org:8443", "https://" + "x" * 3000 + ".example"):
            code, reason, error = await turned_away(server, origin=origin)
            assert code == 3507
            assert len(error["message"]) <= 1024
            assert reason.startswith("start the server with --origin https://")
            if len(origin) < 100:
                assert f"--origin {origin}:" in reason


async def test_own_and_named_pages_may_join():
    """The page of the server itself, and pages of an origin that was named."""
    async with serve(origins=["https://app.example.org"]) as server:
        for origin in (server.http_url, "https://app.example.org", server.http_url.upper()):
            async with opened(server, origin=origin) as websocket:
                assert (await say(websocket, HELLO))["type"] == "welcome"


async def test_all_pages_when_it_was_told_so():
    async with serve(origins=["*"]) as server, opened(server, origin="https://anything.example") as websocket:
        assert (await say(websocket, HELLO))["type"] == "welcome"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "", "a b", "127.0.0.1@evil.example", "localhost.evil.example"]
)
async def test_a_host_that_is_not_this_server_is_refused(host):
    async with serve() as server:
        headers = {"Host": host, "Origin": f"http://{host}"}
        async with httpx.AsyncClient() as web:
            answer = await web.get(server.http_url + "/healthz", headers={"Host": host})
            assert answer.status_code in {400, 403}
        raw = await raw_upgrade(server, headers)
        if not raw.startswith(b"HTTP/1.1 400"):
            assert raw.startswith(b"HTTP/1.1 101")
            assert b'"code":"host"' in raw
            assert (3507).to_bytes(2) in raw
        assert server.hub.counters["connections"] == 0


async def test_a_host_that_was_named_comes_in():
    async with serve(names=["signaling.example.org"]) as server, httpx.AsyncClient() as web:
        for host in ("signaling.example.org", "Signaling.Example.Org:443", "localhost", "127.0.0.1", "[::1]:80"):
            assert (await web.get(server.http_url + "/healthz", headers={"Host": host})).text == "ok"


async def raw_upgrade(server, headers):
    reader, writer = await asyncio.open_connection(*server.addresses[0])
    lines = ["GET /ws HTTP/1.1", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", f"Sec-WebSocket-Protocol: {SUBPROTOCOL}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    answer = await reader.read(65536)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(3):
            answer += await reader.read()
    writer.close()
    return answer


async def test_two_hosts_are_none():
    async with serve() as server:
        answer = await raw_upgrade(server, {"Host": "localhost", "host": "127.0.0.1"})
        assert answer.startswith(b"HTTP/1.1 400") or b'"code":"host"' in answer
        assert server.hub.counters["connections"] == 0


async def test_two_origins_are_none():
    async with serve() as server:
        headers = {"Host": "127.0.0.1", "Origin": server.http_url, "origin": server.http_url}
        answer = await raw_upgrade(server, headers)
        assert answer.startswith(b"HTTP/1.1 400") or b'"code":"origin"' in answer
        assert server.hub.counters["connections"] == 0


async def test_another_subprotocol_is_refused():
    async with serve() as server:
        for subprotocols in (None, ["chat"]):
            status, text = await refused(server, subprotocols=subprotocols)
            assert (status, SUBPROTOCOL in text) == (400, True)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"host": "0.0.0.0"}, "give a key"),
        ({"host": "::"}, "give a key"),
        ({"keys": ["short"]}, "it needs 32"),
        ({"cert": "x"}, "both"),
        ({"cert": "x", "key": "y"}, "cannot be used"),
        ({"origins": ["example.org"]}, "is not an origin"),
        ({"names": ["example.org:80"]}, "without a port"),
        ({"port": 70_000}, "is not a port"),
    ],
)
async def test_options_that_would_open_the_server_by_mistake_or_make_no_sense(options, what):
    with pytest.raises(ValueError, match=what):
        await serve(**options).__aenter__()


async def test_open_to_all_when_it_is_meant():
    async with serve("0.0.0.0", open_to_all=True) as server, SignalingClient(server.url) as client:
        assert client.up
        assert server.addresses[0][0] == "0.0.0.0"


async def test_a_port_that_is_taken():
    async with serve() as server:
        with pytest.raises(OSError, match=r"cannot listen on 127\.0\.0\.1 port .*; choose another port"):
            async with serve(port=server.addresses[0][1]):
                pass
    with pytest.raises(OSError, match="is not an address"):
        async with serve("no-such-host.invalid"):
            pass


# --- rude clients ---------------------------------------------------------------------------------------------


async def test_no_hello_is_3000():
    async with serve(settings=Settings(hello_timeout=0.1)) as server, opened(server) as websocket:
        assert await closed_with(websocket) == 3000


async def test_garbage_is_3501_in_the_end():
    async with serve() as server, opened(server) as websocket:
        await say(websocket, HELLO)
        for text in (
            "{",
            "[]",
            "",
            b"\x00",
            "[" * 60_000,
            '{"type":5}',
            '{"type":"join","room":5}',
            "\ud7ff",
            "{",
            "{",
        ):
            await websocket.send(text)
        assert await closed_with(websocket) == 3501
        async with opened(server) as other:
            assert (await say(other, HELLO))["type"] == "welcome"


async def test_a_frame_that_is_no_utf_8_is_1007():
    async with serve() as server, opened(server) as websocket:
        await say(websocket, HELLO)
        await websocket.send(b"\xff\xfe", text=True)
        assert await closed_with(websocket) == 1007


async def test_a_message_that_is_too_long_is_1009():
    """The seat can be taken back."""
    async with serve() as server, opened(server) as websocket:
        token = (await say(websocket, HELLO))["resumeToken"]
        await websocket.send("x" * (64 * 1024 + 1))
        assert await closed_with(websocket) == 1009
        async with opened(server) as again:
            welcome = await say(
                again, json.dumps({"type": "hello", "version": 1, "resume": {"token": token, "lastSeq": 0}})
            )
            assert welcome["resumed"] is True


async def test_too_many_messages_is_3013():
    async with serve() as server, opened(server) as websocket:
        await say(websocket, HELLO)
        with contextlib.suppress(ConnectionClosed):
            for _ in range(400):
                await websocket.send('{"type":"ack"}')
        assert await closed_with(websocket) == 3013


async def test_too_many_connections_from_an_address_are_3013():
    """Also through a trusted proxy."""
    forwarded = {"X-Forwarded-For": "192.0.2.7"}
    async with serve(proxies=["127.0.0.1"], settings=Settings(connects_per_minute=3)) as server:
        for _ in range(3):
            async with opened(server, additional_headers=forwarded) as websocket:
                assert (await say(websocket, HELLO))["type"] == "welcome"
        async with opened(server, additional_headers=forwarded) as websocket:
            assert await closed_with(websocket) == 3013
        async with opened(server, additional_headers={"X-Forwarded-For": "192.0.2.8"}) as websocket:
            assert (await say(websocket, HELLO))["type"] == "welcome"


async def test_a_proxy_that_was_not_named_is_not_believed():
    async with serve(settings=Settings(connects_per_minute=1)) as server:
        for _ in range(3):
            async with opened(server, additional_headers={"X-Forwarded-For": "192.0.2.7"}) as websocket:
                assert (await say(websocket, HELLO))["type"] == "welcome"


async def test_who_reads_nothing_is_closed_with_3008_and_does_not_stay(monkeypatch):
    monkeypatch.setattr(transport, "CLOSE_TIMEOUT", 0.3)
    lost = asyncio.Event()
    connection_lost = transport.WebSocketConnection.connection_lost
    monkeypatch.setattr(
        transport.WebSocketConnection,
        "connection_lost",
        lambda self, error: (connection_lost(self, error), lost.set()),
    )
    # More than the kernel takes off our hands, so that the transport is stuck.
    settings = Settings(messages_per_second=1e6, burst=10**6, ping=1000.0, queue_bytes=16 * 1024 * 1024)
    async with serve(settings=settings) as server, opened(server) as quick:
        # A client that never reads: a raw socket with the smallest buffer.
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        slow.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(slow, server.addresses[0])
        reader, writer = await asyncio.open_connection(sock=slow)
        writer.write(upgrade_request())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(masked(HELLO))
        peer = json.loads(await read_frame(reader))["peer"]
        writer.write(masked('{"type":"join","room":"lab"}'))
        assert json.loads(await read_frame(reader))["type"] == "joined"
        slow_transport = writer.transport
        slow_transport.pause_reading()
        await say(quick, HELLO)
        await say(quick, '{"type":"join","room":"lab"}')
        error = None
        for number in range(2000):
            await quick.send(
                json.dumps({"type": "wait", "to": peer, "etaMs": number, "reason": "x" * 1000, "pad": "y" * 30_000})
            )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.001):
                    error = json.loads(await quick.recv())
                    if error["type"] == "error":
                        break
        assert (error["code"], error["peer"]) == ("full", peer)
        assert server.hub.counters["closed_3008"] == 1
        # Its socket does not stay, although it takes nothing: it is cut off.
        await asyncio.wait_for(lost.wait(), 5)
        slow_transport.abort()


async def test_no_pong_is_3012(until):
    async with serve(settings=Settings(ping=0.15)) as server:
        reader, writer = await asyncio.open_connection(*server.addresses[0])
        writer.write(upgrade_request())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(masked(HELLO))
        await read_frame(reader)
        async with asyncio.timeout(5):
            rest = await reader.read()
        assert rest[0] == 0x89  # a ping
        assert (3012).to_bytes(2) + b"no pong" in rest
        await until(lambda: server.hub.gauges()["away"] == 1)
        writer.close()


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"GET /ws HTTP/1.1\r\nHost: x",
        b"POST /v1/leave HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nabc",
    ],
)
async def test_a_connection_that_does_not_get_on_is_ended(monkeypatch, first):
    monkeypatch.setattr(transport, "REQUEST_TIMEOUT", 0.2)
    monkeypatch.setattr(door, "FIRST_BYTE_TIMEOUT", 0.2)
    async with serve() as server:
        reader, writer = await asyncio.open_connection(*server.addresses[0])
        writer.write(first)
        async with asyncio.timeout(3):
            with contextlib.suppress(ConnectionResetError):
                await reader.read()
        writer.close()


async def test_connections_have_a_bound_before_they_have_said_a_word():
    """Whoever comes takes the place of who has been silent longest, so that nobody is kept out."""
    async with serve(settings=Settings(pending=3)) as server, asyncio.timeout(5):
        pairs = [await asyncio.open_connection(*server.addresses[0]) for _ in range(3)]
        last_reader, last = await asyncio.open_connection(*server.addresses[0])
        with contextlib.suppress(ConnectionResetError):
            assert await pairs[0][0].read() == b""
        async with httpx.AsyncClient() as web:  # takes the next place
            assert (await web.get(server.http_url + "/healthz")).text == "ok"
        with contextlib.suppress(ConnectionResetError):
            assert await pairs[1][0].read() == b""
        last.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert (await last_reader.read()).endswith(b"ok")
        for _, other in [*pairs, (last_reader, last)]:
            other.close()


async def test_sockets_that_come_and_go_leave_nothing(until):
    async with serve(settings=Settings(grace=0.05)) as server:

        async def round_trip(count):
            for number in range(count):
                async with opened(server) as websocket:
                    await say(websocket, HELLO)
                    await say(websocket, '{"type":"join","room":"lab"}')
                    if number % 2:
                        websocket.transport.abort()
            await until(lambda: not (server.hub.gauges()["seats"] or server.hub.gauges()["connections"]))
            await asyncio.sleep(0)
            gc.collect()
            return server.hub.gauges(), len(asyncio.all_tasks()), len(list(Path("/proc/self/fd").iterdir()))  # noqa: ASYNC240

        first = await round_trip(50)
        assert await round_trip(150) == first


async def test_messages_are_not_compressed():
    async with serve() as server, opened(server, compression="deflate") as websocket:
        assert websocket.protocol.extensions == []


async def test_a_query_is_neither_read_nor_logged(caplog):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("uvicorn.error").setLevel(logging.INFO)
    async with serve() as server:
        logging.getLogger("uvicorn.error").setLevel(logging.INFO)
        async with connect(server.url + "?token=sesame", subprotocols=[SUBPROTOCOL], proxy=None) as websocket:
            assert (await say(websocket, HELLO))["type"] == "welcome"
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(("websockets", "httpx"))]
    assert ours
    assert not [text for text in ours if "sesame" in text]


# --- HTTP -----------------------------------------------------------------------------------------------------


async def test_health_and_metrics():
    async with serve() as server, SignalingClient(server.url) as client, httpx.AsyncClient() as web:
        await client.join("lab")
        assert (await web.get(server.http_url + "/healthz")).text == "ok"
        answer = await web.get(server.http_url + "/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert "adieu_seats 1.0" in answer.text
        assert 'adieu_events_total{kind="joins"} 1.0' in answer.text
        assert "lab" not in answer.text
        assert client.peer not in answer.text


async def test_metrics_have_histograms_the_version_and_the_process():
    async with serve() as server, httpx.AsyncClient() as web:
        async with SignalingClient(server.url) as client:
            await client.join("lab")
            await client.join("other")
        values = {}
        async with asyncio.timeout(10):
            while values.get("adieu_connection_seconds_count") != 1:
                text = (await web.get(server.http_url + "/metrics")).text
                lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
                values = {name: float(value) for name, _, value in lines}
        assert values["adieu_join_seconds_count"] == 1, "once for each socket"
        assert values['adieu_join_seconds_bucket{le="+Inf"}'] == 1
        assert 0 < values["adieu_join_seconds_sum"] < 10
        for name in ("handle", "send"):
            assert values[f"adieu_{name}_seconds_count"] >= 3, "hello and two rooms"
            assert values[f'adieu_{name}_seconds_bucket{{le="60.0"}}'] == values[f"adieu_{name}_seconds_count"]
        [build] = [name for name in values if name.startswith("adieu_build_info")]
        assert f'version="{adieu.__version__}"' in build
        if sys.platform == "linux":
            assert values["process_resident_memory_bytes"] > 1_000_000


async def test_metrics_are_for_loopback_unless_asked_for():
    async with httpx.AsyncClient() as web:
        for options, status in (
            ({"host": "0.0.0.0", "open_to_all": True}, 404),
            ({"host": "0.0.0.0", "open_to_all": True, "metrics": True}, 200),
            ({"metrics": False}, 404),
        ):
            async with serve(**options) as server:
                assert (await web.get(server.http_url + "/metrics")).status_code == status


async def test_a_beacon_ends_a_page():
    async with serve() as server, opened(server) as ada, opened(server) as ben, httpx.AsyncClient() as web:
        welcome = await say(ada, HELLO)
        await say(ada, '{"type":"join","room":"lab"}')
        other = (await say(ben, HELLO))["peer"]
        await say(ben, '{"type":"join","room":"lab"}')
        closing = {"type": "closing", "session": "s", "to": other, "receipt": "r", "reason": {"code": "tab-closed"}}
        closing |= {"deadlineMs": 0, "final": {}}
        body = json.dumps({"resumeToken": welcome["resumeToken"], "closing": [closing], "reason": "gone"})
        # As a browser's sendBeacon of a string: text/plain, with an Origin.
        headers = {"Content-Type": "text/plain;charset=UTF-8", "Origin": server.http_url}
        answer = await web.post(server.http_url + "/v1/leave", content=body, headers=headers)
        assert (answer.status_code, answer.text) == (204, "")
        heard = [json.loads(await ben.recv()) for _ in range(2)]
        assert [message["type"] for message in heard] == ["closing", "peerLeft"]
        assert (heard[0]["from"], heard[1]["reason"]) == (welcome["peer"], "left")
        assert await closed_with(ada) == 1000


async def test_beacons_that_are_none():
    async with serve() as server, httpx.AsyncClient() as web:
        url = server.http_url + "/v1/leave"
        assert (await web.post(url, content=b"{")).status_code == 204
        assert (await web.post(url, content=b'{"resumeToken":"guess"}')).status_code == 204
        assert (await web.post(url, content=b"x" * 70_000)).status_code == 413
        assert (await web.get(url)).status_code == 405
        evil = {"Origin": "http://evil.example"}
        assert (await web.post(url, content=b"{}", headers=evil)).status_code == 403
        assert server.hub.counters["leaves_unknown"] == 1


async def test_ice_servers_are_told():
    ice = IceConfig(
        stun=("stun:s.example.org",), turn=("turn:t.example.org",), secret="labsecret", clock=lambda: 1000.0
    )
    async with serve(ice=ice) as server, SignalingClient(server.url) as client:
        await client.join("lab")
        servers, ttl = await client.ice_servers()
        assert servers[0] == {"urls": ["stun:s.example.org"]}
        assert servers[1]["username"] == f"4600:{client.peer}"
        assert ttl == 3600


# --- TLS and the end ------------------------------------------------------------------------------------------


async def test_tls(certificate):
    cert, key = certificate
    trust = ssl.create_default_context(cafile=str(cert))
    async with serve(cert=cert, key=key) as server:
        assert server.url.startswith("wss://")
        async with SignalingClient(server.url, ssl=trust) as client:
            assert await client.join("lab") == []
        async with connect(
            server.url, subprotocols=[SUBPROTOCOL], ssl=trust, proxy=None, origin=server.http_url
        ) as websocket:
            assert (await say(websocket, HELLO))["type"] == "welcome"


async def test_the_end_says_goaway_then_3001():
    manager = serve(drain=0.2)
    server = await manager.__aenter__()
    websocket = await connect(server.url, subprotocols=[SUBPROTOCOL], proxy=None)
    await say(websocket, HELLO)
    ending = asyncio.create_task(manager.__aexit__(None, None, None))
    goaway = json.loads(await websocket.recv())
    assert (goaway["type"], goaway["afterMs"]) == ("goaway", 200)
    assert await closed_with(websocket) == 3001
    await ending
    with pytest.raises(ConnectionRefusedError):
        await connect(server.url, subprotocols=[SUBPROTOCOL], proxy=None)


async def test_an_end_with_a_client_that_does_not_answer_is_bounded():
    async with asyncio.timeout(8):
        manager = serve()
        server = await manager.__aenter__()
        reader, writer = await asyncio.open_connection(*server.addresses[0])
        writer.write(upgrade_request())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(masked(HELLO))
        await read_frame(reader)
        await manager.__aexit__(None, None, None)
        writer.close()


async def test_a_cancelled_block_ends_the_server():
    began = asyncio.Event()
    where = []

    async def run():
        async with serve() as server:
            where.append(server.addresses[0])
            began.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(run())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*where[0])
    assert not [task for task in asyncio.all_tasks() if "adieu server" in task.get_name()]


def test_the_hub_needs_no_extra():
    import subprocess
    import sys

    code = (
        "import sys\n"
        "for name in ('starlette', 'uvicorn', 'jwt', 'prometheus_client'): sys.modules[name] = None\n"
        "import asyncio, adieu.server\n"
        "async def main():\n"
        "    async with adieu.server.serve(): pass\n"
        "try: asyncio.run(main())\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert "pip install 'adieu[server]'" in done.stdout
    assert done.stderr == ""
