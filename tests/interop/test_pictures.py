"""Pictures between adieu and real browsers: each has its number; in both directions at once, beside numbered sound."""

from __future__ import annotations

import asyncio
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from adieu.testing.sound import SECONDS
from e2e.lab.figures import slowness
from interop.support import join
from interop.test_sound import Clock, numbered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from e2e.lab.peer import Peer

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

SHARE = 0.99
"""The share of pictures that the other side gets. On a busy computer so many times more may be missing."""
LONG = 60
"""Seconds."""
SKEW = 40.0
"""Milliseconds between a picture and its sound, in the middle."""

SHORT = [("chromium", True, "VP8"), ("chromium", False, "H264"), ("firefox", False, "VP8")]
CASES = [
    pytest.param(browser, offers, codec, 5, id=f"{browser}-{'offers' if offers else 'answers'}-{codec}")
    for browser, offers, codec in SHORT
] + [
    pytest.param(
        browser,
        offers,
        codec,
        60,
        id=f"60s-{browser}-{'offers' if offers else 'answers'}-{codec}",
        marks=[pytest.mark.matrix, pytest.mark.timeout(300)],
    )
    for browser in ("chromium", "firefox")
    for offers in (True, False)
    for codec in ("VP8", "H264")
    if (browser, codec) != ("firefox", "H264")  # its codec is a download, which the lab does not make
]


def delays(shown: Iterable[Any], seen: Iterable[Any]) -> list[float]:
    """Return how long each picture was on its way, in the unit of the times: those that came first."""
    began = dict(shown)
    first: dict[int, float] = {}
    for number, at, *_ in seen:
        if number is not None:
            first.setdefault(number, at)
    return [at - began[number] for number, at in first.items() if number in began]


@dataclass
class Count:
    """The pictures of both ways until a moment: pushed here, decoded by the page; shown there, and seen here."""

    pushed: int
    decoded: int
    shown: int
    seen: int

    @classmethod
    async def now(cls, us: Any, them: Peer) -> Count:
        page = await them.call("stats")
        count = await them.call("pictures")
        inbound = [stats for stats in page if stats["type"] == "inbound-rtp" and stats["kind"] == "video"]
        return cls(
            len(us.shown),
            inbound[0].get("framesDecoded", 0) if inbound else 0,
            len(count["shown"]),
            len(us.pictures_seen),
        )

    def share_since(self, before: Count) -> tuple[float, float]:
        """Return the shares that arrived out and in. Three pictures may be on their way."""
        out = (self.decoded - before.decoded + 3) / (self.pushed - before.pushed)
        into = (self.seen - before.seen + 3) / (self.shown - before.shown)
        return min(1.0, round(out, 4)), min(1.0, round(into, 4))


async def until_both_see(us: Any, them: Peer) -> None:
    """Wait until both have seen a second of pictures: by then it is known what the path carries."""
    async with asyncio.timeout(30):
        while min(len(us.pictures_seen), len((await them.call("pictures"))["seen"])) < 30:
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(("other", "adieu_offers", "codec", "seconds"), CASES)
async def test_pictures_flow_both_ways(lab: Any, other: str, adieu_offers: bool, codec: str, seconds: int) -> None:
    async with lab.peer(other) as them, lab.peer("adieu") as us:
        for peer in (us, them):
            await peer.call("new")
            await peer.call("listen")
            await peer.call("see")
            await peer.call("speak", count=round((seconds + 12) / SECONDS))
            await peer.call("show")
        clock = Clock(us.speech)
        await (us if adieu_offers else them).call("prefer", codec=codec)
        before = slowness()
        await join(us, them, adieu_offers=adieu_offers)
        await us.expect("track", kind="video", state="unmute")
        await until_both_see(us, them)
        began = await Count.now(us, them)
        await asyncio.sleep(seconds)
        ended = await Count.now(us, them)
        busy = max(before, slowness(), 1.0)
        mine, page = await us.call("stats"), await them.call("stats")
        ours, theirs = await us.call("pictures"), await them.call("pictures")
        clock.task.cancel()
        out, into = ended.share_since(began)
        sent, got = of(mine, "outbound-rtp"), of(mine, "inbound-rtp")
        figures = {
            "out": out,
            "in": into,
            "counts": (began, ended),
            "read by the page": len({number for number, *_ in theirs["seen"]}),
            "sent": {name: sent.get(name) for name in ("framesEncoded", "keyFramesEncoded", "frameWidth", "nackCount")},
            "got": {name: got.get(name) for name in ("framesDecoded", "keyFramesDecoded", "frameWidth", "pliCount")},
            "page": {
                name: of(page, "inbound-rtp").get(name)
                for name in ("framesReceived", "framesDecoded", "framesDropped", "freezeCount", "pliCount", "nackCount")
            },
            "skipped": us.camera.skipped,
            "delay out": round(statistics.median(delays(ours["shown"], theirs["seen"]))),
            "delay in": round(statistics.median(delays(theirs["shown"], ours["seen"]))),
            "busy": round(busy, 2),
        }
        print(figures)
        for report in (sent, got):
            assert by_id(mine, report["codecId"])["mimeType"] == f"video/{codec}"
        for seen in (ours["seen"], theirs["seen"]):
            numbers = [number for number, *_ in seen if number is not None]
            assert numbers == sorted(numbers)
            assert len(numbers) > 0.9 * len(seen)
        least = 1 - (1 - SHARE) * busy
        assert min(out, into) >= least, figures
        skews = await skewed(us, them, clock)
        print(skews)
        if seconds < LONG:
            skews.pop("out", None)  # the page's own buffer of sound is not settled after so short a time
        for way, skew in skews.items():
            assert abs(skew) <= SKEW * busy, (way, skew, figures)


async def skewed(us: Any, them: Peer, clock: Clock) -> dict[str, float]:
    """Return how much later pictures are than sound, in milliseconds, in both ways where it can be known."""
    said, seen = await them.call("heard"), await them.call("pictures")
    found: dict[str, float] = {}
    if said["live"]:  # a page without a sound device has no time of its own for what it plays
        spoken = [(number, clock.began + 1000 * SECONDS * number) for number in numbered(said["heard"])]
        late = statistics.median(delays(spoken, numbered(said["heard"]).items())) - 20
        found["out"] = statistics.median(delays(us.shown, seen["seen"])) - late
        # Both on the axis of what was received: how long it waited here before it was read does not count.
        sound = statistics.median(
            delays(
                [(n, at / 1000) for n, at in numbered(said["played"]).items()], [(t.number, t.time) for t in us.tones]
            )
        )
        pictures = statistics.median(
            delays([(n, at / 1000) for n, at in seen["shown"]], [(n, own) for n, *_, own in us.pictures_seen])
        )
        found["in"] = 1000 * (pictures - sound) + 20
    return found


def of(report: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    [found] = [stats for stats in report if stats["type"] == kind and stats["kind"] == "video"]
    return found


def by_id(report: list[dict[str, Any]], id_: str) -> dict[str, Any]:
    return next(stats for stats in report if stats["id"] == id_)
