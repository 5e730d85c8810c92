"""VideoSource over a core without Rust, with real encoders."""

from __future__ import annotations

import asyncio
import threading
from array import array
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from adieu import InvalidStateError
from adieu.media import VideoSource
from adieu.media.decoder import Decoder
from adieu.media.encoder import Encoder, Wanted
from adieu.testing import number_of, numbered
from support.fake_media import FakeCore, fake_core, no_threads, video_sender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adieu.webrtc.video_sender import VideoSender

pytestmark = pytest.mark.anyio
SIZE = (64, 48)


@pytest.fixture
async def core() -> Iterator[FakeCore]:  # type: ignore[misc]
    with fake_core() as made:
        yield made


def gray(level: int, width: int = SIZE[0], height: int = SIZE[1]) -> memoryview:
    return memoryview(bytes([level]) * width * height).cast("B", (height, width))


async def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


def sending(core: FakeCore, codec: str = "VP8", **encoding: Any) -> tuple[VideoSource, VideoSender]:
    source, sender = VideoSource(), video_sender(core, **encoding)
    sender.feed(source, enabled=True)
    sender.handle_plan(codec, "", 0)
    return source, sender


def level_of(core: FakeCore, codec: str = "VP8", at: int = -1) -> tuple[int, int, int]:
    """The size of the picture that the last frame shows, and how bright its middle is."""
    decoder, picture = Decoder(), None
    frames = core.sent if at == -1 else core.sent[: at + 1]
    for frame in frames:
        picture = decoder.decode(frame.data, codec, key=frame.key) or picture
    assert picture is not None
    plane = picture.planes[0]
    return picture.width, picture.height, bytes(plane)[plane.line_size * (picture.height // 2) + picture.width // 2]


@pytest.mark.parametrize("codec", ["VP8", "H264"])
async def test_what_is_pushed_is_encoded_and_sent(core: FakeCore, codec: str) -> None:
    source, sender = sending(core, codec)
    for level in (50, 100, 200):
        source.push(gray(level))
        await until(lambda level=level: len(core.sent) == {50: 1, 100: 2, 200: 3}[level])
    assert [frame.key for frame in core.sent] == [True, False, False]
    assert all(frame.sender == sender.handle for frame in core.sent)
    times = [frame.timestamp for frame in core.sent]
    assert times == sorted(set(times))
    width, height, level = level_of(core, codec)
    assert (width, height) == SIZE
    assert abs(level - (16 + 200 * 219 / 255)) < 6
    assert sender.figures["frames_encoded"] == 3
    assert sender.figures["key_frames_encoded"] == 1
    assert sender.figures["encoder_implementation"] == {"VP8": "libvpx", "H264": "libx264"}[codec]
    assert source.stats() == {"width": 64, "height": 48, "frames": 3}


async def test_a_picture_of_before_the_connection_is_sent_when_it_is_there(core: FakeCore) -> None:
    source, sender = VideoSource(), video_sender(core)
    source.push(gray(90))
    sender.feed(source, enabled=True)
    assert not core.sent
    sender.handle_plan("VP8", "", 0)
    await until(lambda: core.sent)
    assert core.sent[0].key


async def test_the_newest_waits_in_front_of_a_busy_encoder(core: FakeCore, monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()
    real = Encoder.encode
    seen: list[float] = []

    def slow(self: Encoder, picture: Any, captured: float, wanted: Any) -> Any:
        assert free.wait(10)
        seen.append(captured)
        return real(self, picture, captured, wanted)

    monkeypatch.setattr(Encoder, "encode", slow)
    source, _ = sending(core)
    for level in range(10, 110, 10):
        source.push(gray(level))
    free.set()
    await until(lambda: len(core.sent) == 2)
    assert source.skipped == 8
    assert abs(level_of(core)[2] - (16 + 100 * 219 / 255)) < 6


async def test_a_key_frame_that_is_wanted_comes_also_of_a_still_picture(core: FakeCore) -> None:
    source, sender = sending(core)
    source.push(gray(90))
    await until(lambda: core.sent)
    sender.handle_key_wanted(0)
    await until(lambda: len(core.sent) == 2)
    assert core.sent[1].key
    sender.handle_key_wanted(0)
    source.push(gray(91))  # before the still one is repeated
    await until(lambda: len(core.sent) == 3)
    assert core.sent[2].key
    await asyncio.sleep(0.2)  # nothing more comes
    assert len(core.sent) == 3


async def test_a_track_that_is_not_enabled_sends_black(core: FakeCore) -> None:
    source, sender = sending(core)
    source.push(gray(200))
    await until(lambda: core.sent)
    sender.feed(source, enabled=False)
    await until(lambda: len(core.sent) == 2)
    assert level_of(core)[2] < 20
    for _ in range(5):
        source.push(gray(200))  # black once a second is enough
    await asyncio.sleep(0.1)
    assert len(core.sent) <= 3
    sender.feed(source, enabled=True)
    before = len(core.sent)
    await until(lambda: len(core.sent) > before)
    assert level_of(core)[2] > 150


async def test_what_may_not_be_sent_is_not_encoded(core: FakeCore) -> None:
    source, sender = sending(core, active=False)
    source.push(gray(90))
    await asyncio.sleep(0.05)
    assert not core.sent
    sender.follow(replace(sender.encoding, active=True))
    await until(lambda: core.sent)
    sender.handle_plan("", "", 0)
    source.push(gray(91))
    await asyncio.sleep(0.05)
    assert len(core.sent) == 1


async def test_parameters_scale_the_picture_and_thin_out_the_frames(core: FakeCore) -> None:
    source, sender = sending(core, scale_resolution_down_by=2.0, max_framerate=20.0)
    began = asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() - began < 1.0:
        source.push(gray(90, 130, 98))
        await asyncio.sleep(0.01)
    assert 17 <= len(core.sent) <= 22, len(core.sent)
    assert level_of(core)[:2] == (64, 48)
    sender.follow(replace(sender.encoding, max_framerate=0.0))
    await asyncio.sleep(0.1)
    before = len(core.sent)
    source.push(gray(91, 130, 98))
    await asyncio.sleep(0.1)
    assert len(core.sent) == before


async def test_while_much_waits_in_the_core_nothing_is_encoded(core: FakeCore) -> None:
    source, _ = sending(core)
    core.backlog = 300_000 // 8 * 5 // 2 // 4  # 250 ms at the pace of the core
    source.push(gray(90))
    await until(lambda: core.sent)
    began = asyncio.get_running_loop().time()
    core.backlog = 0
    source.push(gray(91))
    await until(lambda: len(core.sent) == 2)
    assert 0.15 < asyncio.get_running_loop().time() - began < 0.5


def test_the_bit_rate_is_followed_without_a_storm_of_key_frames() -> None:
    for codec, most_keys in (("VP8", 3), ("H264", 1)):
        made, sizes, keys = Encoder(), {0: 0, 1: 0, 2: 0}, 0
        for index in range(30 * 24):
            second = index // 30
            part = second // 8
            # steps of 10 % a second, as an estimate moves
            rate = (400_000, 400_000 * 0.9 ** min(7, second - 8), 200_000)[part]
            wanted = Wanted(codec, "", round(rate), 1.0, index == 0)
            picture = numbered(index, 320, 240, busy=True)
            for frame in made.encode(picture, index / 30, wanted):
                keys += frame.key
                if second % 8 >= 4:
                    sizes[part] += len(frame.data)
        assert keys <= most_keys, (codec, keys)
        rates = [size * 8 / 4 for size in sizes.values()]
        assert 0.6 * 400_000 < rates[0] < 1.2 * 400_000, (codec, rates)
        # VP8 is at most 30 % beside it; then the way to the core slows down.
        assert rates[2] < (1.1 if codec == "H264" else 1.6) * 200_000, (codec, rates)


def test_a_key_frame_brings_the_new_bit_rate_at_once() -> None:
    made, size, keys = Encoder(), 0, 0
    for index in range(90):
        is_asked_for = index in {0, 30}  # long before another encoder would be made for the rate alone
        wanted = Wanted("VP8", "", 800_000 if index < 15 else 200_000, 1.0, is_asked_for)
        for frame in made.encode(numbered(index, 320, 240, busy=True), index / 30, wanted):
            keys += frame.key
            size += len(frame.data) * (index >= 60)
    assert keys == 2
    assert size * 8 < 2 * 200_000  # its floor for this picture is above the rate


async def test_an_encoder_that_fails_once_is_begun_anew(core: FakeCore, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = Encoder.encode, 0

    def failing(self: Encoder, *args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OSError("the device is gone")
        return real(self, *args)

    monkeypatch.setattr(Encoder, "encode", failing)
    source, _ = sending(core)
    errors: list[Any] = []
    source.on("error", errors.append)
    source.push(gray(90))
    await until(lambda: core.sent)
    source.push(gray(91))
    await until(lambda: len(core.sent) == 2)
    assert core.sent[1].key  # of the new encoder
    assert not errors


async def test_an_encoder_that_fails_for_good_says_so_and_is_tried_again(
    core: FakeCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adieu.media import flow

    monkeypatch.setattr(flow, "FAILED", 0.2)
    real, broken = Encoder.encode, True

    def failing(self: Encoder, *args: Any) -> Any:
        if broken:
            raise OSError("the device is gone")
        return real(self, *args)

    monkeypatch.setattr(Encoder, "encode", failing)
    source, _ = sending(core)
    errors: list[Any] = []
    source.on("error")(errors.append)
    source.push(gray(90))
    await until(lambda: errors)
    assert "libvpx fails for a picture of 64x48: the device is gone" in str(errors[0].error)
    broken = False
    source.push(gray(91))
    await until(lambda: core.sent)
    assert core.sent[0].key
    assert len(errors) == 1


async def test_a_moment_without_threads_ends_no_source(core: FakeCore, monkeypatch: pytest.MonkeyPatch) -> None:
    from adieu.media import flow

    monkeypatch.setattr(flow, "FAILED", 0.05)
    source, _ = sending(core)
    errors: list[Any] = []
    source.on("error")(errors.append)
    with no_threads(monkeypatch):
        source.push(gray(90))
        await until(lambda: errors)
    assert "can't start new thread" in str(errors[0].error)
    await until(lambda: core.sent)  # a still picture is pushed once
    assert core.sent[0].key
    assert level_of(core)[2] == pytest.approx(90, abs=3)


async def test_an_error_that_nobody_hears_goes_to_the_event_loop(
    core: FakeCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    def failing(self: Encoder, *args: Any) -> Any:
        raise OSError("the device is gone")

    monkeypatch.setattr(Encoder, "encode", failing)
    source, sender = sending(core)
    source.push(gray(90))
    await until(lambda: told)
    assert "sends nothing" in told[0]["message"]
    sender.feed(None, enabled=False)
    asyncio.get_running_loop().set_exception_handler(None)


async def test_two_senders_have_their_own_codec_and_rate(core: FakeCore) -> None:
    source, one = sending(core)
    other = video_sender(core)
    other.feed(source, enabled=True)
    other.handle_plan("H264", "profile-level-id=42e01f", 100_000)
    source.push(gray(90))
    await until(lambda: len(core.sent) == 2)
    assert other.target == 100_000
    assert {frame.sender for frame in core.sent} == {one.handle, other.handle}
    one.feed(None, enabled=False)
    source.push(gray(91))
    await until(lambda: len(core.sent) == 3)
    assert core.sent[2].sender == other.handle


async def test_another_source_goes_on_with_a_growing_timestamp(core: FakeCore) -> None:
    source, sender = sending(core)
    source.push(gray(90))
    await until(lambda: core.sent)
    other = VideoSource()
    other.push(gray(10), time=asyncio.get_running_loop().time() - 5)
    sender.feed(other, enabled=True)
    await until(lambda: len(core.sent) == 2)
    assert core.sent[1].key
    assert core.sent[1].timestamp > core.sent[0].timestamp


@pytest.mark.parametrize(
    ("picture", "format_", "level"),
    [
        (memoryview(bytes([10, 200, 10] * 64 * 48)).cast("B", (48, 64, 3)), None, 120),
        (memoryview(bytes([200, 10, 10] * 64 * 48)).cast("B", (48, 64, 3)), "bgr24", 40),
        (memoryview(bytes([200, 200, 200, 255] * 64 * 48)).cast("B", (48, 64, 4)), "rgba", 188),
        (memoryview(bytes([77] * 64 * 48 + [128] * 64 * 24)).cast("B", (72, 64)), "yuv420p", 77),
        (memoryview(bytes([90]) * 61 * 47).cast("B", (47, 61)), "gray", 93),
    ],
)
async def test_pictures_have_many_forms(core: FakeCore, picture: Any, format_: str | None, level: int) -> None:
    source, _ = sending(core)
    source.push(picture, format_)
    await until(lambda: core.sent)
    assert abs(level_of(core)[2] - level) < 15


@pytest.mark.parametrize("size", [(320, 240), (130, 98)])
async def test_a_picture_that_was_decoded_is_sent_again(core: FakeCore, size: tuple[int, int]) -> None:
    """The lines of a decoder are longer than the picture."""
    [frame] = Encoder().encode(numbered(77, *size), 1.0, Wanted("H264", "", 1_000_000, 1.0, key=True))
    picture = Decoder().decode(frame.data, "H264", key=True)
    assert picture is not None
    assert picture.planes[0].line_size > size[0]
    source, _ = sending(core)
    source.push(picture)
    await until(lambda: core.sent)
    again = Decoder().decode(core.sent[0].data, "VP8", key=True)
    assert again is not None
    assert (again.width, again.height) == size
    assert number_of(bytes(again.planes[0]), again.planes[0].line_size) == 77


async def test_several_threads_may_scale_one_picture(core: FakeCore) -> None:
    """Each sender has its own scaler; with that of the picture, PyAV ends the process."""
    sources = [VideoSource() for _ in range(2)]
    for scale in (1.0, 2.0, 3.0, 4.0):
        for source in sources:
            sender = video_sender(core, scale_resolution_down_by=scale)
            sender.feed(source, enabled=True)
            sender.handle_plan("VP8", "", 0)
    picture = numbered(1, 320, 240)
    for count in range(1, 16):
        for source in sources:
            source.push(picture)
        await until(lambda count=count: len(core.sent) == 8 * count)


async def test_what_is_no_picture_is_refused_by_name(core: FakeCore) -> None:
    source = VideoSource()
    with pytest.raises(TypeError, match="not str"):
        source.push("a picture")
    with pytest.raises(TypeError, match=r"'f'; pictures are uint8.*\(array \* 255\)"):
        source.push(memoryview(array("f", [0.0] * 12)).cast("B").cast("f", (2, 2, 3)))
    for shape, format_, text in (
        ((12,), None, r"of the shape \(12,\)"),
        ((2, 2, 3), "rgba", r"\(2, 2, 3\) is no rgba: \(height, width, 4\)"),
        ((3, 2, 2), None, r"array\.transpose\(1, 2, 0\)"),
        ((2, 6), "yuv420p", "both even"),
        ((2, 6), "nv12", "format='nv12'"),
        ((1, 12), "gray", "12x1: each side has 2 to 8192"),
    ):
        with pytest.raises(ValueError, match=text):
            source.push(memoryview(bytes(12)).cast("B", shape), format_)
    source.end()
    source.end()
    with pytest.raises(InvalidStateError, match="another VideoSource"):
        source.push(gray(1))
    await asyncio.sleep(0)
    assert source.track.readyState == "ended"
    with pytest.raises(ValueError, match="has no event 'keyframe'; it has error"):
        source.on("keyframe", print)
