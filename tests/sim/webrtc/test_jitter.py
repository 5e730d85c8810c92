"""What a link whose delay varies does to ordered and unordered channels."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from support.virtual import simulated

if TYPE_CHECKING:
    from adieu.testing import World


@pytest.mark.parametrize("ordered", [True, False])
@simulated()
async def test_only_an_ordered_channel_waits_for_what_was_overtaken(world: World, ordered: bool) -> None:
    """Each message of an unordered channel is there when its own packet is: no packet waits for another."""
    a, b = world.pair()
    world.link(delay=0.02, jitter=0.05)
    here, there = await world.open_channel(a, b, ordered=ordered)
    await asyncio.sleep(1.0)
    sent: list[float] = []
    heard: list[int] = []
    late: list[float] = []

    def message(event: object) -> None:
        number = int(event.data)  # type: ignore[attr-defined]
        heard.append(number)
        late.append(world.now - sent[number])

    there.onmessage = message
    for number in range(100):
        sent.append(world.now)
        here.send(str(number))
        await asyncio.sleep(0.03)
    await asyncio.sleep(1.0)
    assert sorted(heard) == [*range(100)]
    overtaken = sum(after < before for before, after in pairwise(heard))
    assert (overtaken == 0) == ordered, overtaken
    assert max(late) < 0.07 + 0.005, "the longest delay of the link"
