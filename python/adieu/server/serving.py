"""A signaling server in this process: it binds sockets, is safe by default, and says goodbye to everybody."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import math
import os
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvicorn

from adieu.server.admin import AdminToken
from adieu.server.app import Access, make_app
from adieu.server.bridge import FAREWELL_TIMEOUT, ORDERLY, Bridge, check_drain
from adieu.server.door import Door
from adieu.server.guard import Guard
from adieu.server.ice import IceConfig
from adieu.server.jwks import KeySet
from adieu.server.renewal import Certificate
from adieu.server.sharing import make_hub, on_bus
from adieu.server.tokens import authentication
from adieu.server.transport import CLOSE_TIMEOUT, UvicornServer, WebSocketConnection

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Callable, Sequence
    from pathlib import Path

    from adieu.server.hub import Hub, Replica, Settings

BACKLOG = 512


@dataclass(frozen=True, slots=True)
class Server:
    """A running server.

    Attributes:
        url: for `adieu.join` and `SignalingClient`; a loopback url if the server listens on all addresses.
        http_url: the url of the page; `/healthz` and `/metrics` are below it.
        addresses: the addresses that it listens on: host and port.
        hub: the server hub, for reading.
        reload: reads the certificate and the set of keys (JWKS) again now. Both are also followed by themselves.
    """

    url: str
    http_url: str
    addresses: tuple[tuple[str, int], ...]
    hub: Hub | Replica
    reload: Callable[[], None]


@asynccontextmanager
async def run(
    host: str,
    port: int,
    *,
    keys: Sequence[str | bytes],
    audience: str | None,
    open_to_all: bool,
    names: Sequence[str],
    origins: Sequence[str],
    proxies: Sequence[str],
    cert: str | Path | None,
    key: str | Path | None,
    ice: IceConfig | None,
    metrics: bool | None,
    page: bool,
    settings: Settings | None,
    drain: float,
    jwks: str | Path | None = None,
    admin_token: str | None = None,
    bus: str | None = None,
    bus_prefix: str = "adieu",
) -> AsyncGenerator[Server]:
    """Run a server; see `adieu.server.serve`."""
    _check(cert=cert, key=key, drain=drain, proxies=proxies)
    addresses = await _resolve(host, port)
    loopback = all(_is_loopback(address) for _, address in addresses)
    if not (loopback or keys or jwks or open_to_all):
        raise ValueError(
            f"{host} is reachable from outside, and without a key everybody may join: give a key, or confirm this"
            " (open_to_all, --open)"
        )
    secure = cert is not None
    local = loopback and not (names or origins or proxies)
    guard = Guard(hosts=tuple(names), origins=tuple(origins), secure=secure)
    key_set = None if jwks is None else KeySet(jwks, now=asyncio.get_running_loop().time)
    authenticate = authentication(keys, audience=audience, jwks=key_set)
    servers = (ice or IceConfig()).servers
    hub = make_hub(settings, bus=bus, authenticate=authenticate, ice_servers=servers)
    bridge = Bridge(hub)
    config = uvicorn.Config(
        make_app(
            bridge,
            guard,
            metrics=_metrics(metrics, local=local),
            page=page,
            everywhere=not proxies and any(_is_every(each) for _, each in addresses),
            admin=None if admin_token is None else AdminToken(admin_token),
        ),
        http="h11",  # the server adds its own, which are stricter
        ws=WebSocketConnection,
        ws_max_size=hub.settings.message_bytes,
        ws_ping_interval=hub.settings.ping,
        ws_ping_timeout=hub.settings.ping,
        ws_per_message_deflate=False,
        loop="none",
        lifespan="off",
        log_config=None,
        log_level="warning",  # of uvicorn's own loggers; frames, at their DEBUG, hold tokens
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        timeout_graceful_shutdown=math.ceil(FAREWELL_TIMEOUT + CLOSE_TIMEOUT),
        ssl_certfile=cert,
        ssl_keyfile=key,
    )
    _load(config, cert, key)
    sockets = _listen(addresses)
    limits = hub.settings
    places = Door(places=_affordable(limits.pending), per_address=limits.pending_per_address)
    server = UvicornServer(config, places, limits.connections + limits.pending)
    serving = asyncio.create_task(server.serve(sockets), name="adieu server")
    ready = asyncio.create_task(server.ready.wait())
    followed = _followed(config.ssl, cert, key, key_set)
    following = [asyncio.create_task(each.run(), name="adieu server follows files") for each in followed]
    try:
        await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
            raise OSError("the server ended before it started")
        async with on_bus(bus, bus_prefix, bridge):
            yield _describe(host, sockets, hub, followed, secure=secure)
            await bridge.shut_down(drain, ORDERLY)
    finally:
        ready.cancel()
        for task in following:
            task.cancel()
        server.stop()
        try:
            await asyncio.wait({serving})
        except asyncio.CancelledError:
            serving.cancel()
            await asyncio.wait({serving})
            raise
        finally:
            bridge.stop()
            for connection in list(server.server_state.connections):
                connection.transport.abort()
        serving.result()


def _check(*, cert: str | Path | None, key: str | Path | None, drain: float, proxies: Sequence[str]) -> None:
    """Check options that contradict each other. Raises ValueError."""
    if (cert is None) != (key is None):
        raise ValueError("TLS needs both the certificate and its key (cert and key)")
    check_drain(drain)
    for proxy in proxies:
        _check_proxy(proxy)


def _followed(
    context: ssl.SSLContext | None, cert: str | Path | None, key: str | Path | None, key_set: KeySet | None
) -> list[Certificate | KeySet]:
    """Return the things that change while the server runs."""
    certificate = [] if context is None or cert is None or key is None else [Certificate(context, cert, key)]
    return [*certificate, *([] if key_set is None else [key_set])]


def _metrics(wanted: bool | None, *, local: bool) -> Access:
    """Return the access to metrics. By default only programs on this computer have it, and not through a proxy."""
    if wanted is None:
        return Access.LOCAL if local else Access.NOBODY
    return Access.ALL if wanted else Access.NOBODY


def _affordable(places: int) -> int:
    """Return at most a quarter of this process's descriptors: the WebSockets need theirs too."""
    try:
        import resource  # noqa: PLC0415 not on Windows
    except ImportError:
        return places
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return places if soft == resource.RLIM_INFINITY else max(1, min(places, soft // 4))


def _load(config: uvicorn.Config, cert: str | Path | None, key: str | Path | None) -> None:
    """Read the certificate, so that an error in it is raised before anything listens."""
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        reason = error.strerror or error
        raise ValueError(f"the certificate {cert} and its key {key} cannot be used: {reason}") from error


def _check_proxy(proxy: str) -> None:
    try:
        if proxy != "*":
            ipaddress.ip_network(proxy, strict=False)
    except ValueError:
        raise ValueError(
            f"{proxy!r} is not the address of a proxy: give one such as 127.0.0.1, a network such as 10.0.0.0/8, or *"
        ) from None


async def _resolve(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
    if not 0 <= port <= 65535:
        raise ValueError(f"{port} is not a port: give a number from 0 (any free port) to 65535")
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise OSError(f"{host!r} is not an address of this computer: {error.strerror}") from None
    addresses: dict[tuple[str, int], socket.AddressFamily] = {}
    for family, _, _, _, address in found:
        if family in {socket.AF_INET, socket.AF_INET6}:
            name = str(address[0])
            link = address[3] if len(address) == 4 else 0
            if link and "%" not in name:
                name += f"%{link}"  # a link-local address is one of this link
            addresses[name, int(address[1])] = family
    return [(family, address) for address, family in addresses.items()]


def _is_loopback(address: tuple[str, int]) -> bool:
    return ipaddress.ip_address(address[0].partition("%")[0]).is_loopback


def _is_every(address: tuple[str, int]) -> bool:
    return ipaddress.ip_address(address[0].partition("%")[0]).is_unspecified


def _listen(addresses: list[tuple[socket.AddressFamily, tuple[str, int]]]) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    port = 0
    for family, (address, wanted) in addresses:
        port = wanted or port
        try:
            sockets.append(socket.create_server((address, port), family=family, backlog=BACKLOG))
        except OSError as error:
            for listener in sockets:
                listener.close()
            reason = os.strerror(error.errno or 0)
            remedy = "; choose another port, or 0 for a free one" if error.errno == errno.EADDRINUSE else ""
            raise OSError(error.errno, f"cannot listen on {address} port {port}: {reason}{remedy}") from None
        port = sockets[-1].getsockname()[1]  # the same for all addresses, also for port 0
    return sockets


def _describe(
    host: str, sockets: list[socket.socket], hub: Hub | Replica, followed: list[Certificate | KeySet], *, secure: bool
) -> Server:
    addresses = tuple((str(name[0]), int(name[1])) for name in (listener.getsockname() for listener in sockets))
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(  # noqa: S104 compared, not bound
        host, f"[{host}]" if ":" in host else host
    )
    s = "s" if secure else ""
    place = f"{shown}:{addresses[0][1]}"

    def reload() -> None:
        for each in followed:
            each.look_now()

    return Server(f"ws{s}://{place}/ws", f"http{s}://{place}", addresses, hub, reload)
