"""The signaling server: rooms, presence, relay and resume over WebSockets, and the page for people.

`hub` is its mind, without a network, and needs nothing but adieu; `serve` needs the extra `adieu[server]`.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from adieu.server.hub import Hub, Settings
from adieu.server.ice import IceConfig

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

    from adieu.server.serving import Server

__all__ = ["Hub", "IceConfig", "Settings", "serve"]


@asynccontextmanager
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
) -> AsyncGenerator[Server]:
    """A signaling server inside this program, as long as the block runs.

    ```python
    async with adieu.server.serve() as server:
        async with adieu.join(server.url, room="lab") as room: ...
    ```

    Args:
        host: where to listen; a name or an address.
        port: 0 takes one that is free.
        keys: what tokens are signed with: secrets of 32 bytes or more, or public keys in PEM. Without any, everybody
            who reaches the server may come in.
        audience: what the tokens' `aud` must name.
        open_to_all: listen beyond loopback although there is no key.
        names: host names of this server, beside `localhost` and addresses.
        origins: pages of elsewhere that may use it, as `https://app.example.org`; `*` for all.
        proxies: addresses of reverse proxies whose `X-Forwarded-For` is believed.
        cert: TLS certificate chain, a file in PEM,
        key: and its key.
        ice: STUN and TURN servers to tell clients of.
        metrics: `/metrics`; None: only on loopback.
        page: at `/` the page with which people meet from their browsers.
        settings: limits.
        drain: at the end, seconds between `goaway` and the close with 3001.

    Raises:
        ValueError: options that do not go together, or that would open the server by mistake; says the remedy.
        OSError: it cannot listen there.
        ImportError: the extra is not installed.

    Cancellation: sockets are closed without a word.
    """
    try:
        from adieu.server import serving  # noqa: PLC0415 the extra may be missing
    except ImportError as error:
        raise ImportError(f"the server needs its extra: pip install 'adieu[server]' ({error})") from error
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
    ) as server:
        yield server
