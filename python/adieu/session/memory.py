"""Two connected sessions in one process, over real UDP: for a first try and for tests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from adieu.block import block
from adieu.session.session import Session
from adieu.signaling import memory_signaling
from adieu.webrtc import RTCPeerConnection

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from adieu.session.machine.options import Options


@block("async with adieu.memory_pair() as (ada, ben):")
async def memory_pair(
    *, connect: Callable[[], RTCPeerConnection] = RTCPeerConnection, options: Options | None = None
) -> AsyncGenerator[tuple[Session, Session]]:
    """Two connected sessions, `first` and `second`, with signaling in memory.

    ```python
    async with adieu.memory_pair() as (ada, ben):
        chat = await ada.open("chat")
        await chat.send("hello")
        print(await (await ben.open("chat")).receive())
    ```

    Leaving the block closes both gracefully.

    Args:
        connect: makes an RTCPeerConnection.
        options: numbers, see `adieu.session.Options`.

    Cancellation: both are closed.
    """
    here, there = memory_signaling()
    async with (
        Session(connect=connect, signaling=here, role="first", name="second", options=options) as first,
        Session(connect=connect, signaling=there, role="second", name="first", options=options) as second,
    ):
        await asyncio.gather(first.wait_open(), second.wait_open())
        yield first, second
        await asyncio.gather(first.close(), second.close())
