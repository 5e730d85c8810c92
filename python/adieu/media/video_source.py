"""VideoSource: pictures that a program shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from adieu.driver import Driver
from adieu.errors import InvalidStateError
from adieu.media.events import PictureSource
from adieu.media.flow import Flow
from adieu.media.pictures import picture_of, pyav
from adieu.webrtc.media_stream_track import MediaStreamTrack, TrackInternals, TrackSource

if TYPE_CHECKING:
    import av

    from adieu.webrtc.video_sender import VideoSender

TICK = 1 / 90_000
"""Seconds: no two pictures are nearer to each other."""


class VideoSource(PictureSource):
    """A source of pictures that a program pushes, whenever it has one.

    ```python
    camera = adieu.media.VideoSource()
    pc.addTrack(camera.track)
    camera.push(array, format="bgr24")
    ```

    Threads encode, for each connection at its own bit rate; the event loop is free meanwhile. While an encoder is busy
    only the newest picture waits, and older ones are left out. A picture that was pushed before a connection is there
    is shown when it is; and the last one is shown again to a peer that joins later.

    Event: `error`, if an encoder has failed twice on end. The next picture is tried nevertheless. Without a handler
    the exception handler of the event loop gets it.

    Raises:
        ImportError: PyAV is not installed.

    Thread safety: of one event loop, that in which it is made.
    """

    EVENTS: ClassVar[frozenset[str]] = frozenset({"error"})

    def __init__(self) -> None:
        pyav()
        super().__init__(Driver.current())
        source = TrackSource("pictures of this program", release=self._release, video=self)
        self._internals = TrackInternals("video", source)
        self._track = MediaStreamTrack(self._internals)
        self._flows: dict[VideoSender, Flow] = {}
        self._last: av.VideoFrame | None = None
        self._time = float("-inf")
        self._pushed = self._sent = 0
        self._is_over = False

    @property
    def track(self) -> MediaStreamTrack:
        """The track, for `pc.addTrack()`, `sender.replaceTrack()` and `session.add_track()`."""
        return self._track

    @property
    def sent(self) -> int:
        """The number of frames that were encoded and given to connections."""
        return self._sent

    @property
    def skipped(self) -> int:
        """The number of pictures that were left out for a newer one, of the connections that there are now."""
        return sum(flow.skipped for flow in self._flows.values())

    def push(
        self,
        picture: object,
        format: str | None = None,  # noqa: A002 the word of the field
        *,
        time: float | None = None,
    ) -> None:
        """Show a picture from now on.

        Args:
            picture: an array of uint8, numpy's or any other with the buffer protocol, of the shape (height, width, 3)
                or as its format has it. Or a frame of a `VideoSink`. Or PyAV's `av.VideoFrame`, which must not be
                changed afterwards; all others are copied.
            format: of an array: "rgb24", "bgr24", "rgba", "bgra", "gray" or "yuv420p". By default the shape tells:
                gray, rgb24 or rgba.
            time: when it was taken, in seconds of `loop.time()`; now, by default.

        Raises:
            TypeError: it is not a picture.
            ValueError: its shape and its format do not fit, or it is too large.
            InvalidStateError: the source has ended.
        """
        self._driver.require_thread("VideoSource.push()")
        if self._is_over:
            raise InvalidStateError("the source has ended: make another VideoSource")
        self._last = picture_of(picture, format)
        self._pushed += 1
        # Codecs take no picture that is older than the one before.
        self._time = max(self._time + TICK, self._driver.clock.monotonic() if time is None else time)
        self._internals.settings = {"width": self._last.width, "height": self._last.height}
        for flow in self._flows.values():
            flow.push(self._last, self._time)

    def end(self) -> None:
        """End the source: the track ends, with its event. Idempotent."""
        self._driver.require_thread("VideoSource.end()")
        if not self._is_over:
            self._is_over = True
            self._driver.queue_task(self._internals.end)

    # --- its senders (the protocol VideoFeed of webrtc) -----------

    def begin(self, sender: VideoSender) -> None:
        """Take a sender: it sends this source from now on."""
        self._flows[sender] = Flow(self, sender)
        self.handle_change(sender)

    def stop(self, sender: VideoSender) -> None:
        """Forget a sender: it sends another source, or nothing."""
        flow = self._flows.pop(sender, None)
        if flow is not None:
            flow.end()

    def handle_change(self, sender: VideoSender) -> None:
        """Follow the sender's codec, bit rate, encoding, or `enabled`."""
        self._flows[sender].follow()

    def handle_key_wanted(self, sender: VideoSender) -> None:
        """Make a key frame."""
        self._flows[sender].want_key()

    def note_sent(self) -> None:
        """Count a frame that was given to a connection."""
        self._sent += 1

    def repeat(self) -> tuple[av.VideoFrame, float] | None:
        """Return the last picture again, and a new time for it; None: there is no picture yet."""
        if self._last is None:
            return None
        self._time = max(self._time + TICK, self._driver.clock.monotonic())
        return self._last, self._time

    def stats(self) -> dict[str, Any]:
        """Return the figures of the source, for getStats."""
        if self._last is None:
            return {}
        return {"width": self._last.width, "height": self._last.height, "frames": self._pushed}

    def _release(self) -> None:
        """The last track was stopped."""
        self._is_over = True
        self._last = None

    def __repr__(self) -> str:
        size = "nothing yet" if self._last is None else f"{self._last.width}x{self._last.height}"
        return f"<VideoSource {size}, {self._pushed} pictures{', ended' if self._is_over else ''}>"
