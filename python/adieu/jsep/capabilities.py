"""The codecs and header extensions that a side can negotiate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, get_args

from adieu.jsep.codecs import Codec, Kind
from adieu.sdp.attributes import ExtMap

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The codecs and header extensions that one side can negotiate.

    Attributes:
        codecs: by kind, the best one first, with the payload types of offers.
        extensions: by kind, with the numbers of offers; another number is used if one is taken.
    """

    codecs: Mapping[Kind, tuple[Codec, ...]]
    extensions: Mapping[Kind, tuple[ExtMap, ...]]

    def __post_init__(self) -> None:
        for kind in get_args(Kind):
            if not any(codec.is_media for codec in self.codecs.get(kind, ())):
                raise ValueError(f"Capabilities.codecs has no codec that carries {kind}")
            if kind not in self.extensions:
                raise ValueError(f"Capabilities.extensions has nothing for {kind}: give an empty tuple")


_VIDEO_FEEDBACK: Final = ("goog-remb", "transport-cc", "ccm fir", "nack", "nack pli")


def _h264(payload_type: int, profile: str, mode: int) -> Codec:
    fmtp = f"level-asymmetry-allowed=1;packetization-mode={mode};profile-level-id={profile}"
    return Codec(payload_type, "video", "H264", 90000, None, fmtp, _VIDEO_FEEDBACK)


def _rtx(payload_type: int, apt: int) -> Codec:
    return Codec(payload_type, "video", "rtx", 90000, None, f"apt={apt}")


_SEND_TIME: Final = ExtMap(2, "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time")
_TRANSPORT_CC: Final = ExtMap(3, "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01")
_MID: Final = ExtMap(4, "urn:ietf:params:rtp-hdrext:sdes:mid")

NEGOTIABLE: Final = Capabilities(
    codecs={
        "audio": (
            Codec(111, "audio", "opus", 48000, 2, "minptime=10;useinbandfec=1", ("transport-cc",)),
            Codec(63, "audio", "red", 48000, 2, "111/111"),
            Codec(0, "audio", "PCMU", 8000, 1),
            Codec(8, "audio", "PCMA", 8000, 1),
            Codec(110, "audio", "telephone-event", 48000, 1),
            Codec(126, "audio", "telephone-event", 8000, 1),
        ),
        "video": (
            Codec(96, "video", "VP8", 90000, None, "", _VIDEO_FEEDBACK),
            _rtx(97, 96),
            _h264(102, "42e01f", 1),
            _rtx(103, 102),
            _h264(104, "42e01f", 0),
            _rtx(105, 104),
            _h264(106, "42001f", 1),
            _rtx(107, 106),
            _h264(108, "42001f", 0),
            _rtx(109, 108),
            _h264(112, "4d001f", 1),
            _rtx(113, 112),
            Codec(118, "video", "red", 90000),
            _rtx(119, 118),
        ),
    },
    extensions={
        "audio": (
            ExtMap(1, "urn:ietf:params:rtp-hdrext:ssrc-audio-level"),
            _SEND_TIME,
            _TRANSPORT_CC,
            _MID,
        ),
        "video": (
            ExtMap(14, "urn:ietf:params:rtp-hdrext:toffset"),
            _SEND_TIME,
            ExtMap(13, "urn:3gpp:video-orientation"),
            _TRANSPORT_CC,
            _MID,
            ExtMap(10, "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"),
            ExtMap(11, "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"),
        ),
    },
)
"""All that adieu can negotiate: what the core understands, and nothing else."""
