"""The effect of a description on the RTCSctpTransport, and on the data channels that use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu import jsep
from adieu.webrtc import channels
from adieu.webrtc.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from adieu.webrtc.internals import Internals


def move_association(internals: Internals, key: str | None, replaced: AbstractSet[str]) -> bool:
    """Take the RTCSctpTransport to the transport that carries data now, and end an association with another peer.

    Args:
        internals: before the description is stored.
        key: of the transport that carries data once it is stored; None: data is not negotiated then.
        replaced: the keys of the transports that are closed and opened again.

    Returns:
        Whether an association has carried data and goes on.
    """
    carried = channels.sctp_transport(internals) is not None
    holder = channels.sctp_holder(internals)
    if holder is None:
        return carried
    # RFC 9143: where a bundle takes data to another transport, its object goes along.
    if key is not None and key in internals.transports:
        internals.transports[key].take_sctp(holder)
    # RFC 8842 section 4: the data channels are with the peer before.
    if holder.key in replaced:
        channels.association_ended(internals, "the other side is another one, or has started again")
        return False
    return carried


def establish_association(internals: Internals, key: str | None, *, goes_on: bool) -> None:
    """W3C set a session description, success step 9: the SCTP transport, and the ids that depend on the DTLS role.

    Args:
        internals: after an answer is stored.
        key: of the transport that carries data; None: data is not negotiated.
        goes_on: whether the association was there before (`move_association`).
    """
    negotiation = internals.negotiation
    if key is None:
        current = negotiation.current_local
        if negotiation.state == "stable" and current and any(section.is_data for section in current.sections):
            channels.data_rejected(internals)
        return
    transport = internals.transports[key]
    if internals.offered is not None:  # the answer has chosen another transport
        transport.take_sctp(internals.offered)
        internals.offered = None
    association = negotiation.transports[key].sctp
    transport.establish_sctp(association.remote_max_message_size if association is not None else 0)
    if goes_on:
        channels.update_max_message_size(internals, transport)
    else:
        channels.assign_ids(internals, transport)


def offer_association(internals: Internals) -> None:
    """Show pc.sctp while data is offered and not yet negotiated, as browsers do. In the W3C it comes later.

    A transport that the other side offers begins with the answer, not before.
    """
    key = internals.negotiation.offered_data_key
    if key is None:
        channels.data_withdrawn(internals)
    elif channels.sctp_holder(internals) is None:
        transport = internals.transports.get(key)
        if transport is None:
            transport = internals.offered = Transport(internals.driver, key)
        transport.establish_sctp(jsep.DEFAULT_MAX_MESSAGE_SIZE)
