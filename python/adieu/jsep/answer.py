"""Creating answers (RFC 9429 section 5.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.jsep.offer import data_media, describe, rejected_media

if TYPE_CHECKING:
    from adieu.jsep.description import Description, Section
    from adieu.jsep.negotiation import IceCredentials, Negotiation
    from adieu.jsep.offer import LocalParameters
    from adieu.sdp import Media
    from adieu.sdp.attributes import Setup


def create_answer(negotiation: Negotiation, parameters: LocalParameters) -> str:
    """The text of an answer to the pending remote offer."""
    offer = negotiation.pending_remote
    if offer is None:
        raise AssertionError("there is no offer to answer")
    accepted = acceptable(offer)
    media = [
        _accepted(negotiation, parameters, section) if section is accepted else _rejected(section)
        for section in offer.sections
    ]
    # RFC 9143 section 7.3: what the offer did not group is not grouped, and what is rejected leaves the group.
    grouped = [mid for mids in offer.bundle for mid in mids if accepted is not None and mid == accepted.mid]
    return describe(negotiation, parameters, media, bundle=grouped)


def acceptable(offer: Description) -> Section | None:
    """The section that is accepted: the first one for data with an address or a peer that will say one.

    RFC 9143 section 7.3.1: a bundle-only section has port 0 and lives in the transport of another one; as that is
    rejected here (audio and video are not negotiated yet), so is it. SCTP port 0 says that there is no association.
    """
    return next(
        (s for s in offer.sections if s.is_data and not s.rejected and s.media.port != 0 and s.sctp_port != 0), None
    )


def answered_role(negotiation: Negotiation, section: Section) -> Setup:
    """Our DTLS role in the answer (RFC 8842 section 5.3, RFC 9429 section 5.3.1)."""
    transport = negotiation.transports.get(section.key)
    if transport is not None and transport.dtls_client is not None and section.setup == "actpass":
        return "active" if transport.dtls_client else "passive"  # the association goes on: so do its roles
    return "passive" if section.setup == "active" else "active"


def restarts_ice(negotiation: Negotiation, section: Section) -> bool:
    """Whether the offer has other credentials than what runs (RFC 8839 section 4.4.1.1.1)."""
    transport = negotiation.transports.get(section.key)
    return transport is not None and transport.remote is not None and transport.remote != section.credentials


def _accepted(negotiation: Negotiation, parameters: LocalParameters, section: Section) -> Media:
    transport = negotiation.transports.get(section.key)
    running = None if transport is None or restarts_ice(negotiation, section) else transport.local
    earlier = negotiation.current_local.section(section.key) if negotiation.current_local else None
    return data_media(
        mid=section.mid,
        credentials=running if running is not None else _fresh(negotiation, parameters, section),
        setup=answered_role(negotiation, section),
        parameters=parameters,
        earlier=earlier,
        like=section.media,
    )


def _fresh(negotiation: Negotiation, parameters: LocalParameters, section: Section) -> IceCredentials:
    """New credentials; or, after a provisional answer, the ones it has already told the peer."""
    told = negotiation.pending_local.section(section.key) if negotiation.pending_local else None
    return told.credentials if told is not None and told.credentials is not None else parameters.fresh


def _rejected(section: Section) -> Media:
    return rejected_media(section.media, section.mid)
