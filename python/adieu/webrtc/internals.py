"""The internals of an RTCPeerConnection: the "internal slots" over which the W3C writes its algorithms.

They are one value. RTCPeerConnection makes it, and the modules of the algorithms read and set it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakSet, ref

from adieu import log
from adieu.errors import AbortError
from adieu.jsep import Negotiation
from adieu.webrtc.certificate import RTCCertificate
from adieu.webrtc.channel_set import ChannelSet
from adieu.webrtc.ignored_lines import IgnoredLines
from adieu.webrtc.ledger import Release
from adieu.webrtc.transceiver_internals import new_cname

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from adieu.driver import Driver
    from adieu.events import Event, EventTarget
    from adieu.jsep import Capabilities, IceCredentials
    from adieu.webrtc.candidate_pool import CandidatePool
    from adieu.webrtc.configuration import RTCConfiguration, TransportSettings
    from adieu.webrtc.media_stream import StreamInternals
    from adieu.webrtc.operations import OperationsChain
    from adieu.webrtc.rtp_sender import RTCRtpSender
    from adieu.webrtc.rtp_transceiver import RTCRtpTransceiver
    from adieu.webrtc.states import RTCIceConnectionState, RTCIceGatheringState, RTCPeerConnectionState
    from adieu.webrtc.transceiver_internals import StatsCollector
    from adieu.webrtc.transport import Transport


@dataclass(frozen=True, slots=True)
class CreatedDescription:
    """[[LastCreatedOffer]] or [[LastCreatedAnswer]], and the system state it was created from.

    Attributes:
        text: the description.
        system_state: the state of the connection at that moment.
        new_transceivers: the transceivers that new sections of an offer were made for, by the sections' indexes.
    """

    text: str
    system_state: object
    new_transceivers: Mapping[int, int] = field(default_factory=dict[int, int])


@dataclass(slots=True, kw_only=True, eq=False, weakref_slot=True)
class Internals:
    """See the module. A name in brackets is the W3C's.

    Attributes:
        log_id: its id in the log.
        has_ended: the log has the reason why it ended, or is about to.
        reference: to the RTCPeerConnection, while it exists.
        kept: the RTCPeerConnection again, while it must be kept alive (`lifetime`, closing rule 19).
        where: the program's line that made it.
        is_dropped: the program has dropped the object without closing it.
        driver: queues tasks and gives access to the core.
        settings: the settings that the W3C leaves to the implementation.
        strict: keep to the letter of the specification (`conformance`).
        session_id: of the `o=` lines.
        configuration: [[Configuration]].
        operations: [[Operations]].
        capabilities: the codecs and header extensions that can be negotiated.
        is_forgotten: the end of the event loop closed it, and not the program.
        is_warned: the log has said that its description was read too early.
        is_closed: [[IsClosed]].
        negotiation: [[SignalingState]], the four descriptions, the transceivers and the negotiated transports.
        negotiation_needed: [[NegotiationNeeded]].
        update_on_empty_chain: [[UpdateNegotiationNeededFlagOnEmptyChain]].
        credentials_to_replace: [[LocalIceCredentialsToReplace]].
        outdated_credentials: ICE credentials gathered under an older configuration; the next offer replaces them.
        last_created_offer: [[LastCreatedOffer]].
        last_created_answer: [[LastCreatedAnswer]].
        connection_state: [[ConnectionState]].
        ice_connection_state: [[IceConnectionState]].
        ice_gathering_state: [[IceGatheringState]].
        channels: [[DataChannels]], and the streams of the association.
        transports: by the key of their section.
        pool: candidates for the first local description; None without a pool, and after that description.
        offered: the transport that a remote offer proposes for data; it begins with the answer.
        transceivers: the objects of the transceivers in the snapshot, by their ids.
        senders_made: all senders of this connection, also those of removed transceivers.
        remote_streams: the streams of the other side's tracks, by the ids that it gives.
        cname: the name of this side in RTCP.
        media_epoch: counts the descriptions that have changed the core's tables of media.
        media_keys: of the transports that have such a table.
        media_ends: the ids of the transceivers of the core's receivers, and of its senders of video, by their handles.
        certificate: the local certificate, once one was needed.
        handle: the core's connection, once there is one.
        release: the waiters for the end of the connection.
        ignored_lines: counts the other side's lines that cannot be used.
        update_negotiation_needed: W3C update the negotiation-needed flag, for the objects below.
        follow_media: have the core follow a change that needs no negotiation, for the objects below.
        collect_stats: getStats() for the objects below.
    """

    reference: ref[EventTarget]
    where: str
    driver: Driver
    settings: TransportSettings
    strict: bool
    session_id: str
    configuration: RTCConfiguration
    operations: OperationsChain
    capabilities: Capabilities
    log_id: str = field(default_factory=lambda: log.new_id("pc"))
    has_ended: bool = False
    kept: EventTarget | None = None
    is_dropped: bool = False
    is_forgotten: bool = False
    is_warned: bool = False
    is_closed: bool = False
    negotiation: Negotiation = field(default_factory=Negotiation)
    negotiation_needed: bool = False
    update_on_empty_chain: bool = False
    credentials_to_replace: frozenset[IceCredentials] = frozenset()
    outdated_credentials: frozenset[IceCredentials] = frozenset()
    last_created_offer: CreatedDescription | None = None
    last_created_answer: CreatedDescription | None = None
    connection_state: RTCPeerConnectionState = "new"
    ice_connection_state: RTCIceConnectionState = "new"
    ice_gathering_state: RTCIceGatheringState = "new"
    channels: ChannelSet = field(default_factory=ChannelSet)
    transports: dict[str, Transport] = field(default_factory=dict[str, "Transport"])
    pool: CandidatePool | None = None
    offered: Transport | None = None
    transceivers: dict[int, RTCRtpTransceiver] = field(default_factory=dict[int, "RTCRtpTransceiver"])
    senders_made: WeakSet[RTCRtpSender] = field(default_factory=WeakSet["RTCRtpSender"])
    remote_streams: dict[str, StreamInternals] = field(default_factory=dict[str, "StreamInternals"])
    cname: str = field(default_factory=new_cname)
    media_epoch: int = 0
    media_keys: set[str] = field(default_factory=set[str])
    media_ends: dict[int, int] = field(default_factory=dict[int, int])
    certificate: RTCCertificate | None = None
    handle: int | None = None
    release: Release = field(default_factory=Release)
    ignored_lines: IgnoredLines = field(init=False)
    update_negotiation_needed: Callable[[], None]
    follow_media: Callable[[], None]
    collect_stats: StatsCollector

    def __post_init__(self) -> None:
        self.ignored_lines = IgnoredLines(self.log_id)

    @property
    def connection(self) -> EventTarget | None:
        """The RTCPeerConnection, while it exists."""
        return self.reference()

    async def next_task(self) -> None:
        """The W3C's "in parallel … queue a task": go on in a task of its own, unless the connection is closed by then.

        Raises:
            AbortError: it is closed (closing rule 35).
        """
        await self.driver.next_task()
        if self.is_closed:
            if self.strict:
                await asyncio.get_running_loop().create_future()
            raise AbortError("the connection was closed")

    def fire(self, event: Event) -> None:
        """Fire an event at the connection. A dropped connection has no listeners."""
        connection = self.connection
        if connection is not None:
            connection.dispatchEvent(event)

    def fire_all(self, events: Iterable[Event]) -> None:
        """Fire one event after the other; a handler may close the connection between two (closing rule 34)."""
        for event in events:
            if not self.is_closed:
                self.fire(event)

    def local_certificate(self) -> RTCCertificate:
        """Return the configured certificate, or make one now."""
        if self.certificate is None:
            configured = self.configuration.certificates
            self.certificate = configured[0] if configured else RTCCertificate.generate()
        return self.certificate

    def local_credentials(self) -> frozenset[IceCredentials]:
        """Return all ICE credentials of the current and of the pending local description."""
        local = (self.negotiation.current_local, self.negotiation.pending_local)
        sections = (section for description in local if description is not None for section in description.sections)
        return frozenset(section.credentials for section in sections if section.credentials is not None)

    def all_transports(self) -> tuple[Transport, ...]:
        """Return the transports that are open, and the offered one."""
        return (*self.transports.values(), *((self.offered,) if self.offered is not None else ()))

    def __repr__(self) -> str:
        return f"<RTCPeerConnection {self.connection_state}, {self.negotiation.state}>"
