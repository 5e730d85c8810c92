"""The W3C's objects for asyncio: `RTCPeerConnection` and all that belongs to it.

Names, states, events and errors are those of https://www.w3.org/TR/webrtc/; promises are coroutines, dictionaries are
mappings, keywords or dataclasses, and binary messages are bytes.
"""

from adieu.webrtc.certificate import RTCCertificate, RTCDtlsFingerprint
from adieu.webrtc.configuration import RTCConfiguration, RTCIceServer, TransportSettings
from adieu.webrtc.conformance import strict_specification
from adieu.webrtc.data_channel import RTCDataChannel, RTCDataChannelInit
from adieu.webrtc.data_channel_event import RTCDataChannelEvent
from adieu.webrtc.dtls_transport import RTCDtlsTransport
from adieu.webrtc.error_event import RTCErrorEvent
from adieu.webrtc.ice_candidate import RTCIceCandidate, RTCIceCandidateInit
from adieu.webrtc.ice_events import RTCPeerConnectionIceErrorEvent, RTCPeerConnectionIceEvent
from adieu.webrtc.ice_transport import RTCIceCandidatePair, RTCIceParameters, RTCIceTransport
from adieu.webrtc.ledger import ReleaseLedger
from adieu.webrtc.peer_connection import RTCAnswerOptions, RTCOfferOptions, RTCPeerConnection
from adieu.webrtc.sctp_transport import RTCSctpTransport
from adieu.webrtc.session_description import RTCSessionDescription, RTCSessionDescriptionInit
from adieu.webrtc.stats import RTCStatsReport

__all__ = [
    "RTCAnswerOptions",
    "RTCCertificate",
    "RTCConfiguration",
    "RTCDataChannel",
    "RTCDataChannelEvent",
    "RTCDataChannelInit",
    "RTCDtlsFingerprint",
    "RTCDtlsTransport",
    "RTCErrorEvent",
    "RTCIceCandidate",
    "RTCIceCandidateInit",
    "RTCIceCandidatePair",
    "RTCIceParameters",
    "RTCIceServer",
    "RTCIceTransport",
    "RTCOfferOptions",
    "RTCPeerConnection",
    "RTCPeerConnectionIceErrorEvent",
    "RTCPeerConnectionIceEvent",
    "RTCSctpTransport",
    "RTCSessionDescription",
    "RTCSessionDescriptionInit",
    "RTCStatsReport",
    "ReleaseLedger",
    "TransportSettings",
    "strict_specification",
]
