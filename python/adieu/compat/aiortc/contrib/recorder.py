"""MediaRecorder: writes tracks into a file."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from adieu.compat.aiortc.frames import CLOCK_RATE, pyav
from adieu.compat.aiortc.mediastreams import MediaStreamError
from adieu.events import is_own_cancel

if TYPE_CHECKING:
    from adieu.compat.aiortc.mediastreams import MediaStreamTrack

logger: Final = logging.getLogger("adieu.compat.aiortc")

RAW: Final = frozenset({"wav", "alsa", "pulse"})
OPUS: Final = frozenset({"ogg", "opus", "webm"})
PICTURES: Final = 30


@dataclass(eq=False)
class _Recorded:
    stream: Any
    task: asyncio.Task[None] | None = None
    shift: Fraction = Fraction(0)
    """Seconds that are added to the times of its frames: the file begins at 0."""
    dts: int = -(1 << 62)
    """The decoding time of its last packet."""
    last: Fraction | None = None
    """When the last frame is to be heard or seen, as the track says."""


class MediaRecorder:
    """Writes tracks into a file or a stream of the network. A thread encodes.

    Args:
        file: a path, a URL, or a file object.
        format: of FFmpeg; None: by the name of the file.
        options: of FFmpeg.

    Raises:
        av.FFmpegError: it cannot be written.
    """

    def __init__(self, file: Any, format: str | None = None, options: dict[str, str] | None = None) -> None:
        self._container: Any = pyav().open(file=file, format=format, mode="w", options=options)
        self._tracks: dict[MediaStreamTrack, _Recorded] = {}
        self._began: float | None = None
        self._thread = ThreadPoolExecutor(1, "adieu-recorder")
        """One thread: it closes the file after the last frame, whether anybody waits for that or not."""
        self._closing: Future[None] | None = None

    def addTrack(self, track: MediaStreamTrack) -> None:
        """Write this track too. The format of the file chooses the codec."""
        name = self._container.format.name
        if track.kind == "audio":
            codec = "pcm_s16le" if name in RAW else "mp3" if name == "mp3" else "libopus" if name in OPUS else "aac"
            stream = self._container.add_stream(codec)
        elif name == "image2":
            stream = self._container.add_stream("png", rate=PICTURES)
            stream.pix_fmt = "rgb24"
        else:
            stream = self._container.add_stream("libvpx" if name == "webm" else "libx264", rate=PICTURES)
            stream.pix_fmt = "yuv420p"
            stream.codec_context.time_base = Fraction(1, CLOCK_RATE)  # else two pictures may get one time
        self._tracks[track] = _Recorded(stream)

    async def start(self) -> None:
        """Begin to write."""
        if self._closing is None:
            self._thread.submit(int)  # its thread is there from now on, or this says that the system allows none
        for track, recorded in self._tracks.items():
            if recorded.task is None:
                recorded.task = asyncio.create_task(self._run(track, recorded))

    async def stop(self) -> None:
        """Write what is left, and close the file. Idempotent: each call returns when the file is closed.

        Cancellation: the file is closed nevertheless.
        """
        if self._closing is None:
            tracks, self._tracks = list(self._tracks.values()), {}
            for recorded in tracks:
                if recorded.task is not None:
                    recorded.task.cancel()
            container, self._container = self._container, None
            self._closing = self._thread.submit(_finish, container, tracks)
            self._thread.shutdown(wait=False)
        await asyncio.shield(asyncio.wrap_future(self._closing))

    async def _run(self, track: MediaStreamTrack, recorded: _Recorded) -> None:
        try:
            while True:
                frame = await track.recv()
                if self._is_next(frame, recorded):
                    await self._write(recorded, frame)
        except MediaStreamError:
            return
        except (Exception, asyncio.CancelledError) as error:
            if is_own_cancel(error):
                raise
            logger.exception("MediaRecorder: %r is not recorded any further", track)

    def _is_next(self, frame: Any, recorded: _Recorded) -> bool:
        """Note when the track began. Return whether the frame is later than the one before: others are not written."""
        if frame.pts is None or not frame.time_base:
            raise ValueError(f"{frame!r} has no pts or no time_base: they say when it is to be heard or seen")
        at = frame.pts * Fraction(frame.time_base.numerator, frame.time_base.denominator)
        if recorded.last is None:
            now = asyncio.get_running_loop().time()
            if self._began is None:
                self._began = now
            recorded.shift = Fraction(round(1000 * (now - self._began)), 1000) - at
        elif at <= recorded.last:
            return False
        recorded.last = at
        return True

    async def _write(self, recorded: _Recorded, frame: Any) -> None:
        if self._container is not None:
            written = self._thread.submit(_encode, self._container, recorded, frame)
            await asyncio.shield(asyncio.wrap_future(written))


def _encode(container: Any, recorded: _Recorded, frame: Any) -> None:
    stream = recorded.stream
    if frame is not None and hasattr(frame, "width") and not stream.codec_context.is_open:
        stream.width, stream.height = frame.width, frame.height
    for packet in stream.encode(frame):
        # The frame itself may be read by others too: what it says of the time is not changed.
        ticks = round(recorded.shift / Fraction(packet.time_base.numerator, packet.time_base.denominator))
        packet.pts = None if packet.pts is None else packet.pts + ticks
        if packet.dts is not None:  # containers refuse a packet that is not later than the one before
            packet.dts = recorded.dts = max(packet.dts + ticks, recorded.dts + 1)
            packet.pts = packet.dts if packet.pts is None else max(packet.pts, packet.dts)
        container.mux(packet)


def _finish(container: Any, tracks: list[_Recorded]) -> None:
    try:
        for recorded in tracks:
            if recorded.last is not None:
                _encode(container, recorded, None)
    finally:
        container.close()
