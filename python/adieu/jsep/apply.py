"""Applying descriptions and rolling them back (RFC 9429 sections 5.9 to 5.11)."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from adieu.errors import InvalidStateError
from adieu.jsep.bundle import answered_bundle_transports, offered_bundle_transports
from adieu.jsep.candidates import remote_candidates
from adieu.jsep.negotiation import Negotiation, SctpAssociation, TransportState
from adieu.jsep.offer import LOCAL_SCTP_PORT, offer_sections
from adieu.jsep.offer import new_transceivers as new_transceivers_of
from adieu.jsep.plan import Plan, SetRemote, difference
from adieu.jsep.signaling import SdpType, SignalingState, Source, next_signaling_state
from adieu.jsep.transceivers import apply_local, apply_remote, make_stable, roll_back
from adieu.jsep.validate import check_remote_answer, check_remote_offer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adieu.jsep.description import Description, Section
    from adieu.jsep.negotiation import IceCredentials
    from adieu.jsep.plan import Action
    from adieu.jsep.transceivers import MediaChanges


def plan_local(
    negotiation: Negotiation,
    description: Description,
    state: SignalingState,
    new_transceivers: Mapping[int, int] | None = None,
) -> Plan:
    """Apply a description that was made here, by `create_offer` or `create_answer`.

    Args:
        negotiation: the snapshot before.
        description: the description to set.
        state: the signaling state that it leads to (`require_state`).
        new_transceivers: the transceivers that new sections of an offer were made for, by the sections' indexes (see
            `new_transceivers`); None: those that an offer made now would have.
    """
    if description.type == "offer":
        if new_transceivers is None:
            new_transceivers = new_transceivers_of(offer_sections(negotiation, data=True))
        bundle_transports = offered_bundle_transports(negotiation, description)
        with_media, changes = apply_local(negotiation, description, new_transceivers)
        after = replace(
            with_media,
            state=state,
            pending_local=description,
            transports=_offered(negotiation, description, bundle_transports),
            bundle_transports=bundle_transports,
            **_stable(negotiation),
        )
    else:
        offer = _pending(negotiation.pending_remote)
        answered = _answered(negotiation, ours=description, theirs=offer, we_offered=False)
        with_media, changes = apply_local(answered, description, {})
        after = _advance(replace(with_media, pending_local=description), state)
    return _plan(negotiation, _count(negotiation, after), changes)


def plan_remote(negotiation: Negotiation, description: Description, state: SignalingState) -> Plan:
    """Apply a description of the other side.

    Args:
        negotiation: the snapshot before.
        description: the description to set.
        state: the signaling state that it leads to (`require_state`).

    Raises:
        InvalidAccessError: its content is not valid here.
    """
    if description.type == "offer":
        check_remote_offer(negotiation, description)
        # No transport starts before it is answered: our credentials are not made yet.
        with_media, changes = apply_remote(negotiation, description)
        after = replace(with_media, state=state, pending_remote=description, **_stable(negotiation))
    else:
        offer = _pending(negotiation.pending_local)
        if any(section.mid is None for section in description.sections):
            description = replace(description, mids=tuple(section.mid for section in offer.sections))
        check_remote_answer(negotiation, offer, description)
        answered = _answered(negotiation, ours=offer, theirs=description, we_offered=True)
        with_media, changes = apply_remote(answered, description)
        after = _advance(replace(with_media, pending_remote=description), state)
    return _plan(negotiation, after, changes)


def plan_rollback(negotiation: Negotiation) -> Plan:
    """Go back to the last stable state (RFC 9429 section 4.1.10.2). The signaling state allows it (`require_state`)."""
    with_media, changes = roll_back(negotiation)
    after = replace(
        with_media,
        state="stable",
        pending_local=None,
        pending_remote=None,
        transports=negotiation.stable_transports,
        bundle_transports=negotiation.stable_bundle_transports,
    )
    return _plan(negotiation, after, changes)


def require_state(negotiation: Negotiation, source: Source, type_: SdpType) -> SignalingState:
    """Return the signaling state that a description of this type leads to.

    Raises:
        InvalidStateError: the signaling state does not allow it.
    """
    state = next_signaling_state(negotiation.state, source, type_)
    if state is None:
        raise InvalidStateError(f"a {source} {type_} cannot be set while the signaling state is {negotiation.state!r}")
    return state


def _pending(description: Description | None) -> Description:
    if description is None:  # the table of states lets no answer through without an offer
        raise AssertionError("an answer without an offer")
    return description


def _stable(negotiation: Negotiation) -> dict[str, Any]:
    """Return the members that a rollback goes back to."""
    if negotiation.state != "stable":
        return {}
    return {
        "stable_transports": negotiation.transports,
        "stable_bundle_transports": negotiation.bundle_transports,
        "stable_transceivers": negotiation.transceivers,
    }


def _advance(negotiation: Negotiation, state: SignalingState) -> Negotiation:
    """A final answer makes the pending descriptions current (W3C set a session description, success steps 5.2, 6.2)."""
    if state != "stable":
        return replace(negotiation, state=state)
    local, remote = negotiation.pending_local, negotiation.pending_remote
    mids = {section.mid for section in (local.sections if local else ()) if section.mid is not None}
    transceivers = make_stable(negotiation.transceivers)
    return replace(
        negotiation,
        state=state,
        current_local=local,
        current_remote=remote,
        pending_local=None,
        pending_remote=None,
        transceivers=transceivers,
        stable_transports=negotiation.transports,
        stable_bundle_transports=negotiation.bundle_transports,
        stable_transceivers=transceivers,
        mids=negotiation.mids | mids,
    )


def _count(before: Negotiation, after: Negotiation) -> Negotiation:
    newest = max((transport.generation for transport in after.transports.values()), default=0)
    return replace(after, generations=max(before.generations, newest))


def _plan(before: Negotiation, after: Negotiation, changes: MediaChanges) -> Plan:
    """Return the difference, with the peer's candidates so far after each SetRemote.

    A new description of the current generation may bring new candidates.
    """
    actions: list[Action] = []
    with_candidates: set[str] = set()
    for action in difference(before, after):
        actions.append(action)
        if isinstance(action, SetRemote):
            with_candidates.add(action.key)
            actions.extend(remote_candidates(after, action.key, action.generation))
    if after.remote is not before.remote:
        for key, transport in after.transports.items():
            if key in before.transports and key not in with_candidates:
                known = set(remote_candidates(before, key, transport.generation))
                now = remote_candidates(after, key, transport.generation)
                actions.extend(candidate for candidate in now if candidate not in known)
    return Plan(after, tuple(actions), changes)


def _offered(
    negotiation: Negotiation, offer: Description, bundle_transports: Sequence[str | None]
) -> Mapping[str, TransportState]:
    """Return the transports once our offer is set: new credentials begin a new generation.

    A section that the offer rejects keeps its transport until the answer rejects it too.
    """
    stable = negotiation.transports if negotiation.state == "stable" else negotiation.stable_transports
    transports = dict(stable)
    begun: set[str] = set()
    number = negotiation.generations
    for section, key in zip(offer.sections, bundle_transports, strict=True):
        if key is None or key in begun or section.bundle_only or section.credentials is None:
            continue
        begun.add(key)
        # An offer that is set again keeps the generation of the offer before, if the credentials are the same.
        candidates = (negotiation.transports.get(key), transports.get(key))
        same = next((t for t in candidates if t is not None and t.local == section.credentials), None)
        if same is None:
            number += 1
            same = _new_generation(number, section.credentials, transports.get(key), controlling=True)
        transports[key] = same
    return MappingProxyType(transports)


def _answered(negotiation: Negotiation, *, ours: Description, theirs: Description, we_offered: bool) -> Negotiation:
    """Return the transports once an answer of either side is set. A transport that carries nothing ends."""
    answer = theirs if we_offered else ours
    pairs = list(zip(ours.sections, theirs.sections, strict=True))
    live = [None if own.rejected or other.rejected else own.key for own, other in pairs]
    mids = [own.mid for own, _ in pairs]
    bundle_transports = answered_bundle_transports(negotiation, list(zip(live, mids, strict=True)), answer.bundle)
    transports: dict[str, TransportState] = {}
    number = negotiation.generations
    for key in dict.fromkeys(key for key in bundle_transports if key is not None):
        own, other = pairs[_tag(answer, mids, bundle_transports, key)]
        if own.credentials is None:
            raise AssertionError("our section has no credentials")
        transport = negotiation.transports.get(key)
        if transport is not None and transport.is_replaced_by(other.fingerprints):
            transport = None
        if transport is None or transport.local != own.credentials:
            number += 1
            # W3C set a session description, success step 10: the offerer is controlling, and so is the peer of a lite
            # agent (RFC 8445 section 6.1.1).
            controlling = we_offered or other.ice_lite
            transport = _new_generation(number, own.credentials, transport, controlling=controlling)
        they_are_client = ((other if we_offered else own).setup == "active") is we_offered
        data = next(
            (theirs.sections[i] for i, k in enumerate(bundle_transports) if k == key and ours.sections[i].is_data), None
        )
        # An association cannot end alone: it goes on unused if data is rejected and media is not.
        sctp = transport.sctp if data is None else _association(data)
        transports[key] = replace(
            transport,
            remote=other.credentials,
            remote_lite=other.ice_lite,
            dtls_client=not they_are_client if transport.dtls_client is None else transport.dtls_client,
            fingerprints=other.fingerprints,
            sctp=sctp,
        )
    return replace(
        negotiation, transports=MappingProxyType(transports), bundle_transports=bundle_transports, generations=number
    )


def _tag(answer: Description, mids: Sequence[str | None], bundle_transports: Sequence[str | None], key: str) -> int:
    """Return the index of the section that speaks for a transport (RFC 9143 section 7.3.2: the first of the group)."""
    carried = [index for index, transport in enumerate(bundle_transports) if transport == key]
    for group in answer.bundle:
        for mid in group:
            if (found := next((index for index in carried if mids[index] == mid), None)) is not None:
                return found
    return carried[0]


def _association(data: Section) -> SctpAssociation:
    return SctpAssociation(LOCAL_SCTP_PORT, data.sctp_port, data.max_message_size)


def _new_generation(
    number: int, local: IceCredentials, before: TransportState | None, *, controlling: bool
) -> TransportState:
    if before is None:
        return TransportState(generation=number, local=local, controlling=controlling)
    return replace(before, generation=number, local=local, remote=None)
