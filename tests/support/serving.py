"""A WebSocket client of the signaling server, well-behaved or by hand, for its tests."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from adieu.protocol.signaling import SUBPROTOCOL

HELLO = '{"type":"hello","version":1}'


@contextlib.asynccontextmanager
async def opened(server, **options):
    url = server.url.replace("127.0.0.1", options.pop("host", "127.0.0.1"))
    async with connect(
        url, subprotocols=options.pop("subprotocols", [SUBPROTOCOL]), proxy=None, ping_interval=None, **options
    ) as websocket:
        yield websocket


async def say(websocket, text):
    await websocket.send(text)
    return json.loads(await websocket.recv())


async def closed_with(websocket):
    """Read to the end; returns the close code."""
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await websocket.recv()
    return websocket.close_code


async def refused(server, **options):
    """The HTTP answer to a WebSocket that is not let in."""
    with pytest.raises(InvalidStatus) as caught:
        async with opened(server, **options):
            pass
    return caught.value.response.status_code, bytes(caught.value.response.body).decode()


async def turned_away(server, **options):
    """What a WebSocket is told that is let in only to hear why it may not be here: code, reason, and the error."""
    async with opened(server, **options) as websocket:
        error = json.loads(await websocket.recv())
        code = await closed_with(websocket)
        assert error["message"].startswith(websocket.close_reason)
        return code, websocket.close_reason, error


def upgrade_request(host="127.0.0.1"):
    return (
        f"GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
    ).encode()


def masked(text):
    """A client's text frame of less than 126 bytes, with the mask 0."""
    data = text.encode()
    return bytes((0x81, 0x80 | len(data))) + b"\0\0\0\0" + data


async def read_frame(reader):
    _, length = await reader.readexactly(2)
    if length == 126:
        length = int.from_bytes(await reader.readexactly(2))
    return await reader.readexactly(length)


def long_frame(text):
    """A client's text frame of 126 to 65535 bytes, with the mask 0."""
    data = text.encode()
    return bytes((0x81, 0xFE)) + len(data).to_bytes(2) + b"\0\0\0\0" + data
