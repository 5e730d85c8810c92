"""What a page with the SDK and a program do together: resets in a stream, files, media, silence."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.explain import read, tell
from adieu.server import serve
from e2e.lab.processes import running
from e2e.sdk.tabs import Tabs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from e2e.sdk.tabs import Tab

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

JOIN = """
kept.room = await adieu.join(url, { room: "lab", name });
kept.session = await kept.room.session();
kept.states = [];
kept.session.addEventListener("state", ({ state }) => kept.states.push(state));
kept.session.addEventListener("channel", ({ channel }) => { kept[channel.name] = channel; });
return [kept.session.name, kept.session.id, kept.session.state];
"""
CLOSE = "return (await kept.session.close({ reason: 'done', timeout: 20000 })).toJSON()"
WAIT = "return (await kept.session.waitClosed()).toJSON()"


@asynccontextmanager
async def together(browser: Any) -> AsyncIterator[tuple[Tab, adieu.Session, adieu.Room]]:
    """A tab and this program, in one room."""
    async with (
        Tabs().serving() as tabs,
        serve(origins=[tabs.origin]) as server,
        tabs.open(browser) as tab,
        adieu.join(server.url, room="lab", name="ada") as room,
    ):
        joined = asyncio.create_task(tab.run(JOIN, url=server.url, name="ben"))
        async with asyncio.timeout(20):
            session = await room.session()
        name, id_, state = await joined
        assert (name, id_, state, session.name) == ("ada", session.id, "open", "ben")
        yield tab, session, room


def agree(here: adieu.CloseReceipt, there: dict[str, Any]) -> None:
    assert here.confirmed and there["confirmed"], (str(here), there)
    assert json.loads(here.agreed) == there["agreed"]
    assert (here.id, here.path) == (there["id"], there["path"])


async def merged(tab: Tab, session: adieu.Session, level: str) -> None:
    """Let `adieu explain` tell the session, with one reset, by the page's file and the program's."""
    page = await tab.run("return JSON.stringify(await kept.session.recording())")
    for secret in ("a=ice-pwd", "candidate:", "127.0.0.1", "fingerprint", "resumeToken"):
        assert secret not in page
    alone, both = tell([read(page)]), tell([read(page), read(session.recording().to_json())])
    assert [side.recording.program for side in both.sides] == ["browser", "python"]
    assert both.clocks is not None and both.clocks.trip is not None and len(both.clocks.passages) > 10
    assert abs(both.clocks.offset - (both.sides[1].recording.began - both.sides[0].recording.began)) < 1.0
    for story in (alone, both):
        for side in story.sides:
            assert {"connect", "reset", "close"} <= {each.kind for each in side.episodes}
            (reset,) = story.find("reset", side.name)
            assert reset.step in {level, "replay"}
            (close,) = story.find("close", side.name)
            assert any("path graceful" in sentence for sentence in close.sentences)


async def test_a_text_is_told_to_be_delivered(browser: Any) -> None:
    async with together(browser) as (tab, session, _):
        chat = await session.open("chat")
        await tab.run("kept.chat = await kept.session.open('chat')")
        sent = await chat.send("hellö")
        assert await tab.run("return kept.chat.receive()") == "hellö"
        await sent.delivered()
        await tab.run("kept.sent = await kept.chat.send('wörld')")
        assert await chat.receive() == "wörld"
        await tab.run("await kept.sent.delivered()")
        there, here = await asyncio.gather(tab.run(CLOSE), session.wait_closed())
        agree(here, there)


@pytest.mark.parametrize("level", ["ice", "transport", "full"])
@pytest.mark.parametrize("asker", ["page", "program"])
async def test_a_reset_in_the_middle_of_a_stream(browser: Any, asker: str, level: str) -> None:
    async with together(browser) as (tab, session, _):
        numbers = await session.open("numbers")
        await tab.run("""
            kept.numbers = await kept.session.open("numbers");
            kept.got = [];
            (async () => { for await (const m of kept.numbers) kept.got.push(Number(m)); })();
            kept.sending = (async () => { for (let n = 0; n < 300; n++) {
                await kept.numbers.send(String(n));
                await new Promise((done) => setTimeout(done, 3));
            } })();
        """)

        async def send() -> None:
            for number in range(300):
                await numbers.send(str(number))
                await asyncio.sleep(0.003)

        sending = asyncio.create_task(send())
        await asyncio.sleep(0.2)
        epoch = session.epoch
        if asker == "page":
            report = await tab.run("return kept.session.reset({ level })", level=level)
            assert report["level"] == level
        else:
            assert (await session.reset(level)).level == level  # type: ignore[arg-type]
        await sending
        await tab.run("await kept.sending")
        got = [int(str(await numbers.receive())) for _ in range(300)]
        assert got == list(range(300))
        async with asyncio.timeout(10):
            while await tab.run("return kept.got.length") < 300:
                await asyncio.sleep(0.05)
        assert await tab.run("return kept.got") == list(range(300))
        assert session.epoch == (epoch if level == "ice" else epoch + 1)
        there, here = await asyncio.gather(tab.run(CLOSE), session.wait_closed())
        agree(here, there)
        assert here.clean
        await merged(tab, session, level)


async def test_files_both_ways(browser: Any, tmp_path: Path) -> None:
    async with together(browser) as (tab, session, _):
        incoming: asyncio.Future[Path] = asyncio.get_running_loop().create_future()

        @session.on("file")
        async def _(file: adieu.IncomingFile) -> None:
            incoming.set_result(await file.accept(tmp_path))

        await tab.run("""
            kept.session.addEventListener("file", async (file) => { kept.file = await file.accept(); });
            const data = new Uint8Array(3_000_000);
            for (let n = 0; n < data.length; n++) data[n] = n * 7;
            kept.transfer = await kept.session.sendFile(new File([data], "a/b/c.bin", { type: "application/x-test" }));
        """)
        async with asyncio.timeout(20):
            path = await incoming
        assert path.name == "c.bin"
        assert (tmp_path / "c.bin").read_bytes() == bytes(n * 7 % 256 for n in range(3_000_000))
        await tab.run("await kept.transfer.wait()")
        source = tmp_path / "out.bin"
        source.write_bytes(bytes(n * 3 % 256 for n in range(2_000_000)))
        transfer = await session.send_file(source)
        await asyncio.sleep(0.05)
        await session.reset("transport")
        await transfer.wait()
        name, size, wrong = await tab.run("""
            while (!kept.file) await new Promise((done) => setTimeout(done, 10));
            const data = new Uint8Array(await kept.file.arrayBuffer());
            return [kept.file.name, data.length, data.findIndex((byte, n) => byte !== (n * 3) % 256)];
        """)
        assert (name, size, wrong) == ("out.bin", 2_000_000, -1)
        incoming = asyncio.get_running_loop().create_future()
        done, proof = await tab.run("""
            const carried = await kept.room.sendFile("ada", new File(["for whoever is ada"], "carried.txt"));
            await carried.wait();
            return [carried.done, carried.proof];
        """)
        assert (await incoming).read_text() == "for whoever is ada"
        assert (done, len(proof)) == (18, 64)


async def test_a_program_that_closes_its_connection_is_missed_at_once(browser: Any) -> None:
    """A program's own pc.close(), without a word."""
    async with together(browser) as (tab, session, _):
        await tab.run("""
            kept.when = performance.now();
            kept.known = new Promise((done) => kept.session.addEventListener("state", ({ state, cause }) =>
                done([state, cause, performance.now() - kept.when])));
        """)
        assert session.pc is not None
        session.pc.close()
        state, _, milliseconds = await tab.run("return kept.known")
        assert state in {"closing", "closed"} and milliseconds < 1000
        there = await tab.run(WAIT)
        assert there["cause"] == "connection-closed" and there["by"] == "remote"


TWO_WITH_MEDIA = """
const [a, b] = await adieu.memoryPair();
const tracks = { a: [], b: [] };
a.addEventListener("track", ({ track }) => tracks.a.push(track));
b.addEventListener("track", ({ track }) => tracks.b.push(track));
const until = async (what) => { while (!what()) await new Promise((done) => setTimeout(done, 5)); };
const seen = (list, n) => until(() => list.filter(({ readyState }) => readyState === "live").length >= n);
const mine = await a.addStream({ audio: true, video: true });
const yours = await b.addStream({ audio: true, video: true });
await Promise.all([seen(tracks.a, 2), seen(tracks.b, 2)]);
"""


async def test_media_is_owned_by_the_session(browser: Any) -> None:
    """Old tracks end, devices are asked again, clones are stopped, nothing is held after the close."""
    async with Tabs().serving() as tabs, tabs.open(browser) as tab:
        result = await tab.run(
            TWO_WITH_MEDIA
            + """
            const clone = mine.getVideoTracks()[0].clone();
            const first = mine.getTracks();
            tracks.a.length = tracks.b.length = 0;
            const report = await a.reset({ level: "full" });
            await Promise.all([seen(tracks.a, 2), seen(tracks.b, 2)]);
            const heard = new Promise((done) => b.addEventListener("media", ({ media }) => done([...media])));
            a.mute("video");
            const muted = [await heard, mine.getVideoTracks()[0].enabled];
            const stopped = first.map(({ readyState }) => readyState);
            const fresh = mine.getTracks().map(({ readyState }) => readyState);
            const late = a.addStream({ audio: true }).then(() => "given", ({ name }) => name);
            const receipt = await a.close();
            const other = await b.waitClosed();
            await new Promise((done) => setTimeout(done, 50));
            return {
              level: report.level, stopped, fresh, clone: clone.readyState, late: await late,
              end: [...mine.getTracks(), ...yours.getTracks()].map(({ readyState }) => readyState),
              clean: [receipt.clean, other.clean], agreed: receipt.agreed === other.agreed, muted,
              ledgers: [String(a.ledger()), String(b.ledger())],
            };
            """
        )
        assert result["level"] == "full"
        assert result["stopped"] == ["ended", "ended"] and result["fresh"] == ["live", "live"]
        assert result["muted"][0][0][1] == {"enabled": False} and result["muted"][1] is False
        assert result["late"] in {"AbortError", "given"}
        assert result["end"] == ["ended"] * 4 and result["clone"] == "ended"
        assert result["clean"] == [True, True] and result["agreed"]
        assert result["ledgers"] == ["nothing", "nothing"]


async def test_ten_resets_in_a_row_lose_nothing(browser: Any) -> None:
    async with Tabs().serving() as tabs, tabs.open(browser) as tab:
        result = await tab.run(
            TWO_WITH_MEDIA
            + """
            const [here, there] = await Promise.all([a.open("n"), b.open("n")]);
            const got = [];
            (async () => { for await (const m of there) got.push(Number(m)); })();
            let going = true, sent = 0;
            const sending = (async () => {
              while (going) { await here.send(String(sent++)); await new Promise((done) => setTimeout(done, 2)); }
            })();
            const times = [];
            for (let n = 0; n < 10; n++) {
              const began = performance.now();
              await (n % 2 ? a : b).reset({ level: n % 3 ? "transport" : "full" });
              times.push(performance.now() - began);
            }
            going = false;
            await sending;
            const receipt = await a.close();
            await until(() => got.length >= sent);
            return { clean: receipt.clean, times, sent, inOrder: got.every((m, n) => m === n), got: got.length };
            """
        )
        assert result["clean"] and result["inOrder"] and result["sent"] == result["got"], result
        print(f"{browser.name}: resets in {[round(each) for each in result['times']]} ms")


async def test_a_page_that_was_put_aside_renews_its_connection(browser: Any) -> None:
    """Events made up for browsers that keep a page with its connections; Chromium does not, and so it says goodbye."""
    async with together(browser) as (tab, session, _):
        if browser.name == "chromium":
            await tab.run("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
            assert (await session.wait_closed()).cause == "tab-closed"
            return
        chat = await session.open("chat")
        await tab.run("""
            kept.chat = await kept.session.open("chat");
            kept.reset = new Promise((done) => {
                kept.session.addEventListener("reset", ({ report }) => report && done());
            });
            dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true }));
            await kept.chat.send("said in between");
        """)
        assert session.epoch == 1
        await tab.run("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })); await kept.reset")
        assert await chat.receive() == "said in between"
        async with asyncio.timeout(2):
            while session.epoch != 2:  # the page is done with its reset, this program may be a moment behind
                await asyncio.sleep(0.01)
        assert (await session.close()).clean


async def test_a_frozen_page_has_missed_nothing_when_it_wakes(browser: Any) -> None:
    """Its time stands still: what would have been due is not held against the other side."""
    async with together(browser) as (tab, session, _):
        states = await tab.run("""
            document.dispatchEvent(new Event("freeze"));
            const until = performance.now() + 4500;
            while (performance.now() < until);
            document.dispatchEvent(new Event("resume"));
            await new Promise((done) => setTimeout(done, 500));
            return kept.states;
        """)
        assert states == []
        async with asyncio.timeout(5):
            while session.state != "open":
                await asyncio.sleep(0.01)
        assert (await session.close()).clean


async def test_more_resets_than_the_browser_has_connections(browser: Any) -> None:
    """Chromium gives a page 500, and counts closed ones until it collects them: 300 resets of a pair make 602."""
    async with Tabs().serving() as tabs, tabs.open(browser) as tab:
        result = await tab.run("""
            const [a, b] = await adieu.memoryPair({ options: { peerResetsBurst: 1e6 } });
            const [here, there] = await Promise.all([a.open("n"), b.open("n")]);
            const got = [];
            (async () => { for await (const m of there) got.push(Number(m)); })();
            for (let n = 0; n < 300; n++) {
              await here.send(String(n));
              await a.reset();
            }
            const receipt = await a.close();
            await b.waitClosed();
            return [receipt.clean, got.length, got.every((m, n) => m === n), adieu.connectionBudget.used, b.state];
        """)
        clean, count, in_order, used, state = result
        assert (clean, count, in_order, state) == (True, 300, True, "closed")
        assert used < 480 or browser.name == "firefox"


@pytest.mark.parametrize("how", ["killed", "stopped"])
async def test_a_program_that_says_nothing_is_suspected(browser: Any, how: str) -> None:
    """Closing rule S7: in a second when its signaling socket ended, in five else; a program that goes on heals it."""
    peer = Path(__file__).parents[1] / "session" / "peer.py"
    async with Tabs().serving() as tabs, serve(origins=[tabs.origin]) as server, tabs.open(browser) as tab:
        command = (sys.executable, str(peer), server.url, "lab", "ada")
        async with running(*command, stdout=asyncio.subprocess.PIPE) as process:
            await tab.run(JOIN, url=server.url, name="ben")
            await tab.run("""
                kept.known = new Promise((done) => kept.session.addEventListener("state", ({ state, cause }) =>
                    state === "suspect" && done([state, cause])));
            """)
            began = asyncio.get_running_loop().time()
            process.send_signal(signal.SIGKILL if how == "killed" else signal.SIGSTOP)
            state, cause = await tab.run("return kept.known")
            took = asyncio.get_running_loop().time() - began
            print(f"{browser.name}, {how}: {state} ({cause}) after {took:.2f} s")
            assert took < (1.5 if how == "killed" else 5.0)
            assert cause == ("crashed" if how == "killed" else "frozen, network-lost")
            if how == "stopped":
                process.send_signal(signal.SIGCONT)
                async with asyncio.timeout(5):
                    while await tab.run("return kept.session.state") != "open":
                        await asyncio.sleep(0.05)
