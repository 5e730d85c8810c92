"""Pictures between adieu and real browsers over a path that loses packets: they are repaired, nothing freezes long."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from e2e.lab.figures import slowness
from e2e.lab.path import path
from interop.test_pictures import of, until_both_see

if TYPE_CHECKING:
    from e2e.lab.path import Path
    from e2e.lab.peer import Peer

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.matrix, pytest.mark.timeout(180)]

DELAY = 0.025
"""Seconds each way."""
SECONDS = 30
REPAIRED = 0.98
"""The share of lost packets that cost no picture. On a busy computer so many times more may."""
FREEZE = 300.0
"""Milliseconds that a picture stands at most, longer than it was shown."""
RATE = 30


@dataclass
class Count:
    """One way, until a moment without a picture on its way."""

    sent: int
    received: int

    @classmethod
    async def of(cls, sender: Peer, receiver: Peer) -> Count:
        out, into = of(await sender.call("stats"), "outbound-rtp"), of(await receiver.call("stats"), "inbound-rtp")
        return cls(out["framesEncoded"], into["framesReceived"])


async def still(us: Any, them: Peer) -> list[Count]:
    """Let both ways come to rest, and count them: out and in."""
    for peer in (us, them):
        await peer.call("hold", still=True)
    counts = [await Count.of(us, them), await Count.of(them, us)]
    async with asyncio.timeout(10):
        while True:
            await asyncio.sleep(0.3)
            before, counts = counts, [await Count.of(us, them), await Count.of(them, us)]
            if counts == before:
                return counts


async def going(us: Any, them: Peer, lossy: Path, share: float, seconds: float) -> None:
    await lossy.lose(share)
    for peer in (us, them):
        await peer.call("hold", still=False)
    await asyncio.sleep(seconds)
    for peer in (us, them):
        await peer.call("hold", still=True)
    await asyncio.sleep(0.5)  # the last ones are repaired over the same path


def freezes(shown: list[Any], seen: list[Any], since: float) -> list[float]:
    """Return how much longer each picture stood than it was shown, in milliseconds; the longest is the last.

    What the sender itself stood still does not count, but for the time of the pictures that did not come.
    """
    usual = 1000 / RATE
    began = dict(shown)
    stalls = [(number, at - before - usual) for (_, before), (number, at) in pairwise(shown) if at - before > usual]
    numbers, sums = [0], [0.0]
    for number, stall in stalls:
        numbers.append(number)
        sums.append(sums[-1] + stall)

    def stalled(number: int) -> float:
        return sums[bisect_right(numbers, number) - 1]

    times = [(number, at) for number, at, *_ in seen if number is not None and began.get(number, 0) >= since]
    return sorted(
        after - before - usual - (stalled(later) - stalled(earlier))
        for (earlier, before), (later, after) in pairwise(times)
        if later > earlier
    )


def figures_of(inbound: dict[str, Any]) -> dict[str, Any]:
    names = ("nackCount", "pliCount", "keyFramesDecoded", "framesDecoded", "freezeCount")
    return {name: inbound.get(name) for name in names}


async def round_trip(peer: Peer) -> float:
    """Return the last one that its connectivity checks have measured, in seconds."""
    times = [stats.get("currentRoundTripTime", 0) for stats in await peer.call("stats")]
    return max(times)


@pytest.mark.parametrize("adieu_offers", [True, False], ids=["offers", "answers"])
@pytest.mark.parametrize("loss", [0.01, 0.05])
@pytest.mark.parametrize("other", ["chromium", "firefox"])
async def test_lost_packets_of_pictures_are_repaired(lab: Any, other: str, loss: float, adieu_offers: bool) -> None:
    async with lab.peer(other) as them, lab.peer("adieu") as us, path(DELAY) as lossy:
        for peer in (us, them):
            await peer.call("new")
            await peer.call("see")
            await peer.call("show")
        await (us if adieu_offers else them).call("prefer", codec="VP8")
        busy = slowness()
        await (lossy.connect(us, them) if adieu_offers else lossy.connect(them, us))
        await until_both_see(us, them)
        before = await still(us, them)
        since = 1000 * time.time()
        await going(us, them, lossy, loss, SECONDS)
        packets = await lossy.counts()
        await lossy.lose(0)
        after = await still(us, them)
        busy = max(busy, slowness(), 1.0)
        assert await round_trip(us) >= 2 * DELAY
        ours, theirs = await us.call("pictures"), await them.call("pictures")
        pairs = ((us, ours["shown"], them, theirs["seen"]), (them, theirs["shown"], us, ours["seen"]))
        for way, (sender, shown, receiver, seen) in enumerate(pairs):
            ssrc = of(await sender.call("stats"), "outbound-rtp")["ssrc"]
            sent, lost = packets[way if adieu_offers else 1 - way][ssrc]
            frames = after[way].sent - before[way].sent
            missing = frames - (after[way].received - before[way].received)
            repaired, longest = 1 - missing / lost, freezes(shown, seen, since)[-5:]
            figures = {
                "way": "out" if sender is us else "in",
                "packets": sent,
                "lost": lost,
                "frames": frames,
                "missing": missing,
                "repaired": round(repaired, 4),
                "freezes": [round(freeze) for freeze in longest],
                "busy": round(busy, 2),
                **figures_of(of(await receiver.call("stats"), "inbound-rtp")),
            }
            print(other, loss, figures)
            assert frames > 0.5 * RATE * SECONDS / busy, figures
            assert lost > 0.5 * loss * sent, figures
            assert repaired >= 1 - (1 - REPAIRED) * busy, figures
            assert longest[-1] <= FREEZE * busy, figures
