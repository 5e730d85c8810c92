"""adieu under the names, constructors and events of aiortc: a program written for it runs when its imports are changed.

```python
from adieu.compat.aiortc import RTCPeerConnection, RTCSessionDescription
from adieu.compat.aiortc.contrib.media import MediaPlayer, MediaRelay
```

The objects wrap adieu's own, which are in their attribute `w3c`. So a program can change one place after the other. The
guide "From aiortc" has the differences. Frames of tracks are PyAV's: `pip install 'adieu[video]'`.
"""

from typing import TYPE_CHECKING, Final

from adieu.compat.aiortc.exceptions import InvalidAccessError, InvalidStateError
from adieu.compat.aiortc.mediastreams import AudioStreamTrack, MediaStreamError, MediaStreamTrack, VideoStreamTrack
from adieu.compat.aiortc.rtcconfiguration import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCIceTransportPolicy,
)
from adieu.compat.aiortc.rtcdatachannel import RTCDataChannel, RTCDataChannelParameters
from adieu.compat.aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsTransport
from adieu.compat.aiortc.rtcicetransport import RTCIceCandidate, RTCIceParameters, RTCIceTransport
from adieu.compat.aiortc.rtcpeerconnection import RTCPeerConnection
from adieu.compat.aiortc.rtcrtpparameters import (
    RTCRtpCapabilities,
    RTCRtpCodecCapability,
    RTCRtpHeaderExtensionCapability,
)
from adieu.compat.aiortc.rtcrtpreceiver import RTCRtpReceiver
from adieu.compat.aiortc.rtcrtpsender import RTCRtpSender
from adieu.compat.aiortc.rtcrtptransceiver import RTCRtpTransceiver
from adieu.compat.aiortc.rtcsctptransport import RTCSctpTransport
from adieu.compat.aiortc.rtcsessiondescription import RTCSessionDescription
from adieu.compat.aiortc.stats import (
    RTCInboundRtpStreamStats,
    RTCOutboundRtpStreamStats,
    RTCRemoteInboundRtpStreamStats,
    RTCRemoteOutboundRtpStreamStats,
    RTCStatsReport,
    RTCTransportStats,
)

__all__ = [
    "AudioStreamTrack",
    "InvalidAccessError",
    "InvalidStateError",
    "MediaStreamError",
    "MediaStreamTrack",
    "RTCBundlePolicy",
    "RTCCertificate",
    "RTCConfiguration",
    "RTCDataChannel",
    "RTCDataChannelParameters",
    "RTCDtlsTransport",
    "RTCIceCandidate",
    "RTCIceParameters",
    "RTCIceServer",
    "RTCIceTransport",
    "RTCIceTransportPolicy",
    "RTCInboundRtpStreamStats",
    "RTCOutboundRtpStreamStats",
    "RTCPeerConnection",
    "RTCRemoteInboundRtpStreamStats",
    "RTCRemoteOutboundRtpStreamStats",
    "RTCRtpCapabilities",
    "RTCRtpCodecCapability",
    "RTCRtpHeaderExtensionCapability",
    "RTCRtpReceiver",
    "RTCRtpSender",
    "RTCRtpTransceiver",
    "RTCSctpTransport",
    "RTCSessionDescription",
    "RTCStatsReport",
    "RTCTransportStats",
    "VideoStreamTrack",
]

MISSING: Final = {
    **dict.fromkeys(
        ("RTCIceGatherer", "RTCDtlsFingerprint", "RTCDtlsParameters", "RTCSctpCapabilities"),
        "transports belong to their RTCPeerConnection, and are not made apart from it",
    ),
    **dict.fromkeys(
        (
            "RTCRtcpParameters",
            "RTCRtpCodecParameters",
            "RTCRtpHeaderExtensionParameters",
            "RTCRtpParameters",
        ),
        "sender.w3c.getParameters() has the W3C's parameters",
    ),
    **dict.fromkeys(
        ("RTCRtpContributingSource", "RTCRtpSynchronizationSource"),
        "receiver.getSynchronizationSources() returns the W3C's",
    ),
}
"""Names that aiortc has and adieu has not, and what to use instead."""

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if (remedy := MISSING.get(name)) is not None:
            raise ImportError(f"aiortc has {name}, adieu has not: {remedy}", name=__name__)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
