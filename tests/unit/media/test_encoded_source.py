"""EncodedSource over a core without Rust."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from adieu import InvalidStateError, NotSupportedError
from adieu.media import EncodedFrame, EncodedSource
from support.fake_media import FakeCore, fake_core, video_sender

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio


@pytest.fixture
async def core() -> Iterator[FakeCore]:  # type: ignore[misc]
    with fake_core() as made:
        yield made


def heard(source: EncodedSource) -> list[Any]:
    events: list[Any] = []
    for name in source.EVENTS:
        source.on(name, events.append)
    return events


async def test_frames_go_out_as_they_are_from_a_key_frame_on(core: FakeCore) -> None:
    source, sender = EncodedSource("video/H264"), video_sender(core)
    events = heard(source)
    sender.feed(source, enabled=True)
    assert not source.send(b"too early", key=True)
    sender.handle_plan("H264", "", 0)
    await asyncio.sleep(0)
    assert [(event.type, getattr(event, "bitrate", None)) for event in events] == [
        ("keyframe", None),
        ("bitrate", 300_000),
    ]
    assert not source.send(b"a change", key=False)
    now = asyncio.get_running_loop().time()
    assert source.send(b"whole", key=True, capture_time=now - 0.5)
    assert source.send(bytearray(b"a change"), key=False, temporal=1)
    assert [(frame.data, frame.key, frame.temporal) for frame in core.sent] == [
        (b"whole", True, 0),
        (b"a change", False, 1),
    ]
    assert core.sent[0].age == pytest.approx(0.5, abs=0.05)
    assert core.sent[1].timestamp - core.sent[0].timestamp == pytest.approx(45_000, abs=4500)


async def test_the_wish_for_a_key_frame_and_the_rate_are_told(core: FakeCore) -> None:
    source, one, other = EncodedSource("video/VP8"), video_sender(core), video_sender(core, max_bitrate=200_000)
    for sender in (one, other):
        sender.feed(source, enabled=True)
        sender.handle_plan("VP8", "", 0)
    assert source.bitrate == 200_000
    source.send(b"whole", key=True)
    await asyncio.sleep(0)
    events = heard(source)
    one.handle_key_wanted(0)
    one.handle_target(0, 150_000)
    other.handle_target(0, 900_000)
    other.feed(None, enabled=False)
    one.handle_target(0, 400_000)
    await asyncio.sleep(0)
    assert [getattr(event, "bitrate", event.type) for event in events] == ["keyframe", 150_000, 400_000]


async def test_a_connection_of_another_codec_sends_nothing_and_says_so(core: FakeCore) -> None:
    source, sender = EncodedSource("video/H264"), video_sender(core)
    events = heard(source)
    sender.feed(source, enabled=True)
    sender.handle_plan("VP8", "", 0)
    sender.handle_target(0, 500_000)
    await asyncio.sleep(0)
    assert [event.type for event in events] == ["error"]
    assert "sends VP8, and this source has H264" in str(events[0].error)
    assert not source.send(b"whole", key=True)


async def test_frames_of_another_connection_keep_their_rhythm(core: FakeCore) -> None:
    source, sender = EncodedSource("video/VP8"), video_sender(core)
    sender.feed(source, enabled=True)
    sender.handle_plan("VP8", "", 0)
    for index in range(3):
        source.send(EncodedFrame(b"x", "video/VP8", index == 0, 1000 + index / 10, index))
    first, second, third = (frame.timestamp for frame in core.sent)
    assert (second - first, third - second) == (9000, 9000)
    source.send(EncodedFrame(b"x", "video/VP8", False, 5.0, 3))  # its clock begins anew
    assert 0 < core.sent[-1].timestamp - third < 9000 * 3
    with pytest.raises(ValueError, match="a frame of video/H264 for a source of video/VP8"):
        source.send(EncodedFrame(b"x", "video/H264", True, 5.0, 3))


async def test_a_track_that_is_not_enabled_needs_a_key_frame_afterwards(core: FakeCore) -> None:
    source, sender = EncodedSource("video/VP8"), video_sender(core)
    sender.feed(source, enabled=True)
    sender.handle_plan("VP8", "", 0)
    assert source.send(b"whole", key=True)
    sender.feed(source, enabled=False)
    assert not source.send(b"whole", key=True)
    sender.feed(source, enabled=True)
    assert not source.send(b"a change", key=False)
    assert source.send(b"whole", key=True)


async def test_mistakes_are_named(core: FakeCore) -> None:
    with pytest.raises(NotSupportedError, match="'video/AV1': a source has frames of video/H264 or video/VP8"):
        EncodedSource("video/AV1")
    source = EncodedSource("video/vp8")
    assert source.mime_type == "video/VP8"
    with pytest.raises(TypeError, match="key="):
        source.send(b"x")
    with pytest.raises(ValueError, match="a frame of 0 bytes"):
        source.send(b"", key=True)
    with pytest.raises(ValueError, match="a frame of 4194305 bytes"):
        source.send(bytes(4 * 1024 * 1024 + 1), key=True)
    source.end()
    await asyncio.sleep(0)
    assert source.track.readyState == "ended"
    with pytest.raises(InvalidStateError, match="another EncodedSource"):
        source.send(b"x", key=True)
