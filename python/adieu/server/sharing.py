"""The hub of a server: one of its own, or a copy of the hub that several servers share by a bus."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from adieu.server.app import random_bytes
from adieu.server.hub import Hub, Replica, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from adieu.server.bridge import Bridge
    from adieu.server.hub import Grant, IceSource


def make_hub(
    settings: Settings | None, *, bus: str | None, authenticate: Callable[[str | None], Grant], ice_servers: IceSource
) -> Hub | Replica:
    """Make the hub of one server; with a bus, its copy."""
    if bus is None:
        return Hub(settings, random=random_bytes, authenticate=authenticate, ice_servers=ice_servers)
    return Replica(settings, node=_name(), random=random_bytes, authenticate=authenticate, ice_servers=ice_servers)


@asynccontextmanager
async def on_bus(url: str | None, prefix: str, bridge: Bridge) -> AsyncGenerator[None]:
    """Take part in the bus, if there is one.

    Raises:
        ImportError: the extra is not installed.
        ValueError: the url is not valid, or this server does not fit to the others.
        OSError: Redis cannot be reached.
    """
    if url is None or not isinstance(bridge.hub, Replica):
        yield
        return
    try:
        from adieu.server.bus import taking_part  # noqa: PLC0415 the extra may be missing
    except ImportError as error:
        raise ImportError(f"a bus needs one package more: pip install 'adieu[redis]' ({error})") from None
    async with taking_part(url, prefix, bridge.hub, flush=bridge.flush, name=_name) as bus:
        bridge.wake = bus.wake
        yield
        bridge.wake = None


def _name() -> str:
    """Return a name for a server on a bus that nobody else ever had."""
    return random_bytes(8).hex()
