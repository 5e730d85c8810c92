"""Two connections of applications that use `adieu.goodbye(pc)`, in virtual time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import adieu

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.virtual import World

MESSAGE = bytes(16_000)


class Side:
    """A connection of an application, its channel, and what it heard."""

    def __init__(self, pc: adieu.RTCPeerConnection, channel: adieu.RTCDataChannel, *, mutual: bool) -> None:
        self.pc = pc
        self.channel = channel
        self.heard = 0
        self.events: list[str] = []
        self.gone: adieu.GoodbyeEvent | None = None
        channel.addEventListener("message", self._hear)
        channel.addEventListener("close", lambda _: self.events.append("channel closed"))
        pc.addEventListener("datachannel", lambda _: self.events.append("datachannel"))
        self.end = adieu.goodbye(pc) if mutual else None
        if self.end is not None:
            for name in ("closing", "closed", "reset", "gone", "back"):
                self.end.on(name, self._note)

    def _hear(self, _: Any) -> None:
        self.heard += 1

    def _note(self, event: adieu.GoodbyeEvent) -> None:
        self.events.append(event.type)
        if event.type == "gone":
            self.gone = event

    def queue(self, count: int) -> None:
        for _ in range(count):
            self.channel.send(MESSAGE)


@asynccontextmanager
async def two(world: World, *, mutual: bool = True) -> AsyncIterator[tuple[Side, Side]]:
    """Connect two; both have goodbye, or the first alone."""
    one, other = world.pair()
    here, there = await world.open_channel(one, other)
    first, second = Side(one, here, mutual=True), Side(other, there, mutual=mutual)
    try:
        if mutual:
            await until(lambda: first.end.mutual and second.end.mutual)
        yield first, second
    finally:
        one.close()
        other.close()
        await asyncio.sleep(1)


async def until(holds: Any, patience: float = 30.0) -> None:
    async with asyncio.timeout(patience):
        while not holds():
            await asyncio.sleep(0.005)
