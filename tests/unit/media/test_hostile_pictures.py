"""Pictures that are made to do harm, and a computer that gives no more threads."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import av
import pytest

from adieu.media import VideoSink, VideoSource, decoder
from adieu.media.encoder import Encoder, Wanted
from adieu.media.pictures import Scaler
from adieu.media.workers import CodecWorkers
from adieu.testing.pictures import numbered
from support.fake_media import FakeCore, fake_core, remote_track, video_sender

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio


@pytest.fixture
async def core() -> Iterator[FakeCore]:  # type: ignore[misc]
    with fake_core() as made:
        yield made


def encoded(codec: str = "VP8", width: int = 128, height: int = 96) -> bytes:
    [frame] = Encoder().encode(numbered(0, width, height), 0.0, Wanted(codec, "", 1_000_000, 1.0, key=True))
    return frame.data


async def test_a_picture_that_nobody_can_convert_is_a_damaged_one(
    core: FakeCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FFmpeg decodes some damaged frames to formats that it cannot convert, and then raises OSError."""
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    pixels, bad = Scaler.pixels, 1

    def sometimes(self: Scaler, *given: Any) -> bytearray:
        nonlocal bad
        if bad:
            bad -= 1
            raise av.error.OSError(95, "Operation not supported")
        return pixels(self, *given)

    monkeypatch.setattr(Scaler, "pixels", sometimes)
    sink = VideoSink(remote_track(core, "video").track)  # type: ignore[arg-type]
    data = encoded()
    core.frame_sinks[0].push(data, key=True)
    async with asyncio.timeout(10):
        while not core.keys:
            await asyncio.sleep(0.002)
    core.frame_sinks[0].push(data, key=True)
    assert (await asyncio.wait_for(anext(sink), 10)).width == 128
    assert not faults


def test_a_small_frame_that_claims_a_huge_picture_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """428 kB of VP8 can be 16000x16000 pixels: decoded and converted, 7 GB."""
    assert decoder.PIXELS == 8192 * 4352
    monkeypatch.setattr(decoder, "PIXELS", 320 * 240)
    for codec in ("VP8", "H264"):
        made = decoder.Decoder()
        large = encoded(codec, 640, 480)
        assert made.decode(large, codec, key=True) is None
        assert (made.errors, made.frames) == (1, 0)
        small = encoded(codec)
        assert made.decode(small, codec, key=True) is not None


def test_without_another_thread_those_that_there_are_do_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    workers = CodecWorkers(2, idle=0.1)
    start = threading.Thread.start

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError):
        workers.submit(int)
    monkeypatch.setattr(threading.Thread, "start", start)
    first = workers.submit(time.sleep, 0.2)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert workers.submit(int).result(5) == 0
    first.result(5)


async def test_a_tiny_target_is_not_felt_once_it_is_over(core: FakeCore) -> None:
    """The other side may allow little in a description, and more in the next."""
    source, sender = VideoSource(), video_sender(core)
    sender.feed(source, enabled=True)
    sender.handle_plan("VP8", "", 3000)
    core.backlog = 100_000
    source.push(numbered(0, 128, 96))
    async with asyncio.timeout(10):
        while not core.sent:
            await asyncio.sleep(0.002)
    core.backlog = 0
    sender.handle_plan("VP8", "", 0)
    source.push(numbered(1, 128, 96))
    async with asyncio.timeout(10):
        while len(core.sent) < 2:
            await asyncio.sleep(0.002)
