"""Reads what a remote track brings out of the core, encoded: frames of video, or packets of sound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from adieu.errors import NotSupportedError
from adieu.media.waiters import Waiters
from adieu.media.weak import weakly
from adieu.webrtc.media_stream_track import MediaStreamTrack, internals_of, no_track

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.driver import Driver
    from adieu.webrtc.media_stream_track import TrackInternals

Raw: TypeAlias = tuple[bytes, str, bool, int, float, int, int]
"""Data, codec, key, timestamp, time, id, temporal."""


class FrameReader:
    """The frames of a remote video track, or the packets of one of sound.

    Args:
        track: a remote track.
        ready: called when there is a frame, and when the track has ended; for a caller that does not use `next()`.
        pictures: whether only those are wanted.

    Attributes:
        driver: of its connection.
        track: the internals of the track.
        is_over: whether no frame comes any longer, beside those that are there.

    Raises:
        TypeError: it is not a track, or has sound where pictures are wanted.
        NotSupportedError: it is a track of this program, not a remote one.
    """

    def __init__(
        self, track: MediaStreamTrack, ready: Callable[[], None] | None = None, *, pictures: bool = True
    ) -> None:
        given: Any = track
        if not isinstance(given, MediaStreamTrack):
            raise no_track(given)
        if pictures and track.kind != "video":
            raise TypeError(f"{track!r} has no pictures: an AudioSink takes it")
        self.track: TrackInternals = internals_of(track)
        driver = self.track.source.driver
        if driver is None:
            raise NotSupportedError(f"{track!r} is not a remote track: this reads what another computer sends")
        self.driver = driver
        self.is_over: bool = self.track.state == "ended"
        self._ready = ready
        self._core: Any = None
        self._closed = False
        self._waiters = Waiters()
        self._when_stopped = weakly(self.handle_over)
        self.track.when_stopped.append(self._when_stopped)
        if not self.is_over:
            self._begin()

    @property
    def dropped(self) -> int:
        """The number of frames that were dropped because nobody read them in time."""
        return self._core.dropped if self._core is not None else 0

    def _begin(self) -> None:
        """Make the core's sink: now, or when the description that the track is in is answered."""
        source = self.track.source
        if source.receiver is None:
            source.when_received.append(weakly(self._begin))
        elif not self._closed and self._core is None:
            core = self.driver.core
            make = core.frame_sink if self.track.kind == "video" else core.packet_sink
            self._core = make(source.receiver)
            self.driver.handles.media[self._core.handle] = _Ready(self.handle_ready)

    def read(self) -> Raw | None:
        """Return the oldest frame; None: no frame waits. May be called in any thread."""
        core = self._core
        return None if self._closed or core is None else core.read()

    async def next(self) -> Raw:
        """Return the next frame.

        Raises:
            StopAsyncIteration: the track has ended, or this is closed.

        Cancellation: no frame is lost.
        """
        self.driver.require_thread("encoded()")
        while (found := self.read()) is None:
            if self.is_over:
                raise StopAsyncIteration
            await self._waiters.wait()
        return found

    def request_key(self) -> None:
        """Ask the other side for a key frame; of sound each packet is one."""
        receiver = self.track.source.receiver
        if receiver is not None and not self.is_over and self.track.kind == "video":
            self.driver.core.request_key(receiver)

    def close(self) -> None:
        """End it. The track goes on. Idempotent."""
        if not self._closed:
            self._closed = True
            _give_back(self.driver, self._core, self.track, self._when_stopped)
            self.handle_over()

    def handle_ready(self) -> None:
        """Wake who waits: the core has a frame."""
        self._waiters.wake()
        if self._ready is not None:
            self._ready()

    def handle_over(self) -> None:
        """Wake who waits: the track has ended."""
        self.is_over = True
        self.handle_ready()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self.driver.run_here(_give_back, self.driver, self._core, self.track, self._when_stopped)


class _Ready:
    """Takes the core's report for a reader, and does not keep it: one that the program drops reads nothing."""

    __slots__ = ("handle_ready",)

    def __init__(self, call: Callable[[], None]) -> None:
        self.handle_ready = weakly(call)


def _give_back(driver: Driver, core: Any, track: TrackInternals, call: Callable[[], None]) -> None:
    if core is not None:
        driver.handles.media.pop(core.handle, None)
        core.close()
    if call in track.when_stopped:
        track.when_stopped.remove(call)
