"""Setting descriptions. https://www.w3.org/TR/webrtc/#set-the-session-description"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu import jsep
from adieu.errors import InvalidModificationError
from adieu.events import Event
from adieu.jsep import CloseTransport
from adieu.webrtc import connection_log, media_transport, transceivers
from adieu.webrtc.connection_states import derive_gathering_state
from adieu.webrtc.create_description import create_answer, create_offer, system_state
from adieu.webrtc.data_negotiation import establish_association, move_association, offer_association
from adieu.webrtc.negotiation_needed import update_negotiation_needed_flag
from adieu.webrtc.rtp_transceiver import internals_of
from adieu.webrtc.transport_actions import perform

if TYPE_CHECKING:
    from adieu.jsep import Negotiation, Plan, SdpType, SignalingState, Source
    from adieu.webrtc.internals import CreatedDescription, Internals


async def set_local_description(internals: Internals, type_: SdpType | None, text: str) -> None:
    """W3C setLocalDescription, the chained steps.

    Raises:
        InvalidModificationError: the text is not the one that was created last.
    """
    # step 1
    if type_ is None:
        offers = {"stable", "have-local-offer", "have-remote-pranswer"}
        type_ = "offer" if internals.negotiation.state in offers else "answer"
    # The state comes first, as in browsers: a type that is not allowed now is refused at once.
    state = jsep.require_state(internals.negotiation, "local", type_)
    if type_ == "rollback":
        await set_description(internals, "local", type_, "", state)
        return
    # steps 2 and 3
    created = internals.last_created_offer if type_ == "offer" else internals.last_created_answer
    if text and (created is None or text != created.text):
        kind = "Offer" if type_ == "offer" else "Answer"
        raise InvalidModificationError(
            f"the {type_} is not the text that create{kind}() gave last: descriptions cannot be changed here"
        )
    # steps 4 and 5
    if not text:
        text = _still_valid(internals, created)
    if not text:
        text = await (create_offer(internals, restart=False) if type_ == "offer" else create_answer(internals))
    # step 6
    await set_description(internals, "local", type_, text, state)


def _still_valid(internals: Internals, created: CreatedDescription | None) -> str:
    return created.text if created is not None and created.system_state == system_state(internals) else ""


async def set_remote_description(internals: Internals, type_: SdpType, text: str) -> None:
    """W3C setRemoteDescription, the chained steps."""
    # step 1: a remote offer rolls back a local one. adieu looks at it first: a bad offer changes nothing.
    if type_ == "offer" and internals.negotiation.state == "have-local-offer":
        rolled_back = jsep.plan_rollback(internals.negotiation).after
        state = jsep.require_state(rolled_back, "remote", type_)
        jsep.plan_remote(rolled_back, jsep.parse_description(type_, text), state)
        await set_description(internals, "local", "rollback", "", rolled_back.state)
    # step 2
    state = jsep.require_state(internals.negotiation, "remote", type_)
    await set_description(internals, "remote", type_, text, state)


async def set_description(
    internals: Internals, source: Source, type_: SdpType, text: str, state: SignalingState
) -> None:
    """W3C set a session description.

    Args:
        internals: of the connection.
        source: the side that speaks.
        type_: of the description; the signaling state allows it (failure step 2).
        text: the description; empty for a rollback.
        state: the signaling state that it leads to. Only the operations chain changes the state.

    Raises:
        RTCError: the text is not SDP.
        InvalidAccessError: its content is not valid.
    """
    # step 4: all of the rest is done at once, so a caller that is cancelled leaves nothing half done
    await internals.next_task()
    connection_log.described(internals, source, type_, text)
    _succeed(internals, _plan(internals, source, type_, text, state), type_)


def _plan(internals: Internals, source: Source, type_: SdpType, text: str, state: SignalingState) -> Plan:
    if type_ == "rollback":
        return jsep.plan_rollback(internals.negotiation)
    # The syntax (failure step 3), then the content (steps 4 to 6).
    description = jsep.parse_description(type_, text)
    if source == "remote":
        plan = jsep.plan_remote(internals.negotiation, description, state)
        count, first = description.unusable
        if count:
            internals.ignored_lines.add(*map(str, first), count=count)
        return plan
    created = internals.last_created_offer
    new = created.new_transceivers if created is not None else None
    return jsep.plan_local(internals.negotiation, description, state, new)


def _succeed(internals: Internals, plan: Plan, type_: SdpType) -> None:
    """Success steps 5 to 19."""
    before, after = internals.negotiation, plan.after
    key = after.data_key
    closed = [action.key for action in plan.actions if isinstance(action, CloseTransport)]
    goes_on = move_association(internals, key, after.transports.keys() & closed)
    # steps 5, 6 and 11: descriptions and state
    _store(internals, after, type_)
    core = internals.driver.core
    core.hold()
    try:
        # steps 7 and 10: the transports
        for action in plan.actions:
            perform(internals, action)
        if internals.pool is not None and after.generations:
            internals.pool.end()
            internals.pool = None
        # steps 8 to 10: transceivers and data
        concerned = transceivers.apply(internals, plan.media)
        if type_ in {"answer", "pranswer"}:
            establish_association(internals, key, goes_on=goes_on)
        elif key is None:
            offer_association(internals)
        media_transport.follow_description(internals)
    finally:
        core.release()
    for stopped in plan.media.stopped:
        internals_of(concerned[stopped]).follow_track()  # the other side has stopped it: nothing is sent for it
        internals_of(concerned[stopped]).end_receiving()
    # step 13
    if after.state == "stable":
        internals.negotiation_needed = False
        update_negotiation_needed_flag(internals)
    # steps 14 to 19: the events; a handler may close the connection between two (closing rule 34)
    if after.state != before.state and not internals.is_closed:
        connection_log.state(internals, "signaling", after.state)
        internals.fire(Event("signalingstatechange"))
    if closed and not internals.is_closed:  # removed transports no longer count towards iceGatheringState
        internals.fire_all(derive_gathering_state(internals))
    for announce in transceivers.announcements(internals, plan.media, concerned):
        if internals.is_closed:
            return
        announce()


def _store(internals: Internals, after: Negotiation, type_: SdpType) -> None:
    """Success steps 5, 6 and 11."""
    internals.negotiation = after
    if type_ != "answer":
        return
    internals.last_created_offer = internals.last_created_answer = None
    # steps 5.2 and 6.2, at their ends: credentials that are no longer used need no replacement
    current = after.current_local
    used = [section.credentials for section in (current.sections if current is not None else ())]
    if internals.credentials_to_replace.isdisjoint(used):
        internals.credentials_to_replace = frozenset()
    if internals.outdated_credentials.isdisjoint(used):
        internals.outdated_credentials = frozenset()
