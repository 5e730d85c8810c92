"""`adieu.goodbye(pc)` over the real engines and a network in memory, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.farewell.words import decode
from adieu.media import AudioSink, AudioSource
from adieu.testing import ToneReader, tones
from support.farewell import MESSAGE, two, until
from support.virtual import simulated

if TYPE_CHECKING:
    from support.virtual import World

BEGIN = '{"type":"closing","receipt":"' + "a" * 32 + '","reason":"","reset":false,"deadlineMs":%d}'


@simulated()
async def test_everything_queued_on_both_sides_arrives_and_both_hold_one_receipt(world: World) -> None:
    async with two(world) as (here, there):
        world.link(delay=0.02, rate=10_000_000)
        here.queue(500)
        there.queue(300)
        receipt = await here.end.close(reason="done", timeout=20)
        await until(lambda: there.end.receipt)
        other = there.end.receipt
        assert (here.heard, there.heard) == (300, 500)
        assert (receipt.id, receipt.reason) == (other.id, "done")
        assert (receipt.by, other.by) == ("local", "remote")
        for each, sent in ((receipt, 500), (other, 300)):
            assert (each.clean, each.confirmed, each.cause, each.notice) == (True, True, None, [])
            [account] = each.channels
            assert (account.sent, account.delivered, account.proof) == (sent, sent, "peer")
        assert there.events == ["closing", "channel closed", "closed"]
        assert here.pc.connectionState == there.pc.connectionState == "closed"
        assert await here.end.close() is receipt


@simulated()
async def test_a_side_alone_loses_nothing_and_says_what_it_cannot_know(world: World) -> None:
    async with two(world, mutual=False) as (here, there):
        here.queue(300)
        there.queue(300)
        receipt = await here.end.close(timeout=20)
        assert (here.heard, there.heard) == (300, 300)
        [account] = receipt.channels
        assert (account.proof, account.delivered, receipt.confirmed) == ("reset", None, False)
        assert "Your messages arrived, perhaps unread." in receipt.notice
        assert there.events == ["channel closed"]


@pytest.mark.parametrize("pause", [0.4, 0.8, 1.2])
@pytest.mark.parametrize("before", [0.0, 0.3])
@simulated()
async def test_a_side_alone_waits_for_a_peer_whose_packets_are_lost(world: World, pause: float, before: float) -> None:
    async with two(world, mutual=False) as (here, there):
        await asyncio.sleep(3)
        world.link(delay=0.02, rate=1_000_000)
        there.queue(100)
        await until(lambda: here.heard > 20)
        world.network.cut("10.0.0.2", True)
        asyncio.get_running_loop().call_later(pause, world.network.cut, "10.0.0.2", False)
        await asyncio.sleep(before)
        receipt = await here.end.close(timeout=20)
        assert here.heard == 100
        assert receipt.channels[0].received == 100


@simulated()
async def test_a_side_alone_does_not_wait_for_a_peer_that_was_silent_for_long(world: World) -> None:
    async with two(world, mutual=False) as (here, there):
        there.queue(10)
        await asyncio.sleep(4)
        began = world.now
        await here.end.close(timeout=20)
        assert (here.heard, world.now - began < 0.8) == (10, True)


@simulated()
async def test_a_side_alone_waits_for_the_answer_to_its_last_message(world: World) -> None:
    """Its silence counts from the moment when its own queue is empty."""
    async with two(world, mutual=False) as (here, there):
        await asyncio.sleep(3)
        world.link(delay=0.02, rate=5_000_000)
        there.channel.addEventListener("message", lambda _: there.heard == 100 and there.channel.send("all of it"))
        here.queue(100)
        receipt = await here.end.close(timeout=20)
        assert (there.heard, here.heard, receipt.clean) == (100, 1, True)


@simulated()
async def test_a_side_without_goodbye_sees_nothing_of_it(world: World) -> None:
    async with two(world, mutual=False) as (here, there):
        await asyncio.sleep(20)
        assert (here.events, there.events) == ([], [])
        assert not any(each.get("messagesSent") for each in (await here.pc.getStats()).values())
        ours, theirs = await world.open_channel(here.pc, there.pc, "more")
        ours.close()
        await adieu.once(theirs, "close")
        assert there.events == ["datachannel"]


@simulated()
async def test_last_words_within_closing_arrive(world: World) -> None:
    async with two(world) as (here, there):
        there.end.on("closing", lambda _: there.queue(10))
        receipt = await here.end.close()
        assert here.heard == 10
        assert receipt.confirmed


@pytest.mark.parametrize("pause", [0.03, 0.3])
@simulated()
async def test_last_words_of_an_async_handler_arrive(world: World, pause: float) -> None:
    async with two(world) as (here, there):
        world.link(delay=0.05)

        async def closing(_: adieu.GoodbyeEvent) -> None:
            await asyncio.sleep(pause)
            there.channel.send("last words")

        there.end.on("closing", closing)
        receipt = await here.end.close()
        await until(lambda: there.end.receipt)
        assert (here.heard, receipt.clean, there.end.receipt.channels[0].delivered) == (1, True, 1)


async def closes(end: adieu.Goodbye) -> None:
    await end.close()


async def waits(end: adieu.Goodbye) -> None:
    await adieu.once(end, "closed")


@pytest.mark.parametrize("how", [closes, waits])
@simulated()
async def test_a_handler_that_awaits_the_end_holds_up_no_close(world: World, how: Any) -> None:
    async with two(world) as (here, there):
        there.end.on("closing", lambda _: how(there.end))
        began = world.now
        assert (await here.end.close()).clean
        assert world.now - began < 0.5


@simulated()
async def test_an_async_handler_that_never_returns_is_left_at_the_deadline(world: World) -> None:
    async with two(world) as (here, there):
        over = asyncio.Event()
        there.end.on("closing", lambda _: over.wait())
        began = world.now
        assert not (await here.end.close(timeout=2)).clean
        assert world.now - began <= 2.5
        over.set()


@pytest.mark.parametrize("closer", [True, False])
@simulated()
async def test_what_is_sent_until_the_channels_close_is_in_the_receipt(world: World, closer: bool) -> None:
    async with two(world) as sides:
        world.link(delay=0.05)
        side, other = sides if closer else reversed(sides)
        sent = 0

        async def goes_on() -> None:
            nonlocal sent
            with contextlib.suppress(adieu.errors.InvalidStateError):
                while True:
                    side.channel.send(b"a reading")
                    sent += 1
                    await asyncio.sleep(0.005)

        sensor = asyncio.ensure_future(goes_on())
        await asyncio.sleep(0.5)
        await sides[0].end.close()
        await sensor
        await until(lambda: side.end.receipt)
        [account] = side.end.receipt.channels
        assert account.sent == sent > account.delivered
        assert account.delivered <= other.heard
        assert side.end.receipt.notice == [f"{sent - account.delivered} of your messages did not arrive."]


@simulated()
async def test_a_cut_before_the_last_word_is_out_confirms_nothing(world: World) -> None:
    async with two(world) as (here, there):
        world.link(delay=0.02, rate=400_000)
        here.queue(3)
        there.queue(20)

        def heard(_: Any) -> None:
            if here.heard == 20:  # the other side's last word has come; ours is due
                world.network.cut("10.0.0.1", True)

        here.channel.addEventListener("message", heard)
        receipt = await here.end.close(timeout=10)
        await until(lambda: there.end.receipt)
        for each in (receipt, there.end.receipt):
            assert (each.clean, each.confirmed) == (False, False)
            assert each.cause == "crashed or frozen or network-lost"
        assert receipt.channels[0].delivered == 3


@pytest.mark.parametrize("heals", [True, False])
@simulated()
async def test_a_connection_that_is_disconnected_is_drained(world: World, heals: bool) -> None:
    """It may come back by itself (closing rule 66)."""
    async with two(world) as (here, there):
        here.queue(50)
        world.network.cut("10.0.0.2", True)
        await until(lambda: here.pc.connectionState == "disconnected")
        assert here.gone is None
        if heals:
            asyncio.get_running_loop().call_later(0.2, world.network.cut, "10.0.0.2", False)
        receipt = await here.end.close(timeout=10)
        assert (receipt.clean, receipt.channels[0].delivered) == ((True, 50) if heals else (False, None))
        assert there.heard == (50 if heals else 0)


@simulated()
async def test_both_close_at_once_and_agree(world: World) -> None:
    async with two(world) as (here, there):
        one, other = await asyncio.gather(
            here.end.close(reason="mine", timeout=5), there.end.close(reason="yours", timeout=3)
        )
        assert (one.id, one.reason, one.by) == (other.id, other.reason, other.by)
        assert (one.by, one.confirmed, other.confirmed) == ("both", True, True)


@pytest.mark.parametrize(("own", "theirs"), [(20, 2), (2, 20)])
@simulated()
async def test_of_two_closers_the_earlier_deadline_counts(world: World, own: int, theirs: int) -> None:
    """The other side closes too, and then says nothing more."""
    async with two(world, mutual=False) as (here, _):
        began = world.now
        closing = asyncio.ensure_future(here.end.close(timeout=own))
        await asyncio.sleep(0.1)
        here.end.said(BEGIN % (1000 * theirs))
        assert (await closing).by == "both"
        assert 1.9 <= world.now - began <= 2.5


@simulated()
async def test_a_side_that_is_never_quiet_leaves_time_to_close_the_channels(world: World) -> None:
    async with two(world, mutual=False) as (here, there):

        async def never_quiet() -> None:
            while there.channel.readyState == "open":
                there.channel.send(b"x")
                await asyncio.sleep(0.1)

        chatter = asyncio.ensure_future(never_quiet())
        began = world.now
        receipt = await here.end.close(timeout=5)
        await chatter
        assert world.now - began <= 5.0
        assert not receipt.clean
        assert [each.proof for each in receipt.channels] == ["reset"]


@pytest.mark.parametrize(("counts", "delivered"), [([1, 3], 1), ([99], 3)])
@simulated()
async def test_the_other_side_counts_once_and_no_more_than_was_sent(
    world: World, counts: list[int], delivered: int
) -> None:
    async with two(world, mutual=False) as (here, _):
        here.queue(3)
        closing = asyncio.ensure_future(here.end.close(timeout=2))
        await asyncio.sleep(0.1)
        here.end.said('{"type":"hello","version":1}')
        for count in counts:
            here.end.said(f'{{"type":"closed","taken":{{"{here.channel.id}":{count}}}}}')
        [account] = (await closing).channels
        assert (account.sent, account.delivered, account.proof) == (3, delivered, "peer")


@pytest.mark.parametrize("mutual", [True, False])
@simulated()
async def test_the_deadline_holds_whatever_happens(world: World, mutual: bool) -> None:
    async with two(world, mutual=mutual) as (here, _):
        world.link(delay=0.02, rate=100_000)
        here.queue(500)
        began = world.now
        receipt = await here.end.close(timeout=2)
        assert world.now - began <= 2.5
        assert not receipt.clean


@simulated()
async def test_the_program_s_own_close_is_leaving(world: World) -> None:
    async with two(world) as (here, there):
        began = world.now
        here.pc.close()
        await until(lambda: there.gone)
        assert (there.gone.cause, there.events[-1]) == ("left", "gone")
        assert world.now - began <= 1.0
        receipt = await there.end.close()
        assert (receipt.cause, receipt.clean) == ("left", False)
        await until(lambda: here.end.receipt)
        assert here.end.receipt.cause == "left"
        assert "gone" not in here.events


async def negotiated(one: adieu.RTCPeerConnection, other: adieu.RTCPeerConnection) -> None:
    await one.setLocalDescription()
    await other.setRemoteDescription(await one.gathered())
    await other.setLocalDescription()
    await one.setRemoteDescription(await other.gathered())
    await asyncio.sleep(1)


async def bundled(one: adieu.RTCPeerConnection, other: adieu.RTCPeerConnection) -> None:
    """Each kind of an offer gets a transport; the answer closes all but one."""
    await negotiated(one, other)


async def rolled_back(one: adieu.RTCPeerConnection, other: adieu.RTCPeerConnection) -> None:
    other.createDataChannel("at the same time")
    await other.setLocalDescription()
    await negotiated(one, other)


async def stopped(one: adieu.RTCPeerConnection, other: adieu.RTCPeerConnection) -> None:
    await negotiated(one, other)
    one.getTransceivers()[0].stop()
    await negotiated(one, other)


@pytest.mark.parametrize("way", [bundled, rolled_back, stopped])
@simulated()
async def test_a_transport_that_is_not_used_any_more_is_not_the_other_side(world: World, way: Any) -> None:
    one, other = world.pair()
    ends = adieu.goodbye(one), adieu.goodbye(other)
    gone: list[str] = []
    for end in ends:
        end.on("gone", lambda event: gone.append(event.cause))
    one.addTransceiver("audio")
    channel = one.createDataChannel("chat")
    await way(one, other)
    assert (gone, one.connectionState) == ([], "connected")
    for _ in range(100):
        channel.send(MESSAGE)
    receipt = await ends[0].close()
    assert (receipt.clean, receipt.confirmed, receipt.channels[0].delivered) == (True, True, 100)


@pytest.mark.parametrize("mutual", [True, False])
@simulated()
async def test_a_cut_is_noticed_in_time_and_so_is_its_end(world: World, mutual: bool) -> None:
    async with two(world, mutual=mutual) as (here, _):
        await asyncio.sleep(3)
        began = world.now
        world.network.cut("10.0.0.1", True)
        await until(lambda: here.gone)
        assert here.gone.cause == "crashed or frozen or network-lost"
        assert world.now - began <= 5.0
        world.network.cut("10.0.0.1", False)
        await until(lambda: "back" in here.events)


@pytest.mark.parametrize("how", ["closed", "cut"])
@pytest.mark.parametrize("mutual", [True, False])
@simulated()
async def test_who_closes_when_the_other_side_is_gone_keeps_nothing(world: World, mutual: bool, how: str) -> None:
    async with two(world, mutual=mutual) as (here, there):
        here.end.on("gone", lambda _: here.end.close())  # as the guides say
        await asyncio.sleep(3)
        there.pc.close() if how == "closed" else world.network.cut("10.0.0.1", True)
        await until(lambda: here.end.receipt)
        assert here.events[-1] == "closed"
        assert here.pc.connectionState == "closed"


@simulated()
async def test_a_last_sentence_is_heard_before_the_end(world: World) -> None:
    one, other = world.pair()
    speech = AudioSource(sample_rate=24000)
    one.addTrack(speech.track, adieu.MediaStream())
    came = asyncio.create_task(adieu.once(other, "track"))
    await world.open_channel(one, other)
    event = await came
    assert len(event.streams) == 1, "a page plays event.streams[0]"
    end, _ = adieu.goodbye(one, flush=lambda: speech.drained(arrived=True)), adieu.goodbye(other)
    await until(lambda: end.mutual)  # one side alone waits for seconds anyway
    await speech.write(tones(50, sample_rate=24000))  # two seconds
    listening = asyncio.create_task(listen(event.track))
    assert (await end.close(timeout=10.0)).clean
    assert {tone.number for tone in await listening} >= set(range(2, 49))


async def listen(track: adieu.MediaStreamTrack) -> list[Any]:
    reader = ToneReader()
    async for frame in AudioSink(track, sample_rate=8000):
        reader.feed(frame.data, frame.time)
    return reader.heard


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
@simulated()
async def test_a_timeout_that_is_not_a_time_is_refused(world: World, seconds: float) -> None:
    async with two(world) as (here, _):
        with pytest.raises(ValueError, match="a number of seconds is needed"):
            await here.end.close(timeout=seconds)
        assert here.pc.connectionState == "connected"


@simulated()
async def test_an_application_that_does_not_let_itself_be_cancelled_holds_no_close(world: World) -> None:
    over = asyncio.Event()

    async def flush() -> None:
        while not over.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await over.wait()

    one, other = world.pair()
    end = adieu.goodbye(one, flush=flush)
    await world.open_channel(one, other)
    began = world.now
    assert not (await end.close(timeout=2)).clean
    assert world.now - began <= 2.5
    over.set()
    other.close()


@simulated()
async def test_nobody_is_missed_who_only_says_nothing(world: World) -> None:
    async with two(world) as (here, there):
        await asyncio.sleep(300)
        assert (here.events, there.events) == ([], [])


@simulated()
async def test_a_connection_is_reset_again_and_again(world: World) -> None:
    async with two(world) as (here, there):
        for _ in range(5):
            one, other = world.pair()
            made = asyncio.Event()

            async def make(_: Any, one: Any = one, made: Any = made) -> adieu.RTCPeerConnection:
                one.createDataChannel("chat")
                made.set()
                return one

            here.channel.send("last")
            theirs = asyncio.ensure_future(adieu.once(there.end, "reset"))
            ours = asyncio.ensure_future(here.end.reset(make))
            await theirs
            assert "gone" not in there.events
            reset = asyncio.ensure_future(there.end.reset(lambda _, other=other: other))
            await made.wait()
            world.negotiate(one, other)
            for report in await asyncio.gather(ours, reset):
                assert (list(report.channels), report.missing, report.receipt.clean) == (["chat"], (), True)
                assert report.receipt.reset
            here.channel = (await ours).channels["chat"]
            await until(lambda: here.end.mutual and there.end.mutual)
        assert there.heard == 1
        assert (await here.end.close()).confirmed


@simulated()
async def test_a_reset_waits_for_no_channel_that_has_ended_before(world: World) -> None:
    async with two(world) as (here, there):
        for _ in range(3):
            ours, theirs = await world.open_channel(here.pc, there.pc, "upload")
            ours.close()
            await adieu.once(theirs, "close")
        ours = theirs = None
        await asyncio.sleep(1.5)
        gc.collect()
        kept = [each for each in gc.get_objects() if isinstance(each, adieu.RTCDataChannel) and each.label == "upload"]
        assert kept == []
        one, other = world.pair()
        one.createDataChannel("chat")
        world.negotiate(one, other)
        began = world.now
        reports = asyncio.gather(here.end.reset(lambda _: one), there.end.reset(lambda _: other))
        for report in await reports:
            assert (list(report.channels), report.missing) == (["chat"], ())
        assert world.now - began < 3


@simulated()
async def test_a_reset_after_the_other_side_left_waits_for_its_channels(world: World) -> None:
    async with two(world) as (here, there):
        one, other = world.pair()

        async def make(_: Any) -> adieu.RTCPeerConnection:
            one.createDataChannel("chat")
            world.negotiate(one, other)
            return one

        await asyncio.sleep(1)
        there.pc.close()
        await adieu.once(here.channel, "close")
        assert list((await here.end.reset(make)).channels) == ["chat"]


@simulated()
async def test_a_say_that_fails_is_reported_and_stops_no_close(world: World) -> None:
    def say(_: str) -> None:
        raise OSError("the signaling is down")

    one, other = world.pair()
    failed: list[BaseException | None] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context.get("exception")))
    end, track = adieu.goodbye(one, say=say), AudioSource().track
    end.add(tracks=[track])
    end.said('{"type":"hello","version":1}')
    assert [type(each) for each in failed] == [OSError]
    ends: list[adieu.GoodbyeEvent] = []
    end.on("closed", ends.append)
    receipt = await end.close(timeout=1)
    assert (ends[0].receipt, track.readyState, one.connectionState) == (receipt, "ended", "closed")
    other.close()


@simulated()
async def test_a_queue_that_is_full_stops_no_word(world: World) -> None:
    """All channels of a connection share its queue."""
    async with two(world) as (here, there):
        world.link(delay=0.02, rate=100_000_000)
        sent = 0
        for size in (65_536, 64, 1):
            with contextlib.suppress(adieu.errors.OperationError):
                while True:
                    here.channel.send(bytes(size))
                    sent += 1
        receipt = await here.end.close(timeout=30)
        assert (receipt.clean, receipt.confirmed, receipt.channels[0].delivered) == (True, True, sent)
        assert there.heard == sent


@simulated()
async def test_a_make_that_returns_no_connection_leaves_an_end_and_no_track(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracks = asked(monkeypatch)
    one, other = world.pair()
    end = adieu.goodbye(one, devices={"audio": True})

    async def forgets(_: Any) -> None:
        adieu.RTCPeerConnection().close()

    with pytest.raises(TypeError, match=r"make\(\) returned None: it must return the new RTCPeerConnection"):
        await end.reset(forgets)
    assert [each.readyState for each in tracks] == ["ended"]
    async with asyncio.timeout(1):
        assert await end.close() is end.receipt
    assert end.pc is one
    other.close()


@pytest.mark.parametrize("moment", ["drain", "devices", "make"])
@simulated()
async def test_a_close_during_a_reset_ends_it(world: World, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tracks = asked(monkeypatch)
    one, other = world.pair()
    end, _ = adieu.goodbye(one, devices={"audio": True}), adieu.goodbye(other)
    await world.open_channel(one, other)
    await until(lambda: end.mutual)
    made: list[adieu.RTCPeerConnection] = []

    async def make(_: Any) -> adieu.RTCPeerConnection:
        made.append(adieu.RTCPeerConnection())
        await asyncio.sleep(0.1)
        return made[0]

    reset = asyncio.ensure_future(end.reset(make))
    await asyncio.sleep(0)
    await until(lambda: {"drain": end.pc, "devices": end.receipt, "make": made}[moment])
    receipt = await end.close()
    with pytest.raises(adieu.errors.AbortError, match=r"close\(\) was called during the reset"):
        await reset
    assert end.receipt is receipt
    assert (len(tracks), len(made)) == {"drain": (0, 0), "devices": (1, 0), "make": (1, 1)}[moment]
    assert {each.readyState for each in tracks} <= {"ended"}
    assert {each.connectionState for each in made} <= {"closed"}
    other.close()


def asked(monkeypatch: pytest.MonkeyPatch) -> list[adieu.MediaStreamTrack]:
    """Have devices that are always there; return the tracks that they gave."""
    tracks: list[adieu.MediaStreamTrack] = []

    async def get_user_media(_: Any) -> adieu.MediaStream:
        await asyncio.sleep(0.1)
        tracks.append(AudioSource().track)
        return adieu.MediaStream(tracks[-1:])

    monkeypatch.setattr("adieu.farewell.end.mediaDevices", SimpleNamespace(getUserMedia=get_user_media))
    return tracks


@simulated()
async def test_leaving_is_said_over_the_signaling_of_a_connection_without_data(world: World) -> None:
    one, other = world.pair()
    there = adieu.goodbye(other)
    causes: list[str] = []
    there.on("gone", lambda event: causes.append(event.cause))
    adieu.goodbye(one, say=there.said)
    one.addTransceiver("audio")
    await negotiated(one, other)
    world.network.cut("10.0.0.1", True)  # nothing else tells of it
    one.close()
    await asyncio.sleep(1)
    assert causes == ["left"]
    other.close()


@simulated()
async def test_nobody_waits_for_an_event_of_a_connection_that_is_closed(world: World) -> None:
    async with two(world) as (here, there):
        waits = [asyncio.ensure_future(adieu.once(here.end, name)) for name in ("gone", "closing", "closed")]
        theirs = asyncio.ensure_future(adieu.once(there.end, "gone"))
        await asyncio.sleep(0)
        await here.end.close()
        async with asyncio.timeout(5):
            gone, closing, closed = await asyncio.gather(*waits, return_exceptions=True)
            with pytest.raises(adieu.errors.AbortError, match="the connection is closed"):
                await theirs
        assert closed.receipt is here.end.receipt
        assert {type(gone), type(closing)} == {adieu.errors.AbortError}
        with pytest.raises(adieu.errors.InvalidStateError, match="the connection is closed"):
            await adieu.once(here.end, "gone")
        # A reset makes another connection, and its events come.
        one, other = world.pair()
        await here.end.reset(lambda _: one, timeout=0.1)
        waits = [asyncio.ensure_future(adieu.once(here.end, name)) for name in ("closed", "gone")]
        await asyncio.sleep(0)
        one.close()
        async with asyncio.timeout(5):
            closed, gone = await asyncio.gather(*waits, return_exceptions=True)
        assert (closed.receipt.cause, type(gone)) == ("left", adieu.errors.AbortError)
        other.close()


@simulated()
async def test_what_a_hostile_peer_says_is_ignored_or_bounded(world: World) -> None:
    async with two(world) as (here, _):
        for text in (
            '{"type":"closed","taken":{"1":5}}',
            '{"type":"done","final":{"1":-1}}',
            '{"type":"hello","version":1}' * 2,
            "[" * 60_000,
            b"\0",
        ):
            here.end.said(text)
        here.end.said(BEGIN % 999_999_999)
        began = world.now
        await until(lambda: here.end.receipt, patience=100)
        assert world.now - began <= 62
        assert all(each.delivered in {None, 0} for each in here.end.receipt.channels)


def test_words_beyond_their_bounds_are_not_words() -> None:
    for text in (
        "",
        "null",
        "{",
        '{"type":"bye","cause":"x"}',
        '{"type":"done","final":{"a":1}}',
        '{"type":"nonsense"}',
        '{"type":"ping"' + " " * 65_536 + "}",
        '{"type":"ping","more":' + "[" * 60_000,
        '{"type":"done","final":{"1":-1}}',
        json.dumps({"type": "closed", "taken": dict.fromkeys(range(1025), 1)}),
        BEGIN.replace('"reason":""', f'"reason":"{"x" * 1025}"') % 1,
        BEGIN.replace("a" * 32, "short") % 1,
    ):
        assert decode(text) is None, text[:80]
    assert decode(BEGIN % 1) is not None
    assert decode(b"{}") is None


@simulated()
async def test_twice_for_one_connection_is_the_same(world: World) -> None:
    async with two(world) as (here, _):
        assert adieu.goodbye(here.pc) is here.end


@simulated()
async def test_a_connection_of_a_session_is_refused(world: World) -> None:
    one, other = world.pair()
    one.createDataChannel("adieu", negotiated=True, id=0, protocol="adieu.v1")
    with pytest.raises(TypeError, match="close the session instead"):
        adieu.goodbye(one)
    one.close()
    other.close()


def test_nothing_is_left_of_a_connection_that_was_closed() -> None:
    @simulated()
    async def closed(world: World) -> None:
        async with two(world) as (here, _):
            await here.end.close()

    closed()
    gc.collect()
    kinds = (adieu.RTCPeerConnection, adieu.Goodbye)
    assert not [thing for thing in gc.get_objects() if isinstance(thing, kinds)]
