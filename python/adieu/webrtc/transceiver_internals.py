"""The internals that a transceiver, its sender and its receiver share.

All that negotiation reads or writes is a value in the connection's snapshot (`jsep.Transceiver`). Here are the objects:
tracks and transports.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from adieu.jsep import direction
from adieu.webrtc.media_stream_track import MediaStreamTrack, TrackInternals, TrackSource

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from adieu import jsep
    from adieu.driver import Driver
    from adieu.webrtc.dtls_transport import RTCDtlsTransport
    from adieu.webrtc.operations import OperationsChain
    from adieu.webrtc.states import RTCPeerConnectionState
    from adieu.webrtc.stats_report import RTCStatsReport

StatsCollector: TypeAlias = (
    "Callable[[RTCDtlsTransport | None, tuple[TransceiverInternals, ...]], Coroutine[Any, Any, RTCStatsReport]]"
)
"""Collects what belongs to a transport, and what these senders send."""


class TransceiverOwner(Protocol):
    """The part of a connection that its transceivers use."""

    negotiation: jsep.Negotiation

    @property
    def is_closed(self) -> bool:
        """The W3C's [[IsClosed]]."""
        ...

    @property
    def driver(self) -> Driver:
        """Queues tasks, and knows the thread of the event loop."""
        ...

    @property
    def operations(self) -> OperationsChain:
        """The W3C's [[Operations]]."""
        ...

    @property
    def capabilities(self) -> jsep.Capabilities:
        """The codecs and header extensions that can be negotiated."""
        ...

    @property
    def connection_state(self) -> RTCPeerConnectionState:
        """The W3C's [[ConnectionState]]."""
        ...

    @property
    def cname(self) -> str:
        """The name of this side in RTCP."""
        ...

    @property
    def update_negotiation_needed(self) -> Callable[[], None]:
        """W3C update the negotiation-needed flag."""
        ...

    @property
    def collect_stats(self) -> StatsCollector:
        """Collect statistics."""
        ...

    async def next_task(self) -> None:
        """Go on in a task of its own, unless the connection is closed by then."""


@dataclass(slots=True, eq=False)
class TransceiverInternals:
    """The internals of one transceiver.

    Attributes:
        owner: its connection.
        id: of its value in the snapshot.
        sender_track: [[SenderTrack]].
        receiver: the internals of [[ReceiverTrack]].
        receiver_track: [[ReceiverTrack]].
        transport: [[SenderTransport]] and [[ReceiverTransport]], which are always the same.
        removed: its last value, once it has left the snapshot.
    """

    owner: TransceiverOwner
    id: int
    sender_track: MediaStreamTrack | None
    receiver: TrackInternals
    receiver_track: MediaStreamTrack
    transport: RTCDtlsTransport | None = None
    removed: jsep.Transceiver | None = None

    @classmethod
    def create(
        cls, owner: TransceiverOwner, value: jsep.Transceiver, track: MediaStreamTrack | None
    ) -> TransceiverInternals:
        """W3C create an RTCRtpReceiver, steps 2 to 5: its track is muted until media comes."""
        receiver = TrackInternals(value.kind, TrackSource(f"remote {value.kind}"), muted=True)
        return cls(owner, value.id, track, receiver, MediaStreamTrack(receiver))

    @property
    def value(self) -> jsep.Transceiver:
        """The transceiver as it is now."""
        value = self.removed or self.owner.negotiation.transceiver(self.id)
        if value is None:
            raise AssertionError("a transceiver that has left the set keeps its last value")
        return value

    def change(self, **members: Any) -> None:
        """Set members of the value."""
        changed = replace(self.value, **members)
        if self.removed is not None:
            self.removed = changed
        else:
            self.owner.negotiation = self.owner.negotiation.with_transceiver(changed)

    @property
    def is_sending(self) -> bool:
        """Whether negotiation lets it send now."""
        return direction.sends(self.value.current_direction)

    def require_thread(self, what: str) -> None:
        """Raise RuntimeError if `what` is called in another thread than that of the event loop."""
        self.owner.driver.require_thread(what)

    def end_receiving(self) -> None:
        """W3C stop sending and receiving, step 5: the receiver's track ends, with its event (closing rule 7).

        Mediacapture-streams, life-cycle and media flow: that is a task of its own.
        """
        if self.owner.driver.is_over:
            self.receiver.stop()
        else:
            self.owner.driver.queue_task(self.receiver.end)


def new_cname() -> str:
    """Make the name of one side of a connection in RTCP: 96 random bits (RFC 7022 section 4.2)."""
    return secrets.token_urlsafe(12)
