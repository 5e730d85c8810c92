"""Between the source of a video track, which encodes, and the core, which sends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from adieu.driver import Driver
    from adieu.jsep import Encoding

TICKS: Final = 90_000
"""A second in the timestamps of video."""
BEFORE: Final = 60.0
"""Seconds before the sender was made from which its timestamps count: a picture may be older than it."""
FIRST_BITRATE: Final = 300_000
"""Bits a second, before the core has an estimate."""


class VideoFeed(Protocol):
    """A program's own source of pictures. It knows its senders: each has a bit rate and a codec of its own."""

    def begin(self, sender: VideoSender) -> None:
        """Take a sender: it sends this source from now on."""

    def stop(self, sender: VideoSender) -> None:
        """Forget a sender: it sends another source, or nothing."""

    def handle_change(self, sender: VideoSender) -> None:
        """Take note that the sender's codec, bit rate, encoding or `enabled` has changed."""

    def handle_key_wanted(self, sender: VideoSender) -> None:
        """Make a key frame: the other side cannot decode without."""

    def stats(self) -> dict[str, Any]:
        """Return the figures of the source by the W3C's names in snake case."""
        ...


@dataclass(slots=True, eq=False)
class VideoSender:
    """A sender of the core for video, in the hands of the source that it sends.

    Attributes:
        driver: of its connection.
        handle: of the core's sender.
        encoding: the parameters that the program has set.
        enabled: whether the track is; if not, black is sent.
        codec: "VP8" or "H264"; empty while it may not send.
        fmtp: the parameters of the codec that the other side has given.
        bitrate: the bits a second that the path carries, by the core's estimate.
        figures: of the encoder, for getStats.
    """

    driver: Driver
    handle: int
    encoding: Encoding
    enabled: bool = True
    codec: str = ""
    fmtp: str = ""
    bitrate: int = FIRST_BITRATE
    figures: dict[str, Any] = field(default_factory=dict[str, Any])
    _most: int = 0
    _feed: VideoFeed | None = None
    _base: float = field(init=False)
    _timestamp: int = -1

    def __post_init__(self) -> None:
        self._base = self.now() - BEFORE

    def now(self) -> float:
        """Return the time in seconds, on the clock of the event loop."""
        return self.driver.clock.monotonic()

    @property
    def is_open(self) -> bool:
        """Whether frames that are given to it are sent."""
        return bool(self.codec) and self.encoding.active

    @property
    def target(self) -> int:
        """The bits a second that the source may use: the estimate, and what the program and the other side allow."""
        return min(rate for rate in (self.bitrate, self._most, self.encoding.max_bitrate) if rate)

    def send(self, data: bytes, captured: float, *, key: bool, temporal: int = 0) -> int:
        """Send an encoded frame.

        Args:
            data: all of it.
            captured: when the picture was taken, in seconds, on the clock of the event loop.
            key: whether it can be decoded without any other.
            temporal: its layer in time; those of higher ones can be left out.

        Returns:
            The bytes that wait to be sent.
        """
        # A frame of another source may have been captured before one that was sent already.
        self._timestamp = max(self._timestamp + 1, round((captured - self._base) * TICKS))
        age = max(0.0, self.now() - captured)
        return self.driver.core.send_frame(self.handle, 0, data, self._timestamp, age, key, temporal)

    # --- its sender -----------

    def feed(self, feed: VideoFeed | None, *, enabled: bool) -> None:
        """Send this source from now on; None: nothing."""
        if feed is not self._feed:
            before, self._feed = self._feed, feed
            if before is not None:
                before.stop(self)
            self.enabled = enabled
            self.figures = {}
            if feed is not None:
                feed.begin(self)
        elif enabled != self.enabled:
            self.enabled = enabled
            self._changed()

    def follow(self, encoding: Encoding) -> None:
        """Obey other parameters."""
        if encoding != self.encoding:
            self.encoding = encoding
            self._changed()

    def _changed(self) -> None:
        if self._feed is not None:
            self._feed.handle_change(self)

    # --- reports of the core -----------

    def handle_plan(self, codec: str, fmtp: str, max_bitrate: int) -> None:
        """Send with this codec from now on, at most so many bits a second (0: no limit); "": it may not send."""
        self.codec, self.fmtp, self._most = codec, fmtp, max_bitrate
        self._changed()

    def handle_target(self, encoding: int, bitrate: int) -> None:
        """Follow the estimate."""
        del encoding  # there is one
        self.bitrate = bitrate
        self._changed()

    def handle_key_wanted(self, encoding: int) -> None:
        """Have a key frame made."""
        del encoding
        if self._feed is not None:
            self._feed.handle_key_wanted(self)
