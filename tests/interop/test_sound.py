"""Sound between adieu and real browsers: tones that carry their number, in both directions at once."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import TYPE_CHECKING, Any

import pytest

from adieu.testing.sound import SECONDS
from e2e.lab.figures import slowness
from interop.support import each_offerer, join

if TYPE_CHECKING:
    from e2e.lab.peer import Peer

pytestmark = [pytest.mark.anyio, pytest.mark.browser]
each_browser = pytest.mark.parametrize("other", ["chromium", "firefox"])
LENGTHS = [pytest.param(10, id="10s"), pytest.param(60, id="60s", marks=[pytest.mark.matrix, pytest.mark.timeout(300)])]

PLAYED = 0.995
"""The share of tones that the other side hears. On a busy computer so many times more may be missing as it is slower
(`slowness`), and the delay may be longer by the same factor."""
DELAY = 60.0
"""Milliseconds that this side adds to the way of a sound, at the 95th percentile."""


def numbered(heard: list[list[float]]) -> dict[int, float]:
    """Return when each tone was heard first, counted on over the 64 pitches."""
    found: dict[int, float] = {}
    expected = 0
    for pitch, at, *_ in heard:
        number = expected + (int(pitch) - expected + 32) % 64 - 32
        found.setdefault(number, at)
        expected = number
    return found


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


class Clock:
    """Finds out when a source began to speak: the earliest moment that its position allows."""

    def __init__(self, source: Any) -> None:
        self.began = float("inf")
        self.task = asyncio.create_task(self._watch(source))

    async def _watch(self, source: Any) -> None:
        while True:
            position = source.position
            if position:
                self.began = min(self.began, 1000 * (time.time() - position))
            await asyncio.sleep(0.005)


async def heard_by(them: Peer, count: int, seconds: float) -> dict[str, Any]:
    """Return the tones that the page has heard, once it should have heard so many tones."""
    await asyncio.sleep(seconds)
    async with asyncio.timeout(20):
        while True:
            said: dict[str, Any] = await them.call("heard")
            if not said["live"] or len(said["heard"]) >= count:
                break
            await asyncio.sleep(0.1)
    if not said["live"]:
        await asyncio.sleep(1.0)
        said = await them.call("heard", end=True)
    return said


def judged(name: str, heard: dict[int, float], first: int, count: int, begins: dict[int, float]) -> dict[str, Any]:
    """Return the share that was heard of these tones, and the delays in milliseconds."""
    wanted = range(first, first + count)
    missing = [number for number in wanted if number not in heard]
    # A tone is noticed at the end of the first window of 20 ms that is its alone.
    delays = [heard[number] - begins[number] - 20 for number in wanted if number in heard and number in begins]
    figures = {
        "way": name,
        "heard": 1 - len(missing) / count,
        "missing": missing[:20],
        "p50": round(statistics.median(delays), 1) if delays else None,
        "p95": round(percentile(delays, 0.95), 1) if delays else None,
    }
    print(figures)
    return figures


@each_browser
@each_offerer
@pytest.mark.parametrize("seconds", LENGTHS)
async def test_sound_flows_both_ways(lab: Any, other: str, adieu_offers: bool, seconds: int) -> None:
    count = round(seconds / SECONDS)
    patience = max(slowness(), 1.0)
    async with lab.peer(other) as them, lab.peer("adieu") as us:
        for peer in (us, them):
            await peer.call("new")
            await peer.call("listen")
            await peer.call("speak", count=count + 150)
        clock = Clock(us.speech)
        await join(us, them, adieu_offers=adieu_offers)
        await us.expect("track", kind="audio", state="unmute")
        said = await heard_by(them, count + 20, seconds + 2)
        clock.task.cancel()
        theirs = numbered(said["heard"])
        first = min(theirs) + 10
        begins = {number: clock.began + 1000 * SECONDS * number for number in range(count + 150)}
        out = judged(f"adieu → {other}", theirs, first, count - 40, begins)
        ours = numbered(us.heard)
        played = numbered(said["played"])
        start = min(ours) + 10
        into = judged(f"{other} → adieu", ours, start, count - 40, played)
        mine = [
            stats for stats in (await us.pc.getStats()).values() if stats["type"] in {"inbound-rtp", "outbound-rtp"}
        ]
        [inbound] = [stats for stats in mine if stats["type"] == "inbound-rtp"]
        into["made up"] = round(inbound["concealedSamples"] / inbound["totalSamplesReceived"], 4)
        into |= {name: inbound[name] for name in ("packetsReceived", "packetsLost", "packetsDiscarded")}
        print(into)
        busy = max(patience, slowness())  # a page that gets no time sends late and in bursts
        least = 1 - (1 - PLAYED) * busy
        assert out["heard"] >= least, (out, busy)
        assert into["heard"] >= least, (into, busy)
        assert {stats["type"] for stats in mine} == {"inbound-rtp", "outbound-rtp"}
        # Of the way out the page's own playout does not count. Of the way in only the playout of this side does.
        page = buffered(await them.call("inbound"))
        added_out = out["p95"] - page["delay"]
        playout = 1000 * inbound["jitterBufferDelay"] / inbound["jitterBufferEmittedCount"]
        # A page without a sound device does not say when it played a tone: its element may have stood still.
        added_in = playout + (into["p95"] - into["p50"] if said["live"] else 0.0)
        print(f"added: {added_out:.0f} ms out, {added_in:.0f} ms in; page: {page}")
        assert max(added_out, added_in) <= DELAY * busy, (added_out, added_in, busy)


@each_browser
async def test_a_blocked_loop_makes_no_gap_and_clear_is_heard_at_once(lab: Any, other: str) -> None:
    """800 ms without the event loop, with more than a second queued; then an interruption: 40 ms at most leave."""
    async with lab.peer(other) as them, lab.peer("adieu") as us:
        for peer in (us, them):
            await peer.call("new")
        await them.call("listen")
        await us.call("speak", count=100)
        await join(us, them, adieu_offers=True)
        async with asyncio.timeout(20):
            while us.speech.position < 1.0:
                await asyncio.sleep(0.01)
        assert us.speech.queued > 1.8
        time.sleep(0.8)  # noqa: ASYNC251 the loop is blocked on purpose
        async with asyncio.timeout(20):
            while us.speech.position < 2.4:
                await asyncio.sleep(0.01)
        before, dropped = us.speech.position, us.speech.clear()
        await asyncio.sleep(1.0)
        left = us.speech.position - before
        assert left <= 0.04, left
        assert dropped == pytest.approx(4.0 - before, abs=0.06)
        heard = numbered((await them.call("heard", end=True))["heard"])
        last = max(heard)
        assert before / SECONDS - 3 <= last <= (before + 0.06) / SECONDS, (before, last)
        assert not set(range(min(heard), last)) - set(heard)
        assert min(heard) < 8  # what a page hears before its playout is steady is its own matter


@each_browser
async def test_the_tones_of_a_telephone_come_from_a_page(lab: Any, other: str) -> None:
    async with lab.peer(other) as them, lab.peer("adieu") as us:
        for peer in (us, them):
            await peer.call("new")
            await peer.call("speak", count=200)
        await us.call("listen")
        await join(us, them, adieu_offers=True)
        await us.expect("track", kind="audio", state="unmute")
        await them.call("dial", digits="15#D")
        heard = [await us.expect("tone") for _ in range(4)]
        assert [event["tone"] for event in heard] == ["1", "5", "#", "D"]
        assert all(event["duration"] == pytest.approx(0.1, abs=0.06) for event in heard), heard


def buffered(stats: dict[str, Any] | None) -> dict[str, Any]:
    """Return what the page's receiver says of its playout."""
    if stats is None:
        return {}
    emitted = stats.get("jitterBufferEmittedCount") or 1
    return {
        "delay": round(1000 * stats.get("jitterBufferDelay", 0) / emitted, 1),
        **{
            name: stats.get(name)
            for name in ("packetsReceived", "packetsLost", "concealedSamples", "totalSamplesReceived")
        },
    }
