"""AudioSource over a core without Rust."""

from __future__ import annotations

import asyncio
import gc
import math
import weakref
from array import array
from typing import TYPE_CHECKING

import numpy as np
import pytest

from adieu import InvalidStateError
from adieu.media import AudioSource
from adieu.webrtc.media_stream_track import internals_of
from support.fake_media import FakeCore, FakeSource, fake_core

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio


@pytest.fixture
async def core() -> Iterator[FakeCore]:  # type: ignore[misc]
    with fake_core() as made:
        yield made


def source(core: FakeCore, **options: float) -> tuple[AudioSource, FakeSource]:
    with core.driver.use():  # type: ignore[union-attr]
        made = AudioSource(**{"sample_rate": 8000, "max_seconds": 1.0, **options})  # type: ignore[arg-type]
    return made, core.sources[-1]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


INT16 = [
    array("h", [1, -2, 3, -4]),
    array("h", [1, -2, 3, -4]).tobytes(),
    bytearray(array("h", [1, -2, 3, -4]).tobytes()),
    memoryview(array("h", [1, 9, -2, 9, 3, 9, -4, 9]))[::2],
    memoryview(array("h", [1, -2, 3, -4]).tobytes()).cast("h", (4, 1)),
]


@pytest.mark.parametrize("pcm", INT16, ids=["array", "bytes", "bytearray", "every second", "a column"])
async def test_sound_is_taken_in_each_form(core: FakeCore, pcm: object) -> None:
    speech, inside = source(core)
    await speech.write(pcm)  # type: ignore[arg-type]
    assert inside.waiting == [1, -2, 3, -4]


async def test_float_samples_stay_floats(core: FakeCore) -> None:
    speech, inside = source(core, channels=2)
    await speech.write(memoryview(array("f", [0.5, -0.5, 0.25, -2.0]).tobytes()).cast("f", (2, 2)))  # type: ignore[arg-type]
    assert inside.waiting == [0.5, -0.5, 0.25, -2.0]
    assert speech.queued == 2 / 8000


WRONG = [
    (b"abc", ValueError, r"3 bytes .* odd byte"),
    ("hello", TypeError, r"not 'hello' of str"),
    ([1, 2], TypeError, r"not \[1, 2\] of list"),
    (None, TypeError, "not None"),
    (array("d", [0.0]), TypeError, r"float64.*astype\('float32'\)"),
    (array("i", [0]), TypeError, "int32"),
    (np.zeros(4, np.uint8), TypeError, r"uint8.*array\.tobytes\(\)"),
    (np.zeros((3, 2), np.int16), ValueError, r"AudioSource\(channels=2\) takes it"),
    (array("f", [0.0, math.nan]), ValueError, r"sample 1 is nan.*nan_to_num"),
    (array("f", [math.inf]), ValueError, "sample 0 is inf"),
    (memoryview(bytes(12)).cast("h", (2, 3)), ValueError, r"\(2, 3\), not \(samples, 1\)"),
    (memoryview(bytes(12)).cast("h", (1, 6)), ValueError, r"array\.T"),
]


@pytest.mark.parametrize(("pcm", "error", "words"), WRONG)
async def test_what_is_no_sound_is_refused_with_a_remedy(
    core: FakeCore, pcm: object, error: type[Exception], words: str
) -> None:
    speech, inside = source(core)
    with pytest.raises(error, match=words):
        await speech.write(pcm)  # type: ignore[arg-type]
    assert not inside.waiting
    assert speech.queued == 0.0


async def test_half_a_sample_of_two_channels_is_refused(core: FakeCore) -> None:
    speech, _ = source(core, channels=2)
    with pytest.raises(ValueError, match="3 samples cannot be divided into 2 channels"):
        await speech.write(bytes(6))


@pytest.mark.parametrize(
    "options", [{"sample_rate": 100}, {"sample_rate": 400000}, {"channels": 3}, {"max_seconds": 0}, {"max_seconds": 61}]
)
async def test_a_number_out_of_range_is_named(core: FakeCore, options: dict[str, float]) -> None:
    name, value = next(iter(options.items()))
    with pytest.raises(ValueError, match=f"{name}={value}"):
        source(core, **options)


async def test_a_write_waits_while_the_queue_is_full_and_takes_any_length(core: FakeCore) -> None:
    speech, inside = source(core)
    sound = array("h", (index % 1000 for index in range(8000 * 5 + 3)))
    writing = asyncio.create_task(speech.write(sound))
    await settle()
    assert not writing.done()
    assert inside.queued == 8000
    assert speech.queued == pytest.approx(5, abs=0.001)
    for _ in range(50):
        inside.play(800)
        await settle()
    assert writing.done()
    inside.play(3)
    assert inside.spoken == sound.tolist()
    assert speech.position == pytest.approx(5, abs=0.001)


async def test_writes_are_spoken_in_the_order_of_their_calls(core: FakeCore) -> None:
    speech, inside = source(core)
    writes = [asyncio.create_task(speech.write(array("h", [number] * 6000))) for number in range(3)]
    await settle()
    for _ in range(10):
        inside.play(2000)
        await settle()
    assert all(write.done() for write in writes)
    assert inside.spoken[:18000] == [0] * 6000 + [1] * 6000 + [2] * 6000


async def test_clear_drops_the_rest_of_the_writes_that_wait(core: FakeCore) -> None:
    speech, inside = source(core)
    writes = [asyncio.create_task(speech.write(array("h", [number] * 12000))) for number in range(2)]
    await settle()
    inside.play(1000)
    assert speech.clear() == 23000 / 8000
    await asyncio.wait_for(asyncio.gather(*writes), 1)
    assert speech.queued == 0
    assert speech.position == 1000 / 8000
    await speech.write(array("h", [7] * 10))
    assert inside.waiting == [7] * 10


async def test_a_write_that_is_cancelled_leaves_the_next_one_whole(core: FakeCore) -> None:
    speech, inside = source(core)
    writing = asyncio.create_task(speech.write(bytes(2 * 20000)))
    await settle()
    writing.cancel()
    await asyncio.wait([writing])
    assert writing.cancelled()
    assert speech.queued == 1.0
    assert not core.driver.handles.media  # type: ignore[union-attr]
    inside.play(8000)
    await speech.write(array("h", [5]))
    assert inside.waiting == [5]


async def test_drained_waits_for_what_was_queued_at_its_call(core: FakeCore) -> None:
    speech, inside = source(core)
    await speech.write(bytes(2 * 4000))
    left = asyncio.create_task(speech.drained())
    arrived = asyncio.create_task(speech.drained(arrived=True))
    await settle()
    inside.play(3999)
    await settle()
    assert not left.done()
    await speech.write(bytes(2 * 100))
    inside.play(1)
    await settle()
    assert left.done()
    assert not arrived.done()
    inside.play(100)
    inside.acknowledge()
    await settle()
    assert arrived.done()
    assert not core.driver.handles.media  # type: ignore[union-attr]


async def test_drained_of_an_empty_source_is_at_once(core: FakeCore) -> None:
    speech, _ = source(core)
    await asyncio.wait_for(speech.drained(), 1)


async def test_drained_ends_when_the_queue_is_cleared(core: FakeCore) -> None:
    speech, _ = source(core)
    await speech.write(bytes(2 * 4000))
    waiting = asyncio.create_task(speech.drained())
    await settle()
    speech.clear()
    await asyncio.wait_for(waiting, 1)


@pytest.mark.parametrize("how", ["stop", "let go"])
async def test_everything_that_waits_ends_with_what_it_waits_for(core: FakeCore, how: str) -> None:
    speech, inside = source(core)
    speech.hold(1)
    waiting = [
        asyncio.create_task(speech.write(bytes(2 * 20000))),
        asyncio.create_task(speech.drained()),
        asyncio.create_task(speech.drained(arrived=True)),
    ]
    await settle()
    if how == "stop":
        speech.track.stop()
        assert inside.closed
    else:
        speech.let_go(1)
    for task in waiting:
        with pytest.raises(InvalidStateError):
            await asyncio.wait_for(task, 1)
    with pytest.raises(InvalidStateError):
        await speech.write(bytes(2))
    with pytest.raises(InvalidStateError):
        await speech.drained()
    if how == "let go":  # another connection sends it
        speech.hold(2)
        speech.clear()
        await speech.write(bytes(2))


async def test_before_the_first_connection_sound_waits(core: FakeCore) -> None:
    speech, _ = source(core)
    writing = asyncio.create_task(speech.write(bytes(2 * 9000)))
    await settle()
    assert not writing.done()
    speech.hold(1)
    await settle()
    assert not writing.done()
    writing.cancel()


async def test_end_lets_what_is_queued_leave_and_then_ends_the_track(core: FakeCore) -> None:
    speech, inside = source(core)
    speech.hold(1)
    await speech.write(bytes(2 * 100))
    told: list[str] = []
    speech.track.onended = lambda event: told.append(event.type)
    speech.end()
    with pytest.raises(InvalidStateError, match="make another AudioSource"):
        await speech.write(bytes(2))
    await settle()
    assert speech.track.readyState == "live"
    inside.play(100)
    await settle()
    assert speech.track.readyState == "ended"
    assert told == ["ended"]


async def test_end_ends_a_write_that_waits(core: FakeCore) -> None:
    speech, _ = source(core)
    writing = asyncio.create_task(speech.write(bytes(2 * 20000)))
    await settle()
    speech.end()
    with pytest.raises(InvalidStateError, match="end"):
        await asyncio.wait_for(writing, 1)


async def test_a_source_goes_on_while_a_clone_of_its_track_lives(core: FakeCore) -> None:
    speech, inside = source(core)
    clone = speech.track.clone()
    speech.track.stop()
    assert not inside.closed
    clone.stop()
    assert inside.closed


async def test_a_closing_session_takes_nothing_more_unless_another_one_sends_it(core: FakeCore) -> None:
    speech, inside = source(core)
    speech.hold("session")
    writing = asyncio.create_task(speech.write(bytes(2 * 20000)))
    await settle()
    speech.finish("session")
    with pytest.raises(InvalidStateError, match="closing"):
        await asyncio.wait_for(writing, 1)
    with pytest.raises(InvalidStateError, match="closing"):
        await speech.write(bytes(2))
    speech.hold("another")
    inside.play(8000)
    await speech.write(bytes(2))


async def test_a_source_that_nobody_waits_for_is_collected_with_its_track(core: FakeCore) -> None:
    speech, _ = source(core)
    await speech.write(bytes(2 * 10))
    gone = weakref.ref(speech)
    assert internals_of(speech.track).source.feed is speech
    del speech
    gc.collect()
    assert gone() is None


async def test_the_driver_forgets_a_source_whose_wait_is_refused(core: FakeCore) -> None:
    speech, inside = source(core)
    speech.hold("a sender")
    await speech.write(array("h", [1, 2, 3]))
    speech.let_go("a sender")
    with pytest.raises(InvalidStateError, match="closed"):
        await speech.drained()
    assert inside.handle not in core.driver.handles.media  # type: ignore[union-attr]
