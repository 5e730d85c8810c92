"""Reset again and again in one page, and see that nothing fails and nothing grows.

python -m e2e.sdk.soak [--cycles 2000] [chromium] [firefox]      reports/soak.json, reports/soak.md

Two sessions in the page send each other a camera and a microphone, and a number before each cycle. Each cycle is a
reset of the level `full`: both connections are closed, the tracks stopped, the devices asked again. It has ended when
both sides have new live tracks of their own and of the other.

What is looked at forty times, once what can be collected has been:

- Chromium: what JavaScript and the page's objects hold (DevTools), and the memory of the page's process;
- Firefox: the same by about:memory, without the history of closed connections that Firefox keeps for its page
  about:webrtc; and the heap of the page's process.

The page and its process may grow by a twentieth in the last quarter. The heap is told: RTCPeerConnections without the
SDK leave something in it too, which is measured first, with as many negotiations and devices ("alone").
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from e2e.lab import browsers
from e2e.lab.figures import REPORTS, facts, heading
from e2e.sdk.tabs import Tabs

if TYPE_CHECKING:
    from collections.abc import Callable

    from e2e.lab.browsers import Chromium, Firefox
    from e2e.sdk.tabs import Tab

GROWTH = 0.05
"""Of the page's memory and its process's, in the last quarter of the cycles."""
TOLD = {"heap"}
"""Of the memories: looked at, not judged."""
BLOCK = 10
LOOKS = 40
SET_UP = """
const until = async (what, text) => {
  const patience = performance.now() + 20_000;
  while (!what()) {
    if (performance.now() > patience) throw new Error(`never: ${text}; ${kept.look()}`);
    await new Promise((done) => setTimeout(done, 5));
  }
};
const live = (tracks) => [...tracks].filter(({ readyState }) => readyState === "live");
const [a, b] = await adieu.memoryPair({ options: { peerResetsBurst: 1e6 } });
let seen;
const states = (tracks) => Array.from(tracks, ({ kind, readyState }) => `${kind} ${readyState}`).join(", ");
kept.look = () => [a, b].map((side, n) =>
  `${side.state} ${side.epoch}: own ${states(streams[n].getTracks())}; other ${states(seen.get(side))}`).join(" | ");
const forget = () => { seen = new Map([[a, new Set()], [b, new Set()]]); };
forget();
for (const side of [a, b]) side.addEventListener("track", ({ track }) => seen.get(side).add(track));
const streams = [await a.addStream(), await b.addStream()];
const flowing = () => [...seen.values()].every((tracks) => live(tracks).length === 2);
const sends = (side, stream) => {
  const tracks = side.pc.getSenders().flatMap(({ track }) => track ?? []);
  return tracks.length === 2 && tracks.every((track) => stream.getTracks().includes(track));
};
await until(flowing, "tracks at the beginning");
const [here, there] = await Promise.all([a.open("n"), b.open("n")]);
let sent = 0, got = 0, wrong = 0;
void (async () => { for await (const text of there) if (Number(text) !== got++) wrong++; })();
kept.cycle = async () => {
  const others = Array.from(seen.values(), (tracks) => [...tracks]);
  const old = streams.map((stream) => stream.getTracks()).concat(others).flat();
  await here.send(String(sent++));
  const side = sent % 2 ? a : b;
  const began = performance.now();
  const done = side.reset({ level: "full" });
  forget();
  await done;
  const renewed = performance.now();
  const fresh = (stream) => live(stream.getTracks()).filter((track) => !old.includes(track)).length === 2;
  await until(() => streams.every(fresh), "fresh tracks of its own");
  await until(flowing, "fresh tracks of the other");
  await until(() => sends(a, streams[0]) && sends(b, streams[1]), "only fresh tracks are sent");
  await until(() => a.state === "open" && b.state === "open", "both are done with it");
  const alive = live(old).length;
  if (alive) throw new Error(`${alive} old tracks are live`);
  return [renewed - began, performance.now() - began];
};
kept.frames = async () => {
  const decoded = async ({ pc }) => {
    let frames = 0;
    (await pc.getStats()).forEach((stats) => { frames += stats.type === "inbound-rtp" && stats.framesDecoded || 0; });
    return frames;
  };
  const patience = performance.now() + 10_000;
  while (!(await decoded(a) && await decoded(b)) && performance.now() < patience) {
    await new Promise((done) => setTimeout(done, 20));
  }
  return [await decoded(a), await decoded(b)];
};
kept.end = async () => {
  const receipt = await a.close();
  const other = await b.waitClosed();
  await until(() => got >= sent, "all numbers");
  await until(() => a.ledger().empty && b.ledger().empty, "nothing is held");
  const tracks = streams.flatMap((stream) => stream.getTracks());
  return { clean: receipt.clean && other.clean, agreed: receipt.agreed === other.agreed, sent, got, wrong,
    live: live(tracks).length, ledgers: [String(a.ledger()), String(b.ledger())],
    connections: adieu.connectionBudget.used };
};
"""
ALONE = """
let link, streams;
const negotiate = async (one, other) => {
  await one.setLocalDescription();
  await other.setRemoteDescription(one.localDescription);
  await other.setLocalDescription();
  await one.setRemoteDescription(other.localDescription);
};
const make = async () => {
  streams = [];
  for (const _ of [1, 2]) streams.push(await navigator.mediaDevices.getUserMedia({ audio: true, video: true }));
  link = [new RTCPeerConnection(), new RTCPeerConnection()];
  const [one, other] = link;
  one.onicecandidate = ({ candidate }) => candidate && other.addIceCandidate(candidate).catch(() => undefined);
  other.onicecandidate = ({ candidate }) => candidate && one.addIceCandidate(candidate).catch(() => undefined);
  const channels = link.map((pc) => pc.createDataChannel("n", { negotiated: true, id: 0 }));
  const open = channels.map((channel) => new Promise((done) => { channel.onopen = done; }));
  await negotiate(one, other);
  await Promise.all(open);
  link.forEach((pc, n) => { for (const track of streams[n].getTracks()) pc.addTrack(track, streams[n]); });
  await negotiate(one, other);
};
await make();
kept.cycle = async () => {
  const began = performance.now();
  for (const stream of streams) for (const track of stream.getTracks()) track.stop();
  for (const pc of link) pc.onicecandidate = pc.close() ?? null;
  await make();
  return [performance.now() - began, performance.now() - began];
};
kept.end = async () => ({});
"""
CYCLES = "const times = []; for (let n = 0; n < count; n++) times.push(await kept.cycle()); return times"


async def soak(
    browser: Chromium | Firefox, cycles: int, tell: Callable[[int], Any] = lambda _: None, code: str = SET_UP
) -> dict[str, Any]:
    """Run so many cycles in a new tab: what was measured. Raises what went wrong."""
    began = time.monotonic()
    # Without the SDK nobody has Chromium collect closed connections, of which it allows a page 500: looking does.
    every = 50 if code is ALONE else max(BLOCK, cycles // LOOKS // BLOCK * BLOCK)
    times: list[list[float]] = []
    samples: list[dict[str, float]] = []
    async with Tabs().serving() as tabs, tabs.open(browser) as tab:
        await tab.run(code)
        while len(times) < cycles:
            count = min(BLOCK, cycles - len(times))
            times += await tab.run(CYCLES, count=count)
            tell(count)
            if len(times) % every == 0:
                if code is SET_UP:
                    frames = await tab.run("return kept.frames()")
                    assert all(frames), f"no pictures after {len(times)} cycles: {frames}"
                    # Pictures that have flowed for seconds are larger ones, in more memory than those of a new call.
                    await tab.run(CYCLES, count=1)
                samples.append({"cycles": len(times), **await memory(tab)})
        end = await tab.run("return kept.end()")
    return {
        "browser": f"{browser.name} {browser.version}",
        "cycles": len(times),
        "seconds": round(time.monotonic() - began),
        "load": round(os.getloadavg()[0], 1),
        "reset_ms": _spread([reset for reset, _ in times]),
        "media_ms": _spread([media for _, media in times]),
        "memory": samples,
        "end": end,
    }


def judge(result: dict[str, Any]) -> list[str]:
    """What is wrong with it."""
    end = result["end"]
    wrong = [
        f"{name}: {value}"
        for name, value, wanted in (
            ("clean", end["clean"], True),
            ("agreed", end["agreed"], True),
            ("numbers out of order", end["wrong"], 0),
            ("numbers missing", end["sent"] - end["got"], 0),
            ("live tracks", end["live"], 0),
            ("ledgers", set(end["ledgers"]), {"nothing"}),
        )
        if value != wanted
    ]
    return wrong + [
        f"{name} grew by {share:.1%}"
        for name, share in result["growth"].items()
        if share >= GROWTH and name not in TOLD
    ]


def growth(samples: list[dict[str, float]]) -> dict[str, float]:
    """Of each kind of memory, in the last quarter (500 of 2000 cycles): its share.

    Least against least of the quarter before: what is about to be collected comes and goes, what leaks stays.
    """
    quarter = len(samples) // 4
    if quarter < 2:
        return {}
    before, after = least(samples[-2 * quarter : -quarter]), least(samples[-quarter:])
    return {name: (after[name] - before[name]) / before[name] for name in before if name != "cycles"}


def _slope(samples: list[dict[str, float]], name: str) -> float:
    """MiB a cycle, in the second half; never less than nothing."""
    half = samples[len(samples) // 2 :]
    if len(half) < 2:
        return 0.0
    line = statistics.linear_regression([sample["cycles"] for sample in half], [sample[name] for sample in half])
    return max(0.0, line.slope)


def _spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    at = lambda share: ordered[min(len(ordered) - 1, int(share * len(ordered)))]  # noqa: E731
    return {"median": statistics.median(ordered), "most": at(0.95), "greatest": ordered[-1]}


# --- memory ------------------------------------------------------------------------------------------------------


async def memory(tab: Tab) -> dict[str, float]:
    """MiB, the least of three looks: what is in the middle of being freed is not counted."""
    looks = []
    for _ in range(3):
        looks.append(await tab.browser.memory(tab.target))
        await asyncio.sleep(0.3)
    return least(looks)


def least(looks: list[dict[str, float]]) -> dict[str, float]:
    return {name: min(look[name] for look in looks) for name in looks[0]}


# --- the program -------------------------------------------------------------------------------------------------


START = {"chromium": browsers.chromium, "firefox": browsers.firefox}


async def main(names: list[str], cycles: int) -> int:
    results: dict[str, dict[str, Any]] = {}
    failed: dict[str, list[str]] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        for name in names:
            bar = progress.add_task(name, total=cycles + cycles // 4)
            try:
                step = lambda count, bar=bar: progress.advance(bar, count)  # noqa: E731
                async with START[name]() as browser:
                    alone = await soak(browser, cycles // 4, step, ALONE)
                async with START[name]() as browser:
                    results[name] = await soak(browser, cycles, step)
                results[name]["alone"] = alone["memory"]
                results[name]["growth"] = growth(results[name]["memory"])
                failed[name] = judge(results[name])
            except Exception as error:  # noqa: BLE001 said in the report; the other browser has its turn
                done = progress.tasks[bar].completed
                failed[name] = [f"after {done:.0f} cycles: {type(error).__name__}: {error}"]
    REPORTS.mkdir(exist_ok=True)
    about = facts({})
    report = {"facts": about, "results": results, "failed": failed}
    (REPORTS / "soak.json").write_text(json.dumps(report, indent=1) + "\n")
    (REPORTS / "soak.md").write_text(page(about, results, failed))
    print((REPORTS / "soak.md").read_text())
    return 1 if any(failed.values()) else 0


def page(about: dict[str, Any], results: dict[str, dict[str, Any]], failed: dict[str, list[str]]) -> str:
    lines = [
        "# Soak",
        heading(about),
        "",
        "Resets of the level `full`, one after the other, in one page; see `soak.py`.",
    ]
    for name, reasons in failed.items():
        lines += ["", f"## {name}", "FAILED: " + "; ".join(reasons) if reasons else "No failure."]
        if result := results.get(name):
            lines += _result(result)
    return "\n".join(lines) + "\n"


def _told(spread: dict[str, float]) -> str:
    return "{median:.0f} ms (median; 95 % under {most:.0f}, all under {greatest:.0f})".format(**spread)


def _result(result: dict[str, Any]) -> list[str]:
    kinds = [kind for kind in result["memory"][0] if kind != "cycles"] if result["memory"] else []
    eighth = max(1, len(result["memory"]) // 8)
    rows = [
        f"| {some[0]['cycles']} to {some[-1]['cycles']} | "
        + " | ".join(f"{least(some)[kind]:.1f}" for kind in kinds)
        + " |"
        for some in (result["memory"][at : at + eighth] for at in range(0, len(result["memory"]), eighth))
    ]
    own = ", ".join(f"{kind} {_slope(result['alone'], kind) * 1024:.0f}" for kind in kinds)
    grew = ", ".join(f"{kind} {share:+.1%}" for kind, share in result["growth"].items())
    return [
        "{browser}: {cycles} cycles in {seconds} s; load at the end {load}.".format(**result),
        f"A reset took {_told(result['reset_ms'])};",
        f"until all new tracks were there, {_told(result['media_ms'])}.",
        "",
        "| cycles | " + " | ".join(f"{kind} (MiB, least)" for kind in kinds) + " |",
        "|---" * (len(kinds) + 1) + "|",
        *rows,
        "",
        f"In the last quarter: {grew or 'not measured'}; the bound is {GROWTH:+.0%}. Without the SDK a cycle leaves",
        f"behind, in KiB: {own}.",
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="chromium|firefox")
    parser.add_argument("--cycles", type=int, default=2000)
    given = parser.parse_args()
    sys.exit(asyncio.run(main(given.names or ["chromium", "firefox"], given.cycles)))
