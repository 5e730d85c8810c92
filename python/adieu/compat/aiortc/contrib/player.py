"""MediaPlayer: tracks from a file, a device or a stream of the network."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from adieu.compat.aiortc.frames import RATE, pyav
from adieu.compat.aiortc.mediastreams import AUDIO_PTIME, MediaStreamError, MediaStreamTrack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger: Final = logging.getLogger("adieu.compat.aiortc")

LIVE: Final = frozenset({
    "alsa", "android_camera", "avfoundation", "bktr", "decklink", "dshow", "fbdev", "gdigrab", "iec61883", "jack",
    "kmsgrab", "openal", "oss", "pulse", "rtsp", "sndio", "v4l2", "vfwcap", "video4linux2", "x11grab",
})  # fmt: skip
"""Formats of FFmpeg that give frames in real time by themselves."""
READY: Final = {
    "audio": {"opus": "audio/opus", "pcm_alaw": "audio/PCMA", "pcm_mulaw": "audio/PCMU"},
    "video": {"h264": "video/H264", "vp8": "video/VP8"},
}
"""Codecs whose packets programs may want as they are."""
AHEAD: Final = 25
"""The reader of the file rests when each track has so many frames."""
MOST: Final = 256
"""The most frames that one track keeps while another is empty; then the oldest is dropped."""


@dataclass(eq=False)
class _Shelf:
    """Frames between the reading thread and the event loop."""

    condition: threading.Condition = field(default_factory=threading.Condition)
    frames: dict[str, deque[Any]] = field(default_factory=dict[str, "deque[Any]"])
    """The frames of tracks that are read."""
    early: dict[str, deque[Any]] = field(default_factory=dict[str, "deque[Any]"])
    """The last frames of tracks that are not read yet: two tracks never begin in the same moment."""
    over: bool = False
    quit: bool = False
    origin: float | None = None
    """When the beginning of the file was due, for all its tracks."""

    def put(self, kind: str, frame: Any, live: bool) -> bool:
        """Add a frame, in the thread; wait while there is enough. Return whether to go on."""
        with self.condition:
            while not live and not self.quit and self._is_enough():
                self.condition.wait()
            if kind in self.frames:
                shelf = self.frames[kind]
                if len(shelf) >= (AHEAD if live else MOST):
                    shelf.popleft()
                shelf.append(frame)
            elif not live:
                self.early.setdefault(kind, deque(maxlen=AHEAD)).append(frame)
            return not self.quit

    def begin(self, kind: str) -> None:
        """Note that this track is read."""
        with self.condition:
            if kind not in self.frames:
                self.frames[kind] = deque(self.early.pop(kind, ()))

    def leave(self, kind: str) -> None:
        """Note that this track has ended: its frames are dropped from now on."""
        self.frames.pop(kind, None)
        self.early[kind] = deque(maxlen=0)

    def _is_enough(self) -> bool:
        return bool(self.frames) and all(len(shelf) >= AHEAD for shelf in self.frames.values())

    def take(self, kind: str) -> Any:
        """Return the next frame, in the event loop; None: it is not there yet."""
        with self.condition:
            shelf = self.frames.get(kind)
            if not shelf:
                return None
            frame = shelf.popleft()
            self.condition.notify()
            return frame


class PlayerStreamTrack(MediaStreamTrack):
    """A track of a `MediaPlayer`."""

    def __init__(
        self,
        kind: str,
        shelf: _Shelf,
        paced: bool,
        start: Callable[[PlayerStreamTrack], None],
        leave: Callable[[PlayerStreamTrack], None],
    ) -> None:
        super().__init__()
        self.kind = kind
        self._shelf, self._paced = shelf, paced
        self._begin, self._leave = start, leave
        self._arrived = asyncio.Event()

    async def recv(self) -> Any:
        """Return the next frame, when it is due; of a player without decoding, the next packet.

        Raises:
            MediaStreamError: the file or the track has ended.
        """
        while self.readyState == "live":
            self._begin(self)
            self._arrived.clear()
            over = self._shelf.over
            frame = self._shelf.take(self.kind)
            if frame is not None:
                await self._pace(frame)
                return frame
            if over:
                self.stop()
                break
            await self._arrived.wait()
        raise MediaStreamError(f"{self!r} has ended")

    async def _pace(self, frame: Any) -> None:
        if not self._paced or frame.pts is None:
            return
        at = frame.pts * frame.time_base.numerator / frame.time_base.denominator
        if self._shelf.origin is None:
            self._shelf.origin = asyncio.get_running_loop().time() - at
        await asyncio.sleep(max(0.0, self._shelf.origin + at - asyncio.get_running_loop().time()))

    def handle_arrived(self) -> None:
        """Look again: the thread has put something, or has ended."""
        self._arrived.set()

    def stop(self) -> None:
        """End it. With its last track the player closes its file or device."""
        super().stop()
        self._leave(self)
        self._arrived.set()


class MediaPlayer:
    """Reads sound and pictures from a file, a device or a stream of the network.

    A thread reads and decodes, half a second ahead. It begins when the first track is read, and the event loop never
    waits for it.

    Args:
        file: a path, a URL, or a file object.
        format: of FFmpeg; None: found by itself.
        options: of FFmpeg.
        timeout: seconds for opening and reading; None: no limit.
        loop: begin again at the end.
        decode: give frames; else packets, of codecs that can be sent as they are.

    Raises:
        ValueError: `loop` is asked for, and the length of the file is unknown.
        av.FFmpegError: it cannot be opened.
    """

    def __init__(
        self,
        file: Any,
        format: str | None = None,
        options: dict[str, str] | None = None,
        timeout: float | tuple[float | None, float | None] | None = None,
        loop: bool = False,
        decode: bool = True,
    ) -> None:
        self._container = pyav().open(file=file, format=format, mode="r", options=options, timeout=timeout)
        if loop and self._container.duration is None:
            self._container.close()
            raise ValueError(f"loop=True: {file!r} cannot be read twice")
        self._loop, self._decode = loop, decode
        self._live = bool(LIVE.intersection(self._container.format.name.split(",")))
        self._shelf = _Shelf()
        self._thread: threading.Thread | None = None
        self._streams: dict[str, Any] = {}
        self._tracks: dict[str, PlayerStreamTrack] = {}
        for stream in self._container.streams:
            kind = stream.type
            if kind in READY and kind not in self._streams and (decode or stream.codec_context.name in READY[kind]):
                self._streams[kind] = stream
                track = PlayerStreamTrack(kind, self._shelf, not self._live, self._start, self._leave)
                track.ready = None if decode else READY[kind][stream.codec_context.name]
                self._tracks[kind] = track

    @property
    def audio(self) -> MediaStreamTrack | None:
        """The track of its sound; None if it has no such."""
        return self._tracks.get("audio")

    @property
    def video(self) -> MediaStreamTrack | None:
        """The track of its pictures; None if it has no such."""
        return self._tracks.get("video")

    def stop(self) -> None:
        """End its tracks, and close the file or the device."""
        for track in self._tracks.values():
            track.stop()

    def _start(self, track: PlayerStreamTrack) -> None:
        self._shelf.begin(track.kind)
        if self._thread is None and not self._shelf.quit:
            loop = asyncio.get_running_loop()
            thread = threading.Thread(name="adieu-player", target=self._run, args=(loop,), daemon=True)
            thread.start()  # where the system allows none now, the next frame asks again
            self._thread = thread

    def _leave(self, track: PlayerStreamTrack) -> None:
        with self._shelf.condition:
            self._shelf.leave(track.kind)
            ended = all(track.readyState == "ended" for track in self._tracks.values())
            if self._shelf.quit or not ended:
                self._shelf.condition.notify()
                return
            self._shelf.quit = True
            self._shelf.condition.notify()
        if self._thread is None:
            self._container.close()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read until the end, in the thread."""
        try:
            for kind, frame in self._frames() if self._decode else self._packets():
                if not self._shelf.put(kind, frame, self._live):
                    break
                _tell(loop, self._tracks[kind].handle_arrived)
        except Exception:
            logger.exception("MediaPlayer: %s cannot be read further", self._container.name)
        finally:
            self._shelf.over = True
            self._container.close()
            for track in self._tracks.values():
                _tell(loop, track.handle_arrived)

    def _read(self, read: Callable[..., Iterator[Any]]) -> Iterator[tuple[Any, bool]]:
        """Read the container to its end, or round and round. Each comes with whether it is the first of a round."""
        av, first = pyav(), True
        found = read(*self._streams.values())
        while not self._shelf.quit:
            try:
                yield next(found), first
                first = False
            except av.BlockingIOError:  # a device that has nothing yet
                time.sleep(0.01)
                found = read(*self._streams.values())
            except (StopIteration, av.EOFError):
                if not self._loop or first:
                    return
                self._container.seek(0)
                found, first = read(*self._streams.values()), True

    def _frames(self) -> Iterator[tuple[str, Any]]:
        av = pyav()
        resampler = av.AudioResampler(format="s16", layout="stereo", rate=RATE, frame_size=round(AUDIO_PTIME * RATE))
        samples, line = 0, _TimeLine()
        for frame, first in self._read(self._container.decode):
            if first:
                line.begin()
            if isinstance(frame, av.AudioFrame):
                frame.pts = None
                for part in resampler.resample(frame):
                    part.pts, part.time_base, part.sample_rate = samples, Fraction(1, RATE), RATE
                    samples += part.samples
                    yield "audio", part
            elif frame.pts is not None:
                line.shift(frame)
                yield "video", frame
        if samples:
            for part in resampler.resample(None):
                part.pts, part.time_base, part.sample_rate = samples, Fraction(1, RATE), RATE
                yield "audio", part

    def _packets(self) -> Iterator[tuple[str, Any]]:
        lines = {kind: _TimeLine() for kind in self._streams}
        start_codes = self._start_codes()
        for packet, first in self._read(self._container.demux):
            if first:
                for line in lines.values():
                    line.begin()
            kind = packet.stream.type
            if packet.size and packet.pts is not None:
                for part in start_codes.filter(packet) if start_codes and kind == "video" else (packet,):
                    lines[kind].shift(part)
                    yield kind, part

    def _start_codes(self) -> Any:
        """Return a filter that gives H264 of MP4 and Matroska start codes, as it is sent; None: it has them."""
        stream = self._streams.get("video")
        if (
            stream is None
            or stream.codec_context.name != "h264"
            or (stream.codec_context.extradata or b"")[:1] != b"\1"
        ):
            return None
        bitstream = import_module("av.bitstream")
        return bitstream.BitStreamFilterContext("h264_mp4toannexb", stream)


class _TimeLine:
    """Makes timestamps that begin at 0 and grow, also when a file begins again."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._base = self._next = 0

    def begin(self) -> None:
        """Go on behind the last frame: the file begins, or begins again."""
        self._first, self._base = None, self._next

    def shift(self, frame: Any) -> None:
        """Set the timestamp of a frame or a packet."""
        if self._first is None:
            self._first = frame.pts
        frame.pts = frame.pts - self._first + self._base
        length = frame.duration or 0
        self._next = max(self._next, frame.pts + max(length, 1))


def _tell(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:  # the event loop has ended
        return
