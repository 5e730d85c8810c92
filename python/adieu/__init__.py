"""WebRTC for Python that knows how to say goodbye.

`RTCPeerConnection` and the other names of the W3C are as https://www.w3.org/TR/webrtc/ says, for asyncio. Importing
starts nothing: there is no thread and no socket before the first connection. A name's module is loaded when the name is
first used.
"""

from typing import TYPE_CHECKING

from adieu.lazy import lazy

if TYPE_CHECKING:
    from adieu._core import __version__
    from adieu.errors import (
        AbortError,
        AdieuError,
        ChannelError,
        DataError,
        DOMException,
        DOMSyntaxError,
        EncodingError,
        InvalidAccessError,
        InvalidCharacterError,
        InvalidModificationError,
        InvalidStateError,
        NetworkError,
        NotAdieuPeerError,
        NotAllowedError,
        NotFoundError,
        NotReadableError,
        NotSupportedError,
        OperationError,
        OverconstrainedError,
        ResetFailedError,
        RTCError,
        SessionClosedError,
        SessionError,
        SignalingError,
        SignalingLostError,
        SignalingRefusedError,
        TransferError,
        UndeliveredError,
        UnknownError,
    )
    from adieu.events import Event, EventTarget, MessageEvent, once
    from adieu.session import (
        ChannelEvent,
        ClosedEvent,
        CloseReceipt,
        ClosingEvent,
        IncomingFile,
        Options,
        ResetEvent,
        ResetReport,
        Room,
        Session,
        SignalingChange,
        StateEvent,
        Transfer,
        Unconnected,
        join,
        memory_pair,
    )
    from adieu.session.channel import Channel
    from adieu.webrtc import (
        MediaDeviceInfo,
        MediaDevices,
        MediaStream,
        MediaStreamConstraints,
        MediaStreamTrack,
        MediaStreamTrackEvent,
        ReleaseLedger,
        RTCAnswerOptions,
        RTCCertificate,
        RTCConfiguration,
        RTCDataChannel,
        RTCDataChannelEvent,
        RTCDataChannelInit,
        RTCDtlsFingerprint,
        RTCDtlsTransport,
        RTCDTMFSender,
        RTCDTMFToneChangeEvent,
        RTCErrorEvent,
        RTCIceCandidate,
        RTCIceCandidateInit,
        RTCIceCandidatePair,
        RTCIceParameters,
        RTCIceServer,
        RTCIceTransport,
        RTCOfferOptions,
        RTCPeerConnection,
        RTCPeerConnectionIceErrorEvent,
        RTCPeerConnectionIceEvent,
        RTCRtcpParameters,
        RTCRtpCapabilities,
        RTCRtpCodec,
        RTCRtpCodecParameters,
        RTCRtpContributingSource,
        RTCRtpEncodingParameters,
        RTCRtpHeaderExtensionCapability,
        RTCRtpHeaderExtensionParameters,
        RTCRtpReceiveParameters,
        RTCRtpReceiver,
        RTCRtpSender,
        RTCRtpSendParameters,
        RTCRtpSetParameterOptions,
        RTCRtpSynchronizationSource,
        RTCRtpTransceiver,
        RTCRtpTransceiverInit,
        RTCSctpTransport,
        RTCSessionDescription,
        RTCSessionDescriptionInit,
        RTCStatsReport,
        RTCTrackEvent,
        TransportSettings,
        mediaDevices,
    )

__all__ = [
    "AbortError",
    "AdieuError",
    "Channel",
    "ChannelError",
    "ChannelEvent",
    "CloseReceipt",
    "ClosedEvent",
    "ClosingEvent",
    "DOMException",
    "DOMSyntaxError",
    "DataError",
    "EncodingError",
    "Event",
    "EventTarget",
    "IncomingFile",
    "InvalidAccessError",
    "InvalidCharacterError",
    "InvalidModificationError",
    "InvalidStateError",
    "MediaDeviceInfo",
    "MediaDevices",
    "MediaStream",
    "MediaStreamConstraints",
    "MediaStreamTrack",
    "MediaStreamTrackEvent",
    "MessageEvent",
    "NetworkError",
    "NotAdieuPeerError",
    "NotAllowedError",
    "NotFoundError",
    "NotReadableError",
    "NotSupportedError",
    "OperationError",
    "Options",
    "OverconstrainedError",
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
    "RTCError",
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
    "ResetEvent",
    "ResetFailedError",
    "ResetReport",
    "Room",
    "Session",
    "SessionClosedError",
    "SessionError",
    "SignalingChange",
    "SignalingError",
    "SignalingLostError",
    "SignalingRefusedError",
    "StateEvent",
    "Transfer",
    "TransferError",
    "TransportSettings",
    "Unconnected",
    "UndeliveredError",
    "UnknownError",
    "__version__",
    "join",
    "mediaDevices",
    "memory_pair",
    "once",
]

if not TYPE_CHECKING:  # a module's __getattr__ would hide misspelled names from type checkers
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "adieu._core": "__version__",
            "adieu.errors": (
                "AbortError AdieuError ChannelError DOMException DOMSyntaxError DataError EncodingError "
                "InvalidAccessError InvalidCharacterError InvalidModificationError InvalidStateError NetworkError "
                "NotAdieuPeerError NotAllowedError NotFoundError NotReadableError NotSupportedError OperationError "
                "OverconstrainedError RTCError ResetFailedError SessionClosedError SessionError SignalingError "
                "SignalingLostError SignalingRefusedError TransferError UndeliveredError UnknownError"
            ),
            "adieu.events": "Event EventTarget MessageEvent once",
            "adieu.session": (
                "ChannelEvent CloseReceipt ClosedEvent ClosingEvent IncomingFile Options ResetEvent ResetReport "
                "Room Session SignalingChange StateEvent Transfer Unconnected join memory_pair"
            ),
            "adieu.session.channel": "Channel",
            "adieu.webrtc": (
                "MediaDeviceInfo MediaDevices MediaStream MediaStreamConstraints MediaStreamTrack "
                "MediaStreamTrackEvent RTCAnswerOptions RTCCertificate RTCConfiguration RTCDTMFSender "
                "RTCDTMFToneChangeEvent RTCDataChannel RTCDataChannelEvent RTCDataChannelInit RTCDtlsFingerprint "
                "RTCDtlsTransport RTCErrorEvent RTCIceCandidate RTCIceCandidateInit RTCIceCandidatePair "
                "RTCIceParameters RTCIceServer RTCIceTransport RTCOfferOptions RTCPeerConnection "
                "RTCPeerConnectionIceErrorEvent RTCPeerConnectionIceEvent RTCRtcpParameters RTCRtpCapabilities "
                "RTCRtpCodec RTCRtpCodecParameters RTCRtpContributingSource RTCRtpEncodingParameters "
                "RTCRtpHeaderExtensionCapability RTCRtpHeaderExtensionParameters RTCRtpReceiveParameters "
                "RTCRtpReceiver RTCRtpSendParameters RTCRtpSender RTCRtpSetParameterOptions "
                "RTCRtpSynchronizationSource RTCRtpTransceiver RTCRtpTransceiverInit RTCSctpTransport "
                "RTCSessionDescription RTCSessionDescriptionInit RTCStatsReport RTCTrackEvent ReleaseLedger "
                "TransportSettings mediaDevices"
            ),
        },
    )
