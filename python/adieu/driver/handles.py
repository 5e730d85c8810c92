"""Maps the core's handles to the objects that get its events.

The references are strong: an object is not collected while the core may still have an event for it (closing rules 19,
20). Closing removes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from adieu.driver.handlers import ChannelHandler, ConnectionEvents, TransportHandler


class ConnectionHandler(ConnectionEvents, Protocol):
    """A connection: what the core says to it, and the driver."""

    def handle_loop_ended(self) -> None:
        """The event loop ends: no event follows."""


@dataclass(slots=True)
class Handles:
    """The objects that get the events, by handle.

    Attributes:
        connections: the connections of the core.
        transports: their transports.
        channels: their data channels.
        media: the receivers, sources and sinks of media that wait for something.
        names: the ids of connections in the log, until the core has released them.
    """

    connections: dict[int, ConnectionHandler] = field(default_factory=dict[int, ConnectionHandler])
    transports: dict[int, TransportHandler] = field(default_factory=dict[int, TransportHandler])
    channels: dict[int, ChannelHandler] = field(default_factory=dict[int, ChannelHandler])
    media: dict[int, object] = field(default_factory=dict[int, object])
    names: dict[int, str] = field(default_factory=dict[int, str])
