"""Closing. https://www.w3.org/TR/webrtc/#close-the-connection, closing rules 1 to 20 and 31 to 36."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from adieu import jsep
from adieu.events import Event, end_events
from adieu.webrtc import connection_log, media_transport, transceivers

if TYPE_CHECKING:
    from adieu.webrtc.internals import Internals
    from adieu.webrtc.sctp_transport import RTCSctpTransport

_WHY: Final = "the connection was closed"


def close_the_connection(internals: Internals) -> None:
    """W3C close the connection. No event is fired before it returns."""
    # step 1 (closing rule 1)
    if internals.is_closed:
        return
    # step 2 (closing rule 2)
    internals.is_closed = True
    connection_log.ended(internals, f"closed by this side, {internals.connection_state} until then")
    # step 3 (closing rules 3, 18)
    before = internals.negotiation
    # step 4 (closing rules 5 to 9)
    ended = tuple(jsep.stopped(transceiver) for transceiver in before.transceivers)
    internals.negotiation = replace(before, state="closed", transceivers=ended)
    transceivers.stop_all(internals)
    media_transport.end(internals)
    # step 5 (closing rules 10, 11)
    for channel in internals.channels.unclosed:
        channel.handle_connection_closed(announce=not internals.strict)
        connection_log.channel(internals, channel, "closed")
    internals.channels.clear()
    # steps 6 to 9: ABORT, close_notify, sockets (closing rules 12, 13, 15)
    _destroy(internals)
    associations = [transport.sctp for transport in internals.all_transports() if transport.sctp is not None]
    running = [sctp for sctp in associations if sctp.state != "closed"]
    for transport in internals.all_transports():
        transport.set_closed()
    # steps 10 and 11 (closing rules 13, 14, 16)
    internals.ice_connection_state = "closed"
    internals.connection_state = "closed"
    connection_log.state(internals, "connection", "closed")
    # End the calls that can no longer finish (closing rules 31 to 36).
    internals.driver.run_here(_end, internals, running)


def _destroy(internals: Internals) -> None:
    """Hand everything to the core's reaper. The object itself is free from here on (closing rule 19)."""
    handles = internals.driver.handles
    if internals.pool is not None:
        internals.pool.end()
        internals.pool = None
    for transport in internals.transports.values():
        handles.transports.pop(transport.handle, None)
    if internals.handle is None:
        if internals.driver.is_over:
            internals.release.finish({})
        else:
            internals.driver.queue_task(internals.release.finish, {})
        return
    handles.connections[internals.handle] = internals.release
    internals.driver.core.close_connection(internals.handle)
    if internals.driver.is_over:
        internals.release.handle_loop_ended()


def _end(internals: Internals, running: list[RTCSctpTransport]) -> None:
    internals.operations.close()
    if (connection := internals.connection) is not None:
        end_events(connection, _WHY, forget=True)
    internals.kept = None
    for stream in internals.remote_streams.values():
        if stream.stream is not None:
            end_events(stream.stream, _WHY, forget=True)
    for transport in internals.all_transports():
        for target in (transport.ice, transport.dtls, transport.sctp):
            if target is not None and target not in running:
                end_events(target, _WHY, forget=True)
    for sctp in running:
        if internals.driver.is_over:
            end_events(sctp, _WHY, forget=True)
        else:
            internals.driver.queue_task(_end_sctp, sctp)


def _end_sctp(sctp: RTCSctpTransport) -> None:
    """W3C RTCSctpTransportState "closed": "a task is queued … such as by closing the peer connection" (rule 12)."""
    sctp.dispatchEvent(Event("statechange"))
    end_events(sctp, _WHY)
