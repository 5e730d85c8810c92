"""Where the two programs meet: on a signaling server, or at the sender itself."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from adieu.cli.checks.network import addresses
from adieu.cli.demo_page import interrupted
from adieu.cli.sending.sender import ROLE
from adieu.errors import AdieuError
from adieu.session import join

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncGenerator, Callable, Coroutine
    from typing import Any

    from adieu.cli.sending.code import Code
    from adieu.cli.sending.link import Link
    from adieu.session import Room
    from adieu.session.connect_for import Connect
    from adieu.session.room import Accept

PLACES = 5
"""Places that are tried until one is free."""


class TakenError(Exception):
    """Somebody is at this place."""


@asynccontextmanager
async def meeting(
    url: str,
    secret: Code | Link,
    given: argparse.Namespace,
    connect: Connect,
    accept: Accept,
    *,
    sends: bool,
) -> AsyncGenerator[Room]:
    """Enter the room of a code or link. The name says nothing about the person or the computer.

    Raises:
        TakenError: this is a sender, and another one is there already.
    """
    token = os.environ.get("ADIEU_TOKEN") or None
    ca = given.ca if url.startswith("wss:") else None
    meta = {ROLE: "sender" if sends else "receiver"}
    async with join(url, room=secret.room, token=token, connect=connect, accept=accept, meta=meta, ssl=ca) as room:
        if sends and any(peer.meta.get(ROLE) == "sender" for peer in room.peers):
            raise TakenError
        yield room


@asynccontextmanager
async def at_home(host: str | None, port: int, *, page: bool) -> AsyncGenerator[tuple[int, list[str]]]:
    """Run a small server in this program. Yields its port, and the places where it is reached, such as `10.0.0.2:4123`.

    Args:
        host: the address to listen on; None: all of this computer.
        port: 0 takes a free one.
        page: serve the page for browsers too.
    """
    from adieu.server.small import serve_small  # noqa: PLC0415 only without --server

    _, local = await addresses()
    reachable = [each for each in local if not ipaddress.ip_address(each).is_loopback] or ["127.0.0.1"]
    reachable.sort(key=lambda each: ":" in each)  # an IPv4 address is easier to read out
    async with serve_small(host, port, page=page) as server:
        shown = reachable if host is None else [host]
        yield server.port, [f"[{each}]:{server.port}" if ":" in each else f"{each}:{server.port}" for each in shown]


def run_until_stopped(
    name: str, work: Callable[[AsyncExitStack], Coroutine[Any, Any, int]], stopped: Callable[[], int] = lambda: 130
) -> int:
    """Run the work until it ends, or Ctrl-C or SIGTERM comes: then everything is closed properly.

    Then the code is what `stopped` returns, which is called before the closing. Errors that a person can understand are
    printed, and the code is 2.
    """

    async def run() -> int:
        with interrupted() as stop:
            async with AsyncExitStack() as stack:
                working = asyncio.create_task(work(stack))
                stopping = asyncio.create_task(stop.wait())
                await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
                stopping.cancel()
                if not working.done():
                    working.cancel()
                    await asyncio.wait({working})
                    return stopped()
                return working.result()

    try:
        return asyncio.run(run())
    except (AdieuError, OSError, ValueError) as error:
        print(f"adieu {name}: {error}", file=sys.stderr)
    return 2
