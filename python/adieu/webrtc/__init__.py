"""The W3C's objects for asyncio: `RTCPeerConnection` and all that belongs to it.

Names, states, events and errors are those of https://www.w3.org/TR/webrtc/; promises are coroutines, dictionaries are
mappings, keywords or dataclasses, and binary messages are bytes.
"""

from typing import TYPE_CHECKING

from adieu.lazy import lazy

if TYPE_CHECKING:
    from adieu.webrtc.certificate import RTCCertificate, RTCDtlsFingerprint
    from adieu.webrtc.configuration import RTCConfiguration, RTCIceServer, TransportSettings
    from adieu.webrtc.conformance import strict_specification
    from adieu.webrtc.data_channel import RTCDataChannel, RTCDataChannelInit
    from adieu.webrtc.data_channel_event import RTCDataChannelEvent
    from adieu.webrtc.dtls_transport import RTCDtlsTransport
    from adieu.webrtc.dtmf_sender import RTCDTMFSender, RTCDTMFToneChangeEvent
    from adieu.webrtc.error_event import RTCErrorEvent
    from adieu.webrtc.ice_candidate import RTCIceCandidate, RTCIceCandidateInit, RTCLocalIceCandidateInit
    from adieu.webrtc.ice_events import RTCPeerConnectionIceErrorEvent, RTCPeerConnectionIceEvent
    from adieu.webrtc.ice_transport import RTCIceCandidatePair, RTCIceParameters, RTCIceTransport
    from adieu.webrtc.ledger import ReleaseLedger
    from adieu.webrtc.media_stream import MediaStream, MediaStreamTrackEvent
    from adieu.webrtc.media_stream_track import MediaStreamTrack
    from adieu.webrtc.network_events import NetworkChangeEvent
    from adieu.webrtc.peer_connection import RTCAnswerOptions, RTCOfferOptions, RTCPeerConnection
    from adieu.webrtc.rtp_parameters import (
        RTCRtcpParameters,
        RTCRtpCapabilities,
        RTCRtpCodec,
        RTCRtpCodecParameters,
        RTCRtpEncodingParameters,
        RTCRtpHeaderExtensionCapability,
        RTCRtpHeaderExtensionParameters,
        RTCRtpReceiveParameters,
        RTCRtpSendParameters,
        RTCRtpSetParameterOptions,
    )
    from adieu.webrtc.rtp_receiver import RTCRtpContributingSource, RTCRtpReceiver, RTCRtpSynchronizationSource
    from adieu.webrtc.rtp_sender import RTCRtpSender
    from adieu.webrtc.rtp_transceiver import RTCRtpTransceiver, RTCRtpTransceiverInit
    from adieu.webrtc.sctp_transport import RTCSctpTransport
    from adieu.webrtc.session_description import RTCSessionDescription, RTCSessionDescriptionInit
    from adieu.webrtc.stats_report import RTCStatsReport
    from adieu.webrtc.tone_event import ToneEvent
    from adieu.webrtc.track_event import RTCTrackEvent

__all__ = [
    "MediaStream",
    "MediaStreamTrack",
    "MediaStreamTrackEvent",
    "NetworkChangeEvent",
    "RTCAnswerOptions",
    "RTCCertificate",
    "RTCConfiguration",
    "RTCDTMFSender",
    "RTCDTMFToneChangeEvent",
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
    "RTCLocalIceCandidateInit",
    "RTCOfferOptions",
    "RTCPeerConnection",
    "RTCPeerConnectionIceErrorEvent",
    "RTCPeerConnectionIceEvent",
    "RTCRtcpParameters",
    "RTCRtpCapabilities",
    "RTCRtpCodec",
    "RTCRtpCodecParameters",
    "RTCRtpContributingSource",
    "RTCRtpEncodingParameters",
    "RTCRtpHeaderExtensionCapability",
    "RTCRtpHeaderExtensionParameters",
    "RTCRtpReceiveParameters",
    "RTCRtpReceiver",
    "RTCRtpSendParameters",
    "RTCRtpSender",
    "RTCRtpSetParameterOptions",
    "RTCRtpSynchronizationSource",
    "RTCRtpTransceiver",
    "RTCRtpTransceiverInit",
    "RTCSctpTransport",
    "RTCSessionDescription",
    "RTCSessionDescriptionInit",
    "RTCStatsReport",
    "RTCTrackEvent",
    "ReleaseLedger",
    "ToneEvent",
    "TransportSettings",
    "strict_specification",
]

if not TYPE_CHECKING:  # a module's __getattr__ would hide misspelled names from type checkers
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "adieu.webrtc.certificate": ("RTCCertificate RTCDtlsFingerprint",),
            "adieu.webrtc.configuration": ("RTCConfiguration RTCIceServer TransportSettings",),
            "adieu.webrtc.conformance": ("strict_specification",),
            "adieu.webrtc.data_channel": ("RTCDataChannel RTCDataChannelInit",),
            "adieu.webrtc.data_channel_event": ("RTCDataChannelEvent",),
            "adieu.webrtc.dtls_transport": ("RTCDtlsTransport",),
            "adieu.webrtc.dtmf_sender": ("RTCDTMFSender RTCDTMFToneChangeEvent",),
            "adieu.webrtc.error_event": ("RTCErrorEvent",),
            "adieu.webrtc.ice_candidate": ("RTCIceCandidate RTCIceCandidateInit RTCLocalIceCandidateInit",),
            "adieu.webrtc.ice_events": ("RTCPeerConnectionIceErrorEvent RTCPeerConnectionIceEvent",),
            "adieu.webrtc.ice_transport": ("RTCIceCandidatePair RTCIceParameters RTCIceTransport",),
            "adieu.webrtc.ledger": ("ReleaseLedger",),
            "adieu.webrtc.network_events": ("NetworkChangeEvent",),
            "adieu.webrtc.media_stream": ("MediaStream MediaStreamTrackEvent",),
            "adieu.webrtc.media_stream_track": ("MediaStreamTrack",),
            "adieu.webrtc.peer_connection": ("RTCAnswerOptions RTCOfferOptions RTCPeerConnection",),
            "adieu.webrtc.rtp_parameters": (
                "RTCRtcpParameters RTCRtpCapabilities RTCRtpCodec RTCRtpCodecParameters RTCRtpEncodingParameters",
                "RTCRtpHeaderExtensionCapability RTCRtpHeaderExtensionParameters RTCRtpReceiveParameters",
                "RTCRtpSendParameters RTCRtpSetParameterOptions",
            ),
            "adieu.webrtc.rtp_receiver": ("RTCRtpContributingSource RTCRtpReceiver RTCRtpSynchronizationSource",),
            "adieu.webrtc.rtp_sender": ("RTCRtpSender",),
            "adieu.webrtc.rtp_transceiver": ("RTCRtpTransceiver RTCRtpTransceiverInit",),
            "adieu.webrtc.sctp_transport": ("RTCSctpTransport",),
            "adieu.webrtc.session_description": ("RTCSessionDescription RTCSessionDescriptionInit",),
            "adieu.webrtc.stats_report": ("RTCStatsReport",),
            "adieu.webrtc.tone_event": ("ToneEvent",),
            "adieu.webrtc.track_event": ("RTCTrackEvent",),
        },
    )
