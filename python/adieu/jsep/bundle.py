"""The transport of each section (RFC 9143), by the sections' indexes.

A transport is known by the key of the section that made it, and keeps that key when the section goes. Several sections
share one when an answer has put them into one BUNDLE group. The first section of a group speaks for all: its
credentials, its fingerprints and its candidates count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from adieu.jsep.description import Description, Section
    from adieu.jsep.negotiation import Negotiation


def offered_bundle_transports(negotiation: Negotiation, offer: Description) -> tuple[str | None, ...]:
    """Return the bundle transports while a local offer is pending. A new section joins the bundle, or gets its own."""
    kept = [None if s.rejected else negotiation.negotiated_bundle_transport(s.index, s.mid) for s in offer.sections]
    joined = bundle_key(negotiation, kept)
    bundle_transports: list[str | None] = []
    for section, key in zip(offer.sections, kept, strict=True):
        if section.rejected:
            bundle_transports.append(None)
        elif key is not None:
            bundle_transports.append(key)
        elif joined is not None:
            bundle_transports.append(joined)
        elif section.bundle_only:
            # RFC 9143 section 7.2.2: it has no address of its own; the suggested tag has one for it.
            bundle_transports.append(next((c for c in bundle_transports if c is not None), section.key))
        else:
            bundle_transports.append(section.key)
    return tuple(bundle_transports)


def bundle_key(negotiation: Negotiation, kept: Iterable[str | None]) -> str | None:
    """Return the transport of the agreed bundle, if one of these sections still uses it. Other sections may join it."""
    local, remote = negotiation.current_local, negotiation.current_remote
    answer = next((d for d in (local, remote) if d is not None and d.type == "answer"), None)
    if local is None or answer is None:
        return None
    grouped = {mid for mids in answer.bundle for mid in mids}
    keys = set(kept)
    stable = negotiation.bundle_transports if negotiation.state == "stable" else negotiation.stable_bundle_transports
    for section in local.sections:
        if section.mid in grouped and not section.rejected:
            key = stable[section.index] if section.index < len(stable) else None
            if key is not None and key in keys:
                return key
    return None


def answered_bundle_transports(
    negotiation: Negotiation, sections: Sequence[tuple[str | None, str | None]], groups: Iterable[Sequence[str]]
) -> tuple[str | None, ...]:
    """Return the bundle transports once an answer is set.

    Args:
        negotiation: before it.
        sections: our key and the mid of each section; no key if either side has rejected it.
        groups: the mids of the answer's BUNDLE groups.
    """
    places = {mid: index for index, (key, mid) in enumerate(sections) if mid is not None and key is not None}
    bundle_transports: list[str | None] = [None] * len(sections)
    used: set[str] = set()

    def assign(members: Sequence[int]) -> None:
        running = (negotiation.bundle_transport(index) for index in members)
        wanted = (*(key for key in running if key in negotiation.transports), sections[members[0]][0])
        # The last key is always free: no token has a colon. It is for a section that has left a bundle.
        key = next(key for key in (*wanted, f"{sections[members[0]][0]}:") if key is not None and key not in used)
        used.add(key)
        for index in members:
            bundle_transports[index] = key

    for group in groups:
        if members := [places[mid] for mid in group if mid in places]:
            assign(members)
    for index, (key, _) in enumerate(sections):
        if key is not None and bundle_transports[index] is None:
            assign([index])
    return tuple(bundle_transports)


def speaker(negotiation: Negotiation, description: Description, key: str) -> Section | None:
    """Return the section of a description that speaks for a transport: the first of its group, or the first one."""
    shared = [
        section
        for section in description.sections
        if negotiation.bundle_transport(section.index) == key and not section.rejected and not section.bundle_only
    ]
    for mids in description.bundle:
        for mid in mids:
            if (found := next((section for section in shared if section.mid == mid), None)) is not None:
                return found
    return shared[0] if shared else None
