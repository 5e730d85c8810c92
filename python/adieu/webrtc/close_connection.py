"""Closing. https://www.w3.org/TR/webrtc/#close-the-connection, closing rules 1 to 20 and 31 to 36."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from adieu import jsep
from adieu.events import Event, end_events
from adieu.webrtc import media

if TYPE_CHECKING:
    from adieu.webrtc.sctp_transport import RTCSctpTransport
    from adieu.webrtc.slots import Slots

_WHY: Final = "the connection was closed"


def close_the_connection(slots: Slots) -> None:
    """W3C close the connection. Nothing is fired before it returns."""
    # step 1 (closing rule 1)
    if slots.is_closed:
        return
    # step 2 (closing rule 2)
    slots.is_closed = True
    # step 3 (closing rules 3, 18)
    before = slots.negotiation
    # step 4 (closing rules 5 to 9)
    ended = tuple(jsep.stopped(transceiver) for transceiver in before.transceivers)
    slots.negotiation = replace(before, state="closed", transceivers=ended)
    media.stop_all(slots)
    # step 5 (closing rules 10, 11)
    for channel in slots.unclosed_channels:
        channel.handle_connection_closed(announce=not slots.strict)
    slots.unclosed_channels.clear()
    slots.data_channels.clear()
    slots.channel_ids.clear()
    # steps 6 to 9: ABORT, close_notify, sockets (closing rules 12, 13, 15)
    _destroy(slots)
    carriers = [transport.sctp for transport in slots.all_transports() if transport.sctp is not None]
    running = [sctp for sctp in carriers if sctp.state != "closed"]
    for transport in slots.all_transports():
        transport.set_closed()
    # steps 10 and 11 (closing rules 13, 14, 16)
    slots.ice_connection_state = "closed"
    slots.connection_state = "closed"
    # What waits for something that can not happen any more (closing rules 31 to 36).
    slots.driver.run_here(_end, slots, running)


def _destroy(slots: Slots) -> None:
    """Hand everything to the core's reaper. The object itself is free from here on (closing rule 19)."""
    handles = slots.driver.handles
    if slots.pool is not None:
        slots.pool.end()
        slots.pool = None
    for transport in slots.transports.values():
        handles.transports.pop(transport.handle, None)
    if slots.handle is None:
        if slots.driver.is_over:
            slots.release.finish({})
        else:
            slots.driver.queue_task(slots.release.finish, {})
        return
    handles.connections[slots.handle] = slots.release
    slots.driver.core.close_connection(slots.handle)
    if slots.driver.is_over:
        slots.release.handle_loop_ended()


def _end(slots: Slots, running: list[RTCSctpTransport]) -> None:
    slots.operations.close()
    if (connection := slots.connection) is not None:
        end_events(connection, _WHY, forget=True)
    slots.kept = None
    for transport in slots.all_transports():
        for target in (transport.ice, transport.dtls, transport.sctp):
            if target is not None and target not in running:
                end_events(target, _WHY, forget=True)
    for sctp in running:
        if slots.driver.is_over:
            end_events(sctp, _WHY, forget=True)
        else:
            slots.driver.queue_task(_end_sctp, sctp)


def _end_sctp(sctp: RTCSctpTransport) -> None:
    """W3C RTCSctpTransportState "closed": "a task is queued … such as by closing the peer connection" (rule 12)."""
    sctp.dispatchEvent(Event("statechange"))
    end_events(sctp, _WHY)
