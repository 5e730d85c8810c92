"""The capabilities of senders and receivers. https://www.w3.org/TR/webrtc/#dom-rtcrtpsender-getcapabilities"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.jsep import NEGOTIABLE
from adieu.webrtc.dictionaries import string
from adieu.webrtc.rtp_parameters import RTCRtpCapabilities, RTCRtpCodec, RTCRtpHeaderExtensionCapability

if TYPE_CHECKING:
    from adieu.jsep import Capabilities, Codec, Kind


def negotiable() -> Capabilities:
    """Return the capabilities of a connection that is made now. Codecs that are found at run time belong in here."""
    return NEGOTIABLE


def capabilities(kind: str) -> RTCRtpCapabilities | None:
    """Return the codecs and extensions that can be negotiated; they are the same for sending and receiving.

    "rtx" is listed once: the codec that it repeats is not a capability.
    """
    string("the kind", kind)
    kinds: dict[str, Kind] = {"audio": "audio", "video": "video"}
    if (known := kinds.get(kind)) is None:
        return None
    codecs: list[RTCRtpCodec] = []
    for codec in negotiable().codecs[known]:
        shown = _shown(codec)
        if shown not in codecs:
            codecs.append(shown)
    extensions = [RTCRtpHeaderExtensionCapability(extension.uri) for extension in negotiable().extensions[known]]
    return RTCRtpCapabilities(codecs, extensions)


def _shown(codec: Codec) -> RTCRtpCodec:
    fmtp = codec.fmtp if codec.name not in {"rtx", "red"} else ""  # those name payload types
    return RTCRtpCodec(codec.mime_type, codec.clock_rate, codec.channels, fmtp or None)
