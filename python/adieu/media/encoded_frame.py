"""A piece of encoded media that was received."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """A frame that was received, encoded: of pictures whole, and all that it needs came before it; of sound a packet.

    Attributes:
        data: the frame; of H264 with start codes, and its parameters in front of a key frame.
        mime_type: "video/VP8", "video/H264", "audio/opus", "audio/PCMU" or "audio/PCMA".
        key: whether it can be decoded without any other; of sound always.
        time: when it was taken, in seconds. Sound and pictures from the same computer have one axis.
        id: of pictures one more for each frame; of sound one more for each packet that was sent: a gap is a loss.
        temporal: its layer in time; those of higher ones can be left out.
    """

    data: bytes = field(repr=False)
    mime_type: str
    key: bool
    time: float
    id: int
    temporal: int = 0
