"""`goodbye(pc)` in pages that know nothing else of adieu, in every pairing of the two browsers."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from e2e.goodbye.apps import two
from e2e.lab.cuts import cut
from e2e.lab.figures import slowness
from e2e.sdk.tabs import PageGoneError

if TYPE_CHECKING:
    from e2e.lab.browsers import Browser
    from e2e.sdk.tabs import Tab

pytestmark = [pytest.mark.anyio, pytest.mark.browser]
C, F = "Chromium", "Firefox"
PAIRS = [
    (C, F),
    pytest.param((F, C)),
    pytest.param((C, C), marks=pytest.mark.matrix),
    pytest.param((F, F), marks=pytest.mark.matrix),
]
PIECE, PIECES = 16_000, 512
QUEUE = f"for (let i = 0; i < {PIECES}; i++) kept.chat.send(new Uint8Array({PIECE}));"
REMAKE = "kept.pc = new RTCPeerConnection(); kept.pc.ondatachannel = ({ channel }) => kept.hear(channel);"
CLOSE = "return kept.end.close({ reason: 'done', timeout: 20000 })"


@pytest.fixture(params=PAIRS, ids="-".join)
def pair(request: pytest.FixtureRequest, both: dict[str, Browser]) -> tuple[Browser, Browser]:
    one, other = request.param
    return both[one], both[other]


async def run(tab: Tab, code: str) -> None:
    """Run what ends the page."""
    with suppress(PageGoneError):
        await tab.run(f"setTimeout(() => {{ {code} }})")


async def known(*tabs: Tab) -> None:
    """Wait until both have heard of each other's goodbye."""
    await asyncio.gather(*(tab.run("await kept.until(() => kept.end.mutual)") for tab in tabs))


async def gone(tab: Tab, patience: float) -> dict[str, Any]:
    await tab.run("await kept.until(() => kept.gone, milliseconds)", milliseconds=patience * 1000)
    return await tab.run("return { cause: kept.gone.cause, events: kept.events, at: kept.gone.at }")


async def test_everything_queued_on_both_sides_arrives_and_both_hold_one_receipt(pair: tuple[Browser, Browser]) -> None:
    async with two(*pair) as (here, there):
        await known(here, there)
        await asyncio.gather(here.run(QUEUE), there.run(QUEUE))
        receipt = await here.run(CLOSE, patience=30.0)
        await there.run("await kept.until(() => kept.closed)")
        other = await there.run("return { receipt: kept.end.receipt, heard: kept.heard.length, events: kept.events }")
        heard = await here.run("return kept.heard.length")
    assert (heard, other["heard"]) == (PIECES, PIECES)
    assert other["events"] == ["closing", "channel closed", "closed"]
    assert receipt["id"] == other["receipt"]["id"]
    for each, by in ((receipt, "local"), (other["receipt"], "remote")):
        assert (each["by"], each["clean"], each["confirmed"], each["reason"]) == (by, True, True, "done")
        [account] = each["channels"]
        assert (account["label"], account["sent"], account["delivered"], account["proof"]) == (
            "chat",
            PIECES,
            PIECES,
            "peer",
        )


async def test_a_side_alone_loses_nothing_and_says_what_it_cannot_know(pair: tuple[Browser, Browser]) -> None:
    async with two(*pair, goodbye=False) as (here, there):
        await asyncio.gather(here.run(QUEUE), there.run(QUEUE))
        receipt = await here.run(CLOSE, patience=30.0)
        await there.run("await kept.until(() => kept.events.length)")
        other = await there.run("return { heard: kept.heard.length, events: kept.events }")
        heard = await here.run("return kept.heard.length")
    assert (heard, other) == (PIECES, {"heard": PIECES, "events": ["channel closed"]})
    [account] = receipt["channels"]
    assert (account["proof"], "delivered" in account, receipt["confirmed"]) == ("reset", False, False)
    assert "perhaps unread" in " ".join(receipt["notice"])


async def test_a_side_without_goodbye_sees_nothing_of_it(pair: tuple[Browser, Browser]) -> None:
    async with two(*pair, goodbye=False) as (here, there):
        await asyncio.sleep(1.5)
        # A channel that is opened now, and closed, works as ever.
        await here.run("kept.more = kept.pc.createDataChannel('more')")
        await there.run("await kept.until(() => kept.chat.label === 'more'); kept.chat.send('hello')")
        await here.run("await kept.until(() => kept.more.readyState === 'open'); kept.more.close()")
        await there.run("await kept.until(() => kept.chat.readyState === 'closed')")
        assert await there.run("return [kept.events, kept.pc.connectionState]") == [["channel closed"], "connected"]
        assert await here.run("return kept.events") == []


WAYS: dict[str, tuple[Any, set[str]]] = {
    "tab closed": (lambda tab: tab.close(), {"tab-closed"}),
    "reloaded": (lambda tab: run(tab, "location.reload()"), {"reloaded", "tab-closed"}),
    "navigated": (lambda tab: run(tab, "location = 'about:blank'"), {"navigated", "tab-closed"}),
    "pc.close()": (lambda tab: run(tab, "kept.pc.close()"), {"left"}),
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_page_that_goes_says_so(pair: tuple[Browser, Browser], way: str) -> None:
    act, causes = WAYS[way]
    async with two(*pair) as (here, there):
        await known(here, there)
        began = await there.run("return performance.now()")
        await act(here)
        found = await gone(there, 8)
        assert found["cause"] in causes
        assert found["at"] - began <= 1000 * slowness()
        assert "closing" not in found["events"]
        receipt = await there.run("return kept.end.close()")
        assert (receipt["cause"], receipt["clean"]) == (found["cause"], False)


async def test_a_page_without_goodbye_that_closes_its_connection_has_left(pair: tuple[Browser, Browser]) -> None:
    async with two(*pair, goodbye=False) as (here, there):
        began = await here.run("return performance.now()")
        await there.run("kept.pc.close()")
        found = await gone(here, 8)
        assert found["cause"] == "left"
        assert found["at"] - began <= 1000 * slowness()


async def test_a_page_that_is_killed_is_missed(pair: tuple[Browser, Browser]) -> None:
    async with two(*pair) as (here, there):
        await known(here, there)
        pid = await here.browser.pid(here.target)
        began = await there.run("return performance.now()")
        os.kill(pid, signal.SIGKILL)
        found = await gone(there, 8)
        assert found["cause"] in {"crashed or frozen or network-lost", "left"}
        assert found["at"] - began <= 5000 * slowness()


@pytest.mark.parametrize("goodbye", [True, False], ids=["both", "alone"])
async def test_a_cut_is_known_and_healed_without_loss(pair: tuple[Browser, Browser], goodbye: bool) -> None:
    """Both sides know it in time; after it they are back, and what was sent meanwhile arrives."""
    async with two(*pair, goodbye=goodbye) as (here, there):
        sides = (here, there) if goodbye else (here,)
        if goodbye:
            await known(here, there)
        else:
            await asyncio.sleep(2.5)  # until it is known that the other side has no goodbye
        began = {tab: await tab.run("return performance.now()") for tab in sides}
        with cut("-p", "udp"):
            await asyncio.gather(*(tab.run("kept.chat.send(new Uint8Array(10))") for tab in (here, there)))
            missed = await asyncio.gather(*(gone(tab, 12 * slowness()) for tab in sides))
        for tab, found in zip(sides, missed, strict=True):
            assert found["cause"] == "crashed or frozen or network-lost"
            assert found["at"] - began[tab] <= (5000 if goodbye else 8000) * slowness()
        await asyncio.gather(*(tab.run("await kept.until(() => kept.back, 20000)") for tab in sides))
        for tab in (here, there):
            await tab.run("await kept.until(() => kept.heard.length)")
        receipt = await here.run(CLOSE, patience=30.0)
        assert (receipt["clean"], receipt["confirmed"]) == (True, goodbye)
        assert await here.run("return kept.heard") == await there.run("return kept.heard") == [10]


async def test_nobody_is_missed_who_only_says_nothing(pair: tuple[Browser, Browser]) -> None:
    async with two(*pair) as (here, there):
        await asyncio.sleep(10)
        assert await here.run("return kept.events") == await there.run("return kept.events") == []


async def test_a_connection_for_media_alone_ends_in_words_of_its_states(pair: tuple[Browser, Browser]) -> None:
    async with two(*pair, goodbye=False, media=True) as (here, there):
        began = await here.run("return performance.now()")
        await there.run("kept.pc.close()")
        found = await gone(here, 8)
        assert found["cause"] == "left"
        assert found["at"] - began <= 1000 * slowness()
        receipt = await here.run("return kept.end.close()")
        assert receipt["channels"] == []


async def reset_both(here: Tab, there: Tab, *, at_once: bool) -> list[dict[str, Any]]:
    """Reset a connection, as an application does that has its own signaling; what both report.

    `at_once`: the other side resets of itself, and does not wait to hear of it.
    """
    await here.run(
        "kept.chat.send(new Uint8Array(10)); kept.done = undefined; kept.made = Promise.withResolvers();"
        "kept.end.reset(() => kept.made.promise).then((report) => kept.done = report)"
    )
    await there.run(
        "await kept.until(() => kept.reset || at_once); kept.reset = kept.done = kept.remade = undefined;"
        f"const make = () => {{ {REMAKE} kept.remade = true; return kept.pc; }};"
        "kept.end.reset(make).then((report) => kept.done = report)",
        at_once=at_once,
    )
    offer = await here.run(
        f"await kept.until(() => kept.end.receipt); {REMAKE} const channel = kept.pc.createDataChannel('chat');"
        "kept.hear(channel); kept.made.resolve({ pc: kept.pc, channels: [channel] });"
        "await kept.pc.setLocalDescription(); return kept.gathered()"
    )
    answer = await there.run(
        "await kept.until(() => kept.remade); await kept.pc.setRemoteDescription(offer);"
        "await kept.pc.setLocalDescription(); return kept.gathered()",
        offer=offer,
    )
    await here.run("await kept.pc.setRemoteDescription(answer)", answer=answer)
    report = (
        "await kept.until(() => kept.done); const { receipt, channels, missing } = kept.done;"
        "return { clean: receipt.clean, reset: receipt.reset, missing, labels: [...channels.keys()],"
        " open: kept.chat.readyState }"
    )
    return [await tab.run(report) for tab in (here, there)]


RESET = {"clean": True, "reset": True, "missing": [], "labels": ["chat"], "open": "open"}


@pytest.mark.parametrize("at_once", [False, True], ids=["by one", "by both"])
@pytest.mark.parametrize("times", [3, pytest.param(520, marks=[pytest.mark.matrix, pytest.mark.timeout(1200)])])
async def test_a_connection_is_reset_again_and_again(pair: tuple[Browser, Browser], times: int, at_once: bool) -> None:
    """The page is the same, the channel is back under its label, and both go on: more often than Chromium's 500."""
    async with two(*pair) as (here, there):
        for number in range(times):
            await known(here, there)
            assert await reset_both(here, there, at_once=at_once) == [RESET, RESET], number
            assert await there.run("return kept.heard.splice(0)") == [10], number
        events = await there.run("return kept.events")
        assert "gone" not in events
        assert at_once or events == ["closing", "channel closed", "reset"] * times


async def test_twice_for_one_connection_is_the_same_and_a_session_s_is_refused(both: dict[str, Browser]) -> None:
    async with two(both[C], both[C]) as (here, _):
        assert await here.run("return adieu.goodbye(kept.pc) === kept.end")
        code = "const pc = new RTCPeerConnection(); pc[Symbol.for('adieu.session')] = true; adieu.goodbye(pc)"
        with pytest.raises(Exception, match="TypeError: a session of adieu has it"):
            await here.run(code)


async def test_a_timeout_that_is_not_a_time_is_refused(both: dict[str, Browser]) -> None:
    async with two(both[C], both[C]) as (here, _):
        for timeout in ("Infinity", "NaN", "-1"):
            with pytest.raises(Exception, match="RangeError"):
                await here.run(f"await kept.end.close({{ timeout: {timeout} }})")
        assert await here.run("return kept.pc.connectionState") == "connected"
