"""Reset pressed again and again in a call, in every pairing of browsers; and a hundred times in one page."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from adieu.server import serve
from e2e.sdk import soak
from e2e.sdk.conftest import some
from e2e.sdk.sides import meet, now, side

if TYPE_CHECKING:
    from e2e.lab.browsers import Chromium, Firefox
    from e2e.lab.figures import Figures
    from e2e.sdk.tabs import Tabs

pytestmark = [pytest.mark.anyio, pytest.mark.browser]
PICTURES = 2.0
"""Seconds: a decoder that missed the first picture asks for another whole one."""
PAIRINGS = [("Chromium", "Chromium"), ("Chromium", "Firefox"), ("Firefox", "Firefox")]
TALK = """
kept.going = true;
kept.chat = await kept.session.open("chat");
kept.heard = [];
void (async () => { for await (const m of kept.chat) kept.heard.push(Number(m)); })();
kept.talking = (async () => {
  let n = 0;
  while (kept.going) {
    await kept.chat.send(String(n++));
    await new Promise((done) => setTimeout(done, 3));
  }
  return n;
})();
"""
PRESS = """
kept.old = [...kept.stream.getTracks(), ...kept.seen];
kept.seen.clear();
const began = performance.now();
await kept.session.reset({ level: "full" });
return (performance.now() - began) / 1000;
"""
FORGET = "kept.old = [...kept.stream.getTracks(), ...kept.seen]; kept.seen.clear(); kept.epoch = kept.session.epoch"
IN_TIME = """
const live = (tracks) => [...tracks].filter(({ readyState }) => readyState === "live");
const inTime = async (what, text) => {
  const patience = performance.now() + 20_000;
  while (!(await what())) {
    if (performance.now() > patience) throw new Error(`never: ${text}`);
    await new Promise((done) => setTimeout(done, 10));
  }
};
const received = async (kind, member) => {
  let sum = 0;
  (await kept.session.pc.getStats()).forEach((stats) => {
    if (stats.type === "inbound-rtp" && stats.kind === kind) sum += stats[member] ?? 0;
  });
  return sum;
};
"""
FLOWING = """
await inTime(() => kept.session.state === "open" && kept.session.epoch > kept.epoch, "a new connection");
const fresh = () => live(kept.stream.getTracks()).filter((track) => !kept.old.includes(track));
await inTime(() => fresh().length === 2, "own tracks");
await inTime(() => live(kept.seen).length === 2, "the other's tracks");
for (const kind of ["audio", "video"]) await inTime(() => received(kind, "packetsReceived"), kind);
"""
RENEWED = """
const first = await received("video", "framesDecoded");
await inTime(async () => (await received("video", "framesDecoded")) >= first + 3, "pictures");
const sent = kept.session.pc.getSenders().flatMap(({ track }) => track ?? []);
return { old: live(kept.old).length, sent: live(sent).length, dead: sent.length - live(sent).length };
"""


@pytest.mark.parametrize("pairing", PAIRINGS, ids="-".join)
async def test_ten_resets_during_a_call(
    pairing: tuple[str, str], both: dict[str, Any], tabs: Tabs, figures: Figures
) -> None:
    """No message is lost or doubled, old tracks end, new pictures come on both sides (closing rule S8)."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve(origins=[tabs.origin]))
        pages = [await stack.enter_async_context(side(kind, tabs, both)) for kind in pairing]
        await meet(server.url, dict(zip(("first", "second"), pages, strict=True)))
        await asyncio.gather(*(page.media() for page in pages))
        async with asyncio.timeout(20):
            while [await page.live() for page in pages] != [2, 2]:
                await asyncio.sleep(0.02)
        await asyncio.gather(*(page.tab.run(TALK) for page in pages))
        for number in range(10):
            presser = pages[number % 2]
            await asyncio.gather(*(page.tab.run(FORGET) for page in pages))
            began = now()
            took = await presser.tab.run(PRESS)
            await asyncio.gather(*(page.tab.run(IN_TIME + FLOWING) for page in pages))
            flowing = now() - began
            for result in await asyncio.gather(*(page.tab.run(IN_TIME + RENEWED) for page in pages)):
                assert result == {"old": 0, "sent": 2, "dead": 0}, (number, result)
            who, shown = " – ".join(pairing), now() - began
            figures.within("Reset, level full, in a call", who, "until it is done", took, 1.0)
            figures.within("Reset, level full, in a call", who, "until new tracks flow both ways", flowing, 1.0)
            figures.within("Reset, level full, in a call", who, "until three pictures are shown", shown, PICTURES)
        sent = [await page.tab.run("kept.going = false; return kept.talking") for page in pages]
        receipt, _ = await asyncio.gather(pages[0].close(), pages[1].ended())
        assert receipt["clean"], receipt
        for page, count in zip(pages, reversed(sent), strict=True):
            assert await page.tab.run("return kept.heard") == list(range(count))
            assert (await page.left())["live"] == 0


SLOW = """
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (what) => {
  await new Promise((done) => setTimeout(done, 300));
  return ask(what);
};
"""


@pytest.mark.parametrize("kind", ["Chromium", "Firefox"])
async def test_a_reset_while_slow_devices_are_asked_brings_them_back(
    kind: str, both: dict[str, Any], tabs: Tabs
) -> None:
    """The other side presses again before the devices of this one have answered."""
    async with tabs.open(both[kind]) as tab:
        result = await tab.run(
            SLOW
            + """
            const [a, b] = await adieu.memoryPair();
            const stream = await a.addStream({ audio: true, video: true });
            for (let n = 0; n < 3; n++) {
              await b.reset({ level: "full" });
              while (a.state !== "open") await new Promise((done) => setTimeout(done, 5));
            }
            const live = () => stream.getTracks().filter(({ readyState }) => readyState === "live").length;
            const patience = performance.now() + 5000;
            while (live() < 2 && performance.now() < patience) await new Promise((done) => setTimeout(done, 10));
            const tracks = live();
            await a.close();
            return [tracks, live(), a.ledger().held.filter(({ kind }) => kind === "track").length];
            """
        )
        assert result == [2, 0, 0]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", some(["Chromium", "Firefox"], {"Chromium"}))
async def test_a_hundred_resets_in_one_page(kind: str, both: dict[str, Chromium | Firefox], figures: Figures) -> None:
    """What `make soak` does 2000 times, without its look at the memory."""
    result = await soak.soak(both[kind], 100)
    result["growth"] = {}
    assert soak.judge(result) == []
    median = result["reset_ms"]["median"] / 1000
    figures.within("Reset, level full, in a call", f"{kind}, both sides in one page", "median of 100", median, 1.0)
