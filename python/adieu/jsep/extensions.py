"""RTP header extensions (RFC 8285): which there are, and which numbers they have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adieu.sdp.attributes import ExtMap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adieu.jsep.codecs import Kind, Numbers

_SEND_TIME: Final = ExtMap(2, "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time")
_TRANSPORT_CC: Final = ExtMap(3, "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01")
_MID: Final = ExtMap(4, "urn:ietf:params:rtp-hdrext:sdes:mid")

EXTENSIONS: Final[Mapping[Kind, tuple[ExtMap, ...]]] = {
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
}
"""What is negotiated; the numbers are those it is offered with where they are free."""

_FREE: Final = range(1, 15)
"""RFC 8285 section 4.2: what fits into a one-byte header."""


def offered_extensions(kind: Kind, negotiated: Sequence[ExtMap], numbers: Numbers) -> tuple[ExtMap, ...]:
    """Those of an offered section: what it has now keeps its number (RFC 8285 section 6)."""
    now = {extension.uri: extension.id for extension in negotiated}
    for negotiated_uri, known_as in now.items():
        numbers.taken.setdefault(known_as, negotiated_uri)
    chosen: list[ExtMap] = []
    for extension in EXTENSIONS[kind]:
        known = now.get(extension.uri)
        number = known if known is not None else numbers.take(extension.id, extension.uri, _FREE)
        if number is not None:
            chosen.append(ExtMap(number, extension.uri))
    return tuple(chosen)


def answered_extensions(kind: Kind, offered: Sequence[ExtMap]) -> tuple[ExtMap, ...]:
    """Those of an answered section: the offer's numbers."""
    known = {extension.uri for extension in EXTENSIONS[kind]}
    # An extension that is offered twice with different directions is taken once, in the direction that is left open.
    chosen: dict[str, ExtMap] = {}
    for extension in offered:
        if extension.uri in known and extension.direction in {None, "sendrecv"} and 0 < extension.id < 256:
            chosen.setdefault(extension.uri, ExtMap(extension.id, extension.uri))
    return tuple(chosen.values())
