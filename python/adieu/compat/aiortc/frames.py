"""Sound as PyAV's frames, and back. PyAV is loaded when the first frame is made or taken."""

from __future__ import annotations

from array import array
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from adieu.media import AudioFrame

if TYPE_CHECKING:
    import av

    from adieu.media import VideoFrame

RATE: Final = 48000
CHANNELS: Final = 2
CLOCK_RATE: Final = 90000
"""Ticks a second of video."""
TIME_BASE: Final = Fraction(1, RATE)


def pyav() -> Any:
    """Return PyAV.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    try:
        import av  # noqa: PLC0415 an extra, and slow to load
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "frames of tracks are PyAV's, as in aiortc: pip install 'adieu[video]' installs PyAV", name="av"
        ) from None
    return av


def frame_of(received: AudioFrame | VideoFrame) -> Any:
    """Return received sound or a received picture as PyAV's frame, with its place on the time axis of its track."""
    return sound_frame(received) if isinstance(received, AudioFrame) else picture_frame(received)


def picture_frame(picture: VideoFrame) -> av.VideoFrame:
    """Return a received picture as PyAV's frame."""
    frame = picture.picture
    frame.pts, frame.time_base = round(picture.time * CLOCK_RATE), Fraction(1, CLOCK_RATE)
    return frame


def sound_frame(sound: AudioFrame) -> av.AudioFrame:
    """Return received sound as PyAV's frame, in s16."""
    frame = pyav().AudioFrame(format="s16", layout="stereo" if sound.channels == 2 else "mono", samples=sound.samples)
    frame.planes[0].update(sound.data.ljust(frame.planes[0].buffer_size, b"\0"))
    frame.sample_rate = sound.sample_rate
    frame.pts = round(sound.time * sound.sample_rate)
    frame.time_base = Fraction(1, sound.sample_rate)
    return frame  # type: ignore[no-any-return]


class Samples:
    """Makes int16 samples, 48 kHz and two channels in turn, of frames of any rate, format and layout."""

    def __init__(self) -> None:
        self._resampler: Any = None
        self._format: tuple[str, str, int] | None = None

    def of(self, frame: av.AudioFrame) -> bytes:
        """Return the samples of a frame; the resampler may keep some of them for the next."""
        given = (frame.format.name, frame.layout.name, frame.sample_rate)
        if given in {("s16", "stereo", RATE), ("s16", "mono", RATE)}:
            return _packed(frame)
        if given != self._format:  # the rest of the old format is less than a millisecond
            self._format = given
            layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
            self._resampler = pyav().AudioResampler(format="s16", layout=layout, rate=RATE)
        pts, frame.pts = frame.pts, None  # timestamps that jump are no reason to add or drop samples
        try:
            return b"".join(_packed(part) for part in self._resampler.resample(frame))
        finally:
            frame.pts = pts


def _packed(frame: av.AudioFrame) -> bytes:
    channels = frame.layout.nb_channels
    data = bytes(frame.planes[0])[: 2 * channels * frame.samples]
    if channels == CHANNELS:
        return data
    one, both = array("h", data), array("h", bytes(2 * len(data)))  # FFmpeg's way from one to two is 3 dB quieter
    both[::2] = both[1::2] = one
    return both.tobytes()
