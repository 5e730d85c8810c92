"""Reading tracks of the program, for the sources that adieu sends."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

from adieu.compat.aiortc.exceptions import InternalError, InvalidStateError
from adieu.compat.aiortc.frames import CHANNELS, RATE, Samples, pyav
from adieu.compat.aiortc.mediastreams import MediaStreamError
from adieu.errors import NotSupportedError
from adieu.events import is_own_cancel
from adieu.media import AudioSource, EncodedSource, VideoSource

if TYPE_CHECKING:
    from adieu.compat.aiortc.mediastreams import MediaStreamTrack
    from adieu.webrtc import MediaStreamTrack as Inner

logger: Final = logging.getLogger("adieu.compat.aiortc")

AHEAD: Final = 0.5
"""Seconds of sound that a track may be ahead of time; then it is not read until there is room."""
LEAD: Final = 0.04
"""Seconds of silence before the first frame: a track that is some milliseconds late then makes no gap."""


class Feed(ABC):
    """Reads a track frame by frame, and gives the frames to a source that adieu sends."""

    kind: str

    def __init__(self) -> None:
        self.track: MediaStreamTrack | None = None
        self._task: asyncio.Task[None] | None = None
        self._open = False

    @property
    @abstractmethod
    def w3c(self) -> Inner:
        """The track that adieu sends."""

    @abstractmethod
    async def _send(self, track: MediaStreamTrack) -> None:
        """Read this track and send what it gives, until it ends."""

    @abstractmethod
    def _end(self) -> None:
        """End the source: the track has ended."""

    def read(self, track: MediaStreamTrack | None) -> None:
        """Read this track in place of the one before; None: send nothing of the program."""
        if track is not None and track.kind != self.kind:
            raise InternalError(f"{track!r} cannot be sent by a sender of {self.kind}")
        self._cancel()
        self.track = track
        self._start()

    def begin(self) -> None:
        """Begin to read: the connection is there. Before, what a track gives would grow old."""
        self._open = True
        self._start()

    def _start(self) -> None:
        if self._open and self._task is None and self.track is not None:
            self._task = asyncio.get_running_loop().create_task(self._run(self.track))

    async def _run(self, track: MediaStreamTrack) -> None:
        try:
            await self._send(track)
        except (MediaStreamError, InvalidStateError):  # it has ended; or the connection has
            pass
        except (Exception, asyncio.CancelledError) as error:
            if is_own_cancel(error):
                raise
            logger.exception("%r failed, and is not sent any longer", track)
        track.stop()
        if self.track is track:
            self._end()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def stop(self) -> None:
        """End it: the connection is closed. The track that was being read ends too, as in aiortc."""
        was_read = self._task is not None
        self._cancel()
        self.w3c.stop()
        if was_read and self.track is not None:
            self.track.stop()


class SoundFeed(Feed):
    """Reads sound. The core's thread sends it in real time."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._source = AudioSource(RATE, CHANNELS, max_seconds=AHEAD)

    @property
    def w3c(self) -> Inner:
        """The track that adieu sends."""
        return self._source.track

    def read(self, track: MediaStreamTrack | None) -> None:
        """Read this track in place of the one before; None: send silence."""
        super().read(track)
        self._source.clear()

    async def _send(self, track: MediaStreamTrack) -> None:
        av, samples = pyav(), Samples()
        await self._source.write(bytes(2 * CHANNELS * round(LEAD * RATE)))
        while True:
            frame: Any = await track.recv()
            if not isinstance(frame, av.AudioFrame):
                raise NotSupportedError(
                    f"{track!r} gave {type(frame).__name__}: aiortc sends ready packets of sound, adieu encodes sound"
                    " itself; MediaPlayer(decode=True) gives frames"
                )
            await self._source.write(samples.of(frame))

    def _end(self) -> None:
        self._source.end()


class PictureFeed(Feed):
    """Reads pictures, or pictures that are encoded already.

    Args:
        ready: the codec of a track that gives packets, as "video/H264"; None: it gives frames.
    """

    kind = "video"

    def __init__(self, ready: str | None) -> None:
        super().__init__()
        self._source = VideoSource() if ready is None else EncodedSource(ready)

    @property
    def w3c(self) -> Inner:
        """The track that adieu sends."""
        return self._source.track

    async def _send(self, track: MediaStreamTrack) -> None:
        av, source = pyav(), self._source
        while True:
            frame: Any = await track.recv()
            if isinstance(source, VideoSource) and isinstance(frame, av.VideoFrame):
                source.push(frame)
            elif isinstance(source, EncodedSource) and isinstance(frame, av.Packet):
                source.send(bytes(frame), key=frame.is_keyframe)
            else:
                raise NotSupportedError(
                    f"{track!r} gave {type(frame).__name__}: a track gives frames; ready packets are those of"
                    " MediaPlayer(decode=False), or of adieu.media.EncodedSource"
                )

    def _end(self) -> None:
        self._source.end()


def feed_of(track: MediaStreamTrack) -> Feed:
    """Return a feed for this track.

    Raises:
        InternalError: it is neither audio nor video.
    """
    if track.kind == "audio":
        return SoundFeed()
    if track.kind == "video":
        return PictureFeed(track.ready)
    raise InternalError(f"a track of kind {track.kind!r} cannot be sent: 'audio' or 'video'")
