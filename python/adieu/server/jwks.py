"""A set of public keys that somebody else keeps, as JSON (RFC 7517): a file, or a place on the web.

The set is asked for again every few minutes, and when a token names a key that is not in it. A place that is slow, down
or talks nonsense changes nothing: the keys that were read last stay. A key that is missing in a valid answer is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import ipaddress
import logging
import socket
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit

import jwt
import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

logger: Final = logging.getLogger("adieu.server")

INTERVAL = 300.0
"""Seconds between two looks at the set."""
COOLDOWN = 30.0
"""Seconds between two looks that tokens with unknown keys cause: strangers must not make this server ask often."""
SOCKET_TIMEOUT = 5.0
FETCH_TIMEOUT = 15.0
MAX_BYTES = 256 * 1024
MAX_KEYS = 32
"""Keys beyond it are ignored; a token without `kid` is tried with all."""
MIN_RSA = 2048

_ALGORITHMS = {("RSA", ""): "RS256", ("EC", "P-256"): "ES256", ("EC", "P-384"): "ES384", ("EC", "P-521"): "ES512"} | {
    ("OKP", "Ed25519"): "EdDSA"
}

Key: TypeAlias = tuple[str, Any]
"""The algorithm and the key."""


class _Jwk(msgspec.Struct):
    kty: str
    crv: str = ""
    kid: str = ""
    use: str = "sig"
    alg: str = ""


class _Set(msgspec.Struct):
    keys: list[msgspec.Raw]


class KeySet:
    """The keys of a set.

    Args:
        place: `https://…`, `http://` on this computer, or a file.
        now: the time, in seconds.

    Raises:
        ValueError: the place is not valid, or the file has no set of keys.
    """

    def __init__(self, place: str | Path, *, now: Callable[[], float]) -> None:
        text = str(place)
        self._url = text if "://" in text else None
        self._path = None if self._url is not None else Path(place)
        self._now = now
        self._keys: list[tuple[str, Key]] | None = None
        self._looked = -INTERVAL
        self._wanted = asyncio.Event()
        self._failed = ""
        if self._url is not None:
            _check(self._url)
        else:
            self._keys = self._read_file()

    @property
    def algorithms(self) -> set[str]:
        """Return the algorithms of the keys."""
        return {algorithm for _, (algorithm, _) in self._keys or ()}

    def candidates(self, kid: str | None) -> list[Key]:
        """Return the keys that may have signed a token with this `kid`."""
        return [key for known, key in self._keys or () if kid is None or known in {kid, ""}]

    def ask_again(self) -> bool:
        """Handle a token with an unknown key. Whether the set will be looked at because of it."""
        if self._keys is not None and self._now() - self._looked < COOLDOWN:
            return False
        self._wanted.set()
        return True

    def look_now(self) -> None:
        """Look at the set as soon as possible."""
        self._looked = -INTERVAL
        self._wanted.set()

    async def run(self) -> None:
        """Keep the set fresh, until this is cancelled."""
        while True:
            self._wanted.clear()
            await self._look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL if self._keys is not None else COOLDOWN):
                    await self._wanted.wait()
            wait = self._looked + (COOLDOWN if self._keys is not None else 1.0) - self._now()
            await asyncio.sleep(max(0.0, wait))

    async def _look(self) -> None:
        self._looked = self._now()
        try:
            self._keys = self._read_file() if self._url is None else _keys(await _fetch(self._url))
        except (OSError, ValueError, http.client.HTTPException) as error:
            text = str(error) or type(error).__name__
            if text != self._failed:
                kept = "no token can be checked by it" if self._keys is None else "the keys that were read last stay"
                logger.warning("the set of keys %s cannot be read: %s; %s", self._url or self._path, text[:300], kept)
            self._failed = text
        else:
            self._failed = ""

    def _read_file(self) -> list[tuple[str, Key]]:
        assert self._path is not None  # noqa: S101 the callers ask
        try:
            with self._path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise ValueError(f"the set of keys {self._path} cannot be read: {error.strerror or error}") from None
        try:
            return _keys(data)
        except ValueError as error:
            raise ValueError(f"{self._path}: {error}") from None


def _check(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and parts.hostname and _is_here(parts.hostname):
        return
    raise ValueError(f"{url!r} is no place for a set of keys: give https://…, http:// on this computer, or a file")


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# --- reading ------------------------------------------------------------------------------------------------


def _keys(data: bytes) -> list[tuple[str, Key]]:
    """Return the usable keys with their ids. Raises ValueError if there is no such key."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"it is longer than {MAX_BYTES} bytes")
    try:
        found = msgspec.json.decode(data, type=_Set).keys
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no set of keys (RFC 7517): {error}") from None
    keys = [key for key in map(_key, found[:MAX_KEYS]) if key is not None]
    if not keys:
        raise ValueError("it has no public key for signatures (RSA, P-256, P-384, P-521, Ed25519)")
    return keys


def _key(raw: msgspec.Raw) -> tuple[str, Key] | None:
    """Return a key and its id; None for one that is for something else. A secret (`oct`) is never taken."""
    try:
        jwk = msgspec.json.decode(raw, type=_Jwk)
        algorithm = _ALGORITHMS.get((jwk.kty, "" if jwk.kty == "RSA" else jwk.crv))
        if algorithm is None or jwk.use != "sig" or jwk.alg not in {"", algorithm}:
            return None
        key = jwt.PyJWK(msgspec.json.decode(raw), algorithm).key
    except (ValueError, TypeError, KeyError, jwt.PyJWTError):
        return None
    private = hasattr(key, "public_key")  # its owner has published too much: others could sign with it too
    if private or (jwk.kty == "RSA" and key.key_size < MIN_RSA):
        return None
    return jwk.kid, (algorithm, key)


# --- asking -------------------------------------------------------------------------------------------------


async def _fetch(url: str) -> bytes:
    """Return the answer of a web server. It is asked in a thread, whose socket is cut after `FETCH_TIMEOUT`.

    Not by the event loop's default executor: a program waits for its threads when it ends.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()
    wires: list[socket.socket] = []

    def settle(data: bytes | None, error: Exception | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(data or b"")

    def keep(wire: socket.socket) -> None:
        wires.append(wire)
        if answer.done():
            raise TimeoutError  # nobody cuts it any longer

    def ask() -> None:
        data, failed = None, None
        try:
            data = _get(url, keep)
        except (OSError, ValueError, http.client.HTTPException) as error:
            failed = error
        with contextlib.suppress(RuntimeError):  # the event loop is closed
            loop.call_soon_threadsafe(settle, data, failed)

    threading.Thread(target=ask, name="adieu jwks", daemon=True).start()
    try:
        async with asyncio.timeout(FETCH_TIMEOUT):
            return await answer
    finally:
        for wire in wires:
            with contextlib.suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)


def _get(url: str, keep: Callable[[socket.socket], None]) -> bytes:
    """Ask a web server.

    `keep` gets the TCP socket by a descriptor of its own: while TLS begins and while the body comes, the connection of
    `http.client` does not have it.
    """
    parts = urlsplit(url)
    host, is_secure = parts.hostname or "", parts.scheme == "https"
    kind = http.client.HTTPSConnection if is_secure else http.client.HTTPConnection
    connection = kind(host, parts.port, timeout=SOCKET_TIMEOUT)
    tcp = socket.create_connection((host, connection.port), SOCKET_TIMEOUT)
    with tcp.dup() as wire, contextlib.closing(connection):
        connection.sock = tcp
        keep(wire)
        if is_secure:
            context = ssl.create_default_context()
            connection.sock = context.wrap_socket(tcp, server_hostname=host, do_handshake_on_connect=False)
            connection.sock.do_handshake()  # apart: a socket whose TLS does not begin is closed too
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", path, headers={"Accept": "application/json", "Connection": "close"})
        with connection.getresponse() as response:
            if response.status != 200:  # also a redirect: a set of keys has one place
                raise ValueError(f"HTTP {response.status}")
            return response.read(MAX_BYTES + 1)
