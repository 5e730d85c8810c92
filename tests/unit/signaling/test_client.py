"""The signaling client on real sockets, with the real server and with ones that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import socket
import time
import warnings

import jwt
import msgspec
import pytest
from websockets.asyncio.server import serve as serve_websocket
from websockets.exceptions import ConnectionClosed

from adieu.errors import SignalingLostError, SignalingRefusedError
from adieu.protocol.signaling import (
    SUBPROTOCOL,
    Description,
    Joined,
    PeerAway,
    PeerBack,
    PeerJoined,
    PeerLeft,
    encode,
)
from adieu.protocol.words import Wait
from adieu.server import IceConfig, Settings, serve
from adieu.signaling import Down, Ended, Moved, Policy, Probed, SignalingClient, Undelivered, Up
from adieu.signaling import client as signaling_client
from adieu.signaling.buffer import EventBuffer
from adieu.signaling.client import CLOSE_TIMEOUT
from unit.signaling.line import LIMITS, welcome

pytestmark = pytest.mark.anyio
QUICK = Policy(first_retry=0.02, max_retry=0.1, open_timeout=2.0, request_timeout=5.0)
FAST = msgspec.structs.replace(LIMITS, messages_per_second=100_000, burst=100_000)
SECRET = "a secret that is long enough for HS256"


def client(server, name="", **options):
    url = server if isinstance(server, str) else server.url
    return SignalingClient(url, name=name, policy=options.pop("policy", QUICK), **options)


def word(to, text="", session="s"):
    return Wait(to=to, session=session, reason=text, eta_ms=1)


@contextlib.asynccontextmanager
async def fake_server(handler):
    """A WebSocket server of the right subprotocol that does what the handler does; it ends with the block."""
    over = asyncio.Event()

    async def handle(websocket):
        with contextlib.suppress(ConnectionClosed):
            await handler(websocket)
            await over.wait()

    async with serve_websocket(
        handle, "127.0.0.1", 0, subprotocols=[SUBPROTOCOL], ping_interval=None, close_timeout=0.1
    ) as server:
        try:
            yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
        finally:
            over.set()


async def greet(websocket, **how):
    await websocket.recv()
    await websocket.send(encode(welcome("me", **how)))


async def until(client, kind, **members):
    """Read events until one of this kind; returns all that were read."""
    seen = []
    async with asyncio.timeout(10):
        async for event in client.events():
            seen.append(event)
            if isinstance(event, kind) and all(getattr(event, name) == value for name, value in members.items()):
                return seen
    raise AssertionError(f"ended before {kind}: {seen}")


def connections():
    """The sockets of this process's tests, as their tasks see them: our own tasks besides the current one."""
    return {task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("adieu signaling")}


async def test_two_clients_meet_talk_and_leave():
    async with serve() as server, client(server, "ada", meta={"color": "red"}) as ada:
        assert ada.up
        assert await ada.join("lab") == []
        async with client(server, "ben") as ben:
            (peer,) = await ben.join("lab", {"x": 1})
            assert (peer.peer, peer.name, peer.meta) == (ada.peer, "ada", {"color": "red"})
            assert ben.rooms == {"lab"}
            ben.send(word(ada.peer, "hello"))
            seen = await until(ada, Wait)
            assert [type(event) for event in seen] == [Up, Joined, PeerJoined, Wait]
            assert (seen[-1].from_, seen[-1].reason) == (ben.peer, "hello")
            assert await ada.probe(ben.peer) == Probed(socket=True, program=True)
            assert await ada.probe("nobody") == Probed(socket=False, program=False)
            ben_id = ben.peer
        (left,) = (await until(ada, PeerLeft))[-1:]
        assert (left.peer, left.reason) == (ben_id, "left")
        await ada.leave("lab")
        assert ada.rooms == frozenset()
    assert connections() == set()


async def test_who_has_nothing_to_say_sleeps(monkeypatch):
    """Also after much was said: no task wakes another without need."""
    async with serve() as server, client(server, "ada") as ada, client(server, "ben") as ben:
        await ada.join("lab")
        await ben.join("lab")
        for _ in range(20):
            ben.send(word(ada.peer, "hello"))
        for _ in range(20):
            await until(ada, Wait)
        await asyncio.sleep(0.5)  # what is acknowledged late
        async with rounds_of_the_loop(monkeypatch) as scheduled:
            await asyncio.sleep(0.5)
        assert len(scheduled) < 20, scheduled[:20]


@contextlib.asynccontextmanager
async def rounds_of_the_loop(monkeypatch):
    """What is scheduled for the next round of the event loop within the block."""
    scheduled = []
    loop = asyncio.get_running_loop()
    plain = loop.call_soon
    with monkeypatch.context() as patch:
        patch.setattr(loop, "call_soon", lambda *args, **named: scheduled.append(args) or plain(*args, **named))
        yield scheduled


async def test_a_client_whose_server_stops_reading_sleeps(monkeypatch):
    """Frames wait and are due, but nothing can be written: that time is no reason to wake up."""
    stopped = asyncio.Event()

    async def greets_and_stops_reading(websocket):
        await greet(websocket, limits=FAST)
        websocket.transport.pause_reading()
        stopped.set()

    policy = Policy(outbox_bytes=64 << 20, ping=60)
    async with fake_server(greets_and_stops_reading) as url, client(url, policy=policy) as ada:
        await stopped.wait()
        for _ in range(300):  # more than the buffers of both ends hold
            ada.send(Description(to="ben", epoch=1, sdp_type="offer", sdp="x" * 60_000))
        await asyncio.sleep(0.5)
        async with rounds_of_the_loop(monkeypatch) as scheduled:
            await asyncio.sleep(0.5)
        assert len(scheduled) < 20, scheduled[:20]
        assert ada._machine.leftovers["frames"] > 0
        began = time.monotonic()
        await ada.quit()
        assert time.monotonic() - began < policy.quit_timeout + CLOSE_TIMEOUT + 3


async def test_a_client_whose_writer_has_ended_sleeps_until_its_events_are_read(monkeypatch):
    """The socket has ended, which the reader does not see while the program reads no events."""

    async def says_much_and_goes(websocket):
        await greet(websocket, limits=FAST)
        for number in range(1, 9):
            await websocket.send(encode(word("me"), seq=number))
        websocket.transport.abort()

    async with fake_server(says_much_and_goes) as url, client(url, policy=Policy(events=4, ping=60)) as ada:
        await asyncio.sleep(0.2)
        ada.send(word("ben"))
        ada.send(word("ben"))
        await asyncio.sleep(0.2)
        async with rounds_of_the_loop(monkeypatch) as scheduled:
            await asyncio.sleep(0.5)
        assert len(scheduled) < 20, scheduled[:20]


async def test_events_end_after_quit():
    async with serve() as server:
        async with client(server) as ada:
            pass
        events = [event async for event in ada.events()]
        assert events == [Up(ada.peer, resumed=False), Ended(None)]
        assert [event async for event in ada.events()] == []
        ada.send(word("you"))  # nothing happens
        with pytest.raises(SignalingLostError, match="has ended"):
            await ada.join("lab")


async def test_events_are_read_by_one_task():
    async with serve() as server, client(server) as ada:
        await until(ada, Up)
        first = asyncio.ensure_future(anext(ada.events()))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task"):
            await anext(ada.events())
        first.cancel()


# --- the first connection -------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["http://x/ws", "127.0.0.1:80", "", "ws:///ws", "wss://"])
def test_a_url_that_is_none_is_the_caller_s_error(url):
    with pytest.raises(ValueError, match="it needs ws:// or wss://"):
        SignalingClient(url)


async def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(SignalingLostError, match="start a server with"):
        await client(f"ws://127.0.0.1:{port}/ws").__aenter__()
    assert connections() == set()


@pytest.mark.parametrize(
    "url",
    [
        "ws://ada:hunter2@127.0.0.1:9/ws?token=hunter2",
        "http://ada:hunter2@127.0.0.1:9/ws?token=hunter2",
        "ws://ada:hunter2@:70000/ws?token=hunter2",
        "wss://ada:hunter2@[::1/ws",
    ],
)
async def test_no_secret_of_a_url_is_in_an_error_or_a_name(url):
    shown = []
    try:
        one = SignalingClient(url, policy=QUICK)
        shown.append(repr(one))
        async with one:
            pass
    except (SignalingLostError, ValueError) as error:
        shown.append(str(error))
        shown.append(str(error.__context__ or ""))
    shown += [task.get_name() for task in asyncio.all_tasks()]
    assert "127.0.0.1" in shown[0] or "signaling server" in shown[0]
    assert not any("hunter2" in text for text in shown), shown


async def test_somebody_who_says_nothing():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}/ws"
        with pytest.raises(SignalingLostError, match=r"no answer within 0.2 s"):
            await client(url, policy=Policy(open_timeout=0.2)).__aenter__()
    assert connections() == set()


async def test_no_such_host():
    for host in ("no-such-host.invalid", "x" * 80, "a..b"):
        with pytest.raises(SignalingLostError, match="no signaling at"):
            await client(f"ws://{host}/ws").__aenter__()


async def test_a_proxy_that_can_not_be_used(monkeypatch):
    for proxy, what in (
        ("socks5://127.0.0.1:1", "python-socks"),
        ("nonsense://x", "nonsense"),
        ("http://127.0.0.1:1", "no signaling"),
    ):
        monkeypatch.setenv("ws_proxy", proxy)
        monkeypatch.setenv("all_proxy", proxy)
        monkeypatch.setenv("http_proxy", proxy)
        with pytest.raises(SignalingLostError, match=what):
            await client("ws://no-such-host.invalid/ws").__aenter__()


async def test_a_proxy_without_its_server_is_no_end():
    """The client was connected before, so the refusal comes from a proxy while the server restarts."""
    answers = [None, 404, 403, 503, None]

    def before(connection, request):
        status = answers.pop(0) if answers else None
        return None if status is None else connection.respond(status, "starting anew")

    async def brief(websocket):
        await greet(websocket)
        await websocket.close(1011)

    async with (
        serve_websocket(brief, "127.0.0.1", 0, subprotocols=[SUBPROTOCOL], process_request=before) as server,
        client(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws", policy=QUICK) as ada,
    ):
        seen = await until(ada, Moved)
        reasons = [event.reason for event in seen if isinstance(event, Down)]
        assert [text[:8] for text in reasons[1:]] == ["HTTP 404", "HTTP 403", "HTTP 503"]


async def test_another_kind_of_websocket():
    async with serve_websocket(lambda socket: socket.wait_closed(), "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
        with pytest.raises(SignalingRefusedError, match="not of adieu"):
            await client(url).__aenter__()


async def test_another_path():
    async with serve() as server:
        with pytest.raises(SignalingRefusedError, match="ends with /ws") as caught:
            await client(server.url + "/no/where").__aenter__()
        assert caught.value.code == 3501


async def test_a_token_that_is_refused():
    async with serve(keys=[SECRET]) as server:
        with pytest.raises(SignalingRefusedError, match="needs a token") as caught:
            await client(server).__aenter__()
        assert caught.value.code == 3500
        bad = jwt.encode({"sub": "ada", "exp": time.time() + 60, "room": "*"}, SECRET[::-1], "HS256")
        with pytest.raises(SignalingRefusedError, match="not signed by a key") as caught:
            await client(server, token=bad).__aenter__()
        assert bad not in str(caught.value)


async def test_a_cancelled_connect_leaves_nothing():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        connecting = asyncio.create_task(client(f"ws://127.0.0.1:{listener.getsockname()[1]}/ws").__aenter__())
        accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        accepted.close()
    assert connections() == set()


async def test_a_client_connects_once():
    async with serve() as server, client(server) as ada:
        with pytest.raises(RuntimeError, match="connects once"):
            await ada.__aenter__()
    with pytest.raises(RuntimeError, match="async with"):
        await client("ws://127.0.0.1:1/ws").join("lab")


# --- losing the server ----------------------------------------------------------------------------------------


def cut(signaling_client):
    """The client's TCP connection is gone at once, as after a crash of its network."""
    signaling_client._socket.transport.abort()


async def test_a_lost_socket_is_noticed_at_once_and_the_seat_taken_back():
    async with serve() as server, client(server) as ada, client(server) as ben:
        await ada.join("lab")
        await ben.join("lab")
        await until(ben, Joined)
        await until(ada, PeerJoined)
        before = ada.peer
        began = time.monotonic()
        cut(ada)
        ada.send(word(ben.peer, "while down"))
        down, up = (await until(ada, Up))[-2:]
        assert time.monotonic() - began < QUICK.ping, "by a ping it would take longer"
        assert isinstance(down, Down)
        assert up == Up(before, resumed=True)
        assert not any(isinstance(event, PeerLeft) for event in ben._events._events)
        away, back, message = await until(ben, Wait)
        assert (away, back) == (PeerAway(room="lab", peer=before), PeerBack(room="lab", peer=before))
        assert message.reason == "while down"


async def test_a_socket_from_an_address_that_has_gone_is_replaced_at_once():
    async with serve() as server, client(server) as ada:
        await until(ada, Up)
        ada.network_changed(["192.0.2.1"])  # another one: the server answers
        await ada.join("lab")
        assert ada.up
        ada.network_changed(["127.0.0.1"])
        assert [type(event) for event in await until(ada, Up, resumed=True)] == [Joined, Down, Up]


async def test_a_client_that_waits_tries_at_once_when_the_network_has_changed():
    async with serve() as server:
        port = server.addresses[0][1]
        ada = client(server, policy=Policy(first_retry=3600, max_retry=3600))
        await ada.__aenter__()
    await until(ada, Down)
    async with serve(port=port):
        ada.network_changed()
        await until(ada, Up, resumed=False)
        await ada.quit()


async def test_a_server_that_starts_anew_is_found_again():
    async with serve() as server:
        port = server.addresses[0][1]
        ada = client(server, policy=Policy(first_retry=0.02, max_retry=0.1, request_timeout=0.3))
        await ada.__aenter__()
        await ada.join("lab", {"x": 1})
        old = ada.peer
        await until(ada, Joined)
    with pytest.raises(SignalingLostError, match=r"no answer to join within 0\.3 s"):
        await ada.join("later")
    async with serve(port=port) as server:
        seen = await until(ada, Joined)
        assert Moved(old, ada.peer) in seen
        assert Up(ada.peer, resumed=False) in seen
        assert ada.peer != old
        async with client(server) as ben:
            (peer,) = await ben.join("lab")
            assert (peer.peer, peer.meta) == (ada.peer, {"x": 1})
        await ada.quit()


async def test_a_message_to_who_is_gone_comes_back():
    async with serve() as server, client(server) as ada:
        await ada.join("lab")
        message = word("nobody")
        ada.send(message)
        undelivered = (await until(ada, Undelivered))[-1]
        assert (undelivered.to, undelivered.code, undelivered.message) == ("nobody", "gone", message)


async def test_many_messages_across_many_cuts_arrive_once_and_in_order():
    async def read(ben):
        texts = []
        while len(texts) < 600:
            event = await anext(ben.events())
            texts += [event.reason] if isinstance(event, Wait) else []
        return texts

    settings = Settings(messages_per_second=100_000, burst=100_000)
    async with serve(settings=settings) as server, client(server) as ada, client(server) as ben:
        await ada.join("lab")
        await ben.join("lab")
        reading = asyncio.create_task(read(ben))
        for number in range(600):
            ada.send(word(ben.peer, str(number)))
            unlucky = ada if number % 120 == 30 else ben
            if number % 60 == 30 and unlucky.up:
                cut(unlucky)
            await asyncio.sleep(0.001)  # a tempo: some are in flight at each cut
        async with asyncio.timeout(20):
            assert await reading == [str(number) for number in range(600)]
        assert server.hub.counters["resumes"] >= 8


async def test_a_server_that_dies_without_a_word_is_noticed_by_ping():
    async def deaf(websocket):
        await greet(websocket)
        websocket.transport.pause_reading()

    async with fake_server(deaf) as url:
        ada = client(url, policy=Policy(ping=0.2, pong=0.2, open_timeout=0.5))
        await ada.__aenter__()
        began = time.monotonic()
        (down,) = (await until(ada, Down))[-1:]
        assert 0.3 < time.monotonic() - began < Policy().ping
        assert "ping" in down.reason
        await ada.quit()


async def test_a_server_that_answers_no_probe_is_given_up(monkeypatch):
    """A peer is silent, and so is the server: this machine may be cut off. It dials again, before any ping is due."""
    monkeypatch.setattr(signaling_client, "DOUBT_TIMEOUT", 0.2)

    async def deaf(websocket):
        await greet(websocket)
        websocket.transport.pause_reading()

    async with fake_server(deaf) as url:
        ada = client(url, policy=Policy(open_timeout=0.5))
        await ada.__aenter__()
        began = time.monotonic()
        asked = asyncio.create_task(ada.probe("somebody"))
        await until(ada, Down)
        assert 0.15 < time.monotonic() - began < Policy().ping / 2
        await ada.quit()
        with pytest.raises(SignalingLostError):
            await asked


async def test_a_server_that_answers_a_probe_is_kept(monkeypatch):
    monkeypatch.setattr(signaling_client, "DOUBT_TIMEOUT", 0.3)
    async with serve() as server, client(server) as ada:
        assert await ada.probe("nobody") == Probed(socket=False, program=False)
        await asyncio.sleep(0.5)
        assert ada.up


async def test_garbage_of_a_server_does_no_harm():
    async def rude(websocket):
        await greet(websocket)
        for text in ("{", "", b"\x00\xff", '{"type":"peerLeft"}', '{"type":"future","seq":1}', "[" * 10_000):
            await websocket.send(text)
        await websocket.send(encode(PeerLeft(room="lab", peer="you", reason="left"), seq=2))

    async with fake_server(rude) as url, client(url, policy=Policy(quit_timeout=0.1)) as ada:
        assert [type(event) for event in await until(ada, PeerLeft)] == [Up, PeerLeft]
        assert ada.up


async def test_a_message_too_long_from_the_server_makes_it_come_again():
    times = []

    async def long(websocket):
        times.append(1)
        await greet(websocket, resumed=len(times) > 1)
        if len(times) == 1:
            await websocket.send('{"type":"ack","x":"' + "y" * 2_000_000 + '"}')

    async with fake_server(long) as url, client(url, policy=Policy(quit_timeout=0.1)) as ada:
        assert [type(event) for event in await until(ada, Up, resumed=True)] == [Up, Down, Up]


# --- requests -------------------------------------------------------------------------------------------------


async def test_a_refused_join_says_why():
    async with serve(settings=Settings(room_peers=1)) as server, client(server) as ada, client(server) as ben:
        await ada.join("lab")
        with pytest.raises(SignalingRefusedError, match="1 peers are in the room 'lab'") as caught:
            await ben.join("lab")
        assert caught.value.code == "room-full"
        for name in ("", "x" * 257):
            with pytest.raises(ValueError, match=r"a room's name must have 1 to 256 characters, not \d"):
                await ben.join(name)


async def test_a_cancelled_join_is_left_again():
    async with serve() as server, client(server) as ada, client(server) as ben:
        joining = asyncio.create_task(ada.join("lab"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        joining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await joining
        await ada.join("other")
        await ada.join("other")
        assert ada.rooms == {"other"}
        assert await ben.join("lab") == []


async def test_requests_end_when_the_client_ends():
    asked = asyncio.Event()

    async def silent(websocket):
        await greet(websocket)
        await websocket.recv()
        asked.set()

    async with fake_server(silent) as url:
        ada = client(url, policy=Policy(quit_timeout=0.1))
        await ada.__aenter__()
        joining = asyncio.create_task(ada.join("lab"))
        await asked.wait()
        await ada.quit()
        with pytest.raises(SignalingLostError, match="quit"):
            await joining


async def test_quit_is_short_also_with_a_server_that_does_not_answer():
    async def silent(websocket):
        await greet(websocket)
        websocket.transport.pause_reading()

    async with fake_server(silent) as url:
        ada = client(url, policy=Policy(quit_timeout=0.2))
        await ada.__aenter__()
        began = time.monotonic()
        await ada.quit()
        assert time.monotonic() - began < 0.2 + CLOSE_TIMEOUT + 3
        assert connections() == set()


async def test_a_cancelled_quit_ends_at_once():
    async with serve() as server:
        ada = client(server)
        await ada.__aenter__()
        quitting = asyncio.create_task(ada.quit())
        await asyncio.sleep(0)
        quitting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await quitting
        assert connections() == set()


async def test_the_block_s_exception_passes():
    async with serve() as server:
        with pytest.raises(KeyError):
            async with client(server):
                raise KeyError("x")
        assert connections() == set()


async def test_events_that_nobody_reads_stop_the_reading_and_nothing_else(monkeypatch):
    lengths = []
    put = EventBuffer.put

    def watched(self, event):
        put(self, event)
        lengths.append(len(self._events))

    monkeypatch.setattr(EventBuffer, "put", watched)
    settings = Settings(messages_per_second=10_000, burst=10_000)
    narrow = Policy(events=10)
    async with serve(settings=settings) as server, client(server) as ada, client(server, policy=narrow) as ben:
        await ada.join("lab")
        await ben.join("lab")
        for number in range(50):
            ada.send(word(ben.peer, str(number)))
        await ada.join("lab")  # all of them have passed the server
        texts = [event.reason for event in await until(ben, Wait, reason="49") if isinstance(event, Wait)]
        assert texts == [str(number) for number in range(50)]
    assert 8 < max(lengths) <= 11


# --- tokens ---------------------------------------------------------------------------------------------------


def make_token(seconds=60.0, **claims):
    return jwt.encode({"sub": "ada", "room": "*", "exp": int(time.time() + seconds), **claims}, SECRET, "HS256")


async def test_a_function_makes_the_token_plain_or_async():
    async def later():
        await asyncio.sleep(0)
        return make_token()

    async with serve(keys=[SECRET]) as server:
        for token in (make_token(), make_token, later):
            async with client(server, token=token) as ada:
                assert ada.up


async def test_a_function_that_fails_is_told():
    def broken():
        raise LookupError("no tokens today")

    async with serve(keys=[SECRET]) as server:
        with pytest.raises(SignalingLostError, match="no tokens today"):
            await client(server, token=broken).__aenter__()


async def test_a_function_that_awaits_what_was_cancelled_is_told_too():
    async def broken():
        raise asyncio.CancelledError

    async with serve(keys=[SECRET]) as server:
        with pytest.raises(SignalingLostError, match="no token: CancelledError"):
            await asyncio.wait_for(client(server, token=broken).__aenter__(), 5)


async def test_a_token_is_renewed_before_its_end():
    made = []
    renewed = asyncio.Event()

    def token():
        made.append(make_token(60.0 if made else 2.0))
        if len(made) == 2:
            renewed.set()
        return made[-1]

    async with serve(keys=[SECRET]) as server, client(server, token=token) as ada:
        await asyncio.wait_for(renewed.wait(), 5)
        await ada.join("lab")  # after the refresh
        (seat,) = server.hub._state.seats.values()
        assert seat.grant.expires_in > 30
        assert not [event for event in await until(ada, Joined) if isinstance(event, Down)]


async def test_a_token_that_can_not_be_renewed_is_the_end():
    async with serve(keys=[SECRET]) as server, client(server, token=make_token(1.5)) as ada:
        (ended,) = (await until(ada, Ended))[-1:]
        assert isinstance(ended.error, SignalingRefusedError)
        assert ended.error.code == 3005


async def test_kick():
    async with (
        serve(keys=[SECRET]) as server,
        client(server, token=make_token(can=["kick"])) as host,
        client(server, token=make_token(sub="b")) as ben,
    ):
        await host.join("lab")
        await ben.join("lab")
        with pytest.raises(SignalingRefusedError, match="right"):
            await ben.kick(host.peer)
        await host.kick(ben.peer, "enough")
        (ended,) = (await until(ben, Ended))[-1:]
        assert ended.error.code == 3509


# --- secrets --------------------------------------------------------------------------------------------------


async def test_logs_hold_no_token(caplog):
    logging.getLogger("websockets").setLevel(logging.DEBUG)
    caplog.set_level(logging.DEBUG)
    token = make_token()
    async with serve(keys=[SECRET]) as server, client(server, token=token) as ada:
        await ada.join("lab")
        resume = ada._machine.welcome.resume_token
    text = caplog.text
    assert '"type":"join"' in text  # the frames are there
    assert token not in text
    assert resume not in text


async def test_a_server_that_stays_away_is_one_line_at_info(written):
    async with contextlib.AsyncExitStack() as stack:
        async with serve() as server:
            ada = await stack.enter_async_context(client(server, "ada"))
        for _ in range(4):
            await until(ada, Down)
    info = [line.split(";")[0] for _, line in written.lines if line.startswith("signaling INFO ")]
    assert [line.split()[2] for line in info] == ["=", "!", "x"]
    assert sum("signaling DEBUG ! not connected" in line for _, line in written.lines) >= 3


async def test_the_log_of_a_client(written):
    """INFO has its life, DEBUG its frames."""
    ice = IceConfig(turn=("turn:192.0.2.1",), secret="the secret of the TURN server")
    async with serve(keys=[SECRET], ice=ice) as server:
        url = f"{server.url}?key=in-the-query"
        async with client(url, "ada", token=make_token()) as ada:
            await ada.join("lab", {"tab": "the id of a tab"})
            [turn], _ = await ada.ice_servers()
            peer = ada.peer
    assert turn["username"]
    assert turn["credential"]
    lines = [(id_, line) for id_, line in written.lines if id_.startswith("ws")]
    assert len({id_ for id_, _ in lines}) == 1
    info = [line for _, line in lines if " INFO " in line]
    assert info == [
        f"signaling INFO = connected to {server.url} as peer {peer}, with a new place",
        "signaling INFO x ended: by quit()",
    ]
    debug = [line.removeprefix("signaling DEBUG ") for _, line in lines if " DEBUG " in line]
    for mark, kind in [(">", "hello"), ("<", "welcome"), (">", "join"), ("<", "joined"), (">", "quit")]:
        assert any(line.startswith(f"{mark} {{") and f'"type":"{kind}"' in line for line in debug), kind
    whole = repr(written.lines)
    for secret in ("in-the-query", "the id of a tab", turn["username"], turn["credential"], "the secret of"):
        assert secret not in whole


def test_a_forgotten_client_is_named():
    """The warning has the line that made it."""

    async def forgets():
        async with serve() as server:
            await SignalingClient(server.url, policy=QUICK).__aenter__()

    def run():
        asyncio.run(forgets())
        gc.collect()

    with pytest.warns(
        ResourceWarning, match=r"unclosed <SignalingClient ws://.*>, made at test_client.py:\d+: "
    ) as said:
        run()
    assert len(said) == 1


@pytest.mark.parametrize("how", ["the block is left", "quit", "cancelled", "refused", "never entered"])
def test_a_client_that_has_ended_is_not_named(how):
    async def main():
        async with serve() as server:
            one = SignalingClient("ws://127.0.0.1:9/ws" if how == "refused" else server.url, policy=QUICK)
            match how:
                case "the block is left":
                    async with one:
                        pass
                case "quit":
                    await (await one.__aenter__()).quit()
                case "cancelled":
                    entering = asyncio.ensure_future(one.__aenter__())
                    await asyncio.sleep(0)
                    entering.cancel()
                    await asyncio.wait({entering})
                case "refused":
                    with pytest.raises(SignalingLostError):
                        await one.__aenter__()

    with warnings.catch_warnings(record=True, action="always") as said:
        asyncio.run(main())
        gc.collect()
    assert not said
