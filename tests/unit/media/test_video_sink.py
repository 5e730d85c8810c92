"""VideoSink and `encoded` over a core without Rust, with real decoders."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from typing import TYPE_CHECKING, Any

import av
import pytest

from adieu import NotSupportedError
from adieu.media import EncodedFrame, EncodedSource, VideoFrame, VideoSink, encoded
from adieu.media.decoder import Decoder
from adieu.media.encoder import Encoder, Wanted
from adieu.media.workers import WORKERS
from adieu.testing.pictures import number_of, numbered
from support.fake_media import FakeCore, fake_core, no_threads, remote_track

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio


@pytest.fixture
async def core() -> Iterator[FakeCore]:  # type: ignore[misc]
    with fake_core() as made:
        yield made


def encoded_pictures(
    count: int, codec: str = "VP8", width: int = 128, height: int = 96, key_each: int = 10**6
) -> list[tuple[bytes, bool]]:
    encoder, frames = Encoder(), []
    for number in range(count):
        wanted = Wanted(codec, "", 1_000_000, 1.0, number % key_each == 0)
        frames += encoder.encode(numbered(number, width, height), number / 30, wanted)
    return [(frame.data, frame.key) for frame in frames]


def number(frame: VideoFrame) -> int | None:
    plane = frame.picture.planes[0]
    return number_of(bytes(plane), plane.line_size)


async def until(condition: Any, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.mark.parametrize("codec", ["VP8", "H264"])
async def test_pictures_come_with_their_time_and_end_with_the_track(core: FakeCore, codec: str) -> None:
    remote = remote_track(core, "video")
    sink = VideoSink(remote.track, queue=100)  # type: ignore[arg-type]
    seen: list[VideoFrame] = []

    async def read() -> None:
        seen.extend([frame async for frame in sink])

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    for data, key in encoded_pictures(30, codec):
        core.frame_sinks[0].push(data, codec=codec, key=key)
    remote.end()  # what has come before is still read
    await asyncio.wait_for(reading, 10)
    assert [number(frame) for frame in seen] == list(range(30))
    assert [frame.time for frame in seen] == pytest.approx([index / 30 for index in range(30)])
    assert {(frame.width, frame.height, frame.format, frame.shape) for frame in seen} == {
        (128, 96, "rgb24", (96, 128, 3))
    }
    assert sink.dropped == 0
    figures = remote.source.decoder
    assert (figures["frames_decoded"], figures["key_frames_decoded"], figures["frame_width"]) == (30, 1, 128)


@pytest.mark.parametrize("format_", ["rgb24", "bgr24", "rgba", "bgra", "gray", "yuv420p"])
async def test_pixels_come_in_the_format_that_is_asked_for(core: FakeCore, format_: str) -> None:
    sink = VideoSink(remote_track(core, "video").track, format=format_)  # type: ignore[arg-type]
    # 130 pixels: the lines of the decoder are longer
    for data, key in encoded_pictures(1, width=130, height=98):
        core.frame_sinks[0].push(data, key=key)
    frame = await asyncio.wait_for(anext(sink), 10)
    pixels = 130 * 98
    assert len(frame.data) == pixels * {"rgb24": 3, "bgr24": 3, "gray": 1, "yuv420p": 1.5}.get(format_, 4)
    whole = memoryview(frame.data).cast("B", frame.shape)
    assert whole.shape == frame.shape
    if format_ in {"gray", "yuv420p"}:
        assert number_of(frame.data, 130) == 0
    else:
        first = frame.data[: len(frame.data) // pixels]
        assert all(level < 10 for level in first[:3])  # the first block is black
        assert bytes(first[3:]) in {b"", b"\xff"}


@pytest.mark.parametrize("size", [(129, 97), (129, 96), (128, 97)])
async def test_an_odd_picture_in_planes_has_even_sides(
    core: FakeCore, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    """The other side may show a window of any size: the last line or column is left out, as U and V have half of it."""
    pictures = [av.VideoFrame(1, 40, "yuv420p"), numbered(5, *size)]
    monkeypatch.setattr(Decoder, "decode", lambda *_args, **_options: pictures.pop(0))
    sink = VideoSink(remote_track(core, "video").track, format="yuv420p")  # type: ignore[arg-type]
    for _ in range(2):
        core.frame_sinks[0].push(b"", key=True)
    frame = await asyncio.wait_for(anext(sink), 10)
    assert (frame.width, frame.height, frame.shape) == (128, 96, (144, 128))
    assert (frame.picture.width, frame.picture.height) == size
    assert memoryview(frame.data).cast("B", frame.shape).shape == frame.shape
    assert number_of(frame.data, 128) == 5
    assert frame.data[128 * 96 :] == bytes([128]) * (2 * 64 * 48)


async def test_numpy_sees_the_pixels_without_a_copy(core: FakeCore) -> None:
    numpy = pytest.importorskip("numpy")
    sink = VideoSink(remote_track(core, "video").track, format="bgr24")  # type: ignore[arg-type]
    for data, key in encoded_pictures(1):
        core.frame_sinks[0].push(data, key=key)
    frame = await asyncio.wait_for(anext(sink), 10)
    assert frame.array.shape == (96, 128, 3)
    assert frame.array.dtype == numpy.uint8
    frame.array[0, 0] = (1, 2, 3)
    assert frame.data[:3] == b"\x01\x02\x03"


async def test_a_slow_reader_gets_the_newest(core: FakeCore) -> None:
    remote = remote_track(core, "video")
    sink = VideoSink(remote.track)  # type: ignore[arg-type]
    for data, key in encoded_pictures(20):
        core.frame_sinks[0].push(data, key=key)
        await asyncio.sleep(0.001)
    await until(lambda: not core.frame_sinks[0].frames and remote.source.decoder.get("frames_decoded") == 20)
    assert number(await asyncio.wait_for(anext(sink), 10)) == 19
    assert sink.dropped == 19


async def test_a_damaged_frame_asks_for_a_key_frame_and_ends_nothing(core: FakeCore) -> None:
    sink = VideoSink(remote_track(core, "video").track, queue=50)  # type: ignore[arg-type]
    frames = encoded_pictures(12, "H264", key_each=8)
    sinks = core.frame_sinks[0]
    sinks.push(frames[1][0], codec="H264")  # without a key frame in front
    await until(lambda: core.keys == 1)
    sinks.push(*frames[0][:1], codec="H264", key=True)
    assert number(await asyncio.wait_for(anext(sink), 10)) == 0
    sinks.push(b"\x00\x00\x00\x01\x09", codec="H264")
    for data, key in frames[8:]:
        sinks.push(data, codec="H264", key=key)
    seen: list[int | None] = []
    async with asyncio.timeout(10):
        while not seen or seen[-1] != 11:
            seen.append(number(await anext(sink)))
    assert seen[-4:] == [8, 9, 10, 11]


class Turns:
    """Measures the processor time of each turn of the event loop from now on, in seconds: that of no other thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.turns: list[float] = []
        run = asyncio.Handle._run

        def measured(handle: asyncio.Handle) -> None:
            began = time.thread_time()
            try:
                run(handle)
            finally:
                self.turns.append(time.thread_time() - began)

        monkeypatch.setattr(asyncio.Handle, "_run", measured)


async def waiting(core: FakeCore, remote: Any) -> tuple[VideoSink, Any]:
    """Return a sink for which 300 pictures of 1280x720 wait undecoded, and the core's side of it."""
    sink = VideoSink(remote.track)
    frames = encoded_pictures(10, width=1280, height=720)
    raw = core.frame_sinks[-1]
    for index in range(300):
        data, key = frames[index % 10]
        raw.push(data, key=key)
    await asyncio.sleep(0.01)  # it is at it
    assert raw.frames
    return sink, raw


BLOCKED = 0.02
"""Seconds that the event loop may be blocked."""


@pytest.mark.parametrize("how", ["sink", "track", "dropped"])
async def test_close_with_300_undecoded_frames_does_not_block_the_event_loop(
    core: FakeCore, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    remote = remote_track(core, "video")
    sink, raw = await waiting(core, remote)
    turns = Turns(monkeypatch).turns

    async def close() -> None:
        nonlocal sink
        if how == "track":
            remote.stop()
        elif how == "sink":
            sink.close()
        else:
            del sink

    await asyncio.create_task(close())
    await asyncio.sleep(0.2)
    print(f"{len(turns)} turns, the longest {1000 * max(turns):.2f} ms")
    assert len(turns) >= 3
    assert max(turns) <= BLOCKED, turns
    if how != "track":  # what came before the end of a track can still be read
        assert raw.closed
        assert raw.frames  # nobody has decoded the rest


async def test_close_waits_for_no_decoder(core: FakeCore, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, may_end = threading.Event(), threading.Event()
    decode = Decoder.decode

    def stuck(self: Decoder, data: bytes, codec: str, *, key: bool) -> Any:
        begun.set()
        assert may_end.wait(30)
        return decode(self, data, codec, key=key)

    monkeypatch.setattr(Decoder, "decode", stuck)
    sink, raw = await waiting(core, remote_track(core, "video"))
    assert await asyncio.to_thread(begun.wait, 10)
    sink.close()  # would never return, if it waited
    with pytest.raises(StopAsyncIteration):
        await anext(sink)
    may_end.set()
    assert raw.closed


async def test_close_and_drop_give_the_frames_back(core: FakeCore) -> None:
    remote = remote_track(core, "video")
    sink = VideoSink(remote.track)  # type: ignore[arg-type]
    reading = asyncio.create_task(anext(sink))
    await asyncio.sleep(0)
    sink.close()
    sink.close()
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(reading, 1)
    other = VideoSink(remote.track)  # type: ignore[arg-type]
    frames = encoded(remote.track)  # type: ignore[arg-type]
    assert len(remote.when_stopped) == 2
    assert len(core.driver.handles.media) == 2  # type: ignore[union-attr]
    await asyncio.sleep(0.05)
    del other, frames
    gc.collect()
    assert [made.closed for made in core.frame_sinks] == [True] * 3
    assert not remote.when_stopped
    assert not core.driver.handles.media  # type: ignore[union-attr]


async def test_a_track_that_is_not_enabled_gives_black(core: FakeCore) -> None:
    remote = remote_track(core, "video")
    remote.track.enabled = False  # type: ignore[union-attr]
    sink = VideoSink(remote.track, format="gray")  # type: ignore[arg-type]
    for data, key in encoded_pictures(1):
        core.frame_sinks[0].push(data, key=key)
    frame = await asyncio.wait_for(anext(sink), 10)
    assert set(frame.data) == {0}


async def test_only_a_remote_video_track_can_be_seen(core: FakeCore) -> None:
    wrong: Any = "camera"
    with pytest.raises(TypeError, match="'camera' is not a MediaStreamTrack"):
        VideoSink(wrong)
    with pytest.raises(TypeError, match="has no pictures"):
        VideoSink(remote_track(core).track)  # type: ignore[arg-type]
    with pytest.raises(NotSupportedError, match="not a remote track"):
        VideoSink(EncodedSource("video/VP8").track)
    with pytest.raises(ValueError, match="format='yuyv422'"):
        VideoSink(remote_track(core, "video").track, format="yuyv422")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="queue=0"):
        VideoSink(remote_track(core, "video").track, queue=0)  # type: ignore[arg-type]


async def test_encoded_frames_come_as_they_are(core: FakeCore) -> None:
    remote = remote_track(core, "video")
    frames = encoded(remote.track)  # type: ignore[arg-type]
    reading = asyncio.create_task(anext(frames))
    await asyncio.sleep(0)
    core.frame_sinks[0].push(b"one", codec="H264", key=True, time=1.5)
    assert await asyncio.wait_for(reading, 1) == EncodedFrame(b"one", "video/H264", True, 1.5, 0)
    frames.request_key()
    assert core.keys == 1
    core.frame_sinks[0].push(b"two", codec="H264")
    remote.stop()
    assert [frame.data async for frame in frames] == [b"two"]


@pytest.mark.parametrize("ends", [False, True])
async def test_a_moment_without_threads_ends_no_sink(
    core: FakeCore, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    """The core tells of the first frame only: what has come meanwhile is decoded without a further one."""
    from adieu.media import video_sink

    monkeypatch.setattr(video_sink, "FAILED", 0.05)
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    remote = remote_track(core, "video")
    assert remote.track is not None
    sink = VideoSink(remote.track, "yuv420p", queue=5)
    reading = asyncio.ensure_future(anext(sink, None))
    with no_threads(monkeypatch):
        for data, key in encoded_pictures(2):
            core.frame_sinks[0].push(data, key=key)
        await until(lambda: told)
        if ends:
            remote.stop()
            assert await asyncio.wait_for(reading, 1) is None
    if not ends:
        frame = await asyncio.wait_for(reading, 2)
        assert frame is not None and number(frame) == 0
        assert number(await asyncio.wait_for(anext(sink), 1)) == 1
    assert "can't start new thread" in str(told[0]["exception"])
    asyncio.get_running_loop().set_exception_handler(None)


async def test_the_threads_end_when_there_is_nothing_to_do(core: FakeCore) -> None:
    from adieu.media.workers import CodecWorkers

    workers = CodecWorkers(most=2, idle=0.05)
    futures = [workers.submit(time.sleep, 0.01) for _ in range(6)]
    assert workers.threads == 2
    for future in futures:
        await asyncio.wrap_future(future)
    await until(lambda: workers.threads == 0)
    assert await asyncio.wrap_future(workers.submit(lambda: 7)) == 7
    failed = asyncio.wrap_future(workers.submit(int, "x"))
    with pytest.raises(ValueError, match="invalid literal"):
        await failed
    assert WORKERS.threads <= 4
