"""Candidates that come after their description (RFC 8838, 8840): they go to a transport, and into a text."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, assert_never

from adieu import sdp
from adieu.errors import OperationError
from adieu.jsep.bundle import speaker
from adieu.jsep.offer import with_default_address
from adieu.jsep.plan import AddCandidate, Plan
from adieu.sdp import attribute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.jsep.description import Description, Section
    from adieu.jsep.negotiation import Negotiation
    from adieu.sdp import Candidate

_Name: TypeAlias = Literal["pending_local", "current_local", "pending_remote", "current_remote"]

MAX_ADDED: Final = 1000
"""The number of candidates that a section takes at most beside its own; no host has so many."""

# fmt: off
BAD_PORTS: Final = frozenset((
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
    110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531,
    532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060,
    5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
))
# fmt: on
"""Ports of other services. No page may make a browser connect to them. https://fetch.spec.whatwg.org/#port-blocking"""


# --- of the other side -----------


def add_remote_candidate(
    negotiation: Negotiation, candidate: Candidate, *, mid: str | None, index: int | None, ufrag: str | None
) -> Plan:
    """Add a candidate of the other side (RFC 9429 section 4.1.19). The mid or the index names the section.

    Some peers name the generation in the line itself. If that generation is over or unknown, there is no error and the
    plan is empty, as in browsers.

    Raises:
        OperationError: no such section, no such generation, or too many candidates.
    """
    after, actions = negotiation, list[AddCandidate]()
    said, ufrag = ufrag, ufrag if ufrag is not None else candidate.ufrag
    for name, description in _applied(negotiation):
        section = _named(description, mid, index)
        if section is None or (ufrag is not None and not _has_ufrag(section, ufrag)):
            continue
        if len(section.media.attributes("candidate")) >= MAX_ADDED:
            raise OperationError(f"the section has {MAX_ADDED} candidates already")
        line = attribute("candidate", str(candidate).removeprefix("candidate:"))
        after = _put(after, name, description.with_candidates(section.index, section.media.with_lines(line)))
        if _is_tried(candidate):
            actions.extend(_to_transports(negotiation, description, section, str(candidate.for_agent())))
        if ufrag is None:
            break  # W3C addIceCandidate step 4.6: the most recent generation
    if after is negotiation and (said is not None or not _is_known(negotiation, mid, index)):
        raise OperationError(_unknown(negotiation, mid, index, ufrag))
    return Plan(after, tuple(dict.fromkeys(actions)))


def end_remote_candidates(negotiation: Negotiation, *, mid: str | None, index: int | None, ufrag: str | None) -> Plan:
    """End the candidates of the other side for one section, or for all if no section is named.

    Raises:
        OperationError: no such section, or no such generation.
    """
    after, actions, found = negotiation, list[AddCandidate](), False
    for name, description in _applied(negotiation):
        changed = description
        for section in description.sections:
            named = (mid is None and index is None) or section is _named(description, mid, index)
            if not named or (ufrag is not None and not _has_ufrag(section, ufrag)):
                continue
            found = True
            if not section.rejected and not section.media.has("end-of-candidates"):
                media = section.media.with_lines(attribute("end-of-candidates"))
                changed = changed.with_candidates(section.index, media)
                actions.extend(_to_transports(negotiation, description, section, None))
        if changed is not description:
            after = _put(after, name, changed)
        if ufrag is None and found:
            break
    if not found and not (mid is None and index is None and ufrag is None):
        raise OperationError(_unknown(negotiation, mid, index, ufrag))
    return Plan(after, tuple(dict.fromkeys(actions)))


def remote_candidates(negotiation: Negotiation, key: str, generation: int) -> Iterator[AddCandidate]:
    """Yield the candidates of the other side for a generation that has just got its credentials.

    Only `a=end-of-candidates` ends them: not every peer that trickles writes `a=ice-options` (pion does not).
    """
    transport = negotiation.transports[key]
    remote = negotiation.remote
    section = _speaking(remote, negotiation, key)
    if remote is None or section is None or section.credentials != transport.remote:
        return
    for other in remote.bundled_with(section):
        for candidate in sdp.attributes.candidates(other.media):
            if _is_tried(candidate):
                yield AddCandidate(key, generation, str(candidate.for_agent()))
    if section.media.has("end-of-candidates"):
        yield AddCandidate(key, generation, None)


def _is_tried(candidate: Candidate) -> bool:
    """Whether a candidate goes to the transport. Candidates for RTCP alone and prohibited ones do not.

    W3C addIceCandidate, "administratively prohibited": nothing shows that it is not tried. A UDP port does not name a
    service: address translators use any port.
    """
    blocked = candidate.transport == "tcp" and candidate.tcp_type != "active" and candidate.port in BAD_PORTS
    return candidate.component == 1 and not blocked


def _applied(negotiation: Negotiation) -> Iterator[tuple[_Name, Description]]:
    """Yield the remote descriptions, the newest first, each with its name."""
    if negotiation.pending_remote is not None:
        yield "pending_remote", negotiation.pending_remote
    if negotiation.current_remote is not None:
        yield "current_remote", negotiation.current_remote


def _named(description: Description, mid: str | None, index: int | None) -> Section | None:
    """W3C addIceCandidate steps 4.2 and 4.3: by the mid, or else by the index."""
    if mid is not None:
        return next((section for section in description.sections if section.mid == mid), None)
    if index is not None and index < len(description.sections):
        return description.sections[index]
    return None


def _has_ufrag(section: Section, ufrag: str) -> bool:
    return section.credentials is not None and section.credentials.ufrag == ufrag


def _to_transports(
    negotiation: Negotiation, description: Description, section: Section, line: str | None
) -> Iterator[AddCandidate]:
    """Yield the actions that a candidate causes now. Without one it waits in the description for the answer."""
    key = negotiation.bundle_transport(section.index)
    transport = negotiation.transports.get(key) if key is not None else None
    if key is None or transport is None or transport.remote is None:
        return
    speaking = _speaking(description, negotiation, key)
    if speaking is None or speaking.credentials != transport.remote:
        return
    # No end while another section of the same transport may bring a candidate.
    if section.index == speaking.index or (line is not None and section in description.bundled_with(speaking)):
        yield AddCandidate(key, transport.generation, line)


def _speaking(description: Description | None, negotiation: Negotiation, key: str) -> Section | None:
    """Return the remote section that speaks for a transport."""
    return speaker(negotiation, description, key) if description is not None else None


def _is_known(negotiation: Negotiation, mid: str | None, index: int | None) -> bool:
    return any(_named(description, mid, index) is not None for _, description in _applied(negotiation))


def _unknown(negotiation: Negotiation, mid: str | None, index: int | None, ufrag: str | None) -> str:
    place = f"the mid {mid!r}" if mid is not None else f"the index {index}"
    if _is_known(negotiation, mid, index):
        return f"the section of {place} has no ICE generation with the ufrag {ufrag!r}"
    return f"the remote description has no section of {place}"


# --- of our own -----------


def add_local_candidate(negotiation: Negotiation, key: str, ufrag: str, candidate: Candidate) -> Negotiation | None:
    """Put a gathered candidate into the local descriptions of its generation; None if no description has it.

    W3C surface the candidate, steps 3 and 4.
    """
    line = attribute("candidate", str(candidate).removeprefix("candidate:"))
    after = negotiation
    for name, description, section in _local(negotiation, key, ufrag):
        media = with_default_address(section.media.with_lines(line))
        after = _put(after, name, description.with_candidates(section.index, media))
    return None if after is negotiation else after


def end_local_candidates(negotiation: Negotiation, key: str, ufrag: str) -> Negotiation | None:
    """End the local candidates of a generation; None if no local description has it."""
    after = negotiation
    for name, description, section in _local(negotiation, key, ufrag):
        media = section.media.with_lines(attribute("end-of-candidates"))
        after = _put(after, name, description.with_candidates(section.index, media))
    return None if after is negotiation else after


def _local(negotiation: Negotiation, key: str, ufrag: str) -> Iterator[tuple[_Name, Description, Section]]:
    if (found := _of_generation(negotiation, negotiation.pending_local, key, ufrag)) is not None:
        yield "pending_local", *found
    if (found := _of_generation(negotiation, negotiation.current_local, key, ufrag)) is not None:
        yield "current_local", *found


def _of_generation(
    negotiation: Negotiation, description: Description | None, key: str, ufrag: str
) -> tuple[Description, Section] | None:
    section = speaker(negotiation, description, key) if description is not None else None
    if description is None or section is None or not _has_ufrag(section, ufrag):
        return None
    return description, section


# --- helpers -----------


def _put(negotiation: Negotiation, name: _Name, description: Description) -> Negotiation:
    match name:
        case "pending_local":
            return replace(negotiation, pending_local=description)
        case "current_local":
            return replace(negotiation, current_local=description)
        case "pending_remote":
            return replace(negotiation, pending_remote=description)
        case "current_remote":
            return replace(negotiation, current_remote=description)
        case _:
            assert_never(name)
