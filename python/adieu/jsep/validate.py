"""Check the content of a well-formed description (RFC 9429 sections 5.8 to 5.11), before anything changes.

Invalid content is an `InvalidAccessError`, as the W3C asks (set a session description, failure step 6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adieu.errors import InvalidAccessError
from adieu.jsep.codecs import negotiated_codecs
from adieu.jsep.description import refusal
from adieu.sdp import attributes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from adieu.jsep.description import Description, Section
    from adieu.jsep.negotiation import Negotiation, TransportState
    from adieu.sdp.attributes import ExtMap

STRONG_HASHES: Final = ("sha-256", "sha-384", "sha-512")
"""The hashes that may be relied on (RFC 8122 section 5)."""

MAX_UFRAG: Final = 119
"""The longest ufrag. With our ufrag and a colon it is a user name of STUN, and the ICE agent writes 128 bytes of it.
Other peers write 4 to 32.
"""

_RTCP_TYPES: Final = range(64, 96)


def check_remote_offer(negotiation: Negotiation, offer: Description) -> None:
    """Check an offer of the other side.

    Raises:
        InvalidAccessError: it cannot be answered.
    """
    _check_mids(offer)
    current = negotiation.current_local  # it has as many sections as the remote one, and all mids
    known = current.sections if current is not None else ()
    if len(offer.sections) < len(known):
        raise InvalidAccessError(
            f"the offer has {len(offer.sections)} media sections and {len(known)} were negotiated: "
            "no section may be left out"
        )
    for section in offer.sections:
        before = known[section.index] if section.index < len(known) else section
        if section.mid != before.mid and not negotiation.is_recyclable(section.index):
            raise InvalidAccessError(
                f"media section {section.index} had the mid {before.mid!r} and now has {section.mid!r}: "
                "only the place of a rejected section can be used again"
            )
        if section.media.kind != before.media.kind and section.mid == before.mid:
            raise InvalidAccessError(f"media section {section.mid!r} was {before.media.kind}, not {section.media.kind}")
        if section.is_understood and not section.rejected:
            _check_media(section)
            if (transceiver := negotiation.transceiver_at(section.index)) and transceiver.mid == section.mid:
                _check_extensions(section, transceiver.extensions)
            if not section.bundle_only and _speaks(offer, section):
                _check_transport(section)
                _check_continuity(
                    section, negotiation.transports.get(negotiation.bundle_transport(section.index) or "")
                )


def check_remote_answer(negotiation: Negotiation, offer: Description, answer: Description) -> None:
    """Check an answer, provisional or not, of the other side to our offer.

    Raises:
        InvalidAccessError: it does not fit the offer.
    """
    _check_mids(answer)
    if len(answer.sections) != len(offer.sections):
        raise InvalidAccessError(
            f"the answer has {len(answer.sections)} media sections, the offer has {len(offer.sections)}"
        )
    for offered, section in zip(offer.sections, answer.sections, strict=True):
        if section.mid is not None and section.mid != offered.mid:
            raise InvalidAccessError(
                f"media section {section.index} is {offered.mid!r} in the offer and {section.mid!r} in the answer"
            )
        if section.media.kind != offered.media.kind:
            raise InvalidAccessError(
                f"media section {offered.mid!r} is {offered.media.kind} in the offer "
                f"and {section.media.kind} in the answer"
            )
        if section.rejected:
            continue
        if offered.rejected:  # RFC 3264 section 6: a stream that was offered with port 0 is answered with port 0
            raise InvalidAccessError(f"media section {offered.mid!r} was not offered, and cannot be accepted")
        if (section.is_rtp, section.is_data) != (offered.is_rtp, offered.is_data):
            raise InvalidAccessError(
                f"media section {offered.mid!r} was offered over {offered.media.protocol}, "
                f"and is accepted over {section.media.protocol} with {' '.join(section.media.formats)[:80]!r}"
            )
        _check_media(section)
        if section.is_rtp:
            _check_extensions(section, offered.extensions)
            if not negotiated_codecs(offered.codecs, section.codecs):  # RFC 3264 section 6.1
                raise InvalidAccessError(f"media section {offered.mid!r} is accepted with no codec that was offered")
        if not _speaks(answer, section):
            continue
        if offered.bundle_only:
            raise InvalidAccessError(f"media section {offered.mid!r} was offered in a bundle only, and is in no bundle")
        _check_transport(section)
        if section.setup not in {"active", "passive"}:
            raise InvalidAccessError(
                f"the answer's DTLS role is {section.setup!r}: an answer says active or passive (RFC 8842 section 5.3)"
            )
        _check_continuity(section, negotiation.transports.get(negotiation.bundle_transport(section.index) or ""))
    _check_groups(offer, answer)


def _speaks(description: Description, section: Section) -> bool:
    """Whether its transport is its own, or it is the first of its bundle."""
    places = {other.mid: other for other in description.sections}
    live = [mid for mid in description.group_of(section.mid) if not (places[mid].rejected or places[mid].bundle_only)]
    return not live or live[0] == section.mid


def _check_extensions(section: Section, known: Iterable[ExtMap]) -> None:
    """Check that a number keeps its meaning within a session (RFC 8285 section 6)."""
    numbers = {extension.id: extension.uri for extension in known}
    for extension in section.extensions:
        if (before := numbers.get(extension.id, extension.uri)) != extension.uri:
            raise InvalidAccessError(
                f"media section {section.mid!r} has {extension.uri} as header extension {extension.id}, "
                f"which stood for {before}"
            )


def _check_groups(offer: Description, answer: Description) -> None:
    """Check that an answer groups sections of one offered group (RFC 9143 section 7.3)."""
    for mids in answer.bundle:
        offered = set(offer.group_of(mids[0])) if mids else set[str]()
        if strangers := set(mids) - offered:
            raise InvalidAccessError(f"the answer bundles {min(strangers)!r}, which was not offered so")


def _check_media(section: Section) -> None:
    # The W3C's rtcpMuxPolicy "require" is the only one (failure step 4). RFC 9143 section 7.1.3: the transport lines
    # are in another section of the bundle.
    if section.is_rtp and not section.bundle_only and not attributes.rtcp_mux(section.media):
        raise InvalidAccessError(f"media section {section.mid!r} does not multiplex RTP and RTCP (a=rtcp-mux)")

    # RFC 5761 section 4: these look like RTCP.
    if section.is_rtp and (bad := [c.payload_type for c in section.codecs if c.payload_type in _RTCP_TYPES]):
        raise InvalidAccessError(f"media section {section.mid!r} has the payload type {bad[0]}, which RTCP's types use")


def _check_mids(description: Description) -> None:
    mids = [section.mid for section in description.sections if section.mid is not None]
    if len(set(mids)) != len(mids):
        raise InvalidAccessError("two media sections have the same mid")
    grouped = [mid for group in description.bundle for mid in group]
    if len(set(grouped)) != len(grouped):
        raise InvalidAccessError("a mid is twice in the BUNDLE groups")
    if unknown := set(grouped) - set(mids):
        raise InvalidAccessError(f"the BUNDLE group has the mid {min(unknown)!r}, which no media section has")


def _check_transport(section: Section) -> None:
    """Check that a section has all that a transport needs (RFC 9429 sections 5.8.2 and 5.10)."""
    if section.problem is not None:
        raise refusal(section.problem)
    if section.credentials is None:
        raise InvalidAccessError(f"media section {section.mid!r} has no a=ice-ufrag and a=ice-pwd")
    if (length := len(section.credentials.ufrag)) > MAX_UFRAG:
        raise InvalidAccessError(
            f"media section {section.mid!r} has an a=ice-ufrag of {length} characters: {MAX_UFRAG} can be used here"
        )
    if not section.fingerprints:
        raise InvalidAccessError(f"media section {section.mid!r} has no a=fingerprint: it can not be encrypted")
    if not any(fingerprint.algorithm in STRONG_HASHES for fingerprint in section.fingerprints):
        raise InvalidAccessError(
            f"media section {section.mid!r} has no fingerprint by {', '.join(STRONG_HASHES)}: "
            "the others are weak or unknown"
        )
    if section.setup == "holdconn":
        raise InvalidAccessError(f"media section {section.mid!r} says a=setup:holdconn, which DTLS does not have")


def _check_continuity(section: Section, running: TransportState | None) -> None:
    """Check the values that may not change while the DTLS and the SCTP association live (RFC 8842, 8841)."""
    if running is None or running.is_replaced_by(section.fingerprints) or running.dtls_client is None:
        return
    if section.setup in {"active", "passive"} and (section.setup == "passive") is not running.dtls_client:
        raise InvalidAccessError(f"media section {section.mid!r} changes its DTLS role to {section.setup}")
    if running.sctp is not None and section.sctp_port != running.sctp.remote_port:
        raise InvalidAccessError(f"media section {section.mid!r} changes its SCTP port to {section.sctp_port}")
