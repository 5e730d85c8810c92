"""Messages between two sessions over two engines and a network in memory, on virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from support.virtual import Pair, World


def connected(world: World, **members: Any) -> AbstractAsyncContextManager[Pair]:
    """Two connected sessions; leaving the block ends what is left of them."""
    return world.sessions(**members)


async def fill(channel: Any, count: int, size: int) -> None:
    """Numbered messages."""
    for number in range(1, count + 1):
        await channel.send(number.to_bytes(4) + bytes(size - 4))


async def numbers(channel: Any) -> list[int]:
    """The numbers heard until a clean end."""
    return [int.from_bytes(data[:4]) async for data in channel]
