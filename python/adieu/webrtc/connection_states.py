"""The states of a connection follow those of its transports: set them, and fire the events of those that changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.events import Event
from adieu.webrtc import connection_log, states
from adieu.webrtc.ice_events import RTCPeerConnectionIceEvent
from adieu.webrtc.lifetime import keep

if TYPE_CHECKING:
    from adieu.webrtc.dtls_transport import RTCDtlsTransportState
    from adieu.webrtc.ice_transport import RTCIceTransportState
    from adieu.webrtc.internals import Internals


def derive_states(internals: Internals) -> list[Event]:
    """Set [[IceConnectionState]] and [[ConnectionState]]. Returns the events of those that changed.

    W3C RTCIceTransport, "has changed either the selected candidate pair, the RTCIceTransportState or both",
    steps 9.3 to 9.6.
    """
    events: list[Event] = []
    transports = internals.transports.values()
    ice: list[RTCIceTransportState] = [transport.ice_internals.state for transport in transports]
    dtls: list[RTCDtlsTransportState] = [transport.dtls_internals.state for transport in transports]
    ice_connection_state = states.ice_connection_state(ice)
    if ice_connection_state != internals.ice_connection_state:
        internals.ice_connection_state = ice_connection_state
        connection_log.state(internals, "ICE", ice_connection_state)
        events.append(Event("iceconnectionstatechange"))
    connection_state = states.connection_state(ice, dtls)
    if connection_state != internals.connection_state:
        internals.connection_state = connection_state
        connection_log.connection_state(internals)
        events.append(Event("connectionstatechange"))
        internals.driver.queue_task(keep, internals)
    return events


def derive_gathering_state(internals: Internals) -> list[Event]:
    """W3C update the ICE gathering state: set [[IceGatheringState]]. Returns the events if it changed."""
    # steps 2 to 4
    transports = internals.transports.values()
    state = states.ice_gathering_state([transport.ice_internals.gatherer_state for transport in transports])
    if state == internals.ice_gathering_state:
        return []
    internals.ice_gathering_state = state
    connection_log.state(internals, "gathering", state)
    # steps 5 and 6
    events: list[Event] = [Event("icegatheringstatechange")]
    if state == "complete":
        events.append(RTCPeerConnectionIceEvent("icecandidate", candidate=None))
    return events


def update_states(internals: Internals) -> None:
    """W3C update the connection state: queue it, because a transport has changed."""
    internals.driver.queue_task(_update_states, internals)


def _update_states(internals: Internals) -> None:
    if not internals.is_closed:
        internals.fire_all(derive_states(internals))
