"""The commands to the core that a plan asks for: the effect of a description on the transports of a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

from adieu.jsep import AddCandidate, CloseTransport, DropGeneration, Gather, SetRemote, StartDtls, StartSctp
from adieu.webrtc.connection_events import ConnectionEvents
from adieu.webrtc.connection_states import update_states
from adieu.webrtc.core_transport import gather, open_transport
from adieu.webrtc.ice_transport import RTCIceParameters
from adieu.webrtc.transport import Transport
from adieu.webrtc.transport_events import TransportEvents

if TYPE_CHECKING:
    from adieu.jsep import Action
    from adieu.webrtc.internals import Internals

NOT_REACHED: Final = 701
"""W3C RTCPeerConnectionIceErrorEvent.errorCode where no server answered."""


def perform(internals: Internals, action: Action) -> None:
    """Do one action of a plan."""
    core = internals.driver.core
    if isinstance(action, Gather):
        _gather(internals, action)
        return
    transport = internals.transports[action.key]
    match action:
        case SetRemote(_, generation, remote, lite):
            transport.ice_internals.remote_parameters = RTCIceParameters(remote.ufrag, remote.pwd)
            core.set_remote(transport.handle, generation, remote.ufrag, remote.pwd, lite)
        case AddCandidate(_, generation, line):
            try:
                core.add_candidate(transport.handle, generation, line)
            except ValueError as error:  # well-formed, and the core cannot use it: ignoring it is safe
                internals.ignored_lines.add(f"{(line or '')[:120]!r}: {error}")
        case DropGeneration(_, generation):
            _drop(internals, transport, generation)
        case StartDtls(_, client, fingerprints):
            core.start_dtls(transport.handle, client, [(f.algorithm, f.value) for f in fingerprints])
        case StartSctp(_, association):
            core.start_sctp(
                transport.handle,
                association.local_port,
                association.remote_port,
                association.remote_max_message_size,
            )
        case CloseTransport():
            _close(internals, transport)
        case _:
            assert_never(action)


def _gather(internals: Internals, action: Gather) -> None:
    """Begin an ICE generation; the first one of a section opens the transport."""
    transport = internals.transports.get(action.key) or _begin(internals, action)
    driver, ice = internals.driver, transport.ice_internals
    generation, local = action.generation, action.local
    events = TransportEvents(internals, transport)
    # W3C set a session description, success step 10: a description does not change a role that is known.
    if ice.role == "unknown":
        ice.role = "controlling" if action.controlling else "controlled"
    ice.local_parameters = RTCIceParameters(local.ufrag, local.pwd)
    transport.ufrags[generation] = local.ufrag
    transport.gathering.add(generation)
    driver.queue_task(events.begin_gathering, generation)
    controls = ice.role == "controlling"
    configuration = internals.configuration
    if transport.pooled is not None:
        driver.core.set_role(transport.handle, generation, controls)
        driver.queue_task(transport.pooled.attach, events)
        transport.pooled = None
    else:
        how = (configuration, internals.settings)
        gather(driver, transport.handle, generation, local, how, controlling=controls)
    for url in configuration.urls():
        if not url.is_supported:
            text = f"{url.scheme}: is not supported yet"
            driver.queue_task(events.handle_candidate_error, generation, None, None, str(url), NOT_REACHED, text)


def _begin(internals: Internals, action: Gather) -> Transport:
    """Open the transport in the core, or take one out of the pool. An offered transport of this key is used."""
    driver, key = internals.driver, action.key
    offered = internals.offered
    if offered is not None and offered.key == key:
        transport, internals.offered = offered, None
    else:
        transport = Transport(driver, key)
    internals.transports[key] = transport
    connection = _connection(internals)
    pooled = internals.pool.take(action) if internals.pool is not None else None
    if pooled is not None:
        transport.begin(pooled.handle, pooled)
    else:
        transport.begin(open_transport(driver, connection, internals.settings))
        driver.handles.transports[transport.handle] = TransportEvents(internals, transport)
    update_states(internals)  # beside a new transport a connected connection is "connecting" again
    return transport


def _connection(internals: Internals) -> int:
    """The core's connection, made for the first transport. From here on the driver keeps the internals alive."""
    driver = internals.driver
    if internals.handle is None:
        internals.handle = driver.core.connection(internals.local_certificate().native)
    driver.handles.connections[internals.handle] = ConnectionEvents(internals)
    driver.handles.names[internals.handle] = internals.log_id
    return internals.handle


def _drop(internals: Internals, transport: Transport, generation: int) -> None:
    internals.driver.core.drop_generation(transport.handle, generation)
    transport.ufrags.pop(generation, None)
    if generation in transport.gathering:
        transport.gathering.discard(generation)
        # gathering of the generation before is complete
        internals.driver.queue_task(TransportEvents(internals, transport).finish_gathering)


def _close(internals: Internals, transport: Transport) -> None:
    """Close a transport whose section was rejected or rolled back (W3C set a session description, success 13.1)."""
    driver = internals.driver
    driver.handles.transports.pop(transport.handle, None)
    driver.core.close_transport(transport.handle)
    del internals.transports[transport.key]
    driver.queue_task(TransportEvents(internals, transport).announce_close)
