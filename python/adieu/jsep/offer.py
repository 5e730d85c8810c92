"""Creating offers (RFC 9429 section 5.2), and the lines that offers and answers share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from adieu import sdp
from adieu.jsep import direction
from adieu.jsep.bundle import bundle_key, speaker
from adieu.jsep.codecs import Numbers, meaning_of, negotiated_codecs, offered_codecs
from adieu.jsep.extensions import offered_extensions
from adieu.jsep.rtp_section import DISCARD_PORT, NO_ADDRESS, RtpContent, rtp_media
from adieu.jsep.ssrcs import own_ssrcs, ssrc_lines
from adieu.sdp import Block, Line, Media, Origin, SessionDescription, attribute

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from adieu.jsep.capabilities import Capabilities
    from adieu.jsep.codecs import Codec
    from adieu.jsep.description import Section
    from adieu.jsep.negotiation import IceCredentials, Negotiation
    from adieu.jsep.transceiver import Transceiver
    from adieu.sdp.attributes import Direction, ExtMap, Fingerprint, Setup

BundlePolicy: TypeAlias = Literal["balanced", "max-compat", "max-bundle"]

LOCAL_SCTP_PORT: Final = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalParameters:
    """The part of an offer or an answer that comes from the connection.

    Attributes:
        session_id: of the `o=` line; the same for the life of the connection.
        fingerprints: of our certificates.
        fresh: credentials to use where new ones are needed. Transports that begin together share them: their packets
            arrive at different ports.
        capabilities: the codecs and header extensions that can be negotiated.
        data: a data channel has been created.
        restart: ICE is to be restarted.
        replace: credentials that must not be offered again (the W3C's [[LocalIceCredentialsToReplace]]).
        max_message_size: the largest message that we take, in bytes.
        bundle_policy: how many transports are offered (RFC 9429 section 4.1.1).
        cname: the name of this side in RTCP; None: the streams of senders are not named.
    """

    session_id: str
    fingerprints: tuple[Fingerprint, ...]
    fresh: IceCredentials
    capabilities: Capabilities
    data: bool = False
    restart: bool = False
    replace: frozenset[IceCredentials] = frozenset()
    max_message_size: int = 262144
    bundle_policy: BundlePolicy = "balanced"
    cname: str | None = None

    def credentials(self, earlier: IceCredentials | None) -> IceCredentials:
        """Return the credentials as before, unless they must be replaced."""
        return self.fresh if earlier is None or self.restart or earlier in self.replace else earlier

    def ssrcs(self, transceiver: Transceiver, wanted: Direction, codecs: Sequence[Codec]) -> tuple[Line, ...]:
        """Return the lines that name the streams of a sender that sends packets again in a stream of its own."""
        is_repaired = any(codec.name.lower() == "rtx" for codec in codecs)
        if self.cname is None or not is_repaired or not direction.sends(wanted) or len(transceiver.rids) > 1:
            return ()
        return tuple(ssrc_lines(self.cname, own_ssrcs(self.session_id, transceiver.id)))


@dataclass(frozen=True, slots=True)
class OfferSection:
    """One section of an offer before it is written.

    Attributes:
        mid: None if the other side made the section and writes no mid.
        kind: "audio", "video", "application", or another kind of the other side's section.
        transceiver: its transceiver.
        earlier: the section at this index, as it was last described here.
        live: it is not rejected.
    """

    mid: str | None
    kind: str
    transceiver: Transceiver | None
    earlier: Section | None
    live: bool


def create_offer(negotiation: Negotiation, parameters: LocalParameters) -> str:
    """Return the text of an offer. The state is "stable" or "have-local-offer"."""
    sections = offer_sections(negotiation, data=parameters.data)
    bundle_transports = _bundle_transports(negotiation, sections, parameters.bundle_policy)
    keys = [key for key, _ in bundle_transports]
    numbers = _taken(negotiation)
    media: list[Media] = []
    for index, (offered, (key, bundle_only)) in enumerate(zip(sections, bundle_transports, strict=True)):
        if key is None:
            media.append(rejected_media(_earlier(offered).media, offered.mid))
            continue
        running = negotiation.transports.get(key)
        credentials = parameters.credentials(running.local if running is not None else None)
        # RFC 9429 section 5.2.2: always "actpass", also in later offers; RFC 8842: the roles stay as they are.
        transport = tuple(dtls_ice(credentials, "actpass", parameters))
        if offered.transceiver is None:
            like = offered.earlier.media if offered.earlier is not None else None
            described = data_media(mid=offered.mid, transport=transport, parameters=parameters, like=like)
        else:
            content = _content(negotiation, index, offered, numbers, parameters)
            described = rtp_media(content, transport, offered.mid)
        speaks = keys.index(key) == index
        described = with_candidates(described, gathered_lines(negotiation, key, credentials), speaks=speaks)
        if bundle_only:
            described = replace(described.with_lines(attribute("bundle-only")), port=0)
        media.append(described)
    bundle = [offered.mid for offered in sections if offered.live and offered.mid is not None]
    return describe(negotiation, parameters, media, groups=[bundle])


def offer_sections(negotiation: Negotiation, *, data: bool) -> tuple[OfferSection, ...]:
    """Return the sections of an offer that is made now (RFC 9429 sections 5.2.1 and 5.2.2)."""
    base = negotiation.pending_local if negotiation.state == "have-local-offer" else negotiation.current_local
    sections: list[OfferSection] = []
    for section in base.sections if base is not None else ():
        transceiver = negotiation.transceiver_at(section.index)
        if transceiver is not None and not transceiver.stopping:
            sections.append(OfferSection(section.mid, section.media.kind, transceiver, section, live=True))
        else:
            live = section.is_data and negotiation.bundle_transport(section.index) is not None
            sections.append(OfferSection(section.mid, section.media.kind, None, section, live=live))
    fresh = negotiation.fresh_mids()
    new = [
        OfferSection(next(fresh), transceiver.kind, transceiver, None, live=True)
        for transceiver in negotiation.transceivers
        if transceiver.index is None and not transceiver.stopping
    ]
    if data and not any(offered.transceiver is None and offered.live for offered in sections):
        new.append(OfferSection(next(fresh), "application", None, None, live=True))
    for offered in new:
        # RFC 9429 section 5.2.2: the place of a section that was rejected is used again, under a new mid.
        free = (i for i, old in enumerate(sections) if old.earlier and not old.live and negotiation.is_recyclable(i))
        index = next(free, len(sections))
        sections[index : index + 1] = [offered]
    return tuple(sections)


def new_transceivers(sections: Sequence[OfferSection]) -> dict[int, int]:
    """Return the transceivers that an offer newly associates with its sections, by the sections' indexes."""
    new = ((index, offered.transceiver) for index, offered in enumerate(sections) if offered.earlier is None)
    return {index: transceiver.id for index, transceiver in new if transceiver is not None}


def _earlier(offered: OfferSection) -> Section:
    if offered.earlier is None:
        raise AssertionError("a new section is not rejected")
    return offered.earlier


def _bundle_transports(
    negotiation: Negotiation, sections: Sequence[OfferSection], policy: BundlePolicy
) -> list[tuple[str | None, bool]]:
    """Return the transport of each section, and whether it is bundle-only (RFC 9429 sections 4.1.1 and 5.2.1)."""
    # A section that was offered and not answered is offered as if it were new: its speaker may have been removed.
    kept = [
        negotiation.negotiated_bundle_transport(index, offered.mid) if offered.live else None
        for index, offered in enumerate(sections)
    ]
    joined = bundle_key(negotiation, kept)
    bundle_transports: list[tuple[str | None, bool]] = []
    kinds: set[str] = set()
    for offered, key in zip(sections, kept, strict=True):
        alone = {"max-compat": True, "balanced": offered.kind not in kinds, "max-bundle": not kinds}[policy]
        if not offered.live:
            bundle_transports.append((None, False))
            continue
        kinds.add(offered.kind)
        if key is not None:
            bundle_transports.append((key, False))
        elif joined is not None:
            bundle_transports.append((joined, False))
        elif alone or offered.mid is None:
            bundle_transports.append((offered.mid, False))
        else:
            bundle_transports.append((next(key for key, _ in bundle_transports if key is not None), True))
    return bundle_transports


def _taken(negotiation: Negotiation) -> tuple[Numbers, Numbers]:
    """Return the payload types and header extensions of negotiated sections: new sections take others."""
    payload_types, extensions = Numbers(), Numbers()
    for section in negotiation.local.sections if negotiation.local is not None else ():
        if section.is_rtp and not section.rejected:
            for codec in section.codecs:
                payload_types.taken.setdefault(codec.payload_type, meaning_of(codec, section.codecs))
            for extension in section.extensions:
                extensions.taken.setdefault(extension.id, extension.uri)
    return payload_types, extensions


def _content(
    negotiation: Negotiation,
    index: int,
    offered: OfferSection,
    numbers: tuple[Numbers, Numbers],
    parameters: LocalParameters,
) -> RtpContent:
    """Return the media lines of an offered section."""
    transceiver = offered.transceiver
    if transceiver is None:
        raise AssertionError("a section for data has no media")
    payload_types, identifiers = numbers
    kind = transceiver.kind
    agreed, extensions = _agreed(negotiation, index) if offered.earlier is not None else ((), ())
    capabilities = parameters.capabilities
    codecs = offered_codecs(capabilities.codecs[kind], transceiver.preferences, agreed, payload_types)
    return RtpContent(
        kind=kind,
        codecs=codecs,
        extensions=offered_extensions(capabilities.extensions[kind], extensions, identifiers),
        direction=transceiver.direction,
        streams=transceiver.streams if direction.sends(transceiver.direction) else None,
        rids=transceiver.rids if direction.sends(transceiver.direction) else (),
        ssrcs=parameters.ssrcs(transceiver, transceiver.direction, codecs),
    )


def _agreed(negotiation: Negotiation, index: int) -> tuple[Sequence[Codec], Sequence[ExtMap]]:
    """Return the codecs and extensions of the last answer, with our numbers (RFC 9429 section 5.2.2)."""
    local, remote = negotiation.current_local, negotiation.current_remote
    if local is None or remote is None or index >= min(len(local.sections), len(remote.sections)):
        return (), ()
    own, other = local.sections[index], remote.sections[index]
    answer, offer = (own, other) if local.type == "answer" else (other, own)
    agreed = negotiated_codecs(offer.codecs, answer.codecs)
    mine = [next((codec for codec in own.codecs if codec.payload_type == a.payload_type), a) for a in agreed]
    uris = {extension.uri for extension in answer.extensions}
    return mine, [extension for extension in own.extensions if extension.uri in uris]


def describe(
    negotiation: Negotiation, parameters: LocalParameters, media: Iterable[Media], *, groups: Iterable[Sequence[str]]
) -> str:
    """Return the text: the session level with its BUNDLE groups, and these sections."""
    lines = [Line("t", "0 0")]
    lines.extend(attribute("group", f"BUNDLE {' '.join(mids)}") for mids in groups if mids)
    # RFC 9429 section 5.2.1: "trickle" of RFC 8840 and "ice2" of RFC 8445, at the session level.
    lines.append(attribute("ice-options", "trickle ice2"))
    origin = Origin("-", parameters.session_id, _next_version(negotiation), address="127.0.0.1")
    return sdp.write(SessionDescription(origin, "-", Block(tuple(lines)), tuple(media)))


def data_media(
    *, mid: str | None, transport: Iterable[Line], parameters: LocalParameters, like: Media | None = None
) -> Media:
    """Return a section for data (RFC 9429 section 5.2.1).

    Args:
        mid: None if the answered offer has no mid.
        transport: lines for ICE and DTLS.
        parameters: of the connection.
        like: the offered section; the answer has its protocol and form.
    """
    lines = [NO_ADDRESS, *transport]
    if mid is not None:
        lines.append(attribute("mid", mid))
    new_form = like is None or like.formats[0] == "webrtc-datachannel"
    if new_form:
        lines.append(attribute("sctp-port", LOCAL_SCTP_PORT))
    else:
        lines.append(attribute("sctpmap", f"{LOCAL_SCTP_PORT} webrtc-datachannel 65535"))
    lines.append(attribute("max-message-size", parameters.max_message_size))
    return Media(
        tuple(lines),
        kind="application",
        port=DISCARD_PORT,
        protocol="UDP/DTLS/SCTP" if like is None else like.protocol,
        formats=("webrtc-datachannel",) if new_form else (str(LOCAL_SCTP_PORT),),
    )


def rejected_media(like: Media, mid: str | None) -> Media:
    """Return the section as a rejected one (RFC 9429 section 5.3.1): port 0, and nothing to negotiate."""
    lines = [NO_ADDRESS]
    if like.kind != "application":
        lines.append(attribute("inactive"))
    if mid is not None:
        lines.append(attribute("mid", mid))
    # RFC 3264 section 6: the formats of a rejected stream are ignored, but there must be one. A dynamic payload type
    # would need an rtpmap.
    formats = like.formats[:1] if like.kind == "application" else ("0",)
    return Media(tuple(lines), kind=like.kind, port=0, protocol=like.protocol, formats=formats)


def with_candidates(media: Media, gathered: Iterable[Line], *, speaks: bool) -> Media:
    """Return the section with its default address, and with the candidates if it speaks for the transport."""
    lines = tuple(gathered)
    known = media.with_lines(*lines)
    addressed = with_default_address(known)
    return addressed if speaks else replace(addressed, lines=addressed.lines[: len(media.lines)])


def gathered_lines(negotiation: Negotiation, key: str, credentials: IceCredentials) -> tuple[Line, ...]:
    """Return the candidates of a transport in our description; empty if its credentials are different."""
    section = speaker(negotiation, negotiation.local, key) if negotiation.local is not None else None
    if section is None or section.credentials != credentials:
        return ()
    return tuple(
        line for line in section.media.lines if line.type == "a" and line.name in {"candidate", "end-of-candidates"}
    )


def with_default_address(media: Media) -> Media:
    """Return the section with the port and address of the most reachable candidate (RFC 8839 section 4.2)."""
    found = [
        c for c in sdp.attributes.candidates(media) if c.transport == "udp" and c.component == 1 and _is_ip(c.address)
    ]
    if not found:
        return media
    best = max(found, key=lambda c: (c.type == "relay", c.type == "srflx", ":" not in c.address, c.priority))
    address, port = f"IN {'IP6' if ':' in best.address else 'IP4'} {best.address}", best.port if media.port else 0
    if port == media.port and all(line.value == address for line in media.lines if line.type == "c"):
        return media
    lines = tuple(Line("c", address) if line.type == "c" else line for line in media.lines)
    return replace(media, lines=lines, port=port)


def _is_ip(address: str) -> bool:
    return ":" in address or address.replace(".", "").isdigit()


def dtls_ice(credentials: IceCredentials, setup: Setup, parameters: LocalParameters) -> Iterator[Line]:
    """Yield the transport lines of a section.

    RFC 9143 section 7.1.2 wants them in the first section of a bundle only. Browsers write them into all sections, and
    other peers read each section by itself.
    """
    yield attribute("ice-ufrag", credentials.ufrag)
    yield attribute("ice-pwd", credentials.pwd)
    for fingerprint in parameters.fingerprints:
        yield attribute("fingerprint", f"{fingerprint.algorithm} {fingerprint.value}")
    yield attribute("setup", setup)


def _next_version(negotiation: Negotiation) -> int:
    """Return the version of the last description that was set, plus one (RFC 9429 section 5.2.2)."""
    local = negotiation.local
    return 1 if local is None else local.sdp.origin.session_version + 1
