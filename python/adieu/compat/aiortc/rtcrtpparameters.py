"""Codecs and header extensions, as aiortc shows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from adieu.webrtc import RTCRtpCodec

if TYPE_CHECKING:
    from adieu.webrtc import RTCRtpCapabilities as Inner

ParametersDict: TypeAlias = dict[str, int | str | None]


@dataclass
class RTCRtpCodecCapability:
    """A codec that can be negotiated.

    Attributes:
        mimeType: as "audio/opus".
        clockRate: RTP ticks a second.
        channels: of audio.
        parameters: those of an `a=fmtp` line, by name.
    """

    mimeType: str
    clockRate: int
    channels: int | None = None
    parameters: ParametersDict = field(default_factory=dict[str, "int | str | None"])

    @property
    def name(self) -> str:
        """The name without its kind, as "opus"."""
        return self.mimeType.split("/")[1]


@dataclass
class RTCRtpHeaderExtensionCapability:
    """A header extension that can be negotiated."""

    uri: str


@dataclass
class RTCRtpCapabilities:
    """Codecs and header extensions that can be negotiated."""

    codecs: list[RTCRtpCodecCapability] = field(default_factory=list[RTCRtpCodecCapability])
    headerExtensions: list[RTCRtpHeaderExtensionCapability] = field(
        default_factory=list[RTCRtpHeaderExtensionCapability]
    )


def capabilities_of(found: Inner | None, kind: str) -> RTCRtpCapabilities:
    """Return the capabilities of a kind."""
    if found is None:
        raise ValueError(f"kind={kind!r}: 'audio' or 'video'")
    codecs = [
        RTCRtpCodecCapability(codec.mimeType, codec.clockRate, codec.channels, _parameters(codec.sdpFmtpLine))
        for codec in found.codecs
    ]
    return RTCRtpCapabilities(codecs, [RTCRtpHeaderExtensionCapability(one.uri) for one in found.headerExtensions])


def codec_of(codec: RTCRtpCodecCapability) -> RTCRtpCodec:
    """Return the W3C's codec of one that a program has chosen."""
    words = [name if value is None else f"{name}={value}" for name, value in codec.parameters.items()]
    return RTCRtpCodec(codec.mimeType, codec.clockRate, codec.channels, ";".join(words) or None)


def _parameters(line: str | None) -> ParametersDict:
    found: ParametersDict = {}
    for word in (line or "").split(";"):
        name, equals, value = word.strip().partition("=")
        if name:
            found[name] = (
                (int(value) if value.isascii() and value.isdigit() and str(int(value)) == value else value)
                if equals
                else None
            )
    return found
