"""The pictures of the generated camera: a bar that moves over a gray ramp."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from adieu.driver import Driver
from adieu.media.video_source import VideoSource

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from adieu.webrtc.video_sender import VideoSender

logger: Final = logging.getLogger("adieu.media")

STEP: Final = 4
"""Pixels that the bar moves from one picture to the next."""
BAR: Final = 16
"""Pixels of its breadth."""
WHITE: Final = b"\xeb"
NO_COLOR: Final = b"\x80"


class GeneratedCamera:
    """A source of pictures that runs while a sender has it (`VideoFeed`). Without PyAV it gives nothing.

    Args:
        settings: of its track: `width`, `height` and `frameRate`.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._driver = Driver.current()
        self._width, self._height = (max(2, int(settings[side]) & ~1) for side in ("width", "height"))
        self._pause = 1 / settings["frameRate"]
        self._source: VideoSource | None = None
        self._senders = 0
        self._number = 0
        self._due: asyncio.TimerHandle | None = None

    def begin(self, sender: VideoSender) -> None:
        """Take a sender. The camera runs from the first one on."""
        if self._source is None:
            try:
                self._source = VideoSource()
            except ImportError as error:
                logger.warning("the generated camera gives no pictures: %s", error)
                return
        self._source.begin(sender)
        self._senders += 1
        if self._due is None:
            self._show()

    def stop(self, sender: VideoSender) -> None:
        """Forget a sender. The camera rests after the last one."""
        if self._source is not None:
            self._source.stop(sender)
            self._senders -= 1
            if not self._senders:
                self._rest()

    def handle_change(self, sender: VideoSender) -> None:
        """Follow what has changed of the sender."""
        if self._source is not None:
            self._source.handle_change(sender)

    def handle_key_wanted(self, sender: VideoSender) -> None:
        """Make a key frame."""
        if self._source is not None:
            self._source.handle_key_wanted(sender)

    def stats(self) -> dict[str, Any]:
        """Return the figures of the source, for getStats."""
        return {} if self._source is None else self._source.stats()

    def release(self) -> None:
        """Close it: its last track has ended."""
        self._rest()
        if self._source is not None:
            self._source.track.stop()

    def _rest(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _show(self) -> None:
        if self._source is not None and (loop := self._driver.loop) is not None:
            self._source.push(_picture(self._number, self._width, self._height), "yuv420p")
            self._number += 1
            self._due = loop.call_later(self._pause, self._show)


def _picture(number: int, width: int, height: int) -> memoryview:
    """Return picture `number` as yuv420p. All its lines are equal, so that it costs little."""
    line = bytearray(64 + 128 * x // width for x in range(width))
    at = STEP * number % width
    line[at : at + BAR] = WHITE * len(line[at : at + BAR])
    pixels = bytes(line) * height + NO_COLOR * (width * height // 2)
    return memoryview(pixels).cast("B", (height * 3 // 2, width))
