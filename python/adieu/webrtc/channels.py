"""Data channels come and go: their ids, and their underlying transports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu import _core
from adieu.errors import OperationError
from adieu.webrtc.channel_events import ChannelEvents
from adieu.webrtc.data_channel import MAX_ID, PRIORITIES, RTCDataChannel
from adieu.webrtc.data_channel_event import RTCDataChannelEvent

if TYPE_CHECKING:
    from adieu.webrtc.data_channel import RTCDataChannelInit, RTCPriorityType
    from adieu.webrtc.internals import Internals
    from adieu.webrtc.transport import Transport


def create(internals: Internals, label: str, init: RTCDataChannelInit) -> RTCDataChannel:
    """W3C createDataChannel, from step 19 on.

    Raises:
        OperationError: the id is in use or too high, or no id is free.
    """
    channel = RTCDataChannel(ChannelEvents(internals), label, init)
    transport = sctp_transport(internals)
    used = internals.channels.by_id
    # step 19
    if channel.id is None:
        if transport is not None:
            channel.handle_assigned(_free_id(internals, transport))
    elif channel.id in used:
        raise OperationError(f"the id {channel.id} is used by {used[channel.id]!r}")
    # step 20
    limit = _limit(transport)
    if channel.id is not None and channel.id >= limit:
        raise OperationError(f"the id {channel.id} is too high: the association has {limit} streams")
    # step 22; step 21 is the caller's
    internals.channels.add(channel)
    # step 24
    if transport is not None:
        _attach(internals, transport, channel)
    return channel


def sctp_transport(internals: Internals) -> Transport | None:
    """Return the transport that carries the association, once it has been negotiated."""
    key = internals.negotiation.data_key
    return internals.transports.get(key) if key is not None else None


def sctp_holder(internals: Internals) -> Transport | None:
    """Return the transport with the RTCSctpTransport, also while data is only offered."""
    for transport in internals.all_transports():
        if transport.sctp is not None:
            return transport
    return None


def assign_ids(internals: Internals, transport: Transport) -> None:
    """Give each channel an id and a transport (W3C set a session description, success step 9.2).

    The DTLS role is known now, and with it which ids are this side's.
    """
    for channel in list(internals.channels.listed):
        if channel.id is None:
            try:
                channel.handle_assigned(_free_id(internals, transport))
            except OperationError as error:
                _fail(internals, channel, str(error))
                continue
        if channel.id is not None:
            internals.channels.by_id[channel.id] = channel
            _attach(internals, transport, channel)


def update_max_message_size(internals: Internals, transport: Transport) -> None:
    """Give the channels the maximum message size; the peer may have changed it."""
    if transport.sctp is not None:
        for channel in internals.channels.listed:
            channel.handle_limit(transport.sctp.maxMessageSize)


def check_ids(internals: Internals, transport: Transport) -> None:
    """W3C connected procedure, step 4: fail the channels whose id is too high for the association."""
    limit = _limit(transport)
    for channel in list(internals.channels.listed):
        if channel.id is not None and channel.id >= limit:
            _fail(internals, channel, f"the id {channel.id} is too high: the association has {limit} streams")


def data_rejected(internals: Internals) -> None:
    """End all channels: the other side has rejected data, and they would wait forever (closing rule 51).

    A channel that is made later asks for a negotiation again, as the first one did.
    """
    internals.channels.has_made = False
    data_withdrawn(internals)
    why = "the other side has rejected data channels"
    for channel in list(internals.channels.listed):
        if channel.readyState == "connecting":
            _fail(internals, channel, why)
        else:
            internals.driver.queue_task(channel.handle_closed, why, None)


def data_withdrawn(internals: Internals) -> None:
    """End the RTCSctpTransport: data is neither offered nor negotiated now."""
    if (holder := sctp_holder(internals)) is not None:
        holder.end_sctp()
    internals.offered = None


def association_ended(internals: Internals, why: str) -> None:
    """Close all channels with the association that has ended. Their ids are free for the next one."""
    internals.channels.free_all_ids()
    for channel in list(internals.channels.unclosed):
        internals.channels.forget(channel)
        internals.driver.queue_task(channel.handle_closed, why, None)


def announce(
    internals: Internals, transport: Transport, core: _core.Channel, label: str, init: RTCDataChannelInit
) -> None:
    """W3C announcing a data channel instance, from step 3 on."""
    if transport.sctp is None:
        return
    # steps 3 to 6
    channel = RTCDataChannel(ChannelEvents(internals), label, init)
    channel.handle_assigned(core.stream_id)
    channel.handle_limit(transport.sctp.maxMessageSize)
    channel.handle_attached(core, transport.handle)
    internals.channels.add(channel)
    # step 7
    channel.handle_arrived()
    # step 8
    internals.fire(RTCDataChannelEvent("datachannel", channel=channel))
    # step 9
    internals.driver.queue_task(channel.handle_open)


def priority_name(priority: int) -> RTCPriorityType:
    """Return the W3C's name for a number of RFC 8832 section 5.1; a number without a name is the default."""
    names: dict[int, RTCPriorityType] = {number: name for name, number in PRIORITIES.items()}
    return names.get(priority, "low")


def _attach(internals: Internals, transport: Transport, channel: RTCDataChannel) -> None:
    if transport.sctp is None or channel.id is None:
        return
    options = _core.ChannelOptions(
        channel.label,
        channel.protocol,
        negotiated=channel.negotiated,
        ordered=channel.ordered,
        max_packet_life_time=channel.maxPacketLifeTime,
        max_retransmits=channel.maxRetransmits,
        priority=PRIORITIES[channel.priority],
    )
    core = internals.driver.core.open_channel(transport.handle, channel.id, options)
    channel.handle_limit(transport.sctp.maxMessageSize)
    channel.handle_attached(core, transport.handle)


def _free_id(internals: Internals, transport: Transport) -> int:
    """Return a free id. RFC 8832 section 6: the DTLS client takes even ids, the server odd ones.

    Raises:
        OperationError: all are in use.
    """
    state = internals.negotiation.transports[transport.key]
    used = internals.channels.by_id
    number = internals.channels.free_ids.lowest(0 if state.dtls_client else 1, _limit(transport), used)
    if number is None:
        raise OperationError(f"all {len(used)} ids are in use")
    return number


def _limit(transport: Transport | None) -> int:
    """Return the number that all ids are below."""
    most = transport.sctp.maxChannels if transport is not None and transport.sctp is not None else None
    return MAX_ID + 1 if most is None else min(most, MAX_ID + 1)


def _fail(internals: Internals, channel: RTCDataChannel, message: str) -> None:
    internals.driver.queue_task(channel.handle_failed, message)
