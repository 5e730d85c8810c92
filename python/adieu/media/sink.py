"""AudioSink: sound that a program hears."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from adieu.errors import NotSupportedError
from adieu.media.frame import AudioFrame
from adieu.media.pcm import check_format
from adieu.media.waiters import Waiters
from adieu.media.weak import weakly
from adieu.webrtc.media_stream_track import MediaStreamTrack, internals_of, no_track

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from adieu.webrtc.media_stream_track import TrackInternals

FRAMES: Final = (10, 100)
LONGEST: Final = 10.0


class AudioSink:
    """The sound of a remote track, as the program wants it: an async iterator of frames.

    ```python
    async for frame in adieu.media.AudioSink(track, sample_rate=16000):
        recognizer.feed(frame.data)
    ```

    From the first packet on frames come in real time and without gaps: what is lost on the way is repaired or made up,
    and what fails altogether is silence. The iteration ends with the track, when what was still queued is read. It also
    ends after `close()`. A track that no sink reads costs nothing: it is not even decoded.

    Args:
        track: a remote audio track.
        sample_rate: of the frames, in samples a second, 8000 to 192000.
        channels: of the frames, 1 or 2.
        frame_ms: the length of a frame in milliseconds: 10, 20 … 100.
        max_seconds: the most that waits for a reader, 10 s at most. If the reader is slower, the oldest is dropped and
            counted in `dropped`: sound never grows old.

    Raises:
        TypeError: it is not an audio track.
        NotSupportedError: it is a track of this program, not a remote one.
        ValueError: a number is out of its range.

    Thread safety: of one event loop, that of its connection.
    """

    def __init__(
        self,
        track: MediaStreamTrack,
        sample_rate: int = 48000,
        channels: int = 1,
        *,
        frame_ms: int = 20,
        max_seconds: float = 1.0,
    ) -> None:
        given: Any = track
        if not isinstance(given, MediaStreamTrack):
            raise no_track(given)
        if track.kind != "audio":
            raise TypeError(f"{track!r} has no sound: a VideoSink takes it")
        _check(sample_rate, channels, frame_ms, max_seconds)
        internals = internals_of(track)
        driver = internals.source.driver
        if driver is None:
            raise NotSupportedError(f"{track!r} is not a remote track: a sink hears what another computer sends")
        self.sample_rate: Final = sample_rate
        self.channels: Final = channels
        self._driver = driver
        self._track = internals
        self._seconds = frame_ms / 1000
        most = max(1, round(max_seconds / self._seconds))
        self._make = partial(
            driver.core.audio_sink, rate=sample_rate, channels=channels, frame_ms=frame_ms, max_frames=most
        )
        self._core: Any = None
        self._over = internals.state == "ended"
        self._closed = False
        self._waiters = Waiters()
        self._when_stopped = weakly(self.handle_over)
        internals.when_stopped.append(self._when_stopped)
        if not self._over:
            self._begin()

    @property
    def dropped(self) -> float:
        """The seconds of sound that were dropped because nobody read them in time."""
        return self._core.dropped * self._seconds if self._core is not None else 0.0

    def _begin(self) -> None:
        """Make the core's sink: now, or when the description that the track is in is answered."""
        source = self._track.source
        if source.receiver is None:
            source.when_received.append(weakly(self._begin))
        elif not self._closed and self._core is None:
            self._core = self._make(source.receiver)
            self.handle_ready()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AudioFrame:
        """Return the next frame.

        Raises:
            StopAsyncIteration: the track has ended, or the sink is closed.

        Cancellation: no frame is lost.
        """
        self._driver.require_thread("AudioSink")
        while True:
            read = None if self._closed or self._core is None else self._core.read()
            if read is not None:
                data, time, concealed = read
                if not self._track.enabled:
                    data = bytes(len(data))
                return AudioFrame(data, time, concealed / self.sample_rate, self.sample_rate, self.channels)
            if self._over:
                raise StopAsyncIteration
            await self._wait()

    async def _wait(self) -> None:
        core = self._core
        if core is not None:
            self._driver.handles.media[core.handle] = self
        try:
            await self._waiters.wait()
        finally:
            if core is not None and not self._waiters:
                self._driver.handles.media.pop(core.handle, None)

    def close(self) -> None:
        """End it: nothing is decoded for it. The track goes on. Idempotent."""
        if not self._closed:
            self._closed = True
            _give_back(self._core, self._track, self._when_stopped)
            self.handle_over()

    def handle_ready(self) -> None:
        """Wake who waits: the core has a frame."""
        self._waiters.wake()

    def handle_over(self) -> None:
        """Wake who waits: the track has ended."""
        self._over = True
        self.handle_ready()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self._driver.run_here(_give_back, self._core, self._track, self._when_stopped)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "over" if self._over else "open"
        return f"<AudioSink {self.sample_rate} Hz, {state}>"


def _give_back(core: Any, track: TrackInternals, call: Callable[[], None]) -> None:
    if core is not None:
        core.close()
    if call in track.when_stopped:
        track.when_stopped.remove(call)


def _check(sample_rate: int, channels: int, frame_ms: int, max_seconds: float) -> None:
    check_format(sample_rate, channels)
    if frame_ms % 10 or not FRAMES[0] <= frame_ms <= FRAMES[1]:
        raise ValueError(f"frame_ms={frame_ms}: 10, 20 … 100 milliseconds")
    if not frame_ms / 1000 <= max_seconds <= LONGEST:
        raise ValueError(f"max_seconds={max_seconds}: from a frame to {LONGEST} seconds")
