"""Two sessions over two engines and a network in memory, on virtual time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from adieu import Session
from adieu.signaling import memory_signaling

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adieu.signaling import MemorySignaling
    from support.virtual import World


class Pair:
    """What a test works with: `first` has the smaller id."""

    def __init__(self, world: World, first: Session, second: Session, signaling: MemorySignaling) -> None:
        self.world = world
        self.first = first
        self.second = second
        self.signaling = signaling

    @property
    def sessions(self) -> tuple[Session, Session]:
        return self.first, self.second

    def cut(self, cut: bool = True) -> None:
        """Drop everything between the two."""
        self.world.network.cut("10.0.0.1", cut)

    async def both(self, state: str) -> None:
        while any(session.state != state for session in self.sessions):
            await asyncio.sleep(0.001)


@asynccontextmanager
async def connected(world: World, *, delay: float = 0.002, **members: Any) -> AsyncIterator[Pair]:
    """Two connected sessions; leaving the block ends what is left of them."""
    here, there = memory_signaling(delay=delay)
    one, two = world.hosts()
    first = Session(connect=lambda: world.connection(one), signaling=here, role="first", name="second", **members)
    second = Session(connect=lambda: world.connection(two), signaling=there, role="second", name="first", **members)
    first.start()
    second.start()
    try:
        await asyncio.gather(first.wait_open(), second.wait_open())
        yield Pair(world, first, second, here)
    finally:
        await asyncio.gather(first.close(timeout=0), second.close(timeout=0))
        await asyncio.gather(first.end(), second.end())


async def fill(channel: Any, count: int, size: int) -> None:
    """Numbered messages."""
    for number in range(1, count + 1):
        await channel.send(number.to_bytes(4) + bytes(size - 4))


async def numbers(channel: Any) -> list[int]:
    """The numbers heard until a clean end."""
    return [int.from_bytes(data[:4]) async for data in channel]
