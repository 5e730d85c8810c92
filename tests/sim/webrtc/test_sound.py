"""Sound over whole stacks in virtual time: the sources, the codec, RTP, the playout, and the W3C's objects above."""

from __future__ import annotations

import asyncio
from array import array
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from adieu import InvalidStateError, once
from adieu.media import AudioSink, AudioSource
from adieu.testing import ToneReader, tones
from support.virtual import simulated

if TYPE_CHECKING:
    from adieu import MediaStreamTrack, RTCPeerConnection
    from adieu.testing import World


class Ear:
    """Hears a track from now on: the tones, and when there was sound."""

    def __init__(self, world: World, track: MediaStreamTrack, **options: Any) -> None:
        self.world = world
        self.sink = AudioSink(track, sample_rate=8000, **options)
        self.reader = ToneReader()
        self.frames: list[Any] = []
        self.task = asyncio.create_task(self._hear())

    async def _hear(self) -> None:
        async for frame in self.sink:
            self.frames.append(frame)
            self.reader.feed(frame.data, self.world.now)

    @property
    def numbers(self) -> list[int]:
        return [tone.number for tone in self.reader.heard]

    @property
    def quiet_for(self) -> float:
        """Seconds since the last sound."""
        return self.world.now - (self.reader.last_sound or 0.0)


async def call(world: World, *, link: dict[str, float] | None = None) -> tuple[Any, Any, AudioSource, Ear]:
    """Two connected connections, the first of which speaks to the second."""
    if link:
        world.link(**link)
    one, two = world.hosts()
    here, there = world.connection(one), world.connection(two)
    with one.use():
        speech = AudioSource(sample_rate=24000)
    here.addTrack(speech.track)
    came = asyncio.ensure_future(once(there, "track"))
    await world.connect(here, there)
    event = await came
    return here, there, speech, Ear(world, event.track)


async def until(condition: Any, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@simulated()
async def test_what_is_spoken_is_heard_once_and_in_order(world):
    here, there, speech, ear = await call(world, link={"delay": 0.02})
    began = world.now
    await speech.write(tones(500, sample_rate=24000))  # 20 s
    await speech.drained()
    assert world.now - began == pytest.approx(20, abs=0.1)
    await asyncio.sleep(0.3)
    assert len(set(ear.numbers)) >= 0.995 * 500
    assert ear.numbers == sorted(ear.numbers)
    delays = [tone.time - began - 0.04 * tone.number - 0.02 for tone in ear.reader.heard]
    assert max(delays) < 0.15, max(delays)
    assert sum(frame.concealed for frame in ear.frames) < 0.1
    for one, other in pairwise(ear.frames):
        assert other.time - one.time == pytest.approx(0.02)
    for pc in (here, there):
        pc.close()
    await asyncio.wait_for(ear.task, 1)


@simulated()
async def test_a_program_that_stands_still_makes_no_gap(world):
    _, _, speech, ear = await call(world)
    writer = world.loop.programs[0] if hasattr(world, "loop") else None
    await speech.write(tones(60, sample_rate=24000))  # 2.4 s
    if writer is not None:
        writer.stop()
        await asyncio.sleep(0.8)
        writer.go_on()
    await asyncio.sleep(2.5)
    assert len(set(ear.numbers)) >= 59


@simulated()
async def test_who_speaks_is_known_for_ten_seconds(world):
    here, there, speech, _ear = await call(world)
    [receiver] = there.getReceivers()
    await speech.write(tones(25, sample_rate=24000))  # 1 s
    await speech.drained()
    [source] = receiver.getSynchronizationSources()
    clock = there._internals.driver.clock
    assert source.timestamp == pytest.approx(clock.now(), abs=100)
    assert 0.1 < source.audioLevel < 0.5
    [sent] = [stats for stats in (await here.getStats()).values() if stats["type"] == "outbound-rtp"]
    assert source.source == sent["ssrc"]
    here.close()
    last = receiver.getSynchronizationSources()[0].timestamp
    await asyncio.sleep(9)
    assert [one.timestamp for one in receiver.getSynchronizationSources()] == [pytest.approx(last, abs=1)]
    await asyncio.sleep(1.5)
    assert receiver.getSynchronizationSources() == []


@simulated()
async def test_the_track_unmutes_with_the_first_packet_and_mutes_with_bye(world):
    here, there, _speech, ear = await call(world)
    track = there.getReceivers()[0].track
    told: list[str] = []
    for name in ("mute", "unmute", "ended"):
        track.addEventListener(name, lambda event: told.append(event.type))
    await until(lambda: not track.muted)
    here.close()
    await until(lambda: track.muted)
    assert track.readyState == "live"  # closing rule 63
    there.close()
    await asyncio.wait_for(ear.task, 1)
    assert told in (["unmute", "mute", "ended"], ["mute", "ended"])


@simulated()
async def test_a_clone_is_heard_and_ends_with_the_connection(world):
    """Closing rules 7 and 35: whoever reads a clone does not wait for ever."""
    _here, there, speech, ear = await call(world)
    clone = there.getReceivers()[0].track.clone()
    other = Ear(world, clone)
    await speech.write(bytes(2 * 24000))
    await until(lambda: not clone.muted and other.frames)
    there.close()
    await asyncio.wait_for(other.task, 1)
    await asyncio.wait_for(ear.task, 1)
    assert clone.readyState == "ended"


@simulated()
async def test_a_track_not_enabled_sends_silence_as_its_queue_runs(world):
    _, _, speech, ear = await call(world)
    await speech.write(tones(100, sample_rate=24000))
    await until(lambda: len(ear.numbers) > 10)
    speech.track.enabled = False
    await asyncio.sleep(0.3)
    before = len(ear.numbers)
    await asyncio.sleep(0.6)
    assert len(ear.numbers) == before
    assert ear.quiet_for > 0.5
    speech.track.enabled = True
    await asyncio.sleep(0.5)
    assert ear.numbers[before] - ear.numbers[before - 1] > 15  # what was queued meanwhile was not held back
    assert len(ear.numbers) > before + 5


@simulated()
async def test_clear_is_heard_at_once_and_the_next_words_are_whole(world):
    _, _, speech, ear = await call(world)
    await speech.write(tones(125, sample_rate=24000))
    await until(lambda: len(ear.numbers) > 20)
    before, spoken = world.now, speech.position
    dropped = speech.clear()
    assert dropped == pytest.approx(5.0 - spoken, abs=0.06)
    await asyncio.sleep(0.5)
    assert ear.reader.last_sound is not None
    assert ear.reader.last_sound - before < 0.15
    assert speech.position - spoken <= 0.04
    heard = len(ear.numbers)
    await speech.write(tones(25, first=45, sample_rate=24000))
    await speech.drained()
    await asyncio.sleep(0.3)
    after = [number % 64 for number in ear.numbers[heard:]]
    assert len(set(after) & {number % 64 for number in range(45, 70)}) >= 24


@simulated()
async def test_drained_with_arrival_waits_for_the_report_of_the_other_side(world):
    _, _, speech, _ = await call(world, link={"delay": 0.1})
    await speech.write(tones(25, sample_rate=24000))
    await speech.drained()
    left = world.now
    async with asyncio.timeout(10):
        await speech.drained(arrived=True)
    assert world.now - left > 0.1  # the way there, and the report's way back


@simulated()
async def test_replace_track_goes_on_with_another_source(world):
    here, _, speech, ear = await call(world)
    with here._internals.driver.use():
        other = AudioSource(sample_rate=16000)
    await speech.write(tones(50, sample_rate=24000))
    await until(lambda: len(ear.numbers) > 20)
    sender = here.getSenders()[0]
    await sender.replaceTrack(None)
    await asyncio.sleep(0.5)
    assert ear.quiet_for > 0.3
    with pytest.raises(InvalidStateError):
        await speech.write(bytes(2))
    await sender.replaceTrack(other.track)
    await other.write(tones(50, first=100, sample_rate=16000))
    await asyncio.sleep(2.5)
    after = {number % 64 for number in ear.numbers[25:]}
    assert len(after & {number % 64 for number in range(100, 150)}) >= 45


@simulated()
async def test_everything_that_waits_ends_when_the_connection_is_closed(world):
    here, there, speech, ear = await call(world)
    writing = asyncio.create_task(speech.write(bytes(2 * 24000 * 30)))
    draining = asyncio.create_task(speech.drained(arrived=True))
    await asyncio.sleep(0.2)
    here.close()
    for task in (writing, draining):
        with pytest.raises(InvalidStateError, match="closed"):
            await asyncio.wait_for(task, 1)
    there.close()
    await asyncio.wait_for(ear.task, 1)
    assert not here._internals.driver.handles.media
    assert not there._internals.driver.handles.media


@simulated()
async def test_everything_that_waits_ends_when_the_other_side_stops_the_transceiver(world):
    """Closing rules S9 and S11: `pc.close()` could not reach it either, for it has left the set."""
    here, there, speech, ear = await call(world)
    transceiver = here.getTransceivers()[0]
    writing = asyncio.create_task(speech.write(bytes(2 * 24000 * 30)))
    draining = asyncio.create_task(speech.drained(arrived=True))
    await asyncio.sleep(0.2)
    there.getTransceivers()[0].stop()
    for task in (writing, draining):
        with pytest.raises(InvalidStateError, match="no connection sends this sound"):
            await asyncio.wait_for(task, 1)
    await asyncio.wait_for(ear.task, 1)
    assert transceiver.stopped and here.getTransceivers() == []
    await here.addTransceiver("audio", {"direction": "sendonly"}).sender.replaceTrack(speech.track)
    await asyncio.wait_for(speech.write(bytes(4800)), 1)  # another sender takes the source


@simulated()
async def test_a_source_is_let_go_when_a_rollback_removes_its_transceiver(world):
    here, there = world.pair()
    here.addTransceiver("audio")
    with there._internals.driver.use():
        speech = AudioSource(sample_rate=24000)
    await here.setLocalDescription()
    await there.setRemoteDescription(here.localDescription)
    await there.getTransceivers()[0].sender.replaceTrack(speech.track)
    writing = asyncio.create_task(speech.write(bytes(2 * 24000 * 30)))
    await asyncio.sleep(0.1)
    await there.setRemoteDescription({"type": "rollback"})
    with pytest.raises(InvalidStateError, match="no connection sends this sound"):
        await asyncio.wait_for(writing, 1)


@simulated()
async def test_the_statistics_of_both_sides_agree(world):
    here, there, speech, _ear = await call(world)
    await speech.write(tones(100, sample_rate=24000))
    await asyncio.sleep(5.0)
    sent = by_type(await here.getSenders()[0].getStats())
    got = by_type(await there.getReceivers()[0].getStats())
    outbound, inbound = sent["outbound-rtp"], got["inbound-rtp"]
    assert outbound["packetsSent"] >= 200
    assert 0 <= outbound["packetsSent"] - inbound["packetsReceived"] <= 2
    assert inbound["packetsLost"] == 0
    assert inbound["totalSamplesReceived"] > 0
    assert inbound["trackIdentifier"] == there.getReceivers()[0].track.id
    assert sent["remote-inbound-rtp"]["localId"] == outbound["id"]
    assert sent["remote-inbound-rtp"]["packetsLost"] == 0
    assert sent["media-source"]["totalSamplesDuration"] == pytest.approx(5, abs=0.5)
    assert sent["codec"]["mimeType"] == got["codec"]["mimeType"] == "audio/opus"
    for report in (sent, got):
        assert {stats["type"] for stats in report.values()} >= {"transport", "codec"}


def by_type(report: Any) -> dict[str, Any]:
    return {stats["type"]: stats for stats in report.values()}


@simulated()
async def test_a_negotiation_that_is_rolled_back_makes_no_gap(world):
    here, there, speech, ear = await call(world)
    await speech.write(tones(200, sample_rate=24000))
    await until(lambda: len(ear.numbers) > 20)
    there.onnegotiationneeded = here.onnegotiationneeded = None
    there.addTransceiver("video")
    await there.setLocalDescription()
    await asyncio.sleep(0.5)
    await there.setLocalDescription({"type": "rollback"})
    await asyncio.sleep(1.0)
    numbers = ear.numbers[10:]
    assert all(after - before <= 2 for before, after in pairwise(numbers)), numbers


@simulated()
async def test_lost_packets_are_repaired_or_made_up_and_the_delay_comes_back(world):
    _, _, speech, ear = await call(world, link={"delay": 0.025, "loss": 0.05})
    began = world.now
    writing = asyncio.create_task(speech.write(tones(1500, sample_rate=24000)))
    await asyncio.sleep(60)
    writing.cancel()
    assert len(set(ear.numbers)) >= 0.97 * 1450
    concealed = sum(frame.concealed for frame in ear.frames) / 60
    assert concealed <= 0.05, concealed
    late = [tone.time - began - 0.04 * tone.number - 0.02 for tone in ear.reader.heard if tone.time - began > 50]
    assert max(late) < 0.25, max(late)


async def play(pc: RTCPeerConnection, digits: str) -> list[str]:
    heard: list[str] = []
    sender = pc.getSenders()[0].dtmf
    assert sender is not None
    sender.ontonechange = lambda event: heard.append(event.tone)
    sender.insertDTMF(digits)
    await asyncio.sleep(2)
    return heard


@simulated()
async def test_tones_of_a_telephone_are_sent_and_told(world):
    here, there, _speech, _ear = await call(world)
    tones_heard: list[tuple[str, float]] = []
    there.getReceivers()[0].track.ontone = lambda event: tones_heard.append((event.tone, event.duration))
    assert await play(here, "12#") == ["1", "2", "#", ""]
    assert [tone for tone, _ in tones_heard] == ["1", "2", "#"]
    assert all(duration == pytest.approx(0.1, abs=0.03) for _, duration in tones_heard)
    there.getReceivers()[0].track.stop()
    assert await play(here, "3") == ["3", ""]
    assert len(tones_heard) == 3  # the track has ended


@simulated()
async def test_a_flood_of_tones_is_bounded_and_their_duration_too(world):
    _here, there, _speech, _ear = await call(world)
    told: list[tuple[str, float]] = []
    track = there.getReceivers()[0].track
    track.addEventListener("tone", lambda event: told.append((event.tone, event.duration)))
    [handler] = [end for end in there._internals.driver.handles.media.values() if hasattr(end, "handle_tone")]
    for _ in range(1000):
        handler.handle_tone("1", 65535.0)
    assert told == [("1", 8.2)] * 32
    await asyncio.sleep(1.0)
    for _ in range(1000):
        handler.handle_tone("2", 0.1)
    assert told[32:] == [("2", 0.1)] * 20


@simulated()
async def test_a_sink_may_begin_late_and_have_two_channels(world):
    one, two = world.hosts()
    here, there = world.connection(one), world.connection(two)
    with one.use():
        speech = AudioSource(channels=2)
    here.addTrack(speech.track)
    came = asyncio.ensure_future(once(there, "track"))
    await world.connect(here, there)
    event = await came
    left = array("h", [8000, 0] * 48000)
    await speech.write(left)
    await asyncio.sleep(1.5)
    ear = AudioSink(event.track, channels=2)
    await speech.write(left)
    frame = await anext(ear)
    assert frame.channels == 2
    assert frame.samples == 960
