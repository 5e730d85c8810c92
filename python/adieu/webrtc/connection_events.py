"""The reports of the core and of the event loop about a connection as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import ref

from adieu import log
from adieu.webrtc import connection_log
from adieu.webrtc.close_connection import close_the_connection
from adieu.webrtc.network_events import NetworkChangeEvent
from adieu.webrtc.transport_events import TransportEvents

if TYPE_CHECKING:
    from adieu.webrtc.internals import Internals


class ConnectionEvents:
    """The `ConnectionHandler` of a negotiated connection. The driver's reference to it keeps the internals alive."""

    __slots__ = ("_internals",)

    def __init__(self, internals: Internals) -> None:
        self._internals = internals

    def handle_ended(self, left: dict[str, int]) -> None:
        """Finish: the core has ended the connection without a command, because it panicked."""
        self._internals.release.finish(left)

    def handle_panicked(self, message: str) -> None:
        """Report a bug of the core: this connection alone is lost, as if its encryption had failed."""
        log.WEBRTC.error("%s x the core has lost it: %s", self._internals.log_id, log.text(message))
        for transport in list(self._internals.transports.values()):
            events = TransportEvents(self._internals, transport)
            events.handle_dtls("failed", "dtls-failure", message, None, None)
            events.handle_sctp("closed", None, message, None)
        for channel in list(self._internals.channels.unclosed):
            channel.handle_closed(message, None)

    def handle_network(self, gone: list[str], came: list[str], slept: float) -> None:
        """Tell the program that this machine's network has changed, or that it has slept."""
        if not self._internals.is_closed:
            connection_log.network(self._internals, gone, came, slept)
            self._internals.fire(NetworkChangeEvent("networkchange", gone=gone, came=came, slept=slept))

    def handle_loop_ended(self) -> None:
        """Close: the event loop ends before the program closed the connection."""
        internals = self._internals
        internals.is_forgotten = not internals.is_closed
        close_the_connection(internals)
        internals.release.handle_loop_ended()


class UnnegotiatedConnectionEvents:
    """The same while the connection only has a candidate pool: it does not keep the internals alive."""

    __slots__ = ("_internals",)

    def __init__(self, internals: Internals) -> None:
        self._internals = ref(internals)

    def handle_ended(self, left: dict[str, int]) -> None:
        """See ConnectionEvents."""
        if (internals := self._internals()) is not None:
            ConnectionEvents(internals).handle_ended(left)

    def handle_panicked(self, message: str) -> None:
        """See ConnectionEvents."""
        if (internals := self._internals()) is not None:
            ConnectionEvents(internals).handle_panicked(message)

    def handle_network(self, gone: list[str], came: list[str], slept: float) -> None:
        """Do nothing: pooled candidates are gathered again with the first description."""

    def handle_loop_ended(self) -> None:
        """See ConnectionEvents."""
        if (internals := self._internals()) is not None:
            ConnectionEvents(internals).handle_loop_ended()


def is_negotiated(internals: Internals) -> bool:
    """Whether the core has a connection for it that was negotiated and not closed."""
    connections = internals.driver.handles.connections
    return internals.handle is not None and isinstance(connections.get(internals.handle), ConnectionEvents)
