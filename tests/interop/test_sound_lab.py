"""The pages play and hear tones, without adieu: when this fails, the lab is broken."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from e2e.lab.peer import connect

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


@pytest.mark.parametrize(("speaker", "hearer"), [("chromium", "firefox"), ("firefox", "chromium")])
async def test_a_page_hears_the_tones_of_another(lab: Any, speaker: str, hearer: str) -> None:
    async with lab.peer(speaker) as one, lab.peer(hearer) as other:
        for peer in (one, other):
            await peer.call("new")
        await other.call("listen")
        await one.call("speak", count=200)
        await connect(one, other)
        await asyncio.sleep(4)
        said = await other.call("heard", end=True)
        numbers = [number for number, *_ in said["heard"]]
        assert len(numbers) > 60, said
        assert all((after - before) % 64 == 1 for before, after in pairwise(numbers[5:])), numbers
