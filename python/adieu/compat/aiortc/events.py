"""RTCTrackEvent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adieu.compat.aiortc.mediastreams import MediaStreamTrack
    from adieu.compat.aiortc.rtcrtpreceiver import RTCRtpReceiver
    from adieu.compat.aiortc.rtcrtptransceiver import RTCRtpTransceiver


@dataclass
class RTCTrackEvent:
    """The other side may send a track from now on."""

    receiver: RTCRtpReceiver
    track: MediaStreamTrack
    transceiver: RTCRtpTransceiver
