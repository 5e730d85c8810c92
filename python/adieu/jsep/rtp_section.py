"""The lines of an audio or video section (RFC 9429 sections 5.2.1 and 5.3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from adieu.sdp import Line, Media, attribute

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from adieu.jsep.codecs import Codec
    from adieu.sdp.attributes import Direction, ExtMap

RTP_PROTOCOL: Final = "UDP/TLS/RTP/SAVPF"
DISCARD_PORT: Final = 9
"""RFC 9429 section 5.2.1: the port while no candidate is known."""
NO_ADDRESS: Final = Line("c", "IN IP4 0.0.0.0")


@dataclass(frozen=True, slots=True, kw_only=True)
class RtpContent:
    """The media lines of a section.

    Attributes:
        kind: "audio" or "video".
        codecs: in the order of preference; at least one.
        extensions: RTP header extensions.
        direction: as this side sees it.
        streams: the ids of the streams that this side wants to send; None: it sends nothing. An answer names them even
            if the offer does not want them (RFC 9429 section 5.3.1). Otherwise the W3C's check would ask for another
            negotiation.
        rids: of the simulcast.
        ssrcs: the lines that name the streams of the sender.
    """

    kind: str
    codecs: Sequence[Codec]
    extensions: Sequence[ExtMap]
    direction: Direction
    streams: Sequence[str] | None
    rids: Sequence[str] = ()
    ssrcs: Sequence[Line] = ()


def rtp_media(
    content: RtpContent, transport: Iterable[Line], mid: str | None, *, protocol: str = RTP_PROTOCOL, mixed: bool = True
) -> Media:
    """Return the section.

    Args:
        content: of its media.
        transport: lines for ICE and DTLS.
        mid: None if the answered offer has no mid.
        protocol: of the offered section, or ours.
        mixed: whether one- and two-byte header extensions may be mixed (RFC 8285 section 6).
    """
    lines = [NO_ADDRESS, attribute("rtcp", "9 IN IP4 0.0.0.0"), *transport]
    if mid is not None:
        lines.append(attribute("mid", mid))
    if mixed:
        lines.append(attribute("extmap-allow-mixed"))
    lines.extend(attribute("extmap", f"{extension.id} {extension.uri}") for extension in content.extensions)
    lines.append(attribute(content.direction))
    if content.streams is not None:
        # RFC 9429 section 5.2.1: one for each stream, without "appdata"; "-" for none.
        lines.extend(attribute("msid", stream) for stream in content.streams or ("-",))
    lines.extend((attribute("rtcp-mux"), attribute("rtcp-rsize")))
    for codec in content.codecs:
        lines.extend(_codec_lines(codec))
    lines.extend(content.ssrcs)
    if len(content.rids) > 1:
        lines.extend(attribute("rid", f"{rid} send") for rid in content.rids)
        lines.append(attribute("simulcast", f"send {';'.join(content.rids)}"))
    formats = tuple(str(codec.payload_type) for codec in content.codecs)
    return Media(tuple(lines), kind=content.kind, port=DISCARD_PORT, protocol=protocol, formats=formats)


def _codec_lines(codec: Codec) -> Iterator[Line]:
    number = codec.payload_type
    channels = f"/{codec.channels}" if codec.channels is not None and codec.channels > 1 else ""
    yield attribute("rtpmap", f"{number} {codec.name}/{codec.clock_rate}{channels}")
    for feedback in codec.feedback:
        yield attribute("rtcp-fb", f"{number} {feedback}")
    if codec.fmtp:
        yield attribute("fmtp", f"{number} {codec.fmtp}")
