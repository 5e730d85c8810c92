"""The internal slots of an RTCPeerConnection.

The W3C writes its algorithms over "internal slots". Here they are a value of their own, which RTCPeerConnection, its
transports and the modules of the algorithms share; nobody else has it.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from weakref import WeakSet, ref

from adieu.errors import AbortError
from adieu.events import Event, is_observed
from adieu.jsep import Negotiation
from adieu.unclosed import warn_unclosed
from adieu.webrtc import states
from adieu.webrtc.ice_events import RTCPeerConnectionIceEvent
from adieu.webrtc.ledger import Release
from adieu.webrtc.media_slots import new_cname
from adieu.webrtc.stream_ids import FreeIds

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping

    from adieu.driver import Driver
    from adieu.jsep import IceCredentials
    from adieu.webrtc.candidate_pool import CandidatePool
    from adieu.webrtc.certificate import RTCCertificate
    from adieu.webrtc.configuration import RTCConfiguration, TransportSettings
    from adieu.webrtc.data_channel import RTCDataChannel
    from adieu.webrtc.dtls_transport import RTCDtlsTransportState
    from adieu.webrtc.ice_transport import RTCIceTransportState
    from adieu.webrtc.media import Media
    from adieu.webrtc.media_stream import StreamSlots
    from adieu.webrtc.operations import OperationsChain
    from adieu.webrtc.peer_connection import RTCPeerConnection
    from adieu.webrtc.rtp_sender import RTCRtpSender
    from adieu.webrtc.states import RTCIceConnectionState, RTCIceGatheringState, RTCPeerConnectionState
    from adieu.webrtc.transport import Transport

logger: Final = logging.getLogger("adieu")


@dataclass(frozen=True, slots=True)
class Created:
    """[[LastCreatedOffer]] or [[LastCreatedAnswer]], and of what state of the system it speaks.

    Attributes:
        text: the description.
        system_state: what it was made of.
        made_for: by their places, the transceivers for which new sections of an offer were made.
    """

    text: str
    system_state: object
    made_for: Mapping[int, int] = field(default_factory=dict[int, int])


@dataclass(slots=True, kw_only=True, eq=False, weakref_slot=True)
class Slots:
    """See the module. The names are the W3C's, where it has one.

    Attributes:
        reference: to the object, while there is one.
        kept: the object again, while it has to be kept: events may fire at it, and somebody listens (closing rule 19).
        where: the line that made it.
        is_dropped: the program has dropped the object without closing it.
        driver: where tasks are queued, and the door to the core.
        settings: what the W3C leaves open.
        strict: keep to the letter (`conformance`).
        session_id: of the `o=` lines.
        configuration: [[Configuration]].
        operations: [[Operations]].
        is_forgotten: it was closed by the end of the event loop, and not by the program.
        is_closed: [[IsClosed]].
        negotiation: [[SignalingState]] and the four descriptions, and what follows of them for the transports.
        negotiation_needed: [[NegotiationNeeded]].
        update_on_empty_chain: [[UpdateNegotiationNeededFlagOnEmptyChain]].
        credentials_to_replace: [[LocalIceCredentialsToReplace]].
        outdated_credentials: those with which was gathered as another configuration said: the next offer replaces them.
        last_created_offer: [[LastCreatedOffer]].
        last_created_answer: [[LastCreatedAnswer]].
        connection_state: [[ConnectionState]].
        ice_connection_state: [[IceConnectionState]].
        ice_gathering_state: [[IceGatheringState]].
        data_channels: [[DataChannels]], which a channel leaves when it begins to close.
        unclosed_channels: all that are not closed.
        channel_ids: who has which stream, until both its directions are reset.
        free_ids: where to look for a stream that nobody has.
        has_made_channels: whether the connection "has created any RTCDataChannels".
        transports: by the key of their section.
        pool: candidates for the first local description; None when there are none, and thereafter.
        offered: one that has not begun: the other side offers data over it.
        media: the objects of the transceivers in the snapshot, by their ids.
        senders_made: all senders of this connection, also of transceivers that have left the set.
        remote_streams: what the other side's tracks are in, by the ids that it gives.
        cname: what RTCP calls this side.
        certificate: ours, once one was needed.
        handle: the core's connection, once there is one.
        close: closes it.
        release: who waits for the end.
        channels_opened: for the statistics.
        channels_closed: for the statistics.
        lines_dropped: of the other side's lines, how many could not be used and were passed over.
    """

    reference: ref[RTCPeerConnection]
    where: str
    driver: Driver
    settings: TransportSettings
    strict: bool
    session_id: str
    configuration: RTCConfiguration
    operations: OperationsChain
    kept: RTCPeerConnection | None = None
    is_dropped: bool = False
    is_forgotten: bool = False
    is_closed: bool = False
    negotiation: Negotiation = field(default_factory=Negotiation)
    negotiation_needed: bool = False
    update_on_empty_chain: bool = False
    credentials_to_replace: frozenset[IceCredentials] = frozenset()
    outdated_credentials: frozenset[IceCredentials] = frozenset()
    last_created_offer: Created | None = None
    last_created_answer: Created | None = None
    connection_state: RTCPeerConnectionState = "new"
    ice_connection_state: RTCIceConnectionState = "new"
    ice_gathering_state: RTCIceGatheringState = "new"
    data_channels: dict[RTCDataChannel, None] = field(default_factory=dict["RTCDataChannel", None])
    unclosed_channels: dict[RTCDataChannel, None] = field(default_factory=dict["RTCDataChannel", None])
    channel_ids: dict[int, RTCDataChannel] = field(default_factory=dict[int, "RTCDataChannel"])
    free_ids: FreeIds = field(default_factory=FreeIds)
    has_made_channels: bool = False
    transports: dict[str, Transport] = field(default_factory=dict[str, "Transport"])
    pool: CandidatePool | None = None
    offered: Transport | None = None
    media: dict[int, Media] = field(default_factory=dict[int, "Media"])
    senders_made: WeakSet[RTCRtpSender] = field(default_factory=WeakSet["RTCRtpSender"])
    remote_streams: dict[str, StreamSlots] = field(default_factory=dict[str, "StreamSlots"])
    cname: str = field(default_factory=new_cname)
    certificate: RTCCertificate | None = None
    handle: int | None = None
    close: Callable[[], None]
    release: Release = field(default_factory=Release)
    channels_opened: int = 0
    channels_closed: int = 0
    lines_dropped: int = 0

    @property
    def connection(self) -> RTCPeerConnection | None:
        """The object, while there is one."""
        return self.reference()

    # --- tasks -----------

    async def next_task(self) -> None:
        """The W3C's "in parallel … queue a task": go on in a task of its own, unless the connection is closed by then.

        Raises:
            AbortError: it is (closing rule 35).
        """
        await self.driver.next_task()
        if self.is_closed:
            if self.strict:
                await asyncio.get_running_loop().create_future()
            raise AbortError("the connection was closed")

    def require_thread(self, what: str) -> None:
        """Raise RuntimeError if `what` is called in another thread than that of the event loop."""
        self.driver.require_thread(what)

    def fire(self, event: Event) -> None:
        """Fire an event at the connection. One that was dropped had nobody who listens."""
        connection = self.connection
        if connection is not None:
            connection.dispatchEvent(event)

    def fire_all(self, events: Iterable[Event]) -> None:
        """One after the other; a handler may close the connection between two (closing rule 34)."""
        for event in events:
            if not self.is_closed:
                self.fire(event)

    def local_credentials(self) -> frozenset[IceCredentials]:
        """All of the current and of the pending local description."""
        local = (self.negotiation.current_local, self.negotiation.pending_local)
        sections = (section for description in local if description is not None for section in description.sections)
        return frozenset(section.credentials for section in sections if section.credentials is not None)

    def all_transports(self) -> tuple[Transport, ...]:
        """Those that have begun, and the one that is offered."""
        return (*self.transports.values(), *((self.offered,) if self.offered is not None else ()))

    # --- states that follow from those of the transports -----------

    def derive_states(self) -> list[Event]:
        """Set [[IceConnectionState]] and [[ConnectionState]]; the events for those that changed.

        W3C RTCIceTransport, "has changed either the selected candidate pair, the RTCIceTransportState or both",
        steps 9.3 to 9.6.
        """
        events: list[Event] = []
        transports = self.transports.values()
        ice: list[RTCIceTransportState] = [transport.ice.state for transport in transports]
        dtls: list[RTCDtlsTransportState] = [transport.dtls.state for transport in transports]
        ice_connection_state = states.ice_connection_state(ice)
        if ice_connection_state != self.ice_connection_state:
            self.ice_connection_state = ice_connection_state
            events.append(Event("iceconnectionstatechange"))
        connection_state = states.connection_state(ice, dtls)
        if connection_state != self.connection_state:
            self.connection_state = connection_state
            events.append(Event("connectionstatechange"))
            self.driver.queue_task(self.keep)
        return events

    # --- as long as it is needed -----------

    def keep(self) -> None:
        """Look whether the object has to be kept though the program may have dropped it (closing rule 19).

        Of a connection that has failed nothing more comes by itself.
        """
        connection = None if self.is_closed else self.connection
        needed = connection is not None and is_observed(connection, but_handlers=self.connection_state == "failed")
        self.kept = connection if needed else None
        self._close_if_idle()

    def drop(self) -> None:
        """The program has no way to it any more, and has not closed it. In whatever thread."""
        if self.is_forgotten and not self.is_dropped:
            self._warn_unclosed("its event loop has ended; call close() before that")
        if self.is_closed or self.handle is None or self.driver.handles.connections.get(self.handle) is not self:
            return  # it holds nothing
        self.is_dropped = True
        self._warn_unclosed("it was dropped; call close()")
        if self.driver.is_over:
            self.close()
        else:
            self.driver.run_here(self._close_if_idle)

    def _warn_unclosed(self, how: str) -> None:
        if self.driver.core.fileno() >= 0:  # in memory it holds nothing that the system has
            warn_unclosed(self, self.where, how)

    def _close_if_idle(self) -> None:
        """Nobody can close it any more. But a channel may still be in use (closing rule 20), unless ICE has failed."""
        if self.is_dropped and (not self.unclosed_channels or self.connection_state == "failed"):
            self.close()

    def derive_gathering_state(self) -> list[Event]:
        """W3C update the ICE gathering state: set [[IceGatheringState]]; the events where it changed."""
        # steps 2 to 4
        state = states.ice_gathering_state([transport.ice.gatheringState for transport in self.transports.values()])
        if state == self.ice_gathering_state:
            return []
        self.ice_gathering_state = state
        # steps 5 and 6
        events: list[Event] = [Event("icegatheringstatechange")]
        if state == "complete":
            events.append(RTCPeerConnectionIceEvent("icecandidate", candidate=None))
        return events

    def update_states(self) -> None:
        """W3C update the connection state: queued, because a transport has changed."""
        self.driver.queue_task(self._update_states)

    def _update_states(self) -> None:
        if not self.is_closed:
            self.fire_all(self.derive_states())

    # --- what the driver tells a connection -----------

    def handle_ended(self, left: dict[str, int]) -> None:
        """The core has ended it without being asked: it panicked."""
        self.release.finish(left)

    def handle_panicked(self, message: str) -> None:
        """A bug of the core: this connection alone is lost, as if its encryption had failed."""
        logger.error("the core has lost a connection: %s", message)
        for transport in list(self.transports.values()):
            transport.handle_dtls("failed", "dtls-failure", message, None, None)
            transport.handle_sctp("closed", None, message, None)
        for channel in list(self.unclosed_channels):
            channel.handle_closed(message, None)

    def handle_loop_ended(self) -> None:
        """The event loop ends before the program closed the connection."""
        self.is_forgotten = not self.is_closed
        self.close()
        self.release.handle_loop_ended()

    def __repr__(self) -> str:
        return f"<RTCPeerConnection {self.connection_state}, {self.negotiation.state}>"

    # --- what a channel needs -----------

    def forget_channel(self, channel: RTCDataChannel) -> None:
        """W3C closing procedure step 3."""
        self.data_channels.pop(channel, None)

    def pass_over(self, *why: str, count: int = 1) -> None:
        """Lines of the other side are passed over, and the rest is used.

        Args:
            why: of the first ones.
            count: how many there are.
        """
        self.lines_dropped += count
        for one in why:
            logger.debug("a line of the other side is not used: %s", one)

    @contextmanager
    def passing_over(self, line: str) -> Generator[None, None, None]:
        """What the core can not use of this line is passed over."""
        try:
            yield
        except ValueError as error:
            self.pass_over(f"{line[:120]!r}: {error}")

    def channel_opened(self) -> None:
        """For the statistics."""
        self.channels_opened += 1

    def channel_closed(self, channel: RTCDataChannel, *, reusable: bool) -> None:
        """Its id is free again after both directions were reset (closing rule 47)."""
        self.channels_closed += 1
        self.forget_channel(channel)
        self.unclosed_channels.pop(channel, None)
        if reusable and channel.id is not None and self.channel_ids.get(channel.id) is channel:
            del self.channel_ids[channel.id]
            self.free_ids.give_back(channel.id)
        if self.is_dropped:
            self.driver.queue_task(self._close_if_idle)
