"""An encoder of pictures: PyAV's, kept at the wanted bit rate. It is used by one thread at a time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from adieu.media.h264_level import framerate_within_level, parameter_of, within_level
from adieu.media.pictures import Scaler, pyav

if TYPE_CHECKING:
    import av

NAMES: Final = {"VP8": "libvpx", "H264": "libx264"}
TICKS: Final = 90_000
FRAMERATE: Final = 30
ENDLESS: Final = 1_000_000
"""Frames from one key frame to the next: the other side asks for those that it needs."""
STEP: Final = 0.3
"""A change of the bit rate by this part is worth a new encoder, and its key frame, if the codec cannot follow.

FFmpeg's libvpx reads its bit rate once, when it is opened: neither `bit_rate` nor options change it later.
"""
FREE: Final = 0.05
"""A change by this part is worth it when the frame must be a key frame anyway."""
PATIENCE: Final = 3.0
"""Seconds between two encoders for that reason."""
ROOM: Final = 4_000_000
"""Bits a second that an encoder of H264 is made for at least. It sends less: see `_h264`."""
PROFILES: Final = {"42": "baseline", "4d": "main", "64": "high"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A frame as it is wanted.

    Attributes:
        codec: "VP8" or "H264".
        fmtp: the parameters that the other side has given for it.
        bitrate: bits a second.
        scale: how many times smaller than the picture.
        key: whether it must be a key frame.
    """

    codec: str
    fmtp: str
    bitrate: int
    scale: float
    key: bool

    def size_of(self, picture: av.VideoFrame) -> tuple[int, int]:
        """Return the width and the height of this picture's frame."""
        width, height = (even(side / self.scale) for side in (picture.width, picture.height))
        return within_level(width, height, self.fmtp) if self.codec == "H264" else (width, height)

    def framerate_of(self, picture: av.VideoFrame) -> float:
        """Return the most pictures like this that a second may have."""
        return framerate_within_level(*self.size_of(picture), self.fmtp) if self.codec == "H264" else float("inf")


@dataclass(frozen=True, slots=True)
class Encoded:
    """A frame as it came out.

    Attributes:
        data: all of it; of H264 with start codes.
        key: whether it is a key frame.
        width: in pixels.
        height: in pixels.
        seconds: that it took.
    """

    data: bytes
    key: bool
    width: int
    height: int
    seconds: float


class Encoder:
    """Encodes the pictures of one sender. An encoder of the codec is made when the one before does not fit."""

    def __init__(self) -> None:
        self._context: Any = None
        self._scaler = Scaler()
        self._made = 0.0
        self._for: tuple[str, str, int, int] | None = None
        self._bitrate = self._room = 0

    def encode(self, picture: av.VideoFrame, captured: float, wanted: Wanted) -> list[Encoded]:
        """Encode a picture.

        Args:
            picture: in any size and format.
            captured: seconds, more than those of the picture before.
            wanted: how.

        Returns:
            The frames that came out: one, or nothing if the codec has left the picture out.

        Raises:
            Exception: the codec has failed. After `drop` the next picture gets another encoder.
        """
        began = time.perf_counter()
        width, height = wanted.size_of(picture)
        context = self._fitting(wanted, width, height, captured)
        frame = self._scaler.frame(picture, width, height)
        frame.pts = round(captured * TICKS)
        frame.time_base = Fraction(1, TICKS)
        types = pyav().video.frame.PictureType
        frame.pict_type = types.I if wanted.key else types.NONE
        packets = context.encode(frame)
        took = time.perf_counter() - began
        return [Encoded(bytes(packet), packet.is_keyframe, width, height, took) for packet in packets]

    def drop(self) -> None:
        """Let the encoder of the codec go."""
        self._context = self._for = None

    def _fitting(self, wanted: Wanted, width: int, height: int, now: float) -> Any:
        what = (wanted.codec, wanted.fmtp, width, height)
        if self._context is None or what != self._for:
            return self._make(what, wanted.bitrate, now)
        if wanted.codec == "H264" and wanted.bitrate <= self._room:
            if wanted.bitrate != self._bitrate:
                self._context.bit_rate = self._bitrate = wanted.bitrate
            return self._context
        change = abs(wanted.bitrate / self._bitrate - 1)
        if (wanted.key and change >= FREE) or (change >= STEP and now - self._made >= PATIENCE):
            return self._make(what, wanted.bitrate, now)
        return self._context

    def _make(self, what: tuple[str, str, int, int], bitrate: int, now: float) -> Any:
        codec, fmtp, width, height = what
        self.drop()
        context = pyav().CodecContext.create(NAMES[codec], "w")
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base, context.framerate = Fraction(1, TICKS), Fraction(FRAMERATE)
        context.gop_size = ENDLESS
        context.thread_count = 1
        self._room = max(ROOM, 2 * bitrate)
        context.bit_rate = self._room if codec == "H264" else bitrate
        context.options = _h264(self._room, fmtp) if codec == "H264" else _vp8(bitrate)
        context.open()
        if codec == "H264":
            context.bit_rate = bitrate
        self._context, self._for, self._made, self._bitrate = context, what, now, bitrate
        return context


def even(side: float) -> int:
    """Return the nearest even number that a side of a picture can have: colours are stored for two pixels each."""
    return max(2, 2 * round(side / 2))


def _h264(room: int, fmtp: str) -> dict[str, str]:
    """Return the options of x264. It follows a bit rate at run time, up to the largest that it was made for."""
    return {
        "preset": "superfast",
        "tune": "zerolatency",
        "profile": PROFILES.get(parameter_of(fmtp)[:2], "baseline"),
        "forced-idr": "1",
        "maxrate": str(room),
        "bufsize": str(room // 20),
        "x264-params": "scenecut=0",
    }


def _vp8(bitrate: int) -> dict[str, str]:
    """Return the options of libvpx for a steady bit rate without delay."""
    return {
        "deadline": "realtime",
        "cpu-used": "-6",
        "lag-in-frames": "0",
        "minrate": str(bitrate),
        "maxrate": str(bitrate),
        "bufsize": str(bitrate * 6 // 10),
        "undershoot-pct": "100",
        "overshoot-pct": "15",
        "max-intra-rate": "450",
    }
