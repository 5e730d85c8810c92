"""What a page does that is out of connections, or whose person, devices and storage say no."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from e2e.sdk.tabs import Tabs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from e2e.sdk.tabs import Tab

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


@pytest.fixture
async def tab(browser: Any) -> AsyncGenerator[Tab]:
    async with Tabs().serving() as tabs, tabs.open(browser) as opened:
        yield opened


async def test_the_last_connection(tab: Tab) -> None:
    """At 480 that are kept nothing can be collected: the error says so, and the session that stands goes on."""
    names, message, count, got = await tab.run(
        """
        const [a, b] = await adieu.memoryPair();
        const [here, there] = await Promise.all([a.open("n"), b.open("n")]);
        const standing = [];
        const names = [];
        try {
          const budget = adieu.connectionBudget;
          while (budget.used < 520) standing.push(budget.make(() => new RTCPeerConnection()));
        } catch (error) { names.push(error.name); }
        const failed = await a.reset().then(() => ({}), (error) => error);
        names.push(failed.name);
        await here.send("still here");
        const got = await there.receive();
        for (const pc of standing) pc.close();
        return [names, failed.message, standing.length + 2, got];
        """
    )
    assert got == "still here"
    if tab.browser.name == "chromium":
        assert (names, count) == (["TooManyConnectionsError", "ResetFailedError"], 480)
        assert "reload the page" in message
    else:
        assert names == [None]  # no limit, so nothing fails
        assert count == 520


DEVICES = """
const media = navigator.mediaDevices;
const real = media.getUserMedia.bind(media);
const given = [];
const answer = (how) => { media.getUserMedia = async (constraints) => {
  await how(constraints);
  const stream = await real(constraints);
  given.push(...stream.getTracks());
  return stream;
}; };
const refuse = (name) => () => { throw new DOMException("no", name); };
const [a, b] = await adieu.memoryPair();
"""


async def test_devices_that_are_not_given(tab: Tab) -> None:
    """Permission denied, no device: the error is the browser's own, and the session is as it was."""
    result = await tab.run(
        DEVICES
        + """
        const names = [];
        for (const name of ["NotAllowedError", "NotFoundError", "NotReadableError"]) {
          answer(refuse(name));
          names.push(await a.addStream({ audio: true, video: true }).then(() => "given", (error) => error.name));
        }
        const held = String(a.ledger()).includes("track");
        answer(() => {});
        const stream = await a.addStream({ audio: true });
        const receipt = await a.close();
        return [names, held, receipt.clean, stream.getTracks().map(({ readyState }) => readyState)];
        """
    )
    assert result == [["NotAllowedError", "NotFoundError", "NotReadableError"], False, True, ["ended"]]


@pytest.mark.parametrize("end", ["await a.close()", "await a.reset({ level: 'full' })"])
async def test_permission_that_is_given_too_late(tab: Tab, end: str) -> None:
    """The person says yes after the session was closed or reset: the camera goes off again at once."""
    name, states = await tab.run(
        DEVICES
        + f"""
        let permit;
        const asked = new Promise((done) => {{ permit = done; }});
        answer(() => asked);
        const late = a.addStream({{ audio: true, video: true }}).then(() => "given", (error) => error.name);
        {end};
        permit();
        const name = await late;
        await a.close();
        return [name, given.map(({{ readyState }}) => readyState)];
        """
    )
    assert (name, states) == ("AbortError", ["ended", "ended"])


async def test_a_camera_that_is_gone_when_a_reset_asks_again(tab: Tab) -> None:
    """The microphone goes on, the camera has ended, the other side sees only what there is."""
    result = await tab.run(
        DEVICES
        + """
        answer(() => {});
        const stream = await a.addStream({ audio: true, video: true });
        const ended = [];
        a.addEventListener("devices", ({ missing, error }) => {
          ended.push(...missing.map(({ kind }) => kind), error.name);
        });
        answer(({ video }) => { if (video) throw new DOMException("no camera", "NotFoundError"); });
        const seen = [];
        b.addEventListener("track", ({ track }) => seen.push(track.kind));
        const report = await a.reset({ level: "full" });
        while (!seen.length || !ended.length) await new Promise((done) => setTimeout(done, 5));
        const after = stream.getTracks().map(({ kind, readyState }) => `${kind} ${readyState}`).sort();
        answer(() => {});
        await a.reset({ level: "full" });
        while (!seen.includes("video")) await new Promise((done) => setTimeout(done, 5));
        const again = stream.getTracks().map(({ kind, readyState }) => `${kind} ${readyState}`).sort();
        const receipt = await a.close();
        return [report.level, ended, after, again, receipt.clean];
        """
    )
    assert result == [
        "full",
        ["video", "NotFoundError"],
        ["audio live", "video ended"],
        ["audio live", "video live"],
        True,
    ]


async def test_muting_before_the_connection_knows_the_track(tab: Tab) -> None:
    """The other side learns of it once the track has a mid, and again after a reset gave it another connection."""
    result = await tab.run(
        DEVICES
        + """
        answer(() => {});
        const heard = [];
        b.addEventListener("media", ({ media }) => heard.push(...media));
        const stream = await real({ audio: true, video: true });
        const adding = a.addStream(stream);
        a.mute("video");
        await adding;
        a.mute("video");
        await a.addStream(stream);
        const until = async (n) => { while (heard.length < n) await new Promise((done) => setTimeout(done, 5)); };
        await until(1);
        const senders = a.pc.getSenders().filter(({ track }) => track).length;
        const first = heard.length;
        await a.reset();
        await until(first + 1);
        const mid = a.pc.getTransceivers().find(({ sender }) => sender.track?.kind === "video").mid;
        await a.close();
        const live = stream.getTracks().map(({ readyState }) => readyState);
        for (const track of stream.getTracks()) track.stop();
        return [senders, heard.at(-1)[0] === mid, heard.map(([, { enabled }]) => enabled), live];
        """
    )
    assert result[:2] == [2, True]
    assert set(result[2]) == {False}
    assert result[3] == ["live", "live"]


async def test_a_page_that_calls_everything_twice(tab: Tab) -> None:
    result = await tab.run(
        DEVICES
        + """
        answer(() => {});
        a.start();
        b.addEventListener("file", (file) => { void file.accept(); });
        const both = (call) => Promise.all([call(), call()]);
        const [chat] = await both(() => a.open("chat"));
        const stream = await a.addStream({ audio: true, video: true });
        await both(() => a.addStream(stream));
        const [old] = stream.getVideoTracks();
        const [now] = (await real({ video: true })).getTracks();
        await both(() => a.replace(old, now));
        for (const n of [1, 2]) a.mute("audio");
        for (const n of [1, 2]) a.mute("audio", false);
        await both(() => a.reset({ level: "full" }));
        const transfer = await a.sendFile(new File(["abc"], "abc.txt"));
        await both(() => transfer.wait());
        for (const n of [1, 2]) transfer.cancel();
        for (const n of [1, 2]) for (const track of stream.getTracks()) track.stop();
        const receipts = await Promise.all([a.close(), a.close(), b.close(), b.close()]);
        const third = await a.close();
        now.stop();
        await new Promise((done) => setTimeout(done, 50));
        return [
          new Set(receipts.map(({ agreed }) => agreed)).size, receipts[0] === third, third.clean,
          old.readyState, String(a.ledger()), String(b.ledger()),
        ];
        """
    )
    assert result == [1, True, True, "ended", "nothing", "nothing"]
