"""The way of pictures from a source to one sender: the newest one is encoded as soon as there is time for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from adieu.media import workers
from adieu.media.encoder import NAMES, Encoded, Encoder, Wanted
from adieu.media.pictures import black

if TYPE_CHECKING:
    import asyncio

    import av

    from adieu.webrtc.video_sender import VideoSender

STILL: Final = 0.1
"""Seconds without a new picture after which the last one is sent again, if somebody waits for it."""
DARK: Final = 1.0
"""Seconds between two black pictures of a track that is not enabled."""
FAILED: Final = 3.0
"""Seconds after an error until the encoder is tried again."""
AHEAD: Final = 0.05
"""Seconds of pictures that may wait in the core before the next one is encoded. A longer queue shows old pictures."""
LATEST: Final = 0.5
"""Seconds after which the next picture is encoded, however much waits: the core drops what is older by itself. A target
that was very small for a moment would else be felt for minutes."""
SOON: Final = 0.001
"""Seconds: a wait that is not worth a timer."""
PACE: Final = 2.5
"""How many times faster than its target the core may send."""


class Owner(Protocol):
    """The source of the pictures."""

    def repeat(self) -> tuple[av.VideoFrame, float] | None:
        """Return the last picture again, and a new time for it; None: there is no picture yet."""
        ...

    def note_sent(self) -> None:
        """Count a frame that was given to a connection."""

    def fail(self, error: Exception) -> None:
        """Report that a sender gets nothing."""


class Flow:
    """Encodes a source's pictures for one sender. One picture is encoded at a time, and at most one waits: the newest.

    Attributes:
        skipped: pictures that were left out for a newer one.
    """

    def __init__(self, owner: Owner, sender: VideoSender) -> None:
        self.skipped: int = 0
        self._owner = owner
        self._sender = sender
        self._encoder = Encoder()
        self._waiting: tuple[av.VideoFrame, float] | None = None
        self._is_busy = self._has_ended = self._has_timer = False
        self._key = True
        self._not_before = float("-inf")
        self._next = float("-inf")
        self._errors = 0
        self._codec, self._enabled = "", sender.enabled

    # --- its source -----------

    def push(self, picture: av.VideoFrame, captured: float) -> None:
        """Send this picture, unless a newer one comes before its turn."""
        sender = self._sender
        if not sender.is_open:
            return
        if not sender.enabled:
            picture = black(picture.width, picture.height)
        self.skipped += self._waiting is not None
        self._waiting = picture, captured
        self._go_on()

    def want_key(self) -> None:
        """Make the next frame a key frame. If no picture comes soon, the last one is sent again."""
        self._key = True
        self._sender.driver.call_later(STILL, self._repeat_for_key)

    def follow(self) -> None:
        """Follow the sender: its codec, and whether its track is enabled."""
        sender = self._sender
        codec = sender.codec if sender.is_open else ""
        if (codec, sender.enabled) == (self._codec, self._enabled):
            return  # the bit rate is read for each picture
        self._key = self._key or codec != self._codec
        self._codec, self._enabled = codec, sender.enabled
        self._not_before = self._next = float("-inf")
        self._repeat()

    def end(self) -> None:
        """Send nothing from now on."""
        self._has_ended = True
        self._waiting = None

    def _repeat_for_key(self) -> None:
        if self._key and not self._is_busy and self._waiting is None:
            self._repeat()

    def _repeat(self) -> None:
        again = self._owner.repeat() if not self._has_ended else None
        if again is not None:
            self.push(*again)

    # --- encoding -----------

    def _go_on(self) -> None:
        """Encode what waits, if it is time."""
        if self._waiting is None or self._is_busy or self._has_ended:
            return
        sender = self._sender
        wait = self._wait()
        if wait is None or not sender.is_open:
            return
        if wait > SOON:
            if not self._has_timer:
                self._has_timer = True
                sender.driver.call_later(wait, self._due)
            return
        loop = sender.driver.loop
        if loop is None or loop.is_closed():
            return
        (picture, captured), self._waiting = self._waiting, None
        wanted = self._wanted()
        self._is_busy = True
        job = workers.run(loop, self._encoder.encode, picture, captured, wanted)
        job.add_done_callback(lambda done: self._encoded(done, picture, captured, wanted))
        self._key = False

    def _wait(self) -> float | None:
        """Return the seconds until the next picture may be encoded; None: never, with these parameters."""
        now = self._sender.now()
        wait = max(self._not_before, self._next) - now
        rate = self._rate()
        if rate <= 0:
            return None
        if wait <= SOON:
            apart = 1 / rate if self._sender.enabled else DARK
            self._next = max(self._next, now - apart / 2) + apart  # a rhythm of its own, not that of the pictures
        return wait

    def _rate(self) -> float:
        """Return the most pictures a second."""
        asked = self._sender.encoding.max_framerate
        fitting = self._wanted().framerate_of(self._waiting[0]) if self._waiting is not None else float("inf")
        return fitting if asked is None else min(asked, fitting)

    def _wanted(self) -> Wanted:
        sender = self._sender
        scale = sender.encoding.scale_resolution_down_by or 1.0
        return Wanted(sender.codec, sender.fmtp, sender.target, scale, self._key)

    def _due(self) -> None:
        self._has_timer = False
        self._go_on()

    def _encoded(
        self, done: asyncio.Future[list[Encoded]], picture: av.VideoFrame, captured: float, wanted: Wanted
    ) -> None:
        self._is_busy = False
        if self._has_ended or done.cancelled():
            return
        error = done.exception()
        if error is not None:
            self._failed(error, picture, captured)
        else:
            self._errors = 0
            for frame in done.result():
                self._send(frame, captured, wanted)
        self._go_on()

    def _failed(self, error: BaseException, picture: av.VideoFrame, captured: float) -> None:
        """Try once more with a new encoder; then report it, and try again later."""
        self._encoder.drop()
        self._key = True
        self._errors += 1
        if self._errors % 2:
            if self._waiting is None:
                self._waiting = picture, captured
            return
        self._not_before = self._sender.now() + FAILED
        codec = NAMES.get(self._sender.codec, self._sender.codec)
        told = RuntimeError(f"the encoder {codec} fails for a picture of {picture.width}x{picture.height}: {error}")
        told.__cause__ = error
        self._owner.fail(told)
        self._sender.driver.call_later(FAILED, self._repeat_for_key)  # a still picture is pushed once

    def _send(self, frame: Encoded, captured: float, wanted: Wanted) -> None:
        sender = self._sender
        figures = sender.figures
        for name, value in (
            ("frames_encoded", 1),
            ("key_frames_encoded", int(frame.key)),
            ("total_encode_time", frame.seconds),
        ):
            figures[name] = figures.get(name, 0) + value
        figures |= {
            "frame_width": frame.width,
            "frame_height": frame.height,
            "encoder_implementation": NAMES[wanted.codec],
        }
        if sender.codec != wanted.codec:
            return  # negotiated anew meanwhile
        self._owner.note_sent()
        waiting = sender.send(frame.data, captured, key=frame.key)
        ahead = waiting * 8 / (PACE * sender.target) - AHEAD
        if ahead > 0:
            self._not_before = max(self._not_before, sender.now() + min(ahead, LATEST))
