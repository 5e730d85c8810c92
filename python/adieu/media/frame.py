"""A piece of sound."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AudioFrame:
    """A piece of sound that was received.

    Attributes:
        data: its samples, int16 in the byte order of this computer; of two channels left and right in turn.
            `memoryview(frame.data).cast("h")`, `array("h", frame.data)` and `numpy.frombuffer(frame.data, "int16")`
            read them.
        time: when the other side took it, in seconds. Sound and pictures of one process have one axis: differences have
            a meaning. The next frame's is larger by the length of this one, or by a tenth more or less while reports of
            the other side correct it.
        concealed: how much of it was made up, because a packet was missing, in seconds; 0.0 when it is all true.
        sample_rate: samples a second.
        channels: 1 or 2.
    """

    data: bytes
    time: float
    concealed: float
    sample_rate: int
    channels: int

    @property
    def samples(self) -> int:
        """The number of samples of each channel."""
        return len(self.data) // (2 * self.channels)

    @property
    def duration(self) -> float:
        """The length in seconds."""
        return self.samples / self.sample_rate

    def __repr__(self) -> str:
        made_up = f", {self.concealed * 1000:.0f} ms made up" if self.concealed else ""
        return f"<AudioFrame at {self.time:.3f} s, {self.duration * 1000:.0f} ms{made_up}>"
