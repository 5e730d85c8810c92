"""The dictionaries of RTP parameters and capabilities. https://www.w3.org/TR/webrtc/#rtp-media-api

They can be changed, as in a browser: change the copy of `getParameters()`, and give it to `setParameters()`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

from adieu.errors import OperationError
from adieu.jsep import Codec, Encoding, same_codec
from adieu.webrtc.data_channel import RTCPriorityType
from adieu.webrtc.dictionaries import boolean, choice, dictionary, members_of, number, string, unsigned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adieu.jsep import Kind
    from adieu.sdp.attributes import ExtMap

RTCDegradationPreference: TypeAlias = Literal["balanced", "maintain-framerate", "maintain-resolution"]

_RID: Final = re.compile(r"[A-Za-z0-9]{1,16}")
_HIGHEST: Final = 2**32 - 1


@dataclass(slots=True)
class RTCRtpCodec:
    """https://www.w3.org/TR/webrtc/#dom-rtcrtpcodec

    Attributes:
        mimeType: as "audio/opus".
        clockRate: RTP ticks a second.
        channels: of audio.
        sdpFmtpLine: its parameters as in an `a=fmtp` line.
    """

    mimeType: str
    clockRate: int
    channels: int | None = None
    sdpFmtpLine: str | None = None

    def __post_init__(self) -> None:
        name = type(self).__name__
        string(f"{name}.mimeType", self.mimeType)
        unsigned(f"{name}.clockRate", self.clockRate, _HIGHEST)
        if self.channels is not None:
            unsigned(f"{name}.channels", self.channels, 65535)
        if self.sdpFmtpLine is not None:
            string(f"{name}.sdpFmtpLine", self.sdpFmtpLine)

    def parsed(self) -> Codec:
        """Return the value that negotiation uses."""
        kind, _, name = self.mimeType.partition("/")
        media: Kind = "video" if kind.lower() == "video" else "audio"
        channels = self.channels if media == "audio" else None
        return Codec(-1, media, name, self.clockRate, channels, self.sdpFmtpLine or "")


@dataclass(slots=True)
class RTCRtpCodecParameters(RTCRtpCodec):
    """A codec that has been negotiated, and its number.

    Attributes:
        payloadType: the number in this direction of this section.
    """

    payloadType: int = 0

    @classmethod
    def of(cls, codec: Codec) -> RTCRtpCodecParameters:
        """Return the W3C's dictionary of it."""
        return cls(codec.mime_type, codec.clock_rate, codec.channels, codec.fmtp or None, codec.payload_type)


@dataclass(slots=True)
class RTCRtpHeaderExtensionCapability:
    """A header extension that can be negotiated."""

    uri: str


@dataclass(slots=True)
class RTCRtpHeaderExtensionParameters:
    """A header extension that has been negotiated.

    Attributes:
        uri: its name.
        id: its number.
        encrypted: whether it is encrypted; never.
    """

    uri: str
    id: int
    encrypted: bool = False

    @classmethod
    def of(cls, extension: ExtMap) -> RTCRtpHeaderExtensionParameters:
        """Return the W3C's dictionary of it."""
        return cls(extension.uri, extension.id)


@dataclass(slots=True)
class RTCRtcpParameters:
    """https://www.w3.org/TR/webrtc/#dom-rtcrtcpparameters

    Attributes:
        cname: the name of this side in RTCP; None for a receiver.
        reducedSize: whether RTCP packets may be shorter (RFC 5506).
    """

    cname: str | None = None
    reducedSize: bool = False


@dataclass(slots=True)
class RTCRtpCapabilities:
    """The capabilities for a kind. https://www.w3.org/TR/webrtc/#dom-rtcrtpcapabilities"""

    codecs: list[RTCRtpCodec] = field(default_factory=list[RTCRtpCodec])
    headerExtensions: list[RTCRtpHeaderExtensionCapability] = field(
        default_factory=list[RTCRtpHeaderExtensionCapability]
    )


@dataclass(slots=True)
class RTCRtpEncodingParameters:
    """One stream of a sender. https://www.w3.org/TR/webrtc/#dom-rtcrtpencodingparameters

    Attributes:
        rid: its name among several; 1 to 16 letters and digits. It cannot be changed.
        active: whether it is sent.
        maxBitrate: bits a second.
        maxFramerate: frames a second.
        scaleResolutionDownBy: how many times smaller the picture is sent, 1.0 or more.
        codec: the codec, if another than the one that negotiation prefers.
        priority: among the streams of this connection.
        networkPriority: the same, on the network.
        scalabilityMode: layers within the stream, as "L1T2".
    """

    rid: str | None = None
    active: bool = True
    maxBitrate: int | None = None
    maxFramerate: float | None = None
    scaleResolutionDownBy: float | None = None
    codec: RTCRtpCodec | None = None
    priority: RTCPriorityType = "low"
    networkPriority: RTCPriorityType = "low"
    scalabilityMode: str | None = None

    def __post_init__(self) -> None:
        if self.rid is not None:
            string("RTCRtpEncodingParameters.rid", self.rid)
        boolean("RTCRtpEncodingParameters.active", self.active)
        if self.maxBitrate is not None:
            unsigned("RTCRtpEncodingParameters.maxBitrate", self.maxBitrate, _HIGHEST)
        for name in ("maxFramerate", "scaleResolutionDownBy"):
            if getattr(self, name) is not None:
                number(f"RTCRtpEncodingParameters.{name}", getattr(self, name))
        if self.codec is not None:
            self.codec = dictionary(RTCRtpCodec, self.codec, open_=True)
        choice("RTCRtpEncodingParameters.priority", self.priority, RTCPriorityType)
        choice("RTCRtpEncodingParameters.networkPriority", self.networkPriority, RTCPriorityType)
        if self.scalabilityMode is not None:
            string("RTCRtpEncodingParameters.scalabilityMode", self.scalabilityMode)

    @classmethod
    def of(cls, encoding: Encoding) -> RTCRtpEncodingParameters:
        """Return the W3C's dictionary of it."""
        codec = encoding.codec
        return cls(
            encoding.rid,
            encoding.active,
            encoding.max_bitrate,
            encoding.max_framerate,
            encoding.scale_resolution_down_by,
            None
            if codec is None
            else RTCRtpCodec(codec.mime_type, codec.clock_rate, codec.channels, codec.fmtp or None),
            cast("RTCPriorityType", encoding.priority),
            cast("RTCPriorityType", encoding.network_priority),
            encoding.scalability_mode,
        )

    def parsed(self) -> Encoding:
        """Return the value that negotiation uses."""
        return Encoding(
            rid=self.rid,
            active=self.active,
            max_bitrate=self.maxBitrate,
            max_framerate=self.maxFramerate,
            scale_resolution_down_by=self.scaleResolutionDownBy,
            codec=None if self.codec is None else self.codec.parsed(),
            priority=self.priority,
            network_priority=self.networkPriority,
            scalability_mode=self.scalabilityMode,
        )


@dataclass(slots=True)
class RTCRtpReceiveParameters:
    """The negotiated parameters of a receiver. https://www.w3.org/TR/webrtc/#dom-rtcrtpreceiveparameters"""

    codecs: list[RTCRtpCodecParameters] = field(default_factory=list[RTCRtpCodecParameters])
    headerExtensions: list[RTCRtpHeaderExtensionParameters] = field(
        default_factory=list[RTCRtpHeaderExtensionParameters]
    )
    rtcp: RTCRtcpParameters = field(default_factory=RTCRtcpParameters)


@dataclass(slots=True)
class RTCRtpSendParameters:
    """The negotiated parameters of a sender, and its encodings. https://www.w3.org/TR/webrtc/#dom-rtcrtpsendparameters

    Attributes:
        transactionId: of its getParameters(); setParameters() wants it back.
        encodings: one for each stream that is sent; their members can be changed.
        codecs: in the order of preference.
        headerExtensions: with their numbers.
        rtcp: of the section.
    """

    transactionId: str
    encodings: list[RTCRtpEncodingParameters]
    codecs: list[RTCRtpCodecParameters]
    headerExtensions: list[RTCRtpHeaderExtensionParameters]
    rtcp: RTCRtcpParameters

    def __post_init__(self) -> None:
        string("RTCRtpSendParameters.transactionId", self.transactionId)
        self.encodings = members_of(RTCRtpEncodingParameters, "RTCRtpSendParameters.encodings", self.encodings)
        self.codecs = members_of(RTCRtpCodecParameters, "RTCRtpSendParameters.codecs", self.codecs)
        self.headerExtensions = members_of(
            RTCRtpHeaderExtensionParameters, "RTCRtpSendParameters.headerExtensions", self.headerExtensions
        )
        self.rtcp = dictionary(RTCRtcpParameters, self.rtcp, open_=True)


@dataclass(slots=True)
class RTCRtpSetParameterOptions:
    """https://www.w3.org/TR/webrtc/#dom-setparameteroptions; has no member."""


# --- checks -----------


def check_new_encodings(
    kind: Kind, encodings: Sequence[RTCRtpEncodingParameters], codecs: Sequence[Codec], most: int
) -> tuple[Encoding, ...]:
    """Check the sendEncodings, and return them as they are stored (W3C addTransceiver, step 8).

    Raises:
        TypeError: the rids are wrong.
        ValueError: a number is out of its range.
        OperationError: a codec is unknown.
    """
    rids = [encoding.rid for encoding in encodings]
    # steps 8.2 to 8.4
    for rid in rids:
        if rid is not None and not _RID.fullmatch(rid):
            raise TypeError(f"RTCRtpEncodingParameters.rid is {rid!r}, not 1 to 16 letters and digits")
    given = [rid for rid in rids if rid is not None]
    if given and len(given) < len(rids):
        raise TypeError("some of the sendEncodings have a rid, and some have no rid")
    if len(set(given)) < len(given):
        raise TypeError(f"two of the sendEncodings have the same rid: {given}")
    if len(rids) > 1 and not given:
        raise TypeError("several sendEncodings need a rid each")
    # step 8.5 to 8.8
    checked = check_ranges(kind, encodings)
    for encoding in checked:
        if encoding.codec is not None and not any(same_codec(encoding.codec, codec) for codec in codecs):
            raise OperationError(f"there is no codec {encoding.codec.mime_type!r} to send {kind} with")
    # steps 8.9 to 8.12
    checked = checked[:most]
    if kind == "video":
        free = all(encoding.scale_resolution_down_by is None for encoding in checked)
        checked = [
            replace(encoding, scale_resolution_down_by=2.0 ** (len(checked) - place - 1) if free else 1.0)
            if encoding.scale_resolution_down_by is None
            else encoding
            for place, encoding in enumerate(checked)
        ]
    if len(checked) == 1:
        checked = [replace(checked[0], rid=None)]
    return tuple(checked)


def check_ranges(kind: Kind, encodings: Sequence[RTCRtpEncodingParameters]) -> list[Encoding]:
    """Check the numbers for addTransceiver() and setParameters(). Members of video are left out for audio.

    Raises:
        ValueError: a number is out of its range.
    """
    checked: list[Encoding] = []
    for given in encodings:
        encoding = given.parsed()
        if kind == "audio":
            encoding = replace(encoding, scale_resolution_down_by=None, max_framerate=None)
        if encoding.scale_resolution_down_by is not None and encoding.scale_resolution_down_by < 1.0:
            raise ValueError(
                f"RTCRtpEncodingParameters.scaleResolutionDownBy is {encoding.scale_resolution_down_by}: 1.0 or more"
            )
        if encoding.max_framerate is not None and encoding.max_framerate < 0.0:
            raise ValueError(f"RTCRtpEncodingParameters.maxFramerate is {encoding.max_framerate}: 0.0 or more")
        checked.append(encoding)
    return checked


def copy_of(parameters: RTCRtpSendParameters) -> RTCRtpSendParameters:
    """Return a copy of all parts."""

    def copies(items: Sequence[Any]) -> list[Any]:
        return [replace(item) for item in items]

    return RTCRtpSendParameters(
        parameters.transactionId,
        copies(parameters.encodings),
        copies(parameters.codecs),
        copies(parameters.headerExtensions),
        replace(parameters.rtcp),
    )
