"""Pictures over whole stacks in virtual time: sources, encoders, packets, frames, decoders, and sessions above."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from adieu import once
from adieu.media import EncodedSource, VideoSink, VideoSource, encoded
from adieu.testing import number_of, numbered
from support.virtual import simulated

SIZE = (128, 96)


class Eye:
    """Sees the numbers of a track from now on."""

    def __init__(self, world: Any, track: Any) -> None:
        self.world = world
        self.track = track
        self.sink = VideoSink(track, format="gray", queue=30)
        self.seen: list[tuple[int | None, float, float]] = []
        """Number, when it was seen, and its own time."""
        self.sizes: set[tuple[int, int]] = set()
        self.levels: list[float] = []
        self.task = asyncio.create_task(self._see())

    async def _see(self) -> None:
        async for frame in self.sink:
            self.sizes.add((frame.width, frame.height))
            self.levels.append(sum(frame.data) / len(frame.data))
            number = number_of(frame.data, frame.width, frame.width / SIZE[0])
            self.seen.append((number, self.world.now, frame.time))

    @property
    def numbers(self) -> list[int]:
        return [number for number, *_ in self.seen if number is not None]


class Show:
    """Pushes numbered pictures from now on."""

    def __init__(self, source: VideoSource, first: int = 0) -> None:
        self.source = source
        self.number = first
        self.task = asyncio.create_task(self._show())

    async def _show(self) -> None:
        while True:
            self.source.push(numbered(self.number, *SIZE))
            self.number += 1
            await asyncio.sleep(1 / 30)

    def stop(self) -> None:
        self.task.cancel()


async def until(condition: Any, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def call(world: Any, *, link: dict[str, float] | None = None) -> tuple[Any, Any, VideoSource, Eye]:
    """Two connected connections, the first of which shows pictures to the second."""
    if link:
        world.link(**link)
    one, two = world.hosts()
    here, there = world.connection(one), world.connection(two)
    with one.use():
        camera = VideoSource()
    here.addTrack(camera.track)
    came = asyncio.ensure_future(once(there, "track"))
    await world.connect(here, there)
    event = await came
    return here, there, camera, Eye(world, event.track)


def by_type(report: Any) -> dict[str, Any]:
    return {stats["type"]: stats for stats in report.values()}


@simulated()
async def test_nothing_is_encoded_once_the_other_side_has_stopped_the_transceiver(world):
    here, there, camera, eye = await call(world)
    show = Show(camera)
    await until(lambda: eye.numbers)
    there.getTransceivers()[0].stop()
    await until(lambda: not here.getTransceivers())
    await asyncio.sleep(0.2)
    before = camera.sent
    await asyncio.sleep(1.0)
    show.stop()
    assert camera.sent == before
    await asyncio.wait_for(eye.task, 1)


@simulated()
async def test_pictures_come_once_in_order_and_both_sides_count_alike(world):
    here, there, camera, eye = await call(world, link={"delay": 0.02})
    track = eye.track
    told: list[str] = []
    for name in ("mute", "unmute", "ended"):
        track.addEventListener(name, lambda event: told.append(event.type))
    show = Show(camera)
    await asyncio.sleep(5.0)
    show.stop()
    await asyncio.sleep(0.5)
    assert eye.numbers == sorted(set(eye.numbers))
    assert len(eye.numbers) >= 0.97 * show.number
    times = [own - at for _, at, own in eye.seen]
    assert max(times) - min(times) < 0.05  # its own time is that of the capture, not that of the arrival
    sent = by_type(await here.getSenders()[0].getStats())
    got = by_type(await there.getReceivers()[0].getStats())
    outbound, inbound, source = sent["outbound-rtp"], got["inbound-rtp"], sent["media-source"]
    assert outbound["framesEncoded"] == outbound["framesSent"] == inbound["framesReceived"] == inbound["framesDecoded"]
    assert (outbound["frameWidth"], inbound["frameHeight"]) == SIZE
    assert (source["width"], source["height"], source["frames"]) == (*SIZE, show.number)
    assert sent["codec"]["mimeType"] == got["codec"]["mimeType"] == "video/VP8"
    here.close()
    await until(lambda: track.muted)  # BYE, closing rule 63
    there.close()
    await asyncio.wait_for(eye.task, 1)
    assert told in (["unmute", "mute", "ended"], ["mute", "ended"])


@simulated()
async def test_what_is_lost_is_repaired(world):
    _, _, camera, eye = await call(world, link={"delay": 0.025, "loss": 0.05})
    show = Show(camera)
    await asyncio.sleep(20.0)
    show.stop()
    await asyncio.sleep(1.0)
    assert eye.numbers == sorted(set(eye.numbers))
    assert len(eye.numbers) >= 0.97 * show.number


@simulated()
async def test_parameters_black_and_another_source_without_a_negotiation(world):
    here, _, camera, eye = await call(world)
    show = Show(camera)
    await until(lambda: len(eye.numbers) > 10)
    sender = here.getSenders()[0]
    # half the size, 10 a second
    parameters = sender.getParameters()
    parameters.encodings[0].scaleResolutionDownBy = 2.0
    parameters.encodings[0].maxFramerate = 10.0
    await sender.setParameters(parameters)
    await until(lambda: (64, 48) in eye.sizes)
    before = len(eye.seen)
    await asyncio.sleep(2.0)
    assert 18 <= len(eye.seen) - before <= 22
    # not sent at all
    parameters = sender.getParameters()
    parameters.encodings[0].active = False
    await sender.setParameters(parameters)
    await asyncio.sleep(0.2)
    before = len(eye.seen)
    await asyncio.sleep(1.0)
    assert len(eye.seen) == before
    parameters = sender.getParameters()
    parameters.encodings[0].active = True
    parameters.encodings[0].scaleResolutionDownBy = 1.0
    parameters.encodings[0].maxFramerate = None
    await sender.setParameters(parameters)
    await until(lambda: len(eye.seen) > before + 5)
    # black
    camera.track.enabled = False
    await until(lambda: eye.levels[-1] < 5)
    camera.track.enabled = True
    await until(lambda: eye.levels[-1] > 20)
    show.stop()
    # another source, and nothing
    with here._internals.driver.use():
        other = VideoSource()
    last = eye.numbers[-1]
    other.push(numbered(last + 1000, *SIZE))
    await sender.replaceTrack(other.track)
    await until(lambda: eye.numbers[-1] == last + 1000)
    await sender.replaceTrack(None)
    before = len(eye.seen)
    other.push(numbered(last + 1001, *SIZE))
    await asyncio.sleep(0.5)
    assert len(eye.seen) == before


@simulated()
async def test_frames_are_passed_on_to_another_connection_as_they_are(world):
    one, middle, two = world.hosts(3)
    here, inlet, outlet, there = (world.connection(peer) for peer in (one, middle, middle, two))
    with one.use():
        camera = VideoSource()
    here.addTrack(camera.track)
    came = asyncio.ensure_future(once(inlet, "track"))
    await world.connect(here, inlet)
    frames = encoded((await came).receiver)
    with middle.use():
        out = EncodedSource("video/VP8")
    outlet.addTrack(out.track)
    out.on("keyframe", lambda event: frames.request_key())
    came = asyncio.ensure_future(once(there, "track"))
    await world.connect(outlet, there)
    eye = Eye(world, (await came).track)

    async def pass_on() -> None:
        async for frame in frames:
            out.send(frame)

    passing = asyncio.create_task(pass_on())
    show = Show(camera)
    await until(lambda: len(eye.numbers) > 60)
    assert eye.numbers == sorted(set(eye.numbers))
    assert eye.numbers[-1] - eye.numbers[0] < len(eye.numbers) + 2
    show.stop()
    for pc in (here, inlet, outlet, there):
        pc.close()
    await asyncio.wait_for(passing, 1)
    await asyncio.wait_for(eye.task, 1)


@pytest.mark.parametrize("level", ["ice", "transport", "full"])
@simulated()
async def test_a_reset_keeps_the_track_and_the_receipt_counts_frames(world, level):
    async with world.sessions() as pair:
        eyes: list[Eye] = []
        pair.second.on("track", lambda event: eyes.append(Eye(world, event.track)))
        with pair.ada.use():
            camera = VideoSource()
        pair.first.add_track(camera.track)
        show = Show(camera)
        await until(lambda: eyes and len(eyes[0].numbers) > 10)
        await pair.first.reset(level)
        last = show.number
        await until(lambda: eyes[-1].numbers and eyes[-1].numbers[-1] > last + 10)
        seen = [number for eye in eyes for number in eye.numbers]
        assert seen == sorted(seen)  # never over both connections; the last picture is shown again on the new one
        show.stop()
        receipt = await pair.first.close("bye")
        other = await pair.second.wait_closed()
        assert receipt.clean
        [sent], [got] = receipt.media.values(), other.media.values()
        assert sent.kind == got.kind == "video"
        assert 0 <= sent.sent.frames - got.received.frames <= 2
        assert got.received.decoded > 10
