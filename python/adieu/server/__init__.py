"""The signaling server: rooms, presence, relay and resume over WebSockets, and the page for people.

`hub` makes the decisions, without a network, and needs nothing but adieu. `serve`, `SignalingApp` and `make_token` need
the extra `adieu[server]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.block import block
from adieu.lazy import lazy
from adieu.server.hub import Hub, Settings
from adieu.server.ice import IceConfig

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

    from adieu.server.mounted import SignalingApp
    from adieu.server.serving import Server
    from adieu.server.tokens import make_token

__all__ = ["Hub", "IceConfig", "Settings", "SignalingApp", "make_token", "serve"]

if not TYPE_CHECKING:  # a module's __getattr__ would hide misspelled names from type checkers
    _HOMES = {"adieu.server.mounted": ("SignalingApp",), "adieu.server.tokens": ("make_token",)}
    _named, __dir__ = lazy(__name__, _HOMES)

    def __getattr__(name: str) -> object:
        try:
            return _named(name)
        except ImportError as error:
            raise ImportError(
                f"adieu.server.{name} needs more packages: pip install 'adieu[server]' ({error})"
            ) from error


@block("async with adieu.server.serve() as server:")
async def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    keys: Sequence[str | bytes] = (),
    audience: str | None = None,
    open_to_all: bool = False,
    names: Sequence[str] = (),
    origins: Sequence[str] = (),
    proxies: Sequence[str] = (),
    cert: str | Path | None = None,
    key: str | Path | None = None,
    ice: IceConfig | None = None,
    metrics: bool | None = None,
    page: bool = True,
    settings: Settings | None = None,
    drain: float = 0.0,
    jwks: str | Path | None = None,
    admin_token: str | None = None,
    bus: str | None = None,
    bus_prefix: str = "adieu",
) -> AsyncGenerator[Server]:
    """Run a signaling server inside this program while the block runs.

    ```python
    async with adieu.server.serve() as server:
        async with adieu.join(server.url, room="lab") as room: ...
    ```

    Args:
        host: the name or address to listen on.
        port: the port to listen on; 0 takes a free one.
        keys: keys of the tokens: secrets of 32 bytes or more, or public keys in PEM. Without a key, everybody who
        reaches the server may join.
        audience: required value in the tokens' `aud`.
        open_to_all: allow to listen beyond loopback without a key.
        names: host names of this server, in addition to `localhost` and addresses.
        origins: origins of pages from other servers that may use it, such as `https://app.example.org`; `*` for all.
        proxies: addresses of reverse proxies whose `X-Forwarded-For` is trusted.
        cert: TLS certificate chain, a PEM file.
        key: private key of the certificate, a PEM file.
        ice: STUN and TURN servers for clients.
        metrics: whether to serve `/metrics` to everybody; None: only on loopback.
        page: whether to serve the page for people at `/`.
        settings: limits.
        drain: seconds between `goaway` and the close with 3001 at the end.
        jwks: a set of public keys that somebody else keeps (RFC 7517): `https://…`, or a file. It is read again by
        itself.
        admin_token: a secret of 32 characters or more that opens `/v1/admin` to operators; None: nothing is there.
        bus: the url of a Redis, such as `redis://127.0.0.1:6379`, by which several servers share their rooms.
        bus_prefix: servers with the same one share their rooms.

    Raises:
        ValueError: options contradict each other, or would open the server by mistake; the error names the remedy.
        OSError: the server cannot listen there.
        ImportError: the extra is not installed.

    Cancellation: sockets are closed without a goodbye.
    """
    try:
        from adieu.server import serving  # noqa: PLC0415 the extra may be missing
    except ImportError as error:
        raise ImportError(f"the server needs more packages: pip install 'adieu[server]' ({error})") from error
    async with serving.run(
        host,
        port,
        keys=keys,
        audience=audience,
        open_to_all=open_to_all,
        names=names,
        origins=origins,
        proxies=proxies,
        cert=cert,
        key=key,
        ice=ice,
        metrics=metrics,
        page=page,
        settings=settings,
        drain=drain,
        jwks=jwks,
        admin_token=admin_token,
        bus=bus,
        bus_prefix=bus_prefix,
    ) as server:
        yield server
