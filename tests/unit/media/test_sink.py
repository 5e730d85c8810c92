"""AudioSink over a core without Rust."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest

from adieu import NotSupportedError
from adieu.media import AudioFrame, AudioSink, AudioSource
from support.fake_media import FakeCore, fake_core, remote_track

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio


@pytest.fixture
async def core() -> Iterator[FakeCore]:  # type: ignore[misc]
    with fake_core() as made:
        yield made


async def read(sink: AudioSink) -> list[AudioFrame]:
    return [frame async for frame in sink]


async def test_frames_come_with_their_time_and_end_with_the_track(core: FakeCore) -> None:
    remote = remote_track(core)
    sink = AudioSink(remote.track, sample_rate=16000)  # type: ignore[arg-type]
    reading = asyncio.create_task(read(sink))
    await asyncio.sleep(0)
    core.sinks[0].push()
    await asyncio.sleep(0)
    core.sinks[0].push(concealed=160)
    core.sinks[0].push()
    remote.end()  # what has come before is still read
    frames = await asyncio.wait_for(reading, 1)
    assert [frame.time for frame in frames] == [0, 0.02, 0.04]
    assert [frame.concealed for frame in frames] == [0.0, 0.01, 0.0]
    assert {(len(frame.data), frame.samples, frame.duration) for frame in frames} == {(640, 320, 0.02)}
    assert not core.driver.handles.media  # type: ignore[union-attr]
    assert core.sinks[0].receiver == 7


async def test_a_sink_of_an_ended_track_ends_at_once(core: FakeCore) -> None:
    remote = remote_track(core)
    remote.stop()
    assert await asyncio.wait_for(read(AudioSink(remote.track)), 1) == []  # type: ignore[arg-type]


async def test_the_programs_own_stop_ends_a_sink(core: FakeCore) -> None:
    remote = remote_track(core)
    reading = asyncio.create_task(read(AudioSink(remote.track)))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    remote.track.stop()  # type: ignore[union-attr]
    assert await asyncio.wait_for(reading, 1) == []


async def test_close_ends_the_readers_and_gives_the_decoder_back(core: FakeCore) -> None:
    remote = remote_track(core)
    sink = AudioSink(remote.track)  # type: ignore[arg-type]
    readings = [asyncio.create_task(read(sink)) for _ in range(2)]
    await asyncio.sleep(0)
    core.sinks[0].frames.append((b"", 0.0, 0))
    sink.close()
    sink.close()
    assert await asyncio.wait_for(asyncio.gather(*readings), 1) == [[], []]
    assert core.sinks[0].closed
    assert not remote.when_stopped
    assert not core.driver.handles.media  # type: ignore[union-attr]


async def test_a_sink_that_is_dropped_decodes_nothing(core: FakeCore) -> None:
    remote = remote_track(core)
    sink = AudioSink(remote.track)  # type: ignore[arg-type]
    core.sinks[0].push()
    async for frame in sink:
        assert frame.samples == 960
        break
    del sink
    gc.collect()
    assert core.sinks[0].closed
    assert not remote.when_stopped


async def test_a_reader_that_is_cancelled_loses_no_frame(core: FakeCore) -> None:
    remote = remote_track(core)
    sink = AudioSink(remote.track)  # type: ignore[arg-type]
    reading = asyncio.create_task(anext(sink))
    await asyncio.sleep(0)
    core.sinks[0].push(sample=3)
    reading.cancel()
    await asyncio.wait([reading])
    assert (await anext(sink)).data[:2] == b"\x03\x00"


async def test_a_track_that_is_not_enabled_gives_silence(core: FakeCore) -> None:
    remote = remote_track(core)
    sink = AudioSink(remote.track)  # type: ignore[arg-type]
    remote.track.enabled = False  # type: ignore[union-attr]
    core.sinks[0].push(sample=3)
    assert (await anext(sink)).data == bytes(1920)


async def test_what_a_slow_reader_leaves_is_dropped_and_counted(core: FakeCore) -> None:
    sink = AudioSink(remote_track(core).track, max_seconds=0.1)  # type: ignore[arg-type]
    for _ in range(8):
        core.sinks[0].push()
    assert sink.dropped == pytest.approx(0.06)


async def test_only_a_remote_audio_track_can_be_heard(core: FakeCore) -> None:
    wrong: Any = "microphone"
    with pytest.raises(TypeError, match="'microphone' is not a MediaStreamTrack"):
        AudioSink(wrong)
    with pytest.raises(TypeError, match="has no sound: a VideoSink takes it"):
        AudioSink(remote_track(core, "video").track)  # type: ignore[arg-type]
    with pytest.raises(NotSupportedError, match="not a remote track"):
        AudioSink(AudioSource().track)


@pytest.mark.parametrize(
    "options",
    [
        {"sample_rate": 7999},
        {"channels": 0},
        {"frame_ms": 25},
        {"frame_ms": 200},
        {"max_seconds": 0.01},
        {"max_seconds": 11},
    ],
)
async def test_a_number_out_of_range_is_named(core: FakeCore, options: dict[str, float]) -> None:
    name, value = next(iter(options.items()))
    with pytest.raises(ValueError, match=f"{name}={value}"):
        AudioSink(remote_track(core).track, **options)  # type: ignore[arg-type]
