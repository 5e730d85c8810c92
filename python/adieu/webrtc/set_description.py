"""Setting descriptions. https://www.w3.org/TR/webrtc/#set-the-session-description"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu import jsep
from adieu.errors import InvalidModificationError
from adieu.events import Event
from adieu.jsep import AddCandidate, CloseTransport, Gather
from adieu.webrtc import channels, media
from adieu.webrtc.create_description import certificate_of, create_answer, create_offer, system_state
from adieu.webrtc.negotiation_needed import update_negotiation_needed_flag
from adieu.webrtc.transport import Transport

if TYPE_CHECKING:
    from adieu.jsep import Plan, SdpType, Source
    from adieu.webrtc.slots import Created, Slots


async def set_local_description(slots: Slots, type_: SdpType | None, text: str) -> None:
    """W3C setLocalDescription, the chained steps.

    Raises:
        InvalidModificationError: the text is not the one that was created last.
    """
    # step 1
    if type_ is None:
        offers = {"stable", "have-local-offer", "have-remote-pranswer"}
        type_ = "offer" if slots.negotiation.state in offers else "answer"
    # The state comes first, as in browsers: what is not allowed now is refused at once.
    jsep.require_state(slots.negotiation, "local", type_)
    if type_ == "rollback":
        await set_description(slots, "local", type_, "")
        return
    # steps 2 and 3
    created = slots.last_created_offer if type_ == "offer" else slots.last_created_answer
    if text and (created is None or text != created.text):
        kind = "Offer" if type_ == "offer" else "Answer"
        raise InvalidModificationError(
            f"the {type_} is not the text that create{kind}() gave last: descriptions can not be changed here"
        )
    # steps 4 and 5
    if not text:
        text = _still_valid(slots, created)
    if not text:
        text = await (create_offer(slots, restart=False) if type_ == "offer" else create_answer(slots))
    # step 6
    await set_description(slots, "local", type_, text)


def _still_valid(slots: Slots, created: Created | None) -> str:
    return created.text if created is not None and created.system_state == system_state(slots) else ""


async def set_remote_description(slots: Slots, type_: SdpType, text: str) -> None:
    """W3C setRemoteDescription, the chained steps."""
    # step 1: a remote offer rolls back ours. adieu looks at it first: a bad offer changes nothing.
    if type_ == "offer" and jsep.next_signaling_state(slots.negotiation.state, "remote", "offer") is None:
        rolled_back = jsep.plan_rollback(slots.negotiation, "local").after
        jsep.plan_remote(rolled_back, jsep.parse_description("offer", text))
        await set_description(slots, "local", "rollback", "")
    # step 2
    jsep.require_state(slots.negotiation, "remote", type_)
    await set_description(slots, "remote", type_, text)


async def set_description(slots: Slots, source: Source, type_: SdpType, text: str) -> None:
    """W3C set a session description, of a type that the signaling state allows.

    Raises:
        InvalidStateError: there is nothing to roll back.
        RTCError: the text is not SDP.
        InvalidAccessError: its content is not valid.
    """
    # step 4: what follows is done at once, so a caller that is cancelled leaves nothing half done
    await slots.next_task()
    plan = _plan(slots, source, type_, text)
    _succeed(slots, plan, type_)


def _plan(slots: Slots, source: Source, type_: SdpType, text: str) -> Plan:
    if type_ == "rollback":
        return jsep.plan_rollback(slots.negotiation, source)
    # The state was looked at by the caller (failure step 2), and only this chain changes it. Now the syntax (step 3),
    # then the content (steps 4 to 6).
    description = jsep.parse_description(type_, text)
    if source == "remote":
        plan = jsep.plan_remote(slots.negotiation, description)
        count, first = description.unusable
        slots.pass_over(*map(str, first), count=count)
        return plan
    created = slots.last_created_offer
    return jsep.plan_local(slots.negotiation, description, created.made_for if created is not None else None)


def _succeed(slots: Slots, plan: Plan, type_: SdpType) -> None:
    """Success steps 5 to 19."""
    before, after = slots.negotiation, plan.after
    carried_data = channels.sctp_transport(slots) is not None
    # steps 5, 6 and 11: descriptions and state
    slots.negotiation = after
    if type_ == "answer":
        slots.last_created_offer = slots.last_created_answer = None
        _forget_replaced_credentials(slots)
    # RFC 9143: where a bundle takes data to another transport, its object goes along
    if (holder := channels.sctp_holder(slots)) is not None and (key := after.data_key) in slots.transports:
        slots.transports[key].take_sctp(holder)
    closed = {action.key for action in plan.actions if isinstance(action, CloseTransport)}
    # RFC 8842 section 4: the data channels are with the peer that was there before.
    if holder is not None and holder.key in closed & after.transports.keys():
        channels.end(slots, "the other side is another one, or has begun anew")
        carried_data = False
    # steps 7 and 10: what the transports have to do
    for action in plan.actions:
        _perform(slots, action)
    if slots.pool is not None and after.generations:
        slots.pool.end()
        slots.pool = None
    # steps 8 to 10
    known = dict(slots.media)
    media.apply(slots, plan.media)
    known |= slots.media
    if type_ in {"answer", "pranswer"}:
        _establish_data(slots, carried_data=carried_data)
    elif after.data_key is None:
        _offer_data(slots)
    for stopped in plan.media.stopped:
        known[stopped].slots.end_receiving()
    # step 13
    if after.state == "stable":
        slots.negotiation_needed = False
        update_negotiation_needed_flag(slots)
    # step 14
    if after.state != before.state and not slots.is_closed:
        slots.fire(Event("signalingstatechange"))
    # RTCIceTransports that are no more count no more.
    if closed and not slots.is_closed:
        slots.fire_all(slots.derive_gathering_state())
    # steps 16 to 19; a handler may have closed the connection (closing rule 34)
    events = media.announce(slots, plan.media, known)
    while not slots.is_closed and next(events, slots) is not slots:
        pass


def _forget_replaced_credentials(slots: Slots) -> None:
    """Success steps 5.2 and 6.2, at their ends."""
    current = slots.negotiation.current_local
    used = [section.credentials for section in (current.sections if current is not None else ())]
    if slots.credentials_to_replace.isdisjoint(used):
        slots.credentials_to_replace = frozenset()
    if slots.outdated_credentials.isdisjoint(used):
        slots.outdated_credentials = frozenset()


def _perform(slots: Slots, action: jsep.Action) -> None:
    transport = slots.transports.get(action.key)
    if transport is None:
        if not isinstance(action, Gather):
            raise AssertionError(f"{action!r} for a transport that was never begun")
        offered = slots.offered if slots.offered is not None and slots.offered.key == action.key else None
        transport = slots.transports[action.key] = offered or Transport(slots, action.key)
        transport.begin(_connection(slots), slots.pool.take(action) if slots.pool is not None else None)
        slots.update_states()  # it is new, beside others that may be connected
        if offered is not None:
            slots.offered = None
    if isinstance(action, AddCandidate):
        # A candidate of a description was read as one; if the core can not use it, it is one that does not help.
        with slots.passing_over(action.line or ""):
            transport.perform(action)
    else:
        transport.perform(action)


def _connection(slots: Slots) -> int:
    """The core's connection, made when the first transport is. From here on the driver keeps the object alive."""
    if slots.handle is None:
        slots.handle = slots.driver.core.connection(certificate_of(slots).native)
    slots.driver.handles.connections[slots.handle] = slots
    return slots.handle


def _offer_data(slots: Slots) -> None:
    """An offer or a rollback is set: pc.sctp is there while data is offered, as in browsers. In the W3C it comes later.

    Of what the other side offers, no transport begins before the answer.
    """
    key = slots.negotiation.offered_data_key
    if key is None:
        channels.withdraw(slots)
    elif channels.sctp_holder(slots) is None:
        transport = slots.transports.get(key)
        if transport is None:
            transport = slots.offered = Transport(slots, key)
        transport.establish_sctp(jsep.DEFAULT_MAX_MESSAGE_SIZE)


def _establish_data(slots: Slots, *, carried_data: bool) -> None:
    """Success step 9: the SCTP transport, and the ids that depend on the DTLS role."""
    key = slots.negotiation.data_key
    if key is None:
        current = slots.negotiation.current_local
        if slots.negotiation.state == "stable" and current and any(section.is_data for section in current.sections):
            channels.reject(slots)
        return
    transport = slots.transports[key]
    if slots.offered is not None:  # another one than the answer has chosen
        transport.take_sctp(slots.offered)
        slots.offered = None
    association = slots.negotiation.transports[key].sctp
    transport.establish_sctp(association.remote_max_message_size if association is not None else 0)
    if carried_data:
        channels.limit(slots, transport)
    else:
        channels.negotiated(slots, transport)
