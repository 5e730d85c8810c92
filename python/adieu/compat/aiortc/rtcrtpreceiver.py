"""RTCRtpReceiver, and the track of the other side."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from adieu.compat.aiortc.frames import CHANNELS, RATE, frame_of, pyav
from adieu.compat.aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from adieu.compat.aiortc.rtcrtpend import RTPEnd
from adieu.compat.aiortc.rtcrtpparameters import RTCRtpCapabilities, capabilities_of
from adieu.media import AudioSink, VideoSink
from adieu.webrtc import RTCRtpReceiver as _Receiver

if TYPE_CHECKING:
    from adieu.webrtc import MediaStreamTrack as Inner

FRAMES: Final = 8
"""The most that waits for a program which reads too slowly; then the oldest is dropped."""
FRAME_MS: Final = 20


class RemoteStreamTrack(MediaStreamTrack):
    """A track of the other side. It is decoded while the program reads it.

    A program that reads too slowly gets the newest: 8 frames wait, and the oldest is dropped.

    Attributes:
        w3c: adieu's own track.
    """

    def __init__(self, inner: Inner) -> None:
        super().__init__()
        self.kind = inner.kind
        self._id = inner.id
        self.w3c = inner
        self._sink: AudioSink | VideoSink | None = None
        self._queue: asyncio.Queue[Any] = asyncio.Queue()  # Some programs empty aiortc's. Here it is always empty.
        inner.addEventListener("ended", lambda _event: self.stop())

    async def recv(self) -> Any:
        """Return the next frame: of sound 20 ms, 48 kHz, s16 and two channels; of video a picture in yuv420p.

        Raises:
            MediaStreamError: the track has ended: by `stop()`, by the other side, or because the connection is closed.
        """
        if self.readyState != "live":
            raise MediaStreamError(f"{self!r} has ended")
        if self._sink is None:
            pyav()
            self._sink = self._listen()
        try:
            return frame_of(await anext(self._sink))
        except StopAsyncIteration:
            self.stop()
            raise MediaStreamError(f"{self!r} has ended") from None

    def _listen(self) -> AudioSink | VideoSink:
        if self.kind == "video":
            return VideoSink(self.w3c, format="yuv420p", queue=FRAMES)
        seconds = FRAMES * FRAME_MS / 1000
        return AudioSink(self.w3c, sample_rate=RATE, channels=CHANNELS, frame_ms=FRAME_MS, max_seconds=seconds)

    def stop(self) -> None:
        """End it. A `recv()` that waits raises."""
        if self._sink is not None:
            self._sink.close()
        self.w3c.stop()
        super().stop()


class RTCRtpReceiver(RTPEnd[_Receiver]):
    """Receives a track.

    Attributes:
        w3c: adieu's own receiver.
    """

    def __init__(self, inner: _Receiver) -> None:
        super().__init__(inner)
        self._track = RemoteStreamTrack(inner.track)
        self._enabled = True  # Some programs set aiortc's, to save work. Here an unread track costs none.

    @property
    def track(self) -> RemoteStreamTrack:
        """The track that it receives."""
        return self._track

    @classmethod
    def getCapabilities(cls, kind: str) -> RTCRtpCapabilities:
        """Return the codecs and header extensions that can be received.

        Raises:
            ValueError: the kind is neither "audio" nor "video".
        """
        return capabilities_of(_Receiver.getCapabilities(kind), kind)

    def getSynchronizationSources(self) -> list[Any]:
        """Return who was heard in the last ten seconds."""
        return list(self.w3c.getSynchronizationSources())

    async def stop(self) -> None:
        """End its track."""
        self._track.stop()
