"""Applying descriptions and rolling them back (RFC 9429 sections 5.9 to 5.11)."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from adieu.errors import InvalidStateError
from adieu.jsep.candidates import remote_candidates
from adieu.jsep.negotiation import Negotiation, SctpAssociation, TransportState
from adieu.jsep.offer import LOCAL_SCTP_PORT
from adieu.jsep.plan import Plan, SetRemote, difference
from adieu.jsep.signaling import SdpType, SignalingState, Source, next_signaling_state
from adieu.jsep.validate import check_remote_answer, check_remote_offer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adieu.jsep.description import Description, Section
    from adieu.jsep.plan import Action


def plan_local(negotiation: Negotiation, description: Description) -> Plan:
    """Apply a description that was made here, by `create_offer` or `create_answer`.

    Raises:
        InvalidStateError: the signaling state does not allow it.
    """
    state = require_state(negotiation, "local", description.type)
    if description.type == "offer":
        after = replace(
            negotiation,
            state=state,
            pending_local=description,
            transports=_offered(negotiation, description),
            stable_transports=_stable(negotiation),
        )
    else:
        offer = _pending(negotiation.pending_remote)
        transports = _answered(negotiation, ours=description, theirs=offer, we_offered=False)
        after = _advance(replace(negotiation, transports=transports, pending_local=description), state)
    return _plan(negotiation, _count(negotiation, after))


def plan_remote(negotiation: Negotiation, description: Description) -> Plan:
    """Apply a description of the other side.

    Raises:
        InvalidStateError: the signaling state does not allow it.
        InvalidAccessError: its content is not valid here.
    """
    state = require_state(negotiation, "remote", description.type)
    if description.type == "offer":
        check_remote_offer(negotiation, description)
        # Nothing starts before it is answered: our credentials are not made yet.
        after = replace(negotiation, state=state, pending_remote=description, stable_transports=_stable(negotiation))
    else:
        offer = _pending(negotiation.pending_local)
        check_remote_answer(negotiation, offer, description)
        transports = _answered(negotiation, ours=offer, theirs=description, we_offered=True)
        after = _advance(replace(negotiation, transports=transports, pending_remote=description), state)
    return _plan(negotiation, after)


def plan_rollback(negotiation: Negotiation, source: Source) -> Plan:
    """Go back to the last stable state (RFC 9429 section 4.1.10.2).

    Raises:
        InvalidStateError: there is nothing that could be rolled back.
    """
    after = replace(
        negotiation,
        state=require_state(negotiation, source, "rollback"),
        pending_local=None,
        pending_remote=None,
        transports=negotiation.stable_transports,
    )
    return _plan(negotiation, after)


def require_state(negotiation: Negotiation, source: Source, type_: SdpType) -> SignalingState:
    """The state that this leads to.

    Raises:
        InvalidStateError: the signaling state does not allow it.
    """
    state = next_signaling_state(negotiation.state, source, type_)
    if state is None:
        raise InvalidStateError(f"a {source} {type_} can not be set while the signaling state is {negotiation.state!r}")
    return state


def _pending(description: Description | None) -> Description:
    if description is None:  # the table of states lets no answer through without an offer
        raise AssertionError("an answer without an offer")
    return description


def _stable(negotiation: Negotiation) -> Mapping[str, TransportState]:
    return negotiation.transports if negotiation.state == "stable" else negotiation.stable_transports


def _advance(negotiation: Negotiation, state: SignalingState) -> Negotiation:
    """A final answer makes the pending descriptions current (W3C set a session description, success steps 5.2, 6.2)."""
    if state != "stable":
        return replace(negotiation, state=state)
    local, remote = negotiation.pending_local, negotiation.pending_remote
    mids = {section.mid for section in (local.sections if local else ()) if section.mid is not None}
    return replace(
        negotiation,
        state=state,
        current_local=local,
        current_remote=remote,
        pending_local=None,
        pending_remote=None,
        stable_transports=negotiation.transports,
        mids=negotiation.mids | mids,
    )


def _count(before: Negotiation, after: Negotiation) -> Negotiation:
    newest = max((transport.generation for transport in after.transports.values()), default=0)
    return replace(after, generations=max(before.generations, newest))


def _plan(before: Negotiation, after: Negotiation) -> Plan:
    """The difference, and after each SetRemote the candidates that the peer has said so far."""
    actions: list[Action] = []
    for action in difference(before, after):
        actions.append(action)
        if isinstance(action, SetRemote):
            actions.extend(remote_candidates(after, action.key, action.generation))
    return Plan(after, tuple(actions))


def _offered(negotiation: Negotiation, offer: Description) -> Mapping[str, TransportState]:
    """The transports once this offer of ours is set: a generation for all credentials that are new.

    Sections that are rejected keep their transport until the answer says so too.
    """
    transports = dict(_stable(negotiation))
    for section in offer.sections:
        if section.rejected or section.credentials is None:
            continue
        # An offer that is set again goes on with the generation of the one before, if the credentials are the same.
        candidates = (negotiation.transports.get(section.key), transports.get(section.key))
        same = next((t for t in candidates if t is not None and t.local == section.credentials), None)
        transports[section.key] = same or _new_generation(
            negotiation, section, transports.get(section.key), controlling=True
        )
    return MappingProxyType(transports)


def _answered(
    negotiation: Negotiation, *, ours: Description, theirs: Description, we_offered: bool
) -> Mapping[str, TransportState]:
    """The transports once an answer is set, whoever gave it: what is rejected by either side ends."""
    transports: dict[str, TransportState] = {}
    for own, other in zip(ours.sections, theirs.sections, strict=True):
        if own.rejected or other.rejected or own.credentials is None:
            continue
        transport = negotiation.transports.get(own.key)
        if transport is None or transport.local != own.credentials:
            # W3C set a session description, success step 10: the offerer is controlling, and so is who talks to a lite
            # agent (RFC 8445 section 6.1.1).
            transport = _new_generation(negotiation, own, transport, controlling=we_offered or other.ice_lite)
        answer = other if we_offered else own
        they_are_client = (answer.setup == "active") is we_offered
        transports[own.key] = replace(
            transport,
            remote=other.credentials,
            remote_lite=other.ice_lite,
            dtls_client=not they_are_client if transport.dtls_client is None else transport.dtls_client,
            fingerprints=other.fingerprints,
            sctp=SctpAssociation(LOCAL_SCTP_PORT, other.sctp_port, other.max_message_size) if own.is_data else None,
        )
    return MappingProxyType(transports)


def _new_generation(
    negotiation: Negotiation, section: Section, before: TransportState | None, *, controlling: bool
) -> TransportState:
    if section.credentials is None:
        raise AssertionError("a section without credentials")
    number = negotiation.generations + 1
    if before is None:
        return TransportState(generation=number, local=section.credentials, controlling=controlling)
    return replace(before, generation=number, local=section.credentials, remote=None)
