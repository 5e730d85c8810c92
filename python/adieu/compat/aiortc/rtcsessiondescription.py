"""RTCSessionDescription, as aiortc's constructor takes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TYPES: Final = ("offer", "pranswer", "answer", "rollback")


@dataclass
class RTCSessionDescription:
    """One end of a connection, and how it is configured.

    Attributes:
        sdp: the text.
        type: "offer", "pranswer", "answer" or "rollback".
    """

    sdp: str
    type: str

    def __post_init__(self) -> None:
        if self.type not in TYPES:
            raise ValueError(f"type={self.type!r}: one of {', '.join(TYPES)}")
