"""Keys and certificates that change while the server runs, and shards."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import ssl
import threading
from contextlib import asynccontextmanager

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from adieu.protocol.signaling import CloseCode
from adieu.server import jwks, renewal, serve
from adieu.server.hub import TokenRefusedError
from adieu.server.jwks import KeySet
from adieu.server.tokens import TokenReader
from adieu.signaling import SignalingClient
from support.certificates import Certificates

pytestmark = pytest.mark.anyio
NOW = 1_000_000.0
RSA, EC = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
OTHER = ed25519.Ed25519PrivateKey.generate()
ALGORITHMS = {
    "RS256": jwt.algorithms.RSAAlgorithm,
    "ES256": jwt.algorithms.ECAlgorithm,
    "EdDSA": jwt.algorithms.OKPAlgorithm,
}


def jwk(key, algorithm, kid=None, **members):
    return {**ALGORITHMS[algorithm].to_jwk(key.public_key(), as_dict=True), **({"kid": kid} if kid else {}), **members}


def token(key, algorithm, kid=None):
    claims = {"sub": "ada", "exp": int(NOW) + 60, "room": "lab"}
    return jwt.encode(claims, key, algorithm, headers={"kid": kid} if kid else {})


def written(path, *keys):
    path.write_text(json.dumps({"keys": list(keys)}))
    return path


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def reader(place, clock=None):
    return TokenReader([], jwks=KeySet(place, now=clock or Clock()), clock=lambda: NOW)


# --- the set --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (EC, "ES256"), (ED, "EdDSA")])
def test_a_key_of_the_set_is_found_with_and_without_kid(tmp_path, key, algorithm):
    others = [jwk(OTHER, "EdDSA", "other")]
    read = reader(written(tmp_path / "set", *others, jwk(key, algorithm, "one")))
    assert read(token(key, algorithm, "one")).user == "ada"
    assert read(token(key, algorithm)).user == "ada"
    with pytest.raises(TokenRefusedError) as caught:
        read(token(key, algorithm, "other"))
    assert caught.value.code.final or caught.value.code is CloseCode.TOO_MANY


def test_keys_that_must_not_check_tokens_are_not_taken(tmp_path):
    weak = rsa.generate_private_key(65537, 1024)
    private = ALGORITHMS["EdDSA"].to_jwk(ED, as_dict=True)
    secret = {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}
    bad = [
        jwk(weak, "RS256"),
        private,
        secret,
        jwk(RSA, "RS256", use="enc"),
        jwk(RSA, "RS256", alg="PS256"),
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": 3},
        7,
    ]
    with pytest.raises(ValueError, match="no public key"):
        reader(written(tmp_path / "set", *bad))
    read = reader(written(tmp_path / "set", *bad, jwk(EC, "ES256")))
    assert read(token(EC, "ES256")).user == "ada"
    for key, algorithm in ((ED, "EdDSA"), (RSA, "RS256")):
        with pytest.raises(TokenRefusedError):
            read(token(key, algorithm))
    with pytest.raises(TokenRefusedError):
        read(jwt.encode({"sub": "ada", "exp": NOW + 60}, "secret-secret-secret-secret-secret", "HS256"))


def test_an_unknown_key_is_looked_for_but_not_often(tmp_path):
    clock = Clock()
    read = reader(written(tmp_path / "set", jwk(EC, "ES256", "one")), clock)
    clock.now = jwks.COOLDOWN
    with pytest.raises(TokenRefusedError) as caught:
        read(token(ED, "EdDSA", "two"))
    assert caught.value.code is CloseCode.TOO_MANY  # a client tries again by itself


@pytest.mark.parametrize("place", ["http://id.example.org/keys", "ftp://x/y", "https://", "/nowhere/set"])
def test_a_place_that_cannot_be_trusted_or_read_is_refused(place):
    with pytest.raises(ValueError, match=r"place for a set|cannot be read"):
        KeySet(place, now=Clock())


# --- its place on the web ---------------------------------------------------------------------------------------


class Place:
    """A web server with a set of keys, which can lie and be slow."""

    def __init__(self):
        self.answer = b"{}"
        self.asked = 0
        self.seen = asyncio.Event()
        self.silent = False

    async def serve(self, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        self.seen.set()
        if not self.silent:
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(self.answer)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + self.answer)
            await writer.drain()
            writer.close()
        else:
            await reader.read()
            writer.close()


@asynccontextmanager
async def place():
    there = Place()
    server = await asyncio.start_server(there.serve, "127.0.0.1", 0)
    async with server:
        there.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"
        yield there


async def test_a_rotated_key_is_found_and_a_bad_place_stops_no_key(monkeypatch, caplog):
    monkeypatch.setattr(jwks, "COOLDOWN", 0.0)
    monkeypatch.setattr(jwks, "SOCKET_TIMEOUT", 0.2)
    monkeypatch.setattr(jwks, "FETCH_TIMEOUT", 0.3)
    one, two = token_now(ED, "one"), token_now(OTHER, "two")
    async with place() as there:
        there.answer = json.dumps({"keys": [jwk(ED, "EdDSA", "one")]}).encode()
        async with serve(jwks=there.url) as server:
            async with SignalingClient(server.url, token=one) as client:  # also while nothing is known yet
                assert client.up
            for lie in (b"nonsense", b"{}", b'{"keys":[]}', b"[" * 100_000, b"x" * (jwks.MAX_BYTES + 5), None):
                there.silent = lie is None
                there.answer = lie or b""
                await asked_again(there, server)
                async with SignalingClient(server.url, token=one) as client:
                    assert client.up
            there.silent = False
            there.answer = json.dumps({"keys": [jwk(OTHER, "EdDSA", "two")]}).encode()
            async with asyncio.timeout(10), SignalingClient(server.url, token=two) as client:
                assert client.up
    assert "the keys that were read last stay" in caplog.text


def token_now(key, kid):
    import time

    claims = {"sub": "ada", "exp": int(time.time()) + 60, "room": "lab"}
    return jwt.encode(claims, key, "EdDSA", headers={"kid": kid})


LENGTH = b"\r\nContent-Length: 5000\r\n\r\n"
SLOW = {
    "HTTP/1.0": ("http", b"HTTP/1.0 200 OK" + LENGTH),
    "connection that closes": ("http", b"HTTP/1.1 200 OK\r\nConnection: close" + LENGTH),
    "connection that stays": ("http", b"HTTP/1.1 200 OK" + LENGTH),
    "header": ("http", b"HTTP/1.1 200 OK\r\nX: "),
    "TLS": ("https", b"\x16\x03\x03\x20\x00"),
}


@pytest.mark.parametrize("what", SLOW)
async def test_a_place_that_trickles_its_answer_leaves_no_thread_behind(monkeypatch, what):
    monkeypatch.setattr(jwks, "FETCH_TIMEOUT", 0.2)
    cut = asyncio.Event()
    scheme, head = SLOW[what]

    async def trickle(reader, writer):
        await reader.read(1 << 16)
        writer.write(head)
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof():  # its client has shut both ways
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)
        cut.set()
        writer.close()

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    async with server:
        with pytest.raises(TimeoutError):
            await jwks._fetch(f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys")
        async with asyncio.timeout(2):
            await cut.wait()
            for thread in threading.enumerate():
                if thread.name == "adieu jwks":
                    await asyncio.to_thread(thread.join)


async def test_a_place_that_answers_too_late_is_not_asked(monkeypatch):
    """The time was over before there was a connection: then the thread ends as soon as there is one."""
    monkeypatch.setattr(jwks, "FETCH_TIMEOUT", 0.0)
    connected = threading.Event()
    connect = socket.create_connection

    def late(*arguments):
        connected.wait(5)
        return connect(*arguments)

    monkeypatch.setattr(socket, "create_connection", late)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with pytest.raises(TimeoutError):
            await jwks._fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/keys")
        [thread] = [thread for thread in threading.enumerate() if thread.name == "adieu jwks"]
        connected.set()
        async with asyncio.timeout(2):
            await asyncio.to_thread(thread.join)
        with listener.accept()[0] as accepted:
            assert accepted.recv(1) == b""


async def asked_again(there, server):
    there.seen.clear()
    server.reload()
    async with asyncio.timeout(10):
        await there.seen.wait()


# --- certificates ---------------------------------------------------------------------------------------------


async def shown(server):
    """The certificate that a new connection is shown."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection(*server.addresses[0], ssl=context)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return der


@pytest.fixture
def certificates(tmp_path):
    return Certificates(tmp_path)


@pytest.mark.parametrize("how", ["by hand", "by itself"])
async def test_a_new_certificate_is_taken_without_a_restart(certificates, tmp_path, monkeypatch, how):
    if how == "by itself":
        monkeypatch.setattr(renewal, "LOOK_EVERY", 0.01)
    looked = asyncio.Event()
    look = renewal.Certificate.look
    monkeypatch.setattr(renewal.Certificate, "look", lambda self: (look(self), looked.set())[0])
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    old, new = certificates.signed("one.example"), certificates.signed("two.example")

    def put(which):
        shutil.copyfile(which.cert, cert)
        shutil.copyfile(which.key, key)

    async def again():
        if how == "by hand":
            server.reload()
        for _ in range(2):
            looked.clear()
            async with asyncio.timeout(10):
                await looked.wait()
            if how == "by hand":
                break

    put(old)
    async with serve(cert=cert, key=key) as server:
        first = await shown(server)
        shutil.copyfile(new.cert, cert)  # its key is not there yet
        await again()
        assert await shown(server) == first
        put(new)
        await again()
        assert await shown(server) != first


# --- shards ---------------------------------------------------------------------------------------------------


async def test_each_server_takes_every_shard_in_the_path():
    async with serve() as server:
        async with SignalingClient(server.url + "/room-7") as client:
            await client.join("lab")
        async with httpx.AsyncClient() as web:
            answer = await web.post(f"{server.http_url}/ws/room-7/v1/leave", content=b"{}")
            assert answer.status_code == 204
            assert (await web.post(f"{server.http_url}/ws/v1/leave", content=b"{}")).status_code == 404
