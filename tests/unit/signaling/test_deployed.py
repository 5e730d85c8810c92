"""The way to a deployed server: TLS, a reverse proxy, a host name, and what is said when it is not to be had."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import shutil
import socket
import ssl
from asyncio.subprocess import DEVNULL
from datetime import timedelta
from pathlib import Path

import pytest
from websockets.asyncio.server import serve as serve_websocket

import adieu
from adieu.errors import SignalingError, SignalingLostError, SignalingRefusedError
from adieu.protocol.signaling import SUBPROTOCOL, encode
from adieu.server import Settings, serve
from adieu.signaling import Down, Policy, SignalingClient, client, trust
from adieu.signaling.client import is_refused
from conftest import missing
from support.certificates import Certificates
from support.reverse_proxy import reverse_proxy
from unit.signaling.line import welcome

pytestmark = pytest.mark.anyio
QUICK = Policy(first_retry=0.02, max_retry=0.05)
NAME = "signaling.example.org"
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def certificates(tmp_path):
    return Certificates(tmp_path)


@pytest.fixture(autouse=True)
def names(monkeypatch):
    """A resolver of our own: one name is this machine, all others under example.org are unknown."""
    ask = socket.getaddrinfo

    def resolve(host, *rest, **options):
        if host in {NAME, NAME.encode()}:
            return ask("127.0.0.1", *rest, **options)
        if str(host).endswith("example.org"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return ask(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    for variable in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(variable, raising=False)


def port_of(server):
    return server.addresses[0][1]


async def refusal(url, **options):
    """Why a client is not let in."""
    with pytest.raises(SignalingError) as caught:
        async with SignalingClient(url, policy=QUICK, **options):
            pass
    return caught.value


# --- TLS --------------------------------------------------------------------------------------------------------


async def test_a_certificate_that_the_system_trusts_needs_no_word(certificates, monkeypatch):
    files = certificates.signed("localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca))
    async with serve(cert=files.cert, key=files.key) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        async with adieu.join(url, "lab", "ada") as room:
            assert room.client.up


@pytest.mark.parametrize("how", ["path", "text", "context", "own"])
async def test_join_and_client_take_a_ca_file_or_a_context(certificates, how):
    files = certificates.self_signed(NAME) if how == "own" else certificates.signed(NAME)
    given = {
        "path": certificates.ca,
        "text": str(certificates.ca),
        "own": files.cert,
        "context": ssl.create_default_context(cafile=certificates.ca),
    }[how]
    async with serve(cert=files.cert, key=files.key, names=[NAME]) as server:
        url = f"wss://{NAME}:{port_of(server)}/ws"
        async with adieu.join(url, "lab", "ada", ssl=given) as ada, SignalingClient(url, ssl=given) as ben:
            (peer,) = await ben.join("lab")
            assert peer.peer == ada.me


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("self-signed", ["self-signed", "ssl=", "--ca FILE"]),
        ("expired", ["expired"]),
        ("not yet", ["not valid yet", "clocks"]),
        ("wrong name", ["wrong name"]),
        ("wrong address", ["wrong name", "address"]),
        ("unknown CA", ["unknown CA", "--ca FILE"]),
    ],
)
async def test_what_is_wrong_with_a_certificate_is_named(certificates, tmp_path, fault, words):
    day = timedelta(days=1)
    (tmp_path / "elsewhere").mkdir()
    files = {
        "self-signed": lambda: certificates.self_signed("localhost"),
        "expired": lambda: certificates.signed("localhost", begins=-2 * day, ends=-day),
        "not yet": lambda: certificates.signed("localhost", begins=day, ends=2 * day),
        "wrong name": lambda: certificates.signed("other.example.org"),
        "wrong address": lambda: certificates.signed("192.0.2.1"),
        "unknown CA": lambda: Certificates(tmp_path / "elsewhere").signed("localhost"),
    }[fault]()
    async with serve(cert=files.cert, key=files.key) as server:
        url = server.url if fault == "wrong address" else server.url.replace("127.0.0.1", "localhost")
        error = await refusal(url, ssl=certificates.ca)
        assert isinstance(error, SignalingRefusedError)
        assert error.code == "certificate"
        for word in [*words, "certificate of", "127.0.0.1" if fault == "wrong address" else "localhost"]:
            assert word in str(error)
        assert isinstance(error.__cause__, ssl.SSLCertVerificationError)
        assert server.hub.counters["connections"] == 0


async def test_a_certificate_that_goes_bad_later_is_no_end(certificates):
    """Who has been in comes again until the server has a good one."""
    good, bad = certificates.signed("localhost"), certificates.self_signed("localhost")
    async with serve(cert=good.cert, key=good.key) as server:
        port = port_of(server)
        ada = SignalingClient(f"wss://localhost:{port}/ws", ssl=certificates.ca, policy=QUICK)
        await ada.__aenter__()
    async with serve(cert=bad.cert, key=bad.key, port=port), asyncio.timeout(10):
        async for event in ada.events():
            if isinstance(event, Down) and "self-signed" in event.reason:
                break
    async with serve(cert=good.cert, key=good.key, port=port), asyncio.timeout(10):
        assert await ada.join("lab") == []
        await ada.quit()


async def test_tls_where_there_is_none_and_none_where_there_is(certificates):
    files = certificates.signed("localhost")
    async with serve() as plain, serve(cert=files.cert, key=files.key) as secure:
        error = await refusal(f"wss://localhost:{port_of(plain)}/ws", ssl=certificates.ca)
        assert "try ws:// instead of wss://" in str(error)
        error = await refusal(f"ws://localhost:{port_of(secure)}/ws")
        assert "wss://" in str(error)


def test_a_trust_that_is_none_is_the_caller_s_error(tmp_path):
    empty, key = tmp_path / "empty.pem", tmp_path / "no.pem"
    empty.write_text("nothing")
    for given, url, kind, what in (
        (tmp_path / "gone.pem", "wss://x/ws", ValueError, "gone.pem.*No such file"),
        (tmp_path, "wss://x/ws", ValueError, "cannot be read"),
        (empty, "wss://x/ws", ValueError, "empty.pem.*holds no certificate"),
        ("a\0b", "wss://x/ws", ValueError, "cannot be read"),
        (key, "ws://x/ws", ValueError, "use wss://"),
        (True, "wss://x/ws", TypeError, "ssl.SSLContext or the path"),
        (b"x", "wss://x/ws", TypeError, "ssl.SSLContext or the path"),
    ):
        with pytest.raises(kind, match=what):
            SignalingClient(url, ssl=given)


def test_every_fault_of_openssl_is_put_into_words():
    for code in range(1, 100):
        error = ssl.SSLCertVerificationError(1, "certificate verify failed")
        error.verify_code, error.verify_message = code, f"fault {code}"
        text = trust.explain(error, "{host} 100%")
        assert text.startswith("the certificate of {host} 100%"), text
    assert "fault 99" in text
    assert trust.explain(ssl.SSLError(1, "odd"), "h").startswith("TLS with h failed: ")


# --- what nobody foresaw ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ValueError, TypeError, AssertionError, LookupError, RuntimeError])
async def test_an_unforeseen_exception_of_the_dial_is_told(monkeypatch, kind):
    def broken(*_, **__):
        raise kind("of a kind that nobody thought of")

    monkeypatch.setattr(client, "connect", broken)
    error = await refusal("ws://localhost:1/ws")
    assert "of a kind that nobody thought of" in str(error)
    assert isinstance(error.__cause__, kind)


async def test_an_unforeseen_exception_of_the_client_itself_is_told(monkeypatch):
    async def broken(*_):
        raise LookupError("a fault of our own")

    monkeypatch.setattr(SignalingClient, "_dial", broken)
    error = await refusal("ws://localhost:1/ws")
    assert "a fault of our own" in str(error)
    assert error.__cause__ is not None


# --- names and addresses --------------------------------------------------------------------------------------------


async def test_a_name_is_dialled_and_has_to_be_the_server_s():
    async with serve(names=[NAME]) as known, serve() as unknown:
        async with SignalingClient(f"ws://{NAME}:{port_of(known)}/ws") as ada:
            assert ada.up
        error = await refusal(f"ws://{NAME}:{port_of(unknown)}/ws")
        assert f"start the server with --name {NAME}" in str(error)
        assert isinstance(error, SignalingRefusedError)


async def test_a_name_with_several_addresses_where_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = await refusal(f"ws://localhost:{port}/ws")
    assert "start a server with" in str(error)
    assert isinstance(error, SignalingLostError)


async def test_a_name_that_is_unknown_is_named():
    error = await refusal("ws://gone.example.org/ws")
    assert "the host name 'gone.example.org' is unknown" in str(error)


# --- a reverse proxy ------------------------------------------------------------------------------------------------


async def test_a_proxy_with_tls_and_a_prefix(certificates):
    files = certificates.signed(NAME)
    async with (
        serve(names=[NAME], proxies=["127.0.0.1"]) as server,
        reverse_proxy(server.addresses[0], prefix="/rtc", certificate=files, forwarded="192.0.2.7") as port,
    ):
        url = f"wss://{NAME}:{port}/rtc/ws"
        async with (
            adieu.join(url, "lab", "ada", ssl=certificates.ca) as ada,
            adieu.join(url, "lab", "ben", ssl=certificates.ca),
        ):
            session = await asyncio.wait_for(ada.session("ben"), 20)
            assert session.name == "ben"
        error = await refusal(f"wss://{NAME}:{port}/ws", ssl=certificates.ca)
        assert "HTTP 404: Not Found" in str(error)
        assert "<h1>" not in str(error)


@pytest.mark.parametrize("path", ["", "/", "/rtc", "/rtc/", "/lab/wsx"])
async def test_a_path_without_ws_is_told_of_ws(path):
    async with serve() as server, reverse_proxy(server.addresses[0], prefix="/rtc") as port:
        for base in (f"127.0.0.1:{port}", server.http_url.removeprefix("http://")):
            error = await refusal(f"ws://{base}{path}")
            assert "ends with /ws" in str(error)
            assert isinstance(error, SignalingRefusedError)


@pytest.mark.parametrize(
    ("url", "meant"),
    [("https://a.example.org/rtc/", "wss://a.example.org/rtc/ws"), ("http://[::1]:80/ws", "ws://[::1]:80/ws")],
)
def test_the_page_s_address_in_the_place_of_the_server_s(url, meant):
    with pytest.raises(ValueError, match="it needs ws:// or wss://") as caught:
        SignalingClient(url)
    assert f"try {meant}" in str(caught.value)


@pytest.mark.parametrize("url", ["ws://x:99999/ws", "ws://[::1/ws", "ws://x:y/ws", "ws://x/ws#there", "ws://ada@x/ws"])
def test_an_url_that_can_not_be_read_is_the_caller_s_error(url):
    with pytest.raises(ValueError, match="is not the url of a signaling server"):
        SignalingClient(url)


@pytest.mark.parametrize(
    "url",
    [
        "wss://ada:SE@CRET@host/ws",
        "wss://ada:SE/CRET@host/ws",
        "wss://ada:SE?CRET@host/ws",
        "wss://ada:SE#CRET@host/ws",
        "wss://SECRET@host/ws",
        "wss://host/ws?token=SECRET&mail=ada@home",
        "wss://host/ws#token=SECRET",
        "https://ada:SECRET@host/ws",
    ],
)
def test_no_secret_of_an_url_is_shown(url):
    try:
        shown = repr(SignalingClient(url))
    except ValueError as error:
        shown = f"{error} {error.__cause__} {error.__context__ if not error.__suppress_context__ else ''}"
    assert not any(part in shown for part in ("SE", "CRET")), shown


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        (
            "Multiple exceptions: [Errno 111] Connect call failed ('::1', 1, 0, 0), [Errno 111] Connect call failed",
            True,
        ),
        ("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1, 0, 0), [Errno 113] No route to host", False),
        ("Multiple exceptions: [WinError 1225] The remote computer refused, [WinError 1225] The remote computer", True),
        ("something else", False),
    ],
)
def test_all_addresses_of_a_name_have_to_refuse(text, refused):
    assert is_refused(OSError(text.replace("111", str(errno.ECONNREFUSED)))) is refused


NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    server {{
        listen 127.0.0.1:{port} ssl; server_name {name};
        ssl_certificate {cert}; ssl_certificate_key {key};
        {documented}
    }}
}}
"""
CADDY = """{{
    admin off
    auto_https disable_redirects
    storage file_system {folder}
}}
{documented}
"""


def documented(language, first):
    """The example in docs/topics/deploying.md that begins with this line."""
    page = (ROOT / "docs/topics/deploying.md").read_text("utf-8")
    (block,) = [block for block in re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL) if block.startswith(first)]
    return block.replace("127.0.0.1:8080", "127.0.0.1:{upstream}")


def nginx(folder, port, upstream, files):
    block = documented("nginx", "location /talk/ {").replace("{upstream}", str(upstream))
    (folder / "nginx.conf").write_text(
        NGINX.format(folder=folder, port=port, name=NAME, cert=files.cert, key=files.key, documented=block)
    )
    return "-c", folder / "nginx.conf", "-p", folder


def caddy(folder, port, upstream, files):
    block = documented("text", "example.org {").replace("{upstream}", str(upstream))
    site = f"{NAME}:{port} {{\n    bind 127.0.0.1\n    tls {files.cert} {files.key}"  # no name that a CA would sign
    block = block.replace("example.org {", site)
    (folder / "Caddyfile").write_text(CADDY.format(folder=folder, documented=block))
    return "run", "--config", folder / "Caddyfile", "--adapter", "caddyfile"


@pytest.mark.parametrize(("proxy", "package"), [(nginx, "nginx-light"), (caddy, "caddy")])
async def test_a_proxy_as_the_documentation_has_it(certificates, tmp_path, proxy, package):
    """docs/topics/deploying.md: TLS ended by the proxy, a prefix, the name in Host."""
    program = shutil.which(proxy.__name__, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        missing(proxy.__name__, f"install the package {package}")
    files = certificates.signed(NAME)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with serve(names=[NAME], proxies=["127.0.0.1"]) as server:
        arguments = proxy(tmp_path, port, port_of(server), files)
        home = {**os.environ, "HOME": str(tmp_path)}
        running = await asyncio.create_subprocess_exec(program, *arguments, env=home, stderr=DEVNULL)
        try:
            async with asyncio.timeout(20):
                while True:
                    with contextlib.suppress(ConnectionRefusedError):
                        (await asyncio.open_connection("127.0.0.1", port))[1].close()
                        break
                    await asyncio.sleep(0.05)
            async with adieu.join(f"wss://{NAME}:{port}/talk/ws", "lab", "ada", ssl=certificates.ca) as room:
                assert room.client.up
            error = await refusal(f"wss://{NAME}:{port}/elsewhere/ws", ssl=certificates.ca)
            assert "HTTP " in str(error)
            assert "<" not in str(error)
            error = await refusal(f"ws://{NAME}:{port}/talk/ws")
            assert "400" in str(error)
        finally:
            running.terminate()
            await running.wait()


# --- come again -----------------------------------------------------------------------------------------------------


async def test_a_first_dial_that_is_told_to_come_again_comes_again():
    """Each server lets one in after it has said so in its own way."""
    codes = [3013, 3001, 1012, 1013, 4000, 429, 503]
    told = list(codes)

    def before(connection, request):
        if told and told[0] < 1000:
            return connection.respond(told.pop(0), "come again")
        return None

    async def handle(websocket):
        await websocket.recv()
        if told:
            await websocket.close(told.pop(0), "come again")
            return
        await websocket.send(encode(welcome("me")))
        await websocket.wait_closed()

    async with (
        serve_websocket(handle, "127.0.0.1", 0, subprotocols=[SUBPROTOCOL], process_request=before) as server,
        asyncio.timeout(10),
        SignalingClient(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws", policy=QUICK) as ada,
    ):
        downs = [await anext(ada.events()) for _ in codes]
        assert [type(event) for event in downs] == [Down] * len(codes)
        assert all(event.by_server for event in downs)
    assert not told


async def test_a_first_dial_comes_again_no_longer_than_its_time():
    async with (
        serve(proxies=["127.0.0.1"], settings=Settings(connects_per_minute=1)) as server,
        reverse_proxy(server.addresses[0], forwarded="192.0.2.7") as port,
        SignalingClient(f"ws://127.0.0.1:{port}/ws"),
    ):
        patience = Policy(first_retry=0.02, max_retry=0.05, enter_timeout=0.4)
        with pytest.raises(SignalingLostError, match="too many connections: try again later"):
            await SignalingClient(f"ws://127.0.0.1:{port}/ws", policy=patience).__aenter__()
        assert server.hub.counters["closed_3013"] > 2


async def test_many_more_behind_one_address_than_come_at_once_get_in():
    """Ten a second are let in, and others have been here just now: 18 people behind a proxy are in after a moment."""
    async with (
        serve(proxies=["127.0.0.1"], settings=Settings(connects_per_minute=600)) as server,
        reverse_proxy(server.addresses[0], forwarded="192.0.2.7") as port,
        asyncio.timeout(30),
    ):
        while server.hub._state.gate.admit("192.0.2.7", asyncio.get_running_loop().time()):
            pass

        async def enter(number):
            async with SignalingClient(f"ws://127.0.0.1:{port}/ws", policy=QUICK) as one:
                return await one.join(f"room {number}")

        assert await asyncio.gather(*(enter(number) for number in range(18))) == [[]] * 18
        assert server.hub.counters["closed_3013"] > 0


def test_the_defaults_let_a_class_in():
    settings = Settings()
    assert settings.connects_per_minute >= 120
    assert settings.seats_per_address >= 1000
