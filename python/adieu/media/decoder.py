"""A decoder of pictures: PyAV's. It is used by one thread at a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from adieu.media.pictures import pyav

if TYPE_CHECKING:
    import av

NAMES: Final = {"VP8": "vp8", "H264": "h264"}
PIXELS: Final = 139_264 * 16 * 16
"""The most pixels of a picture, as in the highest level of H264. A few hundred kilobytes can claim to be many more."""


class Decoder:
    """Decodes the frames of one receiver.

    Attributes:
        frames: pictures that came out.
        keys: frames that needed no other.
        errors: frames that could not be decoded.
        seconds: that decoding took in all.
        width: of the last picture, in pixels.
        height: of the last picture, in pixels.
    """

    def __init__(self) -> None:
        self.frames: int = 0
        self.keys: int = 0
        self.errors: int = 0
        self.seconds: float = 0.0
        self.width: int = 0
        self.height: int = 0
        self._context: Any = None
        self._codec = ""

    def decode(self, data: bytes, codec: str, *, key: bool) -> av.VideoFrame | None:
        """Decode a frame.

        Args:
            data: all of it.
            codec: "VP8" or "H264".
            key: whether it needs no other.

        Returns:
            The picture; None if it is damaged, or if the decoder needs a key frame first. Then a key frame helps.
        """
        began = time.perf_counter()
        if codec != self._codec or self._context is None:
            if not key:
                return None
            self._context = self._make(codec)
            self._codec = codec
        try:
            pictures = self._context.decode(pyav().Packet(data))
        except (pyav().FFmpegError, ValueError, MemoryError):
            self.fail()
            return None
        self.seconds += time.perf_counter() - began
        self.keys += key
        if not pictures:
            return None
        self.frames += 1
        picture: av.VideoFrame = pictures[-1]
        self.width, self.height = picture.width, picture.height
        return picture

    def fail(self) -> None:
        """Count a frame as damaged, and begin again with the next key frame."""
        self.errors += 1
        self._context = None

    def _make(self, codec: str) -> Any:
        context = pyav().CodecContext.create(NAMES[codec], "r")
        context.thread_count = 1
        context.options = {"max_pixels": str(PIXELS)}
        context.flags |= pyav().codec.context.Flags.low_delay
        return context

    def figures(self) -> dict[str, object]:
        """Return the figures for getStats, by the W3C's names in snake case."""
        if not self._codec:
            return {}
        return {
            "frames_decoded": self.frames,
            "key_frames_decoded": self.keys,
            "total_decode_time": self.seconds,
            "frame_width": self.width,
            "frame_height": self.height,
            "decoder_implementation": "PyAV",
        }
