"""Programs as they are written for aiortc, over whole stacks in virtual time."""

from __future__ import annotations

import asyncio
import re
from array import array
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import pytest

from adieu.compat.aiortc import (
    AudioStreamTrack,
    InvalidAccessError,
    InvalidStateError,
    MediaStreamError,
    RTCPeerConnection,
    RTCSessionDescription,
    VideoStreamTrack,
)
from adieu.compat.aiortc.contrib.media import MediaBlackhole, MediaRelay
from adieu.compat.aiortc.exceptions import InternalError, OperationError
from adieu.compat.aiortc.sdp import candidate_from_sdp
from adieu.testing import ToneReader, tones
from support.virtual import simulated

if TYPE_CHECKING:
    from adieu.testing import World

RATE = 16000


class ToneTrack(AudioStreamTrack):
    """Speaks tones that carry their number, in frames of 20 ms and 16 kHz."""

    def __init__(self, count: int, *, first: int = 0) -> None:
        super().__init__()
        self._start = 0.0  # names that aiortc's own programs use
        self._timestamp = 0
        self._sound = tones(count, first=first, sample_rate=RATE)
        self.read = 0

    async def recv(self) -> av.AudioFrame:
        loop = asyncio.get_running_loop()
        if not self.read:
            self._start = loop.time()
        await asyncio.sleep(max(0.0, self._start + 0.02 * self.read - loop.time()))
        size = 2 * RATE // 50
        data = self._sound[size * self.read : size * (self.read + 1)]
        if len(data) < size:
            self.stop()
            raise MediaStreamError
        self.read += 1
        frame = av.AudioFrame(format="s16", layout="mono", samples=RATE // 50)
        frame.planes[0].update(data)
        frame.sample_rate, frame.pts, frame.time_base = RATE, self.read * RATE // 50, Fraction(1, RATE)
        return frame


class Call:
    """Two connections, a negotiation as aiortc's programs do it, and the events of both."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.hosts = list(world.hosts())
        self.pcs = [RTCPeerConnection() for _ in self.hosts]
        self.states: list[list[str]] = [[], []]
        for pc, states in zip(self.pcs, self.states, strict=True):
            pc.on("connectionstatechange", lambda pc=pc, states=states: states.append(pc.connectionState))

    async def connect(self) -> None:
        one, two = self.pcs
        with self.hosts[0].use():
            await one.setLocalDescription(await one.createOffer())
        with self.hosts[1].use():
            await two.setRemoteDescription(one.localDescription)
            await two.setLocalDescription(await two.createAnswer())
        await one.setRemoteDescription(two.localDescription)
        await until(lambda: one.connectionState == two.connectionState == "connected")


async def until(condition: Any, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def heard(track: Any, world: World, loudest: list[int] | None = None) -> ToneReader:
    """Read a track to its end."""
    reader = ToneReader()
    while True:
        try:
            frame = await track.recv()
        except MediaStreamError:
            return reader
        assert (frame.format.name, frame.layout.name, frame.sample_rate, frame.samples) == ("s16", "stereo", 48000, 960)
        every_sixth = array("h", bytes(frame.planes[0])[: 4 * frame.samples])[::12]  # of the left: 8 kHz
        reader.feed(every_sixth.tobytes(), world.now)
        if loudest is not None:
            loudest[0] = max(loudest[0], *every_sixth)


@simulated()
async def test_a_program_with_a_data_channel_runs(world):
    call = Call(world)
    one, two = call.pcs
    said: list[Any] = []

    @two.on("datachannel")
    def on_datachannel(channel):
        said.append((channel.label, channel.readyState))

        @channel.on("message")
        async def on_message(message):
            channel.send(b"pong" + message if isinstance(message, bytes) else f"pong{message}")

    with call.hosts[0].use():
        channel = one.createDataChannel("chat", maxRetransmits=3, ordered=False)
    assert channel.transport is None
    with pytest.raises(InvalidStateError):
        channel.send("too early")
    channel.on("message", said.append)

    @channel.on("open")
    def on_open():
        channel.send("1")
        channel.send(b"2")

    await call.connect()
    await until(lambda: len(said) == 3)
    assert said == [("chat", "open"), "pong1", b"pong2"]
    assert channel.transport.transport.transport.state in {"connected", "completed"}
    with pytest.raises(ValueError, match="int"):
        channel.send(1)
    with pytest.raises(ValueError, match="only one"):
        one.createDataChannel("both", maxRetransmits=1, maxPacketLifeTime=1)
    await one.close()
    await two.close()
    assert call.states == [["connecting", "connected", "closed"]] * 2


@simulated()
async def test_a_full_channel_says_so_and_takes_more_after_bufferedamountlow(world):
    call = Call(world)
    with call.hosts[0].use():
        channel = call.pcs[0].createDataChannel("file")
    got: list[int] = []
    call.pcs[1].on("datachannel", lambda other: other.on("message", lambda message: got.append(len(message))))
    low = asyncio.Event()
    channel.bufferedAmountLowThreshold = 1_000_000
    channel.on("bufferedamountlow", low.set)
    await call.connect()
    await until(lambda: channel.readyState == "open")
    count = 0
    with pytest.raises(OperationError, match="wait for bufferedamountlow"):
        while count < 1000:
            channel.send(bytes(65_000))
            count += 1
    assert 15_000_000 < 65_000 * count < 25_000_000
    await asyncio.wait_for(low.wait(), 100)
    channel.send(bytes(65_000))
    await until(lambda: got == [65_000] * (count + 1), 100)
    for pc in call.pcs:
        await pc.close()


@simulated()
async def test_the_side_that_is_left_ends_its_tracks_and_channels(world):
    call = Call(world)
    one, two = call.pcs
    ended: list[str] = []
    answers = AudioStreamTrack()

    @two.on("track")
    def on_track(track):
        two.addTrack(answers)
        track.on("ended", lambda: ended.append(track.kind))

    with call.hosts[0].use():
        one.addTrack(ToneTrack(1000))
        channel = one.createDataChannel("chat")
    channel.on("close", lambda: ended.append("own channel"))
    two.on("datachannel", lambda other: other.on("close", lambda: ended.append("channel")))
    await call.connect()
    await until(lambda: channel.readyState == "open")
    for pc in (one, two):
        assert re.search(r"^a=msid:[^- ]", pc.localDescription.sdp, re.MULTILINE), "pages look for its stream"
    await asyncio.sleep(0.5)
    await one.close()
    await until(lambda: two.connectionState == "closed", 3.0)
    assert sorted(ended) == ["audio", "channel", "own channel"]
    assert one.getSenders()[0].track.readyState == "ended", "as in aiortc, what was sent ends with the connection"
    await two.close()
    await one.close()
    with pytest.raises(InvalidStateError):
        one.createDataChannel("late")


@pytest.mark.parametrize("late", [False, True])
@simulated()
async def test_two_offers_at_once_close_nothing(world, late):
    """The offer of the other side rolls the own one back: its transport closes, and the connection lives on."""
    call = Call(world)
    one, two = call.pcs
    opened: list[str] = []
    for host, pc in zip(call.hosts, call.pcs, strict=True):
        with host.use():
            channel = pc.createDataChannel("chat")
        channel.on("open", lambda: opened.append("open"))
    with call.hosts[0].use():
        await one.setLocalDescription(await one.createOffer())
    with call.hosts[1].use():
        own = asyncio.create_task(two.setLocalDescription())
    if late:
        await asyncio.wait_for(own, 5)
    else:
        await until(lambda: two.signalingState == "have-local-offer")
    await two.setRemoteDescription(one.localDescription)
    await asyncio.wait_for(own, 5)
    await asyncio.sleep(0.2)
    await two.setLocalDescription(await two.createAnswer())
    await one.setRemoteDescription(two.localDescription)
    await until(lambda: len(opened) == 2)
    assert two.connectionState == "connected"
    await one.close()
    await two.close()


@simulated()
async def test_a_bad_early_candidate_is_logged_and_the_good_ones_are_used(world, caplog):
    call = Call(world)
    one, two = call.pcs
    early: Any = [candidate_from_sdp(f"1 1 udp 1 10.0.0.9 {port} typ host") for port in (9, 10, 11)]
    early[0].sdpMid, early[1].sdpMLineIndex, early[2].sdpMid = "7", -1, "0"
    with call.hosts[0].use():
        one.createDataChannel("chat")
        await one.setLocalDescription()
    with call.hosts[1].use():
        for candidate in early:
            await two.addIceCandidate(candidate)
        await two.setRemoteDescription(one.localDescription)
        await two.setLocalDescription()
    await one.setRemoteDescription(two.localDescription)
    assert caplog.text.count("is ignored") == 2 and "'7'" in caplog.text
    assert " 10.0.0.9 11 typ host" in two.remoteDescription.sdp
    await until(lambda: two.connectionState == "connected")
    await one.close()
    await two.close()


@simulated()
async def test_a_rollback_and_a_rejection_close_nothing(world):
    call = Call(world)
    one, two = call.pcs
    with call.hosts[0].use():
        one.addTransceiver("video")
    for _ in range(2):
        await one.setLocalDescription()
        await one.setLocalDescription(RTCSessionDescription(sdp="", type="rollback"))
        await asyncio.sleep(0.2)
        assert (one.signalingState, one.localDescription) == ("stable", None)
    await one.setLocalDescription()
    with call.hosts[1].use():
        await two.setRemoteDescription(one.localDescription)
    await two.setLocalDescription()
    rejected = re.sub(r"m=video \d+", "m=video 0", re.sub(r"a=group:BUNDLE.*\r\n", "", two.localDescription.sdp))
    await one.setRemoteDescription(RTCSessionDescription(sdp=rejected, type="answer"))
    await asyncio.sleep(0.2)
    assert (one.signalingState, one.connectionState, one.getTransceivers()) == ("stable", "new", [])
    one.createDataChannel("instead")
    await one.close()
    await two.close()


@simulated()
async def test_a_track_of_the_program_is_heard_once_and_in_order(world):
    call = Call(world)
    one, two = call.pcs
    readers: list[asyncio.Task[ToneReader]] = []
    loudest = [0]
    two.on("track", lambda track: readers.append(asyncio.create_task(heard(track, world, loudest))))
    track = ToneTrack(100)
    with call.hosts[0].use():
        sender = one.addTrack(track)
        with pytest.raises(InvalidAccessError):
            one.addTrack(track)
    await asyncio.sleep(3)
    assert not track.read, "what is read before the connection is there would be heard late"
    await call.connect()
    await until(lambda: track.readyState == "ended", 20)
    await asyncio.sleep(1)
    await one.close()
    reader = await readers[0]
    numbers = [tone.number for tone in reader.heard]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) >= 98, numbers
    assert loudest[0] == pytest.approx(0.3 * 32767, rel=0.15), "one channel is as loud as two"
    assert sender.track is track
    await two.close()


@simulated()
async def test_the_new_track_is_heard_and_the_old_one_read_no_further(world):
    call = Call(world)
    one, two = call.pcs
    readers: list[asyncio.Task[ToneReader]] = []
    two.on("track", lambda track: readers.append(asyncio.create_task(heard(track, world))))
    first, second = ToneTrack(1000), ToneTrack(50, first=30)
    with call.hosts[0].use():
        transceiver = one.addTransceiver("audio", direction="sendonly")
        transceiver.sender.replaceTrack(first)
    await call.connect()
    await until(lambda: first.read > 20)
    with call.hosts[0].use():
        transceiver.sender.replaceTrack(second)
    read = first.read
    await until(lambda: second.readyState == "ended")
    assert (first.read, first.readyState) == (read, "live")
    await asyncio.sleep(0.5)
    await one.close()
    numbers = {tone.number for tone in (await readers[0]).heard}
    assert len(numbers & set(range(30, 80))) >= 47, numbers
    await two.close()


@simulated()
async def test_a_slow_reader_gets_the_newest_eight_frames(world):
    call = Call(world)
    one, two = call.pcs
    tracks: list[Any] = []
    two.on("track", tracks.append)
    with call.hosts[0].use():
        one.addTrack(ToneTrack(500))
    await call.connect()
    first = await tracks[0].recv()
    await asyncio.sleep(5)
    frames = [await tracks[0].recv() for _ in range(8)]
    missed = (frames[0].pts - first.pts) / 48000
    assert missed == pytest.approx(5 - 0.16, abs=0.06)
    assert [frame.pts - frames[0].pts for frame in frames] == [960 * index for index in range(8)]
    began = world.now
    await tracks[0].recv()
    assert world.now > began, "a ninth was not kept"
    await one.close()
    await two.close()


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError])
@simulated()
async def test_a_track_that_fails_is_logged_and_ends(world, caplog, error):
    """A CancelledError is one of something that it awaits: nobody has cancelled the task that reads it."""

    class Broken(AudioStreamTrack):
        async def recv(self):
            raise error

    call = Call(world)
    one, two = call.pcs
    track = Broken()
    with call.hosts[0].use():
        one.addTrack(track)
    await call.connect()
    await until(lambda: track.readyState == "ended")
    assert "Broken" in caplog.text
    assert error.__name__ in caplog.text
    await one.close()
    await two.close()


@simulated()
async def test_silence_is_sent_in_the_chosen_codec(world):
    call = Call(world)
    one, two = call.pcs
    hole = MediaBlackhole()
    two.on("track", hole.addTrack)
    with call.hosts[0].use():
        sender = one.addTrack(AudioStreamTrack())
        pcma = [codec for codec in sender.getCapabilities("audio").codecs if codec.mimeType == "audio/PCMA"]
        one.getTransceivers()[0].setCodecPreferences(pcma)
    await call.connect()
    await hole.start()
    await asyncio.sleep(2)
    [sent] = [stats for stats in (await sender.getStats()).values() if stats.type == "outbound-rtp"]
    assert sent.packetsSent == pytest.approx(100, abs=5)
    assert "PCMA" in one.localDescription.sdp
    assert "opus" not in one.localDescription.sdp
    with pytest.raises(AttributeError, match="outbound-rtp"):
        _ = sent.fractionLost
    await hole.stop()
    await one.close()
    await two.close()


@simulated()
async def test_a_relay_serves_several_and_keeps_little_for_idle_readers(world):
    relay, source = MediaRelay(), ToneTrack(100)
    one, two, idle = (relay.subscribe(source) for _ in range(3))
    newest = relay.subscribe(source, buffered=False)
    first = await asyncio.gather(*(track.recv() for track in (one, two, idle, newest)))
    assert all(frame is first[0] for frame in first)
    for _ in range(100):
        assert await one.recv() is await two.recv()
    assert (await newest.recv()).pts == source.read * RATE // 50
    pts = [(await idle.recv()).pts for _ in range(8)]
    assert pts == [RATE // 50 * (source.read - 7 + index) for index in range(8)]
    two.stop()
    with pytest.raises(MediaStreamError):
        await two.recv()
    with pytest.raises(MediaStreamError):
        while True:
            await one.recv()
    for track in (idle, newest):  # which get what waits, and end with their source
        with pytest.raises(MediaStreamError):
            for _ in range(9):
                await track.recv()
        assert track.readyState == "ended"
    with pytest.raises(MediaStreamError):
        await relay.subscribe(source).recv()


@simulated()
async def test_a_relay_reads_its_source_while_somebody_reads(world):
    relay, source = MediaRelay(), ToneTrack(100)
    track = relay.subscribe(source)
    await track.recv()
    track.stop()
    await asyncio.sleep(0.1)
    read = source.read
    await asyncio.sleep(1)
    assert source.read == read
    other = relay.subscribe(source)
    await other.recv()
    assert source.read > read
    other.stop()


@simulated()
async def test_pictures_of_a_track_are_seen_as_pyavs_frames(world):
    call = Call(world)
    one, two = call.pcs
    tracks: list[Any] = []
    two.on("track", tracks.append)
    with call.hosts[0].use():
        sender = one.addTrack(VideoStreamTrack())
    await call.connect()
    with call.hosts[1].use():
        frames = [await tracks[0].recv() for _ in range(5)]
    assert {(frame.format.name, frame.width, frame.height) for frame in frames} == {("yuv420p", 640, 480)}
    times = [frame.pts * frame.time_base for frame in frames]
    assert times == sorted(set(times))
    with pytest.raises(InternalError, match="sender of video"):
        sender.replaceTrack(AudioStreamTrack())
    await one.close()
    await two.close()
    assert sender.track is not None
    assert (sender.track.readyState, tracks[0].readyState) == ("ended", "ended")
