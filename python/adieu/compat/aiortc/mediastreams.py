"""Tracks that give PyAV's frames by `await track.recv()`."""

from __future__ import annotations

import asyncio
import uuid
from abc import ABCMeta, abstractmethod
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from adieu.compat.aiortc.emitter import EventEmitter
from adieu.compat.aiortc.frames import pyav

if TYPE_CHECKING:
    import av

AUDIO_PTIME: Final = 0.020
VIDEO_CLOCK_RATE: Final = 90000
VIDEO_PTIME: Final = 1 / 30
VIDEO_TIME_BASE: Final = Fraction(1, VIDEO_CLOCK_RATE)


class MediaStreamError(Exception):
    """A track has ended: it gives nothing from now on."""


class MediaStreamTrack(EventEmitter, metaclass=ABCMeta):
    """A track. A subclass gives its frames. Events: "ended".

    Attributes:
        kind: "audio" or "video".
        ready: the codec of a video track that gives packets in place of frames, as "video/H264"; else None.
    """

    kind: str = "unknown"
    ready: str | None = None

    def __init__(self) -> None:
        super().__init__()
        self.__ended = False
        self._id = str(uuid.uuid4())

    @property
    def id(self) -> str:
        """The id."""
        return self._id

    @property
    def readyState(self) -> str:
        """Whether it can still give something: "live" or "ended"."""
        return "ended" if self.__ended else "live"

    @abstractmethod
    async def recv(self) -> Any:
        """Return the next frame or packet, when it is due.

        Raises:
            MediaStreamError: the track has ended.
        """

    def stop(self) -> None:
        """End it. Idempotent."""
        if not self.__ended:
            self.__ended = True
            self.emit("ended")
            self.remove_all_listeners()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.kind} {self._id}, {self.readyState}>"


class _Timer:
    """Waits until the next frame is due, on a time axis that begins with the first frame."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._began = 0.0
        self._at: int | None = None

    async def next(self, ticks: int) -> int:
        """Return the timestamp of the next frame, when it is due.

        Args:
            ticks: the length of a frame.
        """
        if self._at is None:
            self._at, self._began = 0, asyncio.get_running_loop().time()
        else:
            self._at += ticks
            await asyncio.sleep(max(0.0, self._began + self._at / self._rate - asyncio.get_running_loop().time()))
        return self._at


class AudioStreamTrack(MediaStreamTrack):
    """Silence, in frames of 20 ms. A subclass gives sound."""

    kind = "audio"
    __timer: _Timer | None = None

    async def recv(self) -> av.AudioFrame:
        """Return the next frame of silence, when it is due.

        Raises:
            MediaStreamError: the track has ended.
        """
        if self.readyState != "live":
            raise MediaStreamError(f"{self!r} has ended")
        rate = 8000
        samples = round(AUDIO_PTIME * rate)
        if self.__timer is None:
            self.__timer = _Timer(rate)
        pts = await self.__timer.next(samples)
        frame = pyav().AudioFrame(format="s16", layout="mono", samples=samples)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.pts, frame.sample_rate, frame.time_base = pts, rate, Fraction(1, rate)
        return frame  # type: ignore[no-any-return]


class VideoStreamTrack(MediaStreamTrack):
    """Green pictures, 30 a second. A subclass gives other ones."""

    kind = "video"
    __timer: _Timer | None = None

    async def next_timestamp(self) -> tuple[int, Fraction]:
        """Wait until the next picture is due. Return its `pts` and `time_base`.

        Raises:
            MediaStreamError: the track has ended.
        """
        if self.readyState != "live":
            raise MediaStreamError(f"{self!r} has ended")
        if self.__timer is None:
            self.__timer = _Timer(VIDEO_CLOCK_RATE)
        return await self.__timer.next(round(VIDEO_PTIME * VIDEO_CLOCK_RATE)), VIDEO_TIME_BASE

    async def recv(self) -> av.VideoFrame:
        """Return the next picture, when it is due.

        Raises:
            MediaStreamError: the track has ended.
        """
        pts, time_base = await self.next_timestamp()
        frame = pyav().VideoFrame(width=640, height=480)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.pts, frame.time_base = pts, time_base
        return frame  # type: ignore[no-any-return]
