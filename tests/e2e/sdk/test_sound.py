"""A program speaks in a session, and a page hears it to the last sample."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from adieu.media import AudioSource
from adieu.server import serve
from adieu.testing import tones
from e2e.lab.pages import HERE
from e2e.sdk.sides import meet, side

if TYPE_CHECKING:
    from e2e.sdk.tabs import Tabs

pytestmark = [pytest.mark.anyio, pytest.mark.browser]
HEAR = f"""
const pc = null, commands = {{}}, tell = () => undefined;
{(HERE / "sound.js").read_text()}
kept.heard = commands.heard;
await sound();
kept.session.addEventListener("track", ({{ track }}) => hear(track));
"""
TIMES = [
    pytest.param(1, id="once"),
    pytest.param(20, id="20 times", marks=[pytest.mark.matrix, pytest.mark.timeout(600)]),
]
SENTENCE = 50
"""Tones: two seconds."""


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("kind", ["Chromium", "Firefox"])
async def test_the_last_sample_of_the_last_sentence_is_heard(
    kind: str, times: int, both: dict[str, Any], tabs: Tabs
) -> None:
    """Closing rule S16: what is queued to be heard is heard, each time."""
    async with serve(origins=[tabs.origin]) as server:
        for _ in range(times):
            await one_close(server.url, kind, both, tabs)


async def one_close(url: str, kind: str, both: dict[str, Any], tabs: Tabs) -> None:
    async with AsyncExitStack() as stack:
        page, program = [await stack.enter_async_context(side(each, tabs, both)) for each in (kind, "Python")]
        await meet(url, {"page": page, "program": program})
        await page.tab.run(HEAR)  # type: ignore[attr-defined]
        speech = AudioSource()
        session = program.session  # type: ignore[attr-defined]
        session.add_track(speech.track)
        async with asyncio.timeout(10):
            while not await page.live():
                await asyncio.sleep(0.05)
        await speech.write(tones(SENTENCE))
        receipt = await session.close("goodbye", timeout=10.0)
        there = await page.ended()
        assert receipt.path == there["path"] == "graceful", receipt.to_json()
        assert receipt.id == there["id"]
        assert json.loads(receipt.agreed) == there["agreed"]
        [account] = receipt.media.values()
        assert account.sent.unsent == 0
        (mid,) = receipt.media
        agreed = there["agreed"]["media"][mid][session.me]
        assert agreed["unsentMs"] == 0 and agreed["sent"][0] >= 100
        assert agreed["sent"][0] - 5 <= agreed["arrived"] <= agreed["sent"][0], agreed
        assert there["media"][mid]["received"]["packets"] >= agreed["arrived"]
        await asyncio.sleep(0.3)  # what the page plays is behind what it got
        said = await page.tab.run("return await kept.heard({ end: true })")  # type: ignore[attr-defined]
        last = said["heard"][-1]
        assert last[0] == (SENTENCE - 1) % 64, said["heard"][-5:]
        # The tone is noticed 20 to 30 ms after it begins, and lasts for 40.
        assert said["lastSound"][1] - last[2] >= 0.01 - 0.001, said
