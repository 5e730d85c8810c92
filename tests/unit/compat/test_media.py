"""MediaPlayer and MediaRecorder on real files: frames on one time axis, nothing without bound, files given back."""

from __future__ import annotations

import asyncio
import threading
import wave
from array import array
from collections import deque
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import pytest

from adieu.compat.aiortc import AudioStreamTrack, MediaStreamError, MediaStreamTrack
from adieu.compat.aiortc.contrib import player as players
from adieu.compat.aiortc.contrib.media import MediaPlayer, MediaRecorder, MediaRelay
from adieu.testing import tones
from support.fake_media import no_threads

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio
SECONDS = 0.4


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """Ten tones, at 22050 Hz and one channel."""
    path = tmp_path / "tones.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(22050)
        file.writeframes(tones(10, sample_rate=22050))
    return path


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Sound and twelve pictures, whose brightness is their number."""
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as file:
        pictures: Any = file.add_stream("mpeg4", rate=30)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        voice: Any = file.add_stream("pcm_s16le", rate=48000)
        for number in range(12):
            picture = av.VideoFrame(64, 48, "yuv420p")
            for plane in picture.planes:
                plane.update(bytes([20 * number]) * plane.buffer_size)
            picture.pts, picture.time_base = number, Fraction(1, 30)
            file.mux(pictures.encode(picture))
            piece = av.AudioFrame(format="s16", layout="stereo", samples=1600)
            piece.planes[0].update(bytes(piece.planes[0].buffer_size))
            piece.sample_rate, piece.pts, piece.time_base = 48000, 1600 * number, Fraction(1, 48000)
            file.mux(voice.encode(piece))
        for stream in (pictures, voice):
            file.mux(stream.encode(None))
    return path


async def rest(track: MediaStreamTrack | None) -> list[Any]:
    """Read a track to its end."""
    assert track is not None
    frames: list[Any] = []
    while True:
        try:
            frames.append(await track.recv())
        except MediaStreamError:
            return frames


def playing() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "adieu-player"]


async def until_over() -> None:
    async with asyncio.timeout(5):
        while playing():
            await asyncio.sleep(0.01)


async def test_a_file_gives_frames_of_20_ms_when_they_are_due(sound: Path) -> None:
    player = MediaPlayer(str(sound))
    assert player.video is None
    loop = asyncio.get_running_loop()
    began = loop.time()
    frames = await rest(player.audio)
    assert loop.time() - began >= SECONDS - 0.02 - 0.005
    assert {(f.sample_rate, f.layout.name, f.format.name) for f in frames} == {(48000, "stereo", "s16")}
    assert all(frame.samples == 960 for frame in frames[:-1])
    assert sum(frame.samples for frame in frames) == pytest.approx(SECONDS * 48000, abs=48)
    assert [frame.pts for frame in frames] == [960 * index for index in range(len(frames))]
    heard = array("h", b"".join(bytes(frame.planes[0])[: 4 * frame.samples] for frame in frames))
    assert max(heard) == pytest.approx(0.3 * 32767 * 0.5**0.5, rel=0.1), "as FFmpeg makes two channels of one"
    await until_over()


async def test_a_file_in_a_loop_goes_on_and_stop_closes_it(sound: Path) -> None:
    player = MediaPlayer(str(sound), loop=True)
    track: Any = player.audio
    frames = [await track.recv() for _ in range(30)]
    assert [frame.pts for frame in frames] == [960 * index for index in range(30)], "time goes on in each round"
    assert playing()
    player.stop()
    with pytest.raises(MediaStreamError):
        await track.recv()
    await until_over()
    with pytest.raises(ValueError, match="twice"):
        MediaPlayer(Unseekable(sound.read_bytes()), loop=True)  # noqa: ASYNC240


class Unseekable:
    """A file object that can be read once, such as a pipe."""

    def __init__(self, data: bytes) -> None:
        self._data = data[:40] + b"\xff\xff\xff\xff" + data[44:]

    def read(self, size: int) -> bytes:
        data, self._data = self._data[:size], self._data[size:]
        return data


async def test_sound_and_pictures_share_one_axis_and_are_read_little_ahead(film: Path) -> None:
    player = MediaPlayer(str(film))
    track: Any = player.video
    first = await track.recv()
    pictures, sounds = await asyncio.gather(rest(player.video), rest(player.audio))
    pictures.insert(0, first)
    assert len(pictures) == 12
    assert [round(float(picture.time * 30)) for picture in pictures] == list(range(12))
    assert sounds[-1].time == pytest.approx(pictures[-1].time, abs=0.05)
    shelf = players._Shelf()
    shelf.frames["audio"] = shelf.frames["video"] = deque()
    thread = threading.Thread(target=lambda: [shelf.put("audio", number, False) for number in range(1000)])
    thread.start()
    async with asyncio.timeout(10):
        while len(shelf.frames["audio"]) < players.AHEAD:
            await asyncio.sleep(0.01)
    thread.join(0.1)
    assert thread.is_alive(), "it waits for a reader"
    assert len(shelf.frames["audio"]) == players.AHEAD
    shelf.quit = True
    with shelf.condition:
        shelf.condition.notify()
    thread.join()


@pytest.mark.parametrize("stopped", [False, True])
async def test_a_track_that_is_read_a_moment_later_misses_nothing(film: Path, stopped: bool) -> None:
    """The thread may have read the whole of a short file by then."""
    player = MediaPlayer(str(film))
    assert player.video is not None and player.audio is not None
    await player.video.recv()
    await until_over()
    if stopped:
        player.audio.stop()
        assert await rest(player.audio) == []
    else:
        assert [round(frame.time, 2) for frame in await rest(player.audio)] == [number / 50 for number in range(20)]
    assert len(await rest(player.video)) == 11


async def test_a_track_that_nobody_reads_holds_up_no_other(film: Path) -> None:
    shelf = players._Shelf()
    for kind in ("audio", "video"):
        shelf.frames[kind] = deque()
    for number in range(players.MOST + 50):
        shelf.put("video", number, False)
    assert len(shelf.frames["video"]) == players.MOST
    assert shelf.take("video") == 50, "the oldest are dropped"
    assert shelf.take("audio") is None


async def test_packets_are_given_as_they_are(film: Path, sound: Path) -> None:
    player = MediaPlayer(str(film), decode=False)
    assert player.video is None, "mpeg4 is no codec of WebRTC"
    assert player.audio is None
    path = film.with_suffix(".webm")
    with av.open(str(path), "w") as file, av.open(str(sound)) as source:
        stream: Any = file.add_stream("libopus", rate=48000)
        for frame in source.decode(audio=0):
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    packets = await rest(MediaPlayer(str(path), decode=False).audio)
    assert len(packets) >= SECONDS / 0.02
    assert packets[0].pts == 0
    assert all(isinstance(packet, av.Packet) for packet in packets)
    player.stop()


class Pictures(MediaStreamTrack):
    """Gives pictures that begin late, at a time axis of their own, with one that goes back."""

    kind = "video"

    def __init__(self, late: float) -> None:
        super().__init__()
        self._late, self._count = late, 0

    async def recv(self) -> Any:
        if self._count == 6:
            self.stop()
            raise MediaStreamError
        await asyncio.sleep(self._late if self._count == 0 else 1 / 30)
        picture = av.VideoFrame(64, 48, "yuv420p")
        for plane in picture.planes:
            plane.update(bytes(plane.buffer_size))
        picture.pts, picture.time_base = 90000 + 3000 * (self._count if self._count != 3 else 0), Fraction(1, 90000)
        self._count += 1
        return picture


async def test_what_is_recorded_plays_with_the_times_that_it_had(tmp_path: Path) -> None:
    path = tmp_path / "out.mkv"
    recorder, relay, spoken = MediaRecorder(str(path)), MediaRelay(), AudioStreamTrack()
    seen = relay.subscribe(source := Pictures(0.2))
    beside = relay.subscribe(source)
    recorder.addTrack(spoken)
    recorder.addTrack(seen)
    await recorder.start()
    others = await rest(beside)
    spoken.stop()
    await asyncio.sleep(0.05)
    await recorder.stop()
    await recorder.stop()
    assert others[0].pts == 90000, "the recorder changed a frame that others read too"
    with av.open(str(path)) as file:
        times = {"audio": [], "video": []}
        for packet in file.demux():
            if packet.pts is not None:
                times[packet.stream.type].append(float(packet.pts * packet.time_base))
    assert len(times["video"]) == 5, "one went back in time"
    assert times["video"][0] - times["audio"][0] == pytest.approx(0.2, abs=0.1)
    assert max(times["video"]) - min(times["video"]) == pytest.approx(5 / 30, abs=0.02)


async def test_a_recorder_of_nothing_and_a_frame_without_a_time(tmp_path: Path, caplog) -> None:
    class Timeless(AudioStreamTrack):
        async def recv(self):
            frame = await super().recv()
            frame.pts = None
            return frame

    recorder = MediaRecorder(str(tmp_path / "out.wav"))
    recorder.addTrack(Timeless())
    await recorder.start()
    await asyncio.sleep(0.05)
    await recorder.stop()
    assert "no pts" in caplog.text


async def test_a_recorded_track_that_awaits_what_was_cancelled_is_logged(tmp_path: Path, caplog) -> None:
    class Broken(AudioStreamTrack):
        async def recv(self):
            raise asyncio.CancelledError

    recorder = MediaRecorder(str(tmp_path / "out.wav"))
    recorder.addTrack(Broken())
    await recorder.start()
    await asyncio.sleep(0.01)
    assert "is not recorded any further" in caplog.text
    await recorder.stop()


async def test_a_stop_that_is_cancelled_loses_no_recording_and_a_second_one_waits_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adieu.compat.aiortc.contrib import recorder as recorders

    encode, begun, go_on = recorders._encode, threading.Event(), threading.Event()

    def slow(*args: Any) -> None:
        begun.set()
        go_on.wait(5)
        encode(*args)

    monkeypatch.setattr(recorders, "_encode", slow)
    path = tmp_path / "call.wav"
    recorder = MediaRecorder(str(path))
    recorder.addTrack(AudioStreamTrack())
    await recorder.start()
    while not begun.is_set():
        await asyncio.sleep(0.002)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(recorder.stop(), 0.02)
    second = asyncio.create_task(recorder.stop())
    await asyncio.sleep(0.02)
    assert not second.done()
    go_on.set()
    await asyncio.wait_for(second, 5)
    with wave.open(str(path)) as file:
        assert file.getnframes() >= 960


async def test_a_recording_is_whole_though_its_program_is_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"

    async def program() -> None:
        recorder = MediaRecorder(str(path))
        recorder.addTrack(AudioStreamTrack())
        await recorder.start()
        await asyncio.sleep(0.1)
        asyncio.get_running_loop().call_soon(stopping.cancel)
        await recorder.stop()

    stopping = asyncio.create_task(program())
    with pytest.raises(asyncio.CancelledError):
        await stopping
    async with asyncio.timeout(5):
        while any(thread.name.startswith("adieu-recorder") for thread in threading.enumerate()):
            await asyncio.sleep(0.002)
    with wave.open(str(path)) as file:
        assert file.getnframes() >= 960


async def test_a_recorder_without_a_thread_says_so_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = MediaRecorder(str(tmp_path / "call.wav"))
    recorder.addTrack(AudioStreamTrack())
    with no_threads(monkeypatch), pytest.raises(RuntimeError, match="can't start new thread"):
        await recorder.start()
    await recorder.start()
    await asyncio.sleep(0.05)
    await recorder.stop()
    with wave.open(str(tmp_path / "call.wav")) as file:
        assert file.getnframes() >= 960


async def test_a_player_goes_on_after_a_moment_without_threads(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    player = MediaPlayer(str(sound))
    assert player.audio is not None
    with no_threads(monkeypatch), pytest.raises(RuntimeError, match="can't start new thread"):
        await player.audio.recv()
    assert len(await asyncio.wait_for(rest(player.audio), 5)) == SECONDS / 0.02
    await until_over()
