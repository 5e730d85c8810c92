"""The server on real sockets, with clients that are rude."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import socket
import ssl
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from adieu.protocol.signaling import SUBPROTOCOL
from adieu.server import IceConfig, Settings, door, serve, transport
from adieu.server.app import Bridge
from adieu.signaling import SignalingClient

pytestmark = pytest.mark.anyio
HELLO = '{"type":"hello","version":1}'


@contextlib.asynccontextmanager
async def opened(server, **options):
    url = server.url.replace("127.0.0.1", options.pop("host", "127.0.0.1"))
    async with connect(
        url, subprotocols=options.pop("subprotocols", [SUBPROTOCOL]), proxy=None, ping_interval=None, **options
    ) as websocket:
        yield websocket


async def say(websocket, text):
    await websocket.send(text)
    return json.loads(await websocket.recv())


async def closed_with(websocket):
    """Read to the end; returns the close code."""
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await websocket.recv()
    return websocket.close_code


async def refused(server, **options):
    """The HTTP answer to a WebSocket that is not let in."""
    with pytest.raises(InvalidStatus) as caught:
        async with opened(server, **options):
            pass
    return caught.value.response.status_code, bytes(caught.value.response.body).decode()


async def turned_away(server, **options):
    """What a WebSocket is told that is let in only to hear why it may not be here: code, reason, and the error."""
    async with opened(server, **options) as websocket:
        error = json.loads(await websocket.recv())
        code = await closed_with(websocket)
        assert error["message"].startswith(websocket.close_reason)
        return code, websocket.close_reason, error


@pytest.fixture
def until(monkeypatch):
    """Waits until something is true of the hub, looking after each of its turns."""
    turned = asyncio.Event()
    flush = Bridge.flush
    monkeypatch.setattr(Bridge, "flush", lambda self: (flush(self), turned.set()))

    async def wait(condition):
        async with asyncio.timeout(10):
            while not condition():
                turned.clear()
                await turned.wait()

    return wait


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


async def test_the_remedy_of_a_long_origin_is_whole_and_what_is_not_sane_is_cut():
    async with serve() as server:
        for origin in ("https://preview-4711.staging.app.example.org:8443", "https://" + "x" * 3000 + ".example"):
            code, reason, error = await turned_away(server, origin=origin)
            assert code == 3507
            assert len(error["message"]) <= 1024
            assert reason.startswith("start the server with --origin https://")
            if len(origin) < 100:
                assert f"--origin {origin}:" in reason


async def test_a_page_of_the_server_itself_and_one_that_was_named_come_in():
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
        ({"cert": "x", "key": "y"}, "can not be used"),
        ({"origins": ["example.org"]}, "is no origin"),
        ({"names": ["example.org:80"]}, "without a port"),
        ({"port": 70_000}, "is no port"),
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
        with pytest.raises(OSError, match=r"cannot listen on 127\.0\.0\.1 port"):
            async with serve(port=server.addresses[0][1]):
                pass
    with pytest.raises(OSError, match="is no address"):
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


async def test_a_message_too_long_is_1009_and_the_seat_can_be_taken_back():
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


async def test_too_many_connections_from_an_address_is_3013_through_a_proxy_that_is_believed():
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


def upgrade_request(host="127.0.0.1"):
    return (
        f"GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
    ).encode()


def masked(text):
    """A client's text frame of less than 126 bytes, with the mask 0."""
    data = text.encode()
    return bytes((0x81, 0x80 | len(data))) + b"\0\0\0\0" + data


async def read_frame(reader):
    _, length = await reader.readexactly(2)
    if length == 126:
        length = int.from_bytes(await reader.readexactly(2))
    return await reader.readexactly(length)


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


@pytest.fixture
def certificate(tmp_path):
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    certificate = (
        builder.not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file


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


@pytest.mark.parametrize("turns", range(6))
async def test_who_came_as_the_server_stopped_is_not_left_connected(turns):
    """A socket that was accepted becomes a connection some turns of the loop later."""
    async with serve() as server:
        late = socket.create_connection(server.addresses[0])
        for _ in range(turns):
            await asyncio.sleep(0)
    with late:
        late.setblocking(False)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(late, 1), 1) == b""


# --- places before the upgrade --------------------------------------------------------------------------------


async def test_an_address_has_a_bound_before_the_upgrade_and_who_is_new_gets_in():
    """Of one address the one that has been silent longest goes, and never one of another address."""
    places = door.Door(places=10, per_address=3)
    made = {number: Recorder() for number in range(20)}
    mine = [places.enter("192.0.2.1", made[number]) for number in range(3)]
    theirs = places.enter("192.0.2.2", made[3])
    mine[0].asks()
    places.enter("192.0.2.1", made[4])
    assert [number for number, one in made.items() if one.aborted] == [1]
    mine[0].answered()  # the last to fall silent
    places.enter("192.0.2.1", made[5])
    assert [number for number, one in made.items() if one.aborted] == [1, 2]
    for number in range(6, 16):
        places.enter("127.0.0.1", made[number])  # a proxy on this machine is everybody
    assert len(places) == 10
    assert made[3].aborted, "in all, the oldest that is silent goes"
    theirs.leave()
    theirs.leave()
    assert len(places) == 10


async def test_who_asks_loses_its_place_only_where_nobody_is_silent():
    places = door.Door(places=3, per_address=3)
    made = [Recorder() for _ in range(6)]
    visitors = [places.enter(f"192.0.2.{number}", made[number]) for number in range(3)]
    for visitor in visitors:
        visitor.asks()
    late = places.enter("192.0.2.9", made[3])
    assert [one.aborted for one in made] == [True, False, False, False, False, False]
    places.enter("192.0.2.9", made[4])
    assert made[3].aborted
    late.asks()  # too late: does nothing
    assert len(places) == 3
    for visitor in list(places._silent) + list(places._asking):
        visitor.leave()
    assert (len(places), places._networks) == (0, {})


class Recorder(asyncio.Transport):
    """A transport that knows only whether it was cut off."""

    aborted = False

    def abort(self):
        self.aborted = True


@pytest.mark.parametrize("secure", [False, True])
async def test_silent_connections_end_after_the_time_for_a_first_byte(monkeypatch, certificate, secure):
    monkeypatch.setattr(door, "FIRST_BYTE_TIMEOUT", 0.3)
    cert, key = certificate if secure else (None, None)
    async with serve(cert=cert, key=key) as server, asyncio.timeout(5):
        readers = [await asyncio.open_connection(*server.addresses[0]) for _ in range(5)]
        for reader, writer in readers:
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()


async def test_silent_tls_connections_of_a_stranger_keep_nobody_out(certificate):
    """They are counted before TLS is there: each newcomer takes the place of the oldest of them."""
    cert, key = certificate
    trust = ssl.create_default_context(cafile=str(cert))
    async with serve(cert=cert, key=key, settings=Settings(pending=5)) as server, asyncio.timeout(20):
        silent = [await asyncio.open_connection(*server.addresses[0]) for _ in range(30)]
        async with SignalingClient(server.url, ssl=trust) as client:
            assert await client.join("lab") == []
        for _, writer in silent:
            writer.close()


async def test_what_comes_together_with_the_end_of_the_handshake_is_heard(certificate):
    """TLS 1.3: a client sends its request in the same packet as its last word of the handshake."""
    cert, key = certificate
    trust = ssl.create_default_context(cafile=str(cert))
    loop = asyncio.get_running_loop()
    async with serve(cert=cert, key=key) as server:
        for _ in range(5):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = trust.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
            reader, writer = await asyncio.open_connection(*server.addresses[0])
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    writer.write(outgoing.read())
                    incoming.write(await reader.read(65536))
            tls.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            writer.write(outgoing.read())  # Finished, and the request
            answer = b""
            end = loop.time() + 5
            while b"ok" not in answer and loop.time() < end:
                data = await reader.read(65536)
                incoming.write(data) if data else incoming.write_eof()
                with contextlib.suppress(ssl.SSLWantReadError):
                    answer += tls.read(65536)
            assert answer.startswith(b"HTTP/1.1 200")
            writer.close()


# --- what strangers send --------------------------------------------------------------------------------------


def odd_requests(server):
    """Each once: what must not reach the log."""
    upgrade = upgrade_request()
    leave = b"POST /v1/leave HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    return {
        "broken off": leave + b"Content-Length: 900\r\n\r\nabc",
        "origin": upgrade.replace(b"Upgrade: w", b"Origin: http://evil.example\r\nUpgrade: w"),
        "host": upgrade_request("evil.example"),
        "path": upgrade.replace(b"/ws", b"/elsewhere"),
        "subprotocol": upgrade.replace(SUBPROTOCOL.encode(), b"chat"),
        "upgraded": upgrade,
        "version": upgrade.replace(b"Version: 13", b"Version: 99"),
        "no http": b"\x16\x03\x01\x00 hello\r\n\r\n",
        "h2c": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        "not utf-8": upgrade + bytes((0x81, 0x83)) + b"\0\0\0\0\xff\xfe\xfd",
        "odd path": upgrade.replace(b"/ws", b"/%ff%00"),
        "pipelined": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 40,
    }


@pytest.mark.parametrize("manner", ["hangs up", "waits", "resets"])
async def test_nothing_that_strangers_send_fills_the_log(caplog, manner):
    caplog.set_level(logging.INFO)
    async with serve() as server:
        for _ in range(10):
            for data in odd_requests(server).values():
                reader, writer = await asyncio.open_connection(*server.addresses[0])
                head, _, frames = data.partition(b"\r\n\r\n")
                writer.write(head + b"\r\n\r\n")
                if frames.startswith(b"\x81"):
                    await reader.readuntil(b"\r\n\r\n")
                writer.write(frames)
                if manner == "waits":
                    with contextlib.suppress(TimeoutError, ConnectionResetError):
                        async with asyncio.timeout(0.05):
                            await reader.read()
                elif manner == "resets":
                    linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    await asyncio.sleep(0)
                writer.close()
        async with httpx.AsyncClient() as web:
            assert (await web.get(server.http_url + "/healthz")).text == "ok"
    records = [record for record in caplog.records if not record.name.startswith("httpx")]
    assert not [record for record in records if record.levelno > logging.INFO or record.exc_info]
    assert len(records) < 40


async def test_pings_that_nobody_hears_the_answer_of_fill_neither_log_nor_memory(caplog):
    ping = bytes((0x89, 0xFD, 0, 0, 0, 0)) + b"x" * 125
    async with serve() as server:
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        slow.setblocking(False)
        await asyncio.get_running_loop().sock_connect(slow, server.addresses[0])
        reader, writer = await asyncio.open_connection(sock=slow)
        writer.write(upgrade_request())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(masked(HELLO))
        await read_frame(reader)
        writer.transport.pause_reading()
        (connection,) = transports_of(server)
        for _ in range(400):
            writer.write(ping * 500)  # 26 MB of pongs
            await writer.drain()
        assert connection.get_write_buffer_size() < 1024 * 1024
        writer.transport.abort()
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


def transports_of(server):
    """The server's own ends of its WebSockets."""
    return [
        connection.transport
        for connection in gc.get_objects()
        if type(connection) is transport.WebSocketConnection and not connection.transport.is_closing()
    ]


async def test_two_lengths_of_one_request_are_refused_and_nothing_behind_them_is_heard():
    async with serve() as server:
        reader, writer = await asyncio.open_connection(*server.addresses[0])
        writer.write(
            b"POST /v1/leave HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        )
        answer = await asyncio.wait_for(reader.read(), 5)
        assert answer.startswith(b"HTTP/1.1 400")
        assert answer.count(b"HTTP/1.1") == 1
        writer.close()


@pytest.mark.parametrize("path", [b"/v1/leave", b"/", b"/healthz", b"/nowhere"])
async def test_a_body_that_nobody_wants_is_cut_off(path):
    async with serve() as server, asyncio.timeout(20):
        _, writer = await asyncio.open_connection(*server.addresses[0])
        writer.write(b"POST " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 100_000_000:
                writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                await writer.drain()
                sent += 65536
        assert sent < 50_000_000  # what the kernel has taken is among it
        writer.close()


async def test_a_body_that_says_it_is_too_long_is_not_waited_for():
    async with serve() as server:
        reader, writer = await asyncio.open_connection(*server.addresses[0])
        writer.write(b"POST /v1/leave HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000000\r\n\r\n")
        assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 413")
        writer.close()


# --- health ---------------------------------------------------------------------------------------------------


async def test_a_full_server_is_alive_and_not_ready(until):
    async with serve(settings=Settings(connections=2)) as server, httpx.AsyncClient() as web:

        async def health():
            return [(await web.get(server.http_url + path)).status_code for path in ("/healthz", "/readyz")]

        assert await health() == [200, 200]
        async with opened(server) as one:
            await say(one, HELLO)
            async with opened(server) as two:
                await say(two, HELLO)
                assert await health() == [200, 503]
                async with opened(server) as three:
                    assert await closed_with(three) == 3013
            await until(lambda: server.hub.gauges()["connections"] == 1)
            assert await health() == [200, 200]


async def test_a_server_about_to_stop_is_alive_and_not_ready():
    manager = serve(drain=5.0)
    server = await manager.__aenter__()
    async with httpx.AsyncClient() as web, opened(server) as websocket:
        await say(websocket, HELLO)
        ending = asyncio.create_task(manager.__aexit__(None, None, None))
        assert json.loads(await websocket.recv())["type"] == "goaway"
        assert (await web.get(server.http_url + "/healthz")).status_code == 200
        assert (await web.get(server.http_url + "/readyz")).status_code == 503
        await websocket.close()
        await ending


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "signaling.example.org"},
        {"X-Forwarded-For": "192.0.2.1"},
        {"X-Real-IP": "192.0.2.1"},
        {"Forwarded": "for=192.0.2.1"},
        {"Via": "1.1 proxy"},
        {"X-Forwarded-Host": "signaling.example.org"},
    ],
)
async def test_metrics_are_not_for_whom_a_proxy_on_this_machine_lets_in(headers):
    async with serve() as server, httpx.AsyncClient() as web:
        assert (await web.get(server.http_url + "/metrics", headers=headers)).status_code in {403, 404}
        assert (await web.get(server.http_url + "/metrics")).status_code == 200
    for options in ({"names": ["s.example.org"]}, {"proxies": ["127.0.0.1"]}, {"origins": ["https://s.example.org"]}):
        async with serve(**options) as server, httpx.AsyncClient() as web:
            assert (await web.get(server.http_url + "/metrics")).status_code == 404
        async with serve(metrics=True, **options) as server, httpx.AsyncClient() as web:
            assert (await web.get(server.http_url + "/metrics")).status_code == 200


# --- the end at full load -------------------------------------------------------------------------------------


async def test_clients_that_send_and_are_slow_to_read_end_with_3001():
    """The close frame stands behind much else, and what they still send must not make the kernel throw it away."""
    settings = Settings(messages_per_second=1e6, burst=10**6, queue_bytes=64 * 1024 * 1024)
    manager = serve(settings=settings)
    server = await manager.__aenter__()
    people = []
    for _ in range(6):
        reader, writer = await asyncio.open_connection(*server.addresses[0])
        writer.write(upgrade_request())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(masked(HELLO))
        peer = json.loads(await read_frame(reader))["peer"]
        writer.write(masked('{"type":"join","room":"lab"}'))
        await read_frame(reader)
        writer.transport.pause_reading()
        people.append((reader, writer, peer))
    for number, (_, writer, _) in enumerate(people):
        to = people[number - 1][2]
        word = json.dumps({"type": "wait", "to": to, "etaMs": 1, "session": "s", "pad": "y" * 20_000})
        writer.write(long_frame(word) * 100)
    await asyncio.sleep(0.2)  # under way, whatever has come
    ending = asyncio.create_task(manager.__aexit__(None, None, None))

    async def end(reader, writer):
        """Goes on sending, and reads after a while."""
        for _ in range(10):
            writer.write(masked('{"type":"ack"}') * 20)
            await asyncio.sleep(0.1)
        writer.transport.resume_reading()
        while True:
            head, length = await reader.readexactly(2)
            if length == 126:
                length = int.from_bytes(await reader.readexactly(2))
            elif length == 127:
                length = int.from_bytes(await reader.readexactly(8))
            body = await reader.readexactly(length)
            if head == 0x88:
                writer.close()
                return int.from_bytes(body[:2])
            writer.write(masked('{"type":"ack"}'))

    async with asyncio.timeout(15):
        assert await asyncio.gather(*(end(reader, writer) for reader, writer, _ in people)) == [3001] * 6
        await ending


def long_frame(text):
    """A client's text frame of 126 to 65535 bytes, with the mask 0."""
    data = text.encode()
    return bytes((0x81, 0xFE)) + len(data).to_bytes(2) + b"\0\0\0\0" + data
