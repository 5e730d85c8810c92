"""Packets of Opus that a program has ready, in virtual time: sent as they are, decoded by the other side."""

from __future__ import annotations

import asyncio
from array import array
from typing import Any

import pytest

import adieu
from adieu.media import AudioSink, AudioSource, EncodedFrame, EncodedSource, encoded
from adieu.testing import ToneReader, tones
from sim.stack.test_sound import Listener, until
from support.virtual import simulated

RATE = 48_000


def opus(count: int) -> list[bytes]:
    """So many numbered tones as packets of 20 ms, two of a tone."""
    av = pytest.importorskip("av")
    encoder: Any = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = RATE, "mono", "s16", 48_000
    sound, packets = array("h", tones(count, sample_rate=RATE)), []
    for at in range(0, len(sound), 960):
        frame = av.AudioFrame(format="s16", layout="mono", samples=960)
        frame.planes[0].update(sound[at : at + 960].tobytes())
        frame.sample_rate, frame.pts = RATE, at
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets


def ready(peer: Any, **options: float) -> Any:
    with peer.use():
        return EncodedSource("audio/opus", **options)


@simulated()
async def test_packets_that_are_ready_are_heard_in_their_time_and_the_last_one_before_the_end(world):
    packets = opus(50)  # 2 s
    async with world.sessions() as pair:
        ear = Listener(world, pair.second)
        voice = ready(pair.ada)
        pair.first.add_track(voice.track)
        await voice.write(*packets[:50])
        assert voice.queued == pytest.approx(1.0)
        await voice.drained(arrived=True)
        assert 0.9 < voice.position <= 1.0
        for packet in packets[50:]:
            assert voice.send(packet)
        began = world.now
        receipt = await pair.first.close("bye", timeout=8.0)
        assert 0.9 < world.now - began < 3.0
        assert len(ear.numbers) >= 48 and 49 in ear.numbers
        [account] = receipt.media.values()
        assert account.sent.packets >= 100 and account.sent.unsent == 0


@simulated()
async def test_a_queue_of_packets_is_bounded_and_dropped_at_once(world):
    packets = opus(60)
    async with world.sessions() as pair:
        ear = Listener(world, pair.second)
        voice = ready(pair.ada, max_seconds=0.5)
        pair.first.add_track(voice.track)
        await until(lambda: ear.tracks)
        began = world.now
        await voice.write(*packets)
        assert 1.7 < world.now - began < 2.2, "it waits for room"
        waits = asyncio.create_task(voice.write(*packets))
        await asyncio.sleep(0.3)
        assert not voice.send(packets[0]), "a write comes first"
        dropped = voice.clear()
        await waits
        assert 0.2 < dropped <= 0.5 and voice.queued == 0
        while voice.send(packets[0]):
            assert voice.queued <= 0.5
        voice.track.stop()
        with pytest.raises(adieu.InvalidStateError, match="make another EncodedSource"):
            voice.send(packets[0])


@simulated()
async def test_what_is_no_packet_of_opus_is_refused_by_name_and_so_is_another_codec(world):
    packets = opus(60)
    one, two = world.hosts()
    here, there = world.connection(one), world.connection(two)
    voice = ready(one, max_seconds=1.0)
    with pytest.raises(ValueError, match="packet 1, of 0 bytes, is no packet of Opus"):
        await voice.write(packets[0], b"")
    with pytest.raises(ValueError, match="1200 bytes: at most 1100"):
        voice.send(bytes(1200))
    with pytest.raises(TypeError):
        voice.send("text")
    assert voice.queued == 0
    here.addTrack(voice.track)
    [transceiver] = here.getTransceivers()
    codecs = transceiver.sender.getCapabilities("audio").codecs
    transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == "audio/PCMU"])
    waits = asyncio.create_task(voice.write(*packets))
    await world.connect(here, there)
    with pytest.raises(adieu.NotSupportedError, match="sends PCMU, and this source has opus"):
        await waits
    with pytest.raises(adieu.NotSupportedError, match="setCodecPreferences"):
        voice.send(packets[0])


@simulated()
async def test_a_ready_voice_takes_the_place_of_one_that_speaks_and_gives_it_back(world):
    one, two = world.hosts()
    here, there = world.connection(one), world.connection(two)
    with one.use():
        speech = AudioSource(sample_rate=RATE)
    voice = ready(one)
    sender = here.addTrack(speech.track)
    came = asyncio.ensure_future(adieu.once(there, "track"))
    await world.connect(here, there)
    readers = [ToneReader(8000)]

    async def hear(track):
        async for frame in AudioSink(track, sample_rate=8000):
            readers[-1].feed(frame.data, world.now)

    task = asyncio.create_task(hear((await came).track))
    for source, sound in (
        (speech, tones(25, sample_rate=RATE)),
        (voice, opus(25)),
        (speech, tones(25, sample_rate=RATE)),
    ):
        await sender.replaceTrack(source.track)
        await (source.write(*sound) if source is voice else source.write(sound))
        await source.drained()
        await asyncio.sleep(0.5)
        readers.append(ToneReader(8000))
    counts = [len(reader.heard) for reader in readers[:3]]
    assert min(counts) >= 23, counts
    task.cancel()


@simulated()
async def test_sound_is_passed_on_to_another_connection_as_it_came(world):
    one, middle, two = world.hosts(3)
    here, inlet, outlet, there = (world.connection(peer) for peer in (one, middle, middle, two))
    voice = ready(one)
    here.addTrack(voice.track)
    came = asyncio.ensure_future(adieu.once(inlet, "track"))
    await world.connect(here, inlet)
    event, packets = await came, opus(50)
    frames, sink = encoded(event.receiver), AudioSink(event.track, 8000)
    out = ready(middle)
    outlet.addTrack(out.track)
    came = asyncio.ensure_future(adieu.once(there, "track"))
    await world.connect(outlet, there)
    passed: list[EncodedFrame] = []
    readers = [ToneReader(8000), ToneReader(8000)]

    async def pass_on() -> None:
        async for frame in frames:
            passed.append(frame)
            assert out.send(frame)

    async def hear(ear: AudioSink, reader: ToneReader) -> None:
        async for frame in ear:
            reader.feed(frame.data, world.now)

    tasks = [asyncio.create_task(pass_on()), asyncio.create_task(hear(sink, readers[0]))]
    tasks.append(asyncio.create_task(hear(AudioSink((await came).track, 8000), readers[1])))
    await voice.write(*packets)
    await until(lambda: readers[1].heard and readers[1].heard[-1].number == 49)
    assert [frame.data for frame in passed] == packets
    assert {(frame.mime_type, frame.key) for frame in passed} == {("audio/opus", True)}
    assert [frame.id - passed[0].id for frame in passed] == list(range(100))
    assert passed[-1].time - passed[0].time == pytest.approx(99 * 0.02, abs=0.03)
    assert all(len({tone.number for tone in reader.heard}) >= 49 for reader in readers)
    frames.request_key()  # nothing to ask for
    for pc in (here, inlet, outlet, there):
        pc.close()
    await asyncio.wait_for(asyncio.gather(*tasks), 1)


@simulated()
async def test_packets_that_are_lost_are_missing_and_those_that_nobody_reads_are_dropped(world):
    one, two = world.hosts()
    here, there = world.connection(one), world.connection(two)
    with one.use():
        speech = AudioSource(sample_rate=8000)
    here.addTrack(speech.track)
    [transceiver] = here.getTransceivers()
    codecs = transceiver.sender.getCapabilities("audio").codecs
    transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == "audio/PCMU"])
    came = asyncio.ensure_future(adieu.once(there, "track"))
    await world.connect(here, there)
    frames = encoded((await came).track)
    writing = asyncio.create_task(speech.write(tones(100, sample_rate=8000)))  # 4 s
    first = await anext(frames)
    assert (first.mime_type, len(first.data)) == ("audio/PCMU", 160)
    voice = ready(one)
    with pytest.raises(ValueError, match="a frame of audio/PCMU for a source of audio/opus"):
        voice.send(first)
    with pytest.raises(ValueError, match="a frame of audio/PCMU"):
        await voice.write(opus(1)[0], first)
    assert voice.queued == 0
    world.link(loss=1.0)
    await asyncio.sleep(0.2)
    world.link()
    ids = [(await anext(frames)).id for _ in range(30)]
    assert ids == sorted(set(ids))
    assert 8 <= ids[-1] - first.id - len(ids) <= 12, "what was lost leaves a gap"
    await asyncio.sleep(2.0)  # nobody reads: 50 wait
    there.close()
    kept = [frame.id async for frame in frames]
    assert kept == list(range(kept[-1] - 49, kept[-1] + 1))
    assert frames.dropped == kept[0] - ids[-1] - 1 > 40
    writing.cancel()
