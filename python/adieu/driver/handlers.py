"""The interfaces of the objects that get the core's events. Made by tools/boundary.py: do not edit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from adieu import _core


class ChannelHandler(Protocol):
    """The reports of the core to a data channel."""

    def handle_message(self, data: str | bytes, size: int) -> None:
        """A message of so many payload bytes (text as UTF-8), to be given back by `consumed`."""

    def handle_open(self) -> None:
        """The association is up; DCEP OPEN, if any, is on its way."""

    def handle_closing(self) -> None:
        """The peer has reset its direction first."""

    def handle_closed(self, error: str | None, cause_code: int | None) -> None:
        """The channel is closed.

        Without an error it was the closing procedure, and the stream id is free again. An error means that
        the association ended (closing rule 56), that the transport was closed, or that the peer did not
        finish the procedure for ten seconds. In the last case the stream id stays taken.
        """

    def handle_low(self) -> None:
        """The buffered amount fell to the threshold or below it (`watch_low`)."""

    def handle_failed(self, message: str) -> None:
        """The transport could not be made (closing rule 51), or the peer sent a message larger than was announced."""


class TransportHandler(Protocol):
    """The reports of the core to a transport: an ICE agent, its DTLS and its SCTP."""

    def handle_incoming(self, channel: _core.Channel, options: _core.ChannelOptions) -> None:
        """The peer has opened a channel."""

    def handle_candidate(self, generation: int, line: str, url: str | None, relay_protocol: str | None) -> None:
        """A local candidate ("candidate:…"), and the server that it was learned from.

        Of a relayed one also the protocol between this side and its server: "udp", "tcp" or "tls".
        """

    def handle_candidate_error(
        self, generation: int, address: str | None, port: int | None, url: str, code: int, text: str
    ) -> None:
        """A server did not help.

        `code` is of RFC 5389, or 701. `url` is empty when this machine is in the way: no descriptor, no
        interface, no permission, no port.
        """

    def handle_gathering(self, generation: int, state: str) -> None:
        """Gathering of a generation has started ("gathering") or is over ("complete")."""

    def handle_ice(self, state: str | None, pair: tuple[str, str] | None) -> None:
        """A new state, a new selected pair, or both.

        States: "new", "checking", "connected", "completed", "disconnected", "failed". The event has the
        transport and the state alone; the driver adds the pair.
        """

    def handle_role(self, role: str) -> None:
        """The role after a conflict: "controlling" or "controlled"."""

    def handle_dtls(
        self, state: str, detail: str | None, message: str, sent_alert: int | None, received_alert: int | None
    ) -> None:
        """A new state.

        It is "connecting", "connected", "closed" or "failed"; `detail` of the last is "dtls-failure" or
        "fingerprint-failure".
        """

    def handle_certificates(self, certificates: list[bytes]) -> None:
        """The peer's certificates (DER), the leaf first, before the state is "connected"."""

    def handle_sctp(self, state: str, cause_code: int | None, message: str, max_channels: int | None) -> None:
        """A new state: "connected" or "closed"."""


class ReceiverHandler(Protocol):
    """The reports of the core to a receiver of media."""

    def handle_on(self, ssrc: int) -> None:
        """The first packet of this receiver, or the first after MEDIA_OFF."""

    def handle_off(self, reason: str) -> None:
        """Nothing more comes for this receiver.

        The reason is "bye": the peer said so.
        """

    def handle_tone(self, tone: str, duration: float) -> None:
        """The peer has played a telephone tone of so many seconds."""


class SenderHandler(Protocol):
    """The reports of the core to a sender of pictures."""

    def handle_key_wanted(self, encoding: int) -> None:
        """The peer wants a key frame; at most one in 300 ms."""

    def handle_target(self, encoding: int, bitrate: int) -> None:
        """Bits a second that the encoder may use; again on a change of a tenth."""

    def handle_plan(self, codec: str, fmtp: str, max_bitrate: int) -> None:
        """How to encode pictures: "VP8" or "H264" with the peer's parameters, and bits a second at most (0: no limit).

        An empty codec: nothing may be sent now.
        """


class SourceHandler(Protocol):
    """The reports of the core to an audio source."""

    def handle_room(self) -> None:
        """A write did not fit into the source, and half of it is free now."""

    def handle_drained(self, position: int, arrived: bool) -> None:
        """All that was queued at `watch` has left, or a report of the peer covers it.

        `position` is in frames.
        """


class SinkHandler(Protocol):
    """The reports of the core to a sink of sound or pictures."""

    def handle_ready(self) -> None:
        """The sink was empty, and has a frame."""


class ConnectionEvents(Protocol):
    """The reports of the core to a connection."""

    def handle_ended(self, left: dict[str, int]) -> None:
        """The reaper is done.

        `left` has the numbers of things that are still held.
        """

    def handle_panicked(self, message: str) -> None:
        """A bug of the core has ended this connection alone."""

    def handle_network(self, gone: list[str], came: list[str], slept: float) -> None:
        """The machine's addresses have changed, or it has slept for so many seconds: all paths are being checked."""
