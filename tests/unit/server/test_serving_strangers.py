"""The server on real sockets: connections of strangers, before and after they say what they are."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import random
import socket
import ssl
from typing import ClassVar

import httpx
import pytest

from adieu.protocol.signaling import SUBPROTOCOL
from adieu.server import Settings, door, serve, transport
from adieu.server.bridge import Bridge
from adieu.server.hub import Hub
from adieu.signaling import SignalingClient
from support.serving import (
    HELLO,
    closed_with,
    long_frame,
    masked,
    opened,
    read_frame,
    say,
    upgrade_request,
)

pytestmark = pytest.mark.anyio


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


async def test_an_address_has_a_bound_before_the_upgrade():
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


async def test_a_frame_nested_too_deep_is_dropped_at_every_level_of_the_log(caplog):
    class Socket:
        frames: ClassVar = ["[" * 500 + "]" * 500, None]

        async def receive(self):
            return self.frames.pop(0)

        async def send(self, text):
            pass

        async def close(self, code, reason):
            pass

    caplog.set_level(logging.DEBUG)
    hub = Hub(random=random.Random(1).randbytes)
    await Bridge(hub).carry(Socket(), "192.0.2.1", lambda _: None)
    assert hub.counters["refused_bad-request"] == 1


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


async def test_two_lengths_of_one_request_are_refused():
    """The bytes behind the request are ignored."""
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
