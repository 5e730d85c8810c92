"""Setting descriptions. https://www.w3.org/TR/webrtc/#set-the-session-description"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu import jsep
from adieu.errors import InvalidModificationError
from adieu.events import Event
from adieu.jsep import CloseTransport
from adieu.webrtc import channels, transceivers
from adieu.webrtc.connection_states import derive_gathering_state
from adieu.webrtc.create_description import create_answer, create_offer, system_state
from adieu.webrtc.negotiation_needed import update_negotiation_needed_flag
from adieu.webrtc.rtp_transceiver import internals_of
from adieu.webrtc.transport import Transport
from adieu.webrtc.transport_actions import perform

if TYPE_CHECKING:
    from adieu.jsep import Plan, SdpType, Source
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
    # The state comes first, as in browsers: what is not allowed now is refused at once.
    jsep.require_state(internals.negotiation, "local", type_)
    if type_ == "rollback":
        await set_description(internals, "local", type_, "")
        return
    # steps 2 and 3
    created = internals.last_created_offer if type_ == "offer" else internals.last_created_answer
    if text and (created is None or text != created.text):
        kind = "Offer" if type_ == "offer" else "Answer"
        raise InvalidModificationError(
            f"the {type_} is not the text that create{kind}() gave last: descriptions can not be changed here"
        )
    # steps 4 and 5
    if not text:
        text = _still_valid(internals, created)
    if not text:
        text = await (create_offer(internals, restart=False) if type_ == "offer" else create_answer(internals))
    # step 6
    await set_description(internals, "local", type_, text)


def _still_valid(internals: Internals, created: CreatedDescription | None) -> str:
    return created.text if created is not None and created.system_state == system_state(internals) else ""


async def set_remote_description(internals: Internals, type_: SdpType, text: str) -> None:
    """W3C setRemoteDescription, the chained steps."""
    # step 1: a remote offer rolls back ours. adieu looks at it first: a bad offer changes nothing.
    if type_ == "offer" and jsep.next_signaling_state(internals.negotiation.state, "remote", "offer") is None:
        rolled_back = jsep.plan_rollback(internals.negotiation, "local").after
        jsep.plan_remote(rolled_back, jsep.parse_description("offer", text))
        await set_description(internals, "local", "rollback", "")
    # step 2
    jsep.require_state(internals.negotiation, "remote", type_)
    await set_description(internals, "remote", type_, text)


async def set_description(internals: Internals, source: Source, type_: SdpType, text: str) -> None:
    """W3C set a session description, of a type that the signaling state allows.

    Raises:
        InvalidStateError: there is nothing to roll back.
        RTCError: the text is not SDP.
        InvalidAccessError: its content is not valid.
    """
    # step 4: what follows is done at once, so a caller that is cancelled leaves nothing half done
    await internals.next_task()
    plan = _plan(internals, source, type_, text)
    _succeed(internals, plan, type_)


def _plan(internals: Internals, source: Source, type_: SdpType, text: str) -> Plan:
    if type_ == "rollback":
        return jsep.plan_rollback(internals.negotiation, source)
    # The state was looked at by the caller (failure step 2), and only this chain changes it. Now the syntax (step 3),
    # then the content (steps 4 to 6).
    description = jsep.parse_description(type_, text)
    if source == "remote":
        plan = jsep.plan_remote(internals.negotiation, description)
        count, first = description.unusable
        internals.ignored_lines.add(*map(str, first), count=count)
        return plan
    created = internals.last_created_offer
    return jsep.plan_local(
        internals.negotiation, description, created.new_transceivers if created is not None else None
    )


def _succeed(internals: Internals, plan: Plan, type_: SdpType) -> None:
    """Success steps 5 to 19."""
    before, after = internals.negotiation, plan.after
    carried_data = channels.sctp_transport(internals) is not None
    # steps 5, 6 and 11: descriptions and state
    internals.negotiation = after
    if type_ == "answer":
        internals.last_created_offer = internals.last_created_answer = None
        _forget_replaced_credentials(internals)
    # RFC 9143: where a bundle takes data to another transport, its object goes along
    if (holder := channels.sctp_holder(internals)) is not None and (key := after.data_key) in internals.transports:
        internals.transports[key].take_sctp(holder)
    closed = {action.key for action in plan.actions if isinstance(action, CloseTransport)}
    # RFC 8842 section 4: the data channels are with the peer that was there before.
    if holder is not None and holder.key in closed & after.transports.keys():
        channels.association_ended(internals, "the other side is another one, or has begun anew")
        carried_data = False
    # steps 7 and 10: what the transports have to do
    for action in plan.actions:
        perform(internals, action)
    if internals.pool is not None and after.generations:
        internals.pool.end()
        internals.pool = None
    # steps 8 to 10
    concerned = transceivers.apply(internals, plan.media)
    if type_ in {"answer", "pranswer"}:
        _establish_data(internals, carried_data=carried_data)
    elif after.data_key is None:
        _offer_data(internals)
    for stopped in plan.media.stopped:
        internals_of(concerned[stopped]).end_receiving()
    # step 13
    if after.state == "stable":
        internals.negotiation_needed = False
        update_negotiation_needed_flag(internals)
    # step 14
    if after.state != before.state and not internals.is_closed:
        internals.fire(Event("signalingstatechange"))
    # RTCIceTransports that are no more count no more.
    if closed and not internals.is_closed:
        internals.fire_all(derive_gathering_state(internals))
    # steps 16 to 19; a handler may have closed the connection (closing rule 34)
    for announce in transceivers.announcements(internals, plan.media, concerned):
        if internals.is_closed:
            return
        announce()


def _forget_replaced_credentials(internals: Internals) -> None:
    """Success steps 5.2 and 6.2, at their ends."""
    current = internals.negotiation.current_local
    used = [section.credentials for section in (current.sections if current is not None else ())]
    if internals.credentials_to_replace.isdisjoint(used):
        internals.credentials_to_replace = frozenset()
    if internals.outdated_credentials.isdisjoint(used):
        internals.outdated_credentials = frozenset()


def _offer_data(internals: Internals) -> None:
    """An offer or a rollback is set: pc.sctp is there while data is offered, as in browsers. In the W3C it comes later.

    Of what the other side offers, no transport begins before the answer.
    """
    key = internals.negotiation.offered_data_key
    if key is None:
        channels.data_withdrawn(internals)
    elif channels.sctp_holder(internals) is None:
        transport = internals.transports.get(key)
        if transport is None:
            transport = internals.offered = Transport(internals.driver, key)
        transport.establish_sctp(jsep.DEFAULT_MAX_MESSAGE_SIZE)


def _establish_data(internals: Internals, *, carried_data: bool) -> None:
    """Success step 9: the SCTP transport, and the ids that depend on the DTLS role."""
    key = internals.negotiation.data_key
    if key is None:
        current = internals.negotiation.current_local
        if internals.negotiation.state == "stable" and current and any(section.is_data for section in current.sections):
            channels.data_rejected(internals)
        return
    transport = internals.transports[key]
    if internals.offered is not None:  # another one than the answer has chosen
        transport.take_sctp(internals.offered)
        internals.offered = None
    association = internals.negotiation.transports[key].sctp
    transport.establish_sctp(association.remote_max_message_size if association is not None else 0)
    if carried_data:
        channels.update_max_message_size(internals, transport)
    else:
        channels.assign_ids(internals, transport)
