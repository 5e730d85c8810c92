"""Creating offers (RFC 9429 section 5.2), and the lines that offers and answers share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from adieu import sdp
from adieu.sdp import Block, Line, Media, Origin, SessionDescription, attribute

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from adieu.jsep.description import Description, Section
    from adieu.jsep.negotiation import IceCredentials, Negotiation
    from adieu.sdp.attributes import Fingerprint, Setup

LOCAL_SCTP_PORT: Final = 5000
NO_ADDRESS: Final = Line("c", "IN IP4 0.0.0.0")
DISCARD_PORT: Final = 9
"""RFC 9429 section 5.2.1: the port while no candidate is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalParameters:
    """What the connection brings to an offer or an answer.

    Attributes:
        session_id: of the `o=` line; the same for the life of the connection.
        fingerprints: of our certificates.
        fresh: credentials to be used where new ones are needed.
        data: a data channel has been created.
        restart: ICE is to be restarted.
        replace: credentials that are not to be offered again (the W3C's [[LocalIceCredentialsToReplace]]).
        max_message_size: the largest message that we take, in bytes.
    """

    session_id: str
    fingerprints: tuple[Fingerprint, ...]
    fresh: IceCredentials
    data: bool = False
    restart: bool = False
    replace: frozenset[IceCredentials] = frozenset()
    max_message_size: int = 262144

    def credentials(self, earlier: IceCredentials | None) -> IceCredentials:
        """The same as before, unless they are to be replaced."""
        return self.fresh if earlier is None or self.restart or earlier in self.replace else earlier


def create_offer(negotiation: Negotiation, parameters: LocalParameters) -> str:
    """The text of an offer. The state is "stable" or "have-local-offer"."""
    media: list[Media] = [_offered_again(negotiation, parameters, index) for index in range(negotiation.sections)]
    if parameters.data and not any(is_live(section) for section in media):
        # What is in the pending offer already stays as it is there.
        pending = _new_in_pending_offer(negotiation)
        fresh = data_media(
            mid=negotiation.fresh_mid() if pending is None else pending.mid,
            credentials=parameters.credentials(None if pending is None else pending.credentials),
            setup="actpass",
            parameters=parameters,
            earlier=pending,
        )
        # RFC 9429 section 5.2.2: the place of a section that both sides rejected is used again, under a new mid.
        place = next((index for index in range(len(media)) if negotiation.is_recyclable(index)), len(media))
        media[place : place + 1] = [fresh]
    bundle = [mid for section in media if is_live(section) and (mid := sdp.attributes.mid(section)) is not None]
    return describe(negotiation, parameters, media, bundle=bundle)


def describe(
    negotiation: Negotiation, parameters: LocalParameters, media: Iterable[Media], *, bundle: Iterable[str]
) -> str:
    """The session level with the mids of its BUNDLE group, and these sections under it."""
    tags = " ".join(bundle)
    lines = [Line("t", "0 0")]
    if tags:
        lines.append(attribute("group", f"BUNDLE {tags}"))
    # RFC 9429 section 5.2.1: "trickle" of RFC 8840 and "ice2" of RFC 8445, at the session level.
    lines.append(attribute("ice-options", "trickle ice2"))
    origin = Origin("-", parameters.session_id, _next_version(negotiation), address="127.0.0.1")
    return sdp.write(SessionDescription(origin, "-", Block(tuple(lines)), tuple(media)))


def is_live(media: Media) -> bool:
    """Not rejected: what we write is never bundle-only."""
    return media.port != 0


def data_media(
    *,
    mid: str | None,
    credentials: IceCredentials,
    setup: Setup,
    parameters: LocalParameters,
    earlier: Section | None = None,
    like: Media | None = None,
) -> Media:
    """A section for data (RFC 9429 section 5.2.1).

    Args:
        mid: None where the offer that is answered has none.
        credentials: of the ICE generation.
        setup: the DTLS role.
        parameters: see there.
        earlier: what was written of it before: its candidates stay as long as the credentials do.
        like: the offered section, whose protocol and form are taken over.
    """
    lines = [NO_ADDRESS, *_dtls_ice(credentials, setup, parameters)]
    if mid is not None:
        lines.append(attribute("mid", mid))
    new_form = like is None or like.formats[0] == "webrtc-datachannel"
    if new_form:
        lines.append(attribute("sctp-port", LOCAL_SCTP_PORT))
    else:
        lines.append(attribute("sctpmap", f"{LOCAL_SCTP_PORT} webrtc-datachannel 65535"))
    lines.append(attribute("max-message-size", parameters.max_message_size))
    media = Media(
        tuple(lines),
        kind="application",
        port=DISCARD_PORT,
        protocol="UDP/DTLS/SCTP" if like is None else like.protocol,
        formats=("webrtc-datachannel",) if new_form else (str(LOCAL_SCTP_PORT),),
    )
    if earlier is not None and earlier.credentials == credentials:
        media = media.with_lines(*_gathered(earlier))
    return with_default_address(media)


def rejected_media(like: Media, mid: str | None) -> Media:
    """The same section, rejected (RFC 9429 section 5.3.1): port 0, nothing that would have to be negotiated."""
    lines = [NO_ADDRESS]
    if like.kind != "application":
        lines.append(attribute("inactive"))
    if mid is not None:
        lines.append(attribute("mid", mid))
    # RFC 3264 section 6: the formats of a rejected stream are ignored, but there must be one. A dynamic payload type
    # would need an rtpmap.
    formats = like.formats[:1] if like.kind == "application" else ("0",)
    return Media(tuple(lines), kind=like.kind, port=0, protocol=like.protocol, formats=formats)


def with_default_address(media: Media) -> Media:
    """The port and the `c=` line as the most reachable candidate says (RFC 8839 section 4.2)."""
    found = [
        c for c in sdp.attributes.candidates(media) if c.transport == "udp" and c.component == 1 and _is_ip(c.address)
    ]
    if not found:
        return media
    best = max(found, key=lambda c: (c.type == "relay", c.type == "srflx", ":" not in c.address, c.priority))
    address = Line("c", f"IN {'IP6' if ':' in best.address else 'IP4'} {best.address}")
    lines = tuple(address if line.type == "c" else line for line in media.lines)
    return replace(media, lines=lines, port=best.port)


def _is_ip(address: str) -> bool:
    return ":" in address or address.replace(".", "").isdigit()


def _dtls_ice(credentials: IceCredentials, setup: Setup, parameters: LocalParameters) -> Iterator[Line]:
    yield attribute("ice-ufrag", credentials.ufrag)
    yield attribute("ice-pwd", credentials.pwd)
    for fingerprint in parameters.fingerprints:
        yield attribute("fingerprint", f"{fingerprint.algorithm} {fingerprint.value}")
    yield attribute("setup", setup)


def _gathered(section: Section) -> Iterator[Line]:
    for line in section.media.lines:
        if line.type == "a" and line.name in {"candidate", "end-of-candidates"}:
            yield line


def _offered_again(negotiation: Negotiation, parameters: LocalParameters, index: int) -> Media:
    """A section that was negotiated before (RFC 9429 section 5.2.2)."""
    current = _current(negotiation).sections[index]
    if not current.is_data or current.rejected or current.key not in negotiation.transports:
        return rejected_media(current.media, current.mid)
    # While an offer is pending, its credentials are the ones that are being gathered for.
    pending = negotiation.pending_local.section(current.key) if negotiation.pending_local else None
    earlier = pending or current
    credentials = parameters.credentials(earlier.credentials)
    # RFC 9429 section 5.2.2: always "actpass", also in later offers; who is client does not change by it (RFC 8842).
    return data_media(
        mid=current.mid,
        credentials=credentials,
        setup="actpass",
        parameters=parameters,
        earlier=earlier,
        like=current.media,
    )


def _current(negotiation: Negotiation) -> Description:
    if negotiation.current_local is None:  # then there are no sections either, see Negotiation.sections
        raise AssertionError("nothing has been negotiated")
    return negotiation.current_local


def _new_in_pending_offer(negotiation: Negotiation) -> Section | None:
    if negotiation.state != "have-local-offer" or negotiation.pending_local is None:
        return None
    return negotiation.pending_local.data_section()


def _next_version(negotiation: Negotiation) -> int:
    """RFC 9429 section 5.2.2: one more than in the last description that was set."""
    local = negotiation.local
    return 1 if local is None else local.sdp.origin.session_version + 1
