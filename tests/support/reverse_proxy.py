"""A reverse proxy as stands before deployed servers: it ends TLS, takes a prefix off the path, and passes bytes on."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from support.certificates import Certificate


@asynccontextmanager
async def reverse_proxy(
    upstream: tuple[str, int], *, prefix: str = "", certificate: Certificate | None = None, forwarded: str = ""
) -> AsyncGenerator[int]:
    """Listens on loopback and gives its port.

    Args:
        upstream: where requests go.
        prefix: of the paths that are passed on, without it; the others get 404.
        certificate: with it, TLS.
        forwarded: what to say in X-Forwarded-For, if anything.
    """
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.cert, certificate.key)
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                await _serve(reader, writer, upstream, prefix, forwarded)
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        finally:
            serving.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for _ in range(4):  # who was accepted just now becomes a connection, and a task
            await asyncio.sleep(0)
        for task in list(serving):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await asyncio.sleep(0)  # what was aborted is closed in the next turn


async def _serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: tuple[str, int], prefix: str, forwarded: str
) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    method, path, rest = head.split(" ", 2)
    if not path.startswith(prefix + "/"):
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 22\r\nConnection: close\r\n\r\n<h1>404 of a site</h1>")
        await writer.drain()
        return
    if forwarded:
        rest = rest.replace("\r\n", f"\r\nX-Forwarded-For: {forwarded}\r\n", 1)
    below_reader, below_writer = await asyncio.open_connection(*upstream)
    try:
        below_writer.write(f"{method} {path[len(prefix) :]} {rest}".encode("latin-1"))
        async with asyncio.TaskGroup() as group:
            group.create_task(_pass_on(reader, below_writer))
            group.create_task(_pass_on(below_reader, writer))
    except asyncio.CancelledError:
        below_writer.transport.abort()
        raise
    finally:
        below_writer.close()


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        target.write(data)
        await target.drain()
    target.close()
