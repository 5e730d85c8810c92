"""Creating answers (RFC 9429 section 5.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.jsep import direction
from adieu.jsep.bundle import answered_bundle_transports
from adieu.jsep.codecs import answered_codecs
from adieu.jsep.extensions import answered_extensions
from adieu.jsep.offer import data_media, describe, dtls_ice, gathered_lines, rejected_media, with_candidates
from adieu.jsep.rtp_section import RtpContent, rtp_media
from adieu.sdp import attributes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adieu.jsep.description import Description, Section
    from adieu.jsep.negotiation import IceCredentials, Negotiation
    from adieu.jsep.offer import LocalParameters
    from adieu.jsep.transceiver import Transceiver
    from adieu.sdp import Media
    from adieu.sdp.attributes import Setup


def create_answer(negotiation: Negotiation, parameters: LocalParameters) -> str:
    """Return the text of an answer to the pending remote offer."""
    offer = negotiation.pending_remote
    if offer is None:
        raise AssertionError("there is no offer to answer")
    contents = [_content(negotiation, section, parameters) for section in offer.sections]
    taken = _acceptable(offer, contents, max_bundle=parameters.bundle_policy == "max-bundle")
    groups = _groups(offer, taken)
    kept = [(section.key if section.index in taken else None, section.mid) for section in offer.sections]
    bundle_transports = answered_bundle_transports(negotiation, kept, groups)
    media = [
        _accepted(
            negotiation, parameters, section, content, groups, key, speaks=bundle_transports.index(key) == section.index
        )
        if key is not None
        else rejected_media(section.media, section.mid)
        for section, content, key in zip(offer.sections, contents, bundle_transports, strict=True)
    ]
    # RFC 9143 section 7.3: the answer groups no sections that the offer did not group; rejected ones leave the group.
    return describe(negotiation, parameters, media, groups=groups)


def answered_role(negotiation: Negotiation, key: str, section: Section) -> Setup:
    """Return our DTLS role in the answer (RFC 8842 section 5.3, RFC 9429 section 5.3.1)."""
    transport = negotiation.transports.get(key)
    if transport is not None and transport.dtls_client is not None and section.setup == "actpass":
        return "active" if transport.dtls_client else "passive"  # the association goes on: so do its roles
    return "passive" if section.setup == "active" else "active"


def first_data(offer: Description) -> Section | None:
    """Return the section for data that can be accepted; there is one association. SCTP port 0 means no association."""
    return next((s for s in offer.sections if s.is_data and not s.rejected and s.sctp_port != 0), None)


def _content(negotiation: Negotiation, section: Section, parameters: LocalParameters) -> RtpContent | None:
    """Return the answer to an offered section for media; None if it is rejected (RFC 9429 section 5.3.1)."""
    transceiver = negotiation.transceiver_at(section.index)
    # A stopping transceiver is answered "inactive", as its direction is: our next offer ends it (W3C stop()).
    if transceiver is None or transceiver.stopped or section.rejected or not section.is_rtp:
        return None
    capabilities = parameters.capabilities
    codecs = answered_codecs(capabilities.codecs[transceiver.kind], transceiver.preferences, section.codecs)
    if not codecs:
        return None
    answered = direction.intersect(transceiver.direction, direction.reverse(section.direction))
    return RtpContent(
        kind=section.media.kind,
        codecs=codecs,
        extensions=answered_extensions(capabilities.extensions[transceiver.kind], section.extensions),
        direction=answered,
        streams=transceiver.streams if direction.sends(transceiver.direction) else None,
        rids=_answered_rids(transceiver, section) if direction.sends(answered) else (),
        ssrcs=parameters.ssrcs(transceiver, answered, codecs),
    )


def _answered_rids(transceiver: Transceiver, section: Section) -> tuple[str, ...]:
    """Return the rids that we send and that the offer wants to receive."""
    if section.simulcast is None:
        return ()
    wanted = [stream.rids[0] for stream in section.simulcast.recv]
    return tuple(rid for rid in transceiver.rids if rid in wanted)


def _acceptable(offer: Description, contents: Sequence[RtpContent | None], *, max_bundle: bool) -> set[int]:
    """Return the indexes of the accepted sections."""
    data = first_data(offer)
    wanted = [section for section in offer.sections if section is data or contents[section.index] is not None]
    # RFC 9143 section 7.3.3: a bundle-only section needs the transport of another section of its group.
    with_address = {section.mid for section in wanted if not section.bundle_only and section.credentials is not None}
    wanted = [
        section
        for section in wanted
        if section.mid in with_address or with_address.intersection(offer.group_of(section.mid))
    ]
    if max_bundle and wanted:
        # RFC 9429 section 4.1.1: one transport, whether or not the other side knows bundles.
        together = offer.group_of(wanted[0].mid)
        wanted = [section for section in wanted if section is wanted[0] or section.mid in together]
    return {section.index for section in wanted}


def _groups(offer: Description, taken: set[int]) -> list[list[str]]:
    """Return the accepted sections of each BUNDLE group of the offer; the first one speaks for all."""
    places = {section.mid: section for section in offer.sections if section.index in taken}
    groups: list[list[str]] = []
    for mids in offer.bundle:
        if accepted := [mid for mid in mids if mid in places]:
            tag = next(m for m in accepted if not places[m].bundle_only and places[m].credentials is not None)
            groups.append([tag, *(mid for mid in accepted if mid != tag)])
    return groups


def _accepted(
    negotiation: Negotiation,
    parameters: LocalParameters,
    section: Section,
    content: RtpContent | None,
    groups: Sequence[Sequence[str]],
    key: str,
    *,
    speaks: bool,
) -> Media:
    offer = negotiation.pending_remote
    tag = next((mids[0] for mids in groups if section.mid in mids), None)
    offered = (offer.section(tag) if offer is not None and tag is not None else None) or section
    credentials = _credentials(negotiation, parameters, key, offered)
    transport = tuple(dtls_ice(credentials, answered_role(negotiation, key, offered), parameters))
    if content is None:
        media = data_media(mid=section.mid, transport=transport, parameters=parameters, like=section.media)
    else:
        mixed = attributes.extmap_allow_mixed(section.media) or (
            offer is not None and attributes.extmap_allow_mixed(offer.sdp.session)
        )
        media = rtp_media(content, transport, section.mid, protocol=section.media.protocol, mixed=mixed)
    return with_candidates(media, gathered_lines(negotiation, key, credentials), speaks=speaks)


def _credentials(negotiation: Negotiation, parameters: LocalParameters, key: str, offered: Section) -> IceCredentials:
    """Return our current credentials; new ones if the offer has other credentials (RFC 8839 section 4.4.1.1.1).

    After a provisional answer the transport has the new ones already, and the peer knows them.
    """
    transport = negotiation.transports.get(key)
    if transport is None or (transport.remote is not None and transport.remote != offered.credentials):
        return parameters.fresh
    return transport.local
