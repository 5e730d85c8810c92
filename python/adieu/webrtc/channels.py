"""The data channels of a connection: their ids, their underlying transports, and how they come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.errors import OperationError
from adieu.webrtc.data_channel import MAX_ID, PRIORITIES, RTCDataChannel
from adieu.webrtc.data_channel_event import RTCDataChannelEvent
from adieu.webrtc.stream_ids import FreeIds

if TYPE_CHECKING:
    from adieu import _core
    from adieu.webrtc.data_channel import RTCDataChannelInit, RTCPriorityType
    from adieu.webrtc.slots import Slots
    from adieu.webrtc.transport import Transport


def create(slots: Slots, label: str, init: RTCDataChannelInit) -> RTCDataChannel:
    """W3C createDataChannel, from step 19 on.

    Raises:
        OperationError: the id is in use, or too high, or there is none left.
    """
    channel = RTCDataChannel(slots, label, init)
    transport = sctp_transport(slots)
    # step 19
    if channel.id is None:
        if transport is not None:
            channel.handle_assigned(_free_id(slots, transport))
    elif channel.id in slots.channel_ids:
        raise OperationError(f"the id {channel.id} is used by {slots.channel_ids[channel.id]!r}")
    # step 20
    limit = _limit(transport)
    if channel.id is not None and channel.id >= limit:
        raise OperationError(f"the id {channel.id} is too high: the association has {limit} streams")
    # step 22; step 21 is the caller's
    slots.data_channels[channel] = None
    slots.unclosed_channels[channel] = None
    if channel.id is not None:
        slots.channel_ids[channel.id] = channel
    # step 24
    if transport is not None:
        _attach(slots, transport, channel)
    return channel


def sctp_transport(slots: Slots) -> Transport | None:
    """The transport that carries the association, once it has been negotiated."""
    key = slots.negotiation.data_key
    return slots.transports.get(key) if key is not None else None


def sctp_holder(slots: Slots) -> Transport | None:
    """The transport that has the RTCSctpTransport: also while it is only offered."""
    return next((transport for transport in slots.all_transports() if transport.sctp is not None), None)


def negotiated(slots: Slots, transport: Transport) -> None:
    """The DTLS role is known (W3C set a session description, success step 9.2): ids, and transports for all."""
    for channel in list(slots.data_channels):
        if channel.id is None:
            try:
                channel.handle_assigned(_free_id(slots, transport))
            except OperationError as error:
                _fail(slots, channel, str(error))
                continue
        if channel.id is not None:
            slots.channel_ids[channel.id] = channel
            _attach(slots, transport, channel)


def limit(slots: Slots, transport: Transport) -> None:
    """The peer may have said another maximum message size."""
    if transport.sctp is not None:
        for channel in slots.data_channels:
            channel.handle_limit(transport.sctp.maxMessageSize)


def connect(slots: Slots, transport: Transport) -> None:
    """W3C connected procedure, step 4: now it is known how many streams there are."""
    limit = _limit(transport)
    for channel in list(slots.data_channels):
        if channel.id is not None and channel.id >= limit:
            _fail(slots, channel, f"the id {channel.id} is too high: the association has {limit} streams")


def reject(slots: Slots) -> None:
    """Data was rejected: what waits for an association would wait for ever (closing rule 51).

    A channel that is made later asks for a negotiation again, as the first one did.
    """
    slots.has_made_channels = False
    withdraw(slots)
    why = "the other side has rejected data channels"
    for channel in list(slots.data_channels):
        if channel.readyState == "connecting":
            _fail(slots, channel, why)
        else:
            slots.driver.queue_task(channel.handle_closed, why, None)


def withdraw(slots: Slots) -> None:
    """No data is offered or negotiated any more."""
    if (holder := sctp_holder(slots)) is not None:
        holder.end_sctp()
    slots.offered = None


def end(slots: Slots, why: str) -> None:
    """The association is no more: so are its channels. Their ids are free for the next one."""
    slots.channel_ids.clear()
    slots.free_ids = FreeIds()
    for channel in list(slots.unclosed_channels):
        slots.forget_channel(channel)
        slots.driver.queue_task(channel.handle_closed, why, None)


def announce(slots: Slots, transport: Transport, core: _core.Channel, label: str, init: RTCDataChannelInit) -> None:
    """W3C announcing a data channel instance, from step 3 on."""
    if transport.sctp is None:
        return
    # steps 3 to 6
    channel = RTCDataChannel(slots, label, init)
    channel.handle_assigned(core.stream_id)
    channel.handle_limit(transport.sctp.maxMessageSize)
    channel.handle_attached(core, transport.handle)
    slots.data_channels[channel] = None
    slots.unclosed_channels[channel] = None
    slots.channel_ids[core.stream_id] = channel
    # step 7
    channel.handle_arrived()
    # step 8
    slots.fire(RTCDataChannelEvent("datachannel", channel=channel))
    # step 9
    slots.driver.queue_task(channel.handle_open)


def priority_name(priority: int) -> RTCPriorityType:
    """The W3C's name for the number of RFC 8832 section 5.1; what has none is the default."""
    names: dict[int, RTCPriorityType] = {number: name for name, number in PRIORITIES.items()}
    return names.get(priority, "low")


def _attach(slots: Slots, transport: Transport, channel: RTCDataChannel) -> None:
    if transport.sctp is None or channel.id is None:
        return
    core = slots.driver.core.open_channel(
        transport.handle,
        channel.id,
        label=channel.label,
        protocol=channel.protocol,
        negotiated=channel.negotiated,
        ordered=channel.ordered,
        max_packet_life_time=channel.maxPacketLifeTime,
        max_retransmits=channel.maxRetransmits,
        priority=PRIORITIES[channel.priority],
    )
    channel.handle_limit(transport.sctp.maxMessageSize)
    channel.handle_attached(core, transport.handle)


def _free_id(slots: Slots, transport: Transport) -> int:
    """RFC 8832 section 6: the DTLS client takes even ids, the server odd ones.

    Raises:
        OperationError: all are in use.
    """
    state = slots.negotiation.transports[transport.key]
    number = slots.free_ids.lowest(0 if state.dtls_client else 1, _limit(transport), slots.channel_ids)
    if number is None:
        raise OperationError(f"all {len(slots.channel_ids)} ids are in use")
    return number


def _limit(transport: Transport | None) -> int:
    """Ids are below this."""
    most = transport.sctp.maxChannels if transport is not None and transport.sctp is not None else None
    return MAX_ID + 1 if most is None else min(most, MAX_ID + 1)


def _fail(slots: Slots, channel: RTCDataChannel, message: str) -> None:
    slots.driver.queue_task(channel.handle_failed, message)
