"""From the core's handles to the objects that want its events.

These are strong references: an object that the core may still have an event for is not collected (closing rules 19,
20). Closing takes it out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from adieu import _core


class ConnectionHandler(Protocol):
    """What the core tells a connection."""

    def handle_ended(self, left: dict[str, int]) -> None:
        """The reaper is done; what is still held."""

    def handle_panicked(self, message: str) -> None:
        """A bug of the core has ended this connection."""

    def handle_loop_ended(self) -> None:
        """The event loop ends: no event will come any more."""


class TransportHandler(Protocol):
    """What the core tells a transport: an ICE agent, its DTLS and its SCTP."""

    def handle_candidate(self, generation: int, line: str, url: str | None) -> None:
        """A local candidate."""

    def handle_candidate_error(
        self, generation: int, address: str | None, port: int | None, url: str, code: int, text: str
    ) -> None:
        """A server did not help."""

    def handle_gathering(self, generation: int, state: str) -> None:
        """Gathering of a generation began, or is complete."""

    def handle_ice(self, state: str | None, pair: tuple[str, str] | None) -> None:
        """A new state, a new selected pair (lines, local and remote), or both."""

    def handle_role(self, role: str) -> None:
        """The ICE role after a conflict."""

    def handle_certificates(self, certificates: list[bytes]) -> None:
        """The peer's certificates (DER)."""

    def handle_dtls(
        self, state: str, detail: str | None, message: str, sent_alert: int | None, received_alert: int | None
    ) -> None:
        """A new state of DTLS."""

    def handle_sctp(self, state: str, cause_code: int | None, message: str, max_channels: int | None) -> None:
        """A new state of SCTP."""

    def handle_incoming(
        self,
        channel: _core.Channel,
        label: str,
        protocol: str,
        ordered: bool,
        max_packet_life_time: int | None,
        max_retransmits: int | None,
        priority: int,
    ) -> None:
        """The peer has opened a channel."""


class ChannelHandler(Protocol):
    """What the core tells a data channel."""

    def handle_message(self, data: str | bytes, size: int) -> None:
        """A message of so many payload bytes."""

    def handle_open(self) -> None:
        """It can be used."""

    def handle_closing(self) -> None:
        """The peer has begun to close it."""

    def handle_closed(self, error: str | None, cause_code: int | None) -> None:
        """It is closed: by the procedure, or with an error."""

    def handle_low(self) -> None:
        """The buffered amount fell to the threshold."""

    def handle_failed(self, message: str) -> None:
        """It could not be made."""


@dataclass(slots=True)
class Handles:
    """Who gets the events of which handle.

    Attributes:
        connections: the connections of the core.
        transports: their transports.
        channels: their data channels.
        names: the ids of connections in the log, until the core has released them.
    """

    connections: dict[int, ConnectionHandler] = field(default_factory=dict[int, ConnectionHandler])
    transports: dict[int, TransportHandler] = field(default_factory=dict[int, TransportHandler])
    channels: dict[int, ChannelHandler] = field(default_factory=dict[int, ChannelHandler])
    names: dict[int, str] = field(default_factory=dict[int, str])
