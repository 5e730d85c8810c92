"""The pages show and read numbered pictures, without adieu: when this fails, the lab is broken."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from e2e.lab.peer import connect

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


@pytest.mark.parametrize(("shower", "seer"), [("chromium", "firefox"), ("firefox", "chromium")])
async def test_a_page_reads_the_pictures_of_another(lab: Any, shower: str, seer: str) -> None:
    async with lab.peer(shower) as one, lab.peer(seer) as other:
        for peer in (one, other):
            await peer.call("new")
        await other.call("see")
        await one.call("show")
        await connect(one, other)
        async with asyncio.timeout(30):
            numbers: list[int] = []
            while len(numbers) < 60:
                await asyncio.sleep(0.2)
                numbers = [number for number, *_ in (await other.call("pictures"))["seen"] if number is not None]
        assert numbers == sorted(numbers)
        assert len(set(numbers)) > 50
