"""setConfiguration. https://www.w3.org/TR/webrtc/#set-the-configuration"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.webrtc.candidate_pool import CandidatePool
from adieu.webrtc.configuration import checked_configuration
from adieu.webrtc.connection_events import UnnegotiatedConnectionEvents

if TYPE_CHECKING:
    from adieu.webrtc.configuration import RTCConfiguration
    from adieu.webrtc.internals import Internals


def set_configuration(internals: Internals, wanted: RTCConfiguration) -> None:
    """W3C set a configuration, after the constructor.

    Raises:
        InvalidModificationError: a member changes that cannot change.
        InvalidAccessError: a TURN server has no credentials.
        DOMSyntaxError: a URL is malformed.
    """
    old = internals.configuration
    new = checked_configuration(wanted, old, negotiated=internals.negotiation.local is not None)
    internals.configuration = new
    # RFC 9429 section 5.2.2: the next offer has other credentials where ICE is configured in another way.
    if (old.iceServers, old.iceTransportPolicy) != (new.iceServers, new.iceTransportPolicy):
        internals.outdated_credentials = internals.local_credentials()
    fill_pool(internals)


def fill_pool(internals: Internals) -> None:
    """Gather the candidates that the configuration asks for before there is a description.

    After setLocalDescription() it is too late for that, and nothing happens.
    """
    if internals.negotiation.generations:
        return
    configuration, driver = internals.configuration, internals.driver
    if internals.pool is None:
        if not configuration.iceCandidatePoolSize:
            return
        internals.handle = driver.core.connection(internals.local_certificate().native)
        driver.handles.connections[internals.handle] = UnnegotiatedConnectionEvents(internals)
        driver.handles.names[internals.handle] = internals.log_id
        internals.pool = CandidatePool(driver, internals.handle, internals)
    internals.pool.fill(configuration, internals.settings)
