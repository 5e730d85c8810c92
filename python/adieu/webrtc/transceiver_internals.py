"""The internals that a transceiver, its sender and its receiver share.

All that negotiation reads or writes is a value in the connection's snapshot (`jsep.Transceiver`). Here are the objects:
tracks and transports.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from adieu.events import end_events
from adieu.jsep import direction, same_codec
from adieu.webrtc.media_stream_track import MediaStreamTrack, TrackInternals, TrackSource
from adieu.webrtc.media_stream_track import internals_of as track_internals

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu import jsep
    from adieu.driver import Driver
    from adieu.events import EventTarget
    from adieu.webrtc.dtls_transport import RTCDtlsTransport
    from adieu.webrtc.media_stream_track import Feed
    from adieu.webrtc.operations import OperationsChain
    from adieu.webrtc.states import RTCPeerConnectionState
    from adieu.webrtc.stats_report import RTCStatsReport
    from adieu.webrtc.video_sender import VideoSender


class StatsCollector(Protocol):
    """Collects what belongs to a transport, what these senders send, and what these receivers get."""

    async def __call__(
        self,
        transport: RTCDtlsTransport | None,
        senders: tuple[TransceiverInternals, ...],
        receivers: tuple[TransceiverInternals, ...],
        /,
    ) -> RTCStatsReport:
        """Return the statistics, also after a close."""
        ...


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
    def update_negotiation_needed(self) -> Callable[[], None]:
        """W3C update the negotiation-needed flag."""
        ...

    @property
    def follow_media(self) -> Callable[[], None]:
        """Have the core follow a change that needs no negotiation."""
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
        cname: the name of this side in RTCP.
        transport: [[SenderTransport]] and [[ReceiverTransport]], which are always the same.
        media_sender: the handle of the core's sender, once the transceiver was in a description.
        media_receiver: the same of the core's receiver.
        video: the sender of pictures, of a video transceiver that has a sender in the core.
        jitter_target: the receiver's jitterBufferTarget, in milliseconds.
        dtmf: the sender of telephone tones, of an audio transceiver.
        removed: its last value, once it has left the snapshot.
    """

    owner: TransceiverOwner
    id: int
    sender_track: MediaStreamTrack | None
    receiver: TrackInternals
    receiver_track: MediaStreamTrack
    cname: str
    transport: RTCDtlsTransport | None = None
    removed: jsep.Transceiver | None = None
    media_sender: int | None = None
    media_receiver: int | None = None
    video: VideoSender | None = None
    jitter_target: float | None = None
    dtmf: EventTarget | None = None
    _fed_by: Feed | None = None

    @classmethod
    def create(
        cls, owner: TransceiverOwner, value: jsep.Transceiver, track: MediaStreamTrack | None, cname: str
    ) -> TransceiverInternals:
        """W3C create an RTCRtpReceiver, steps 2 to 5: its track is muted until media comes."""
        source = TrackSource(f"remote {value.kind}", driver=owner.driver)
        receiver = TrackInternals(value.kind, source, muted=True)
        made = cls(owner, value.id, None, receiver, MediaStreamTrack(receiver), cname)
        made.set_track(track)
        return made

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

    @property
    def send_codecs(self) -> list[jsep.Codec]:
        """The codecs to send: first the one that the encoding asks for, or in which the track's source is encoded."""
        chosen = self.value.encodings[0].codec
        source = track_internals(self.sender_track).source.codec if self.sender_track is not None else ""

        def is_other(codec: jsep.Codec) -> bool:
            return not same_codec(codec, chosen) if chosen is not None else codec.name != source

        return sorted(self.value.send_codecs, key=is_other)

    def require_thread(self, what: str) -> None:
        """Raise RuntimeError if `what` is called in another thread than that of the event loop."""
        self.owner.driver.require_thread(what)

    # --- the track that is sent -----------

    def set_track(self, track: MediaStreamTrack | None) -> None:
        """Set [[SenderTrack]]; the core sends it from now on."""
        before, self.sender_track = self.sender_track, track
        if before is not None and self.follow_track in (calls := track_internals(before).when_changed):
            calls.remove(self.follow_track)
        if track is not None:
            track_internals(track).when_changed.append(self.follow_track)
        self.follow_track()
        codecs = {track_internals(known).source.codec for known in (before, track) if known is not None}
        if len(codecs) > 1 and self.media_sender is not None:
            self.owner.follow_media()

    def follow_track(self) -> None:
        """Have the core send what the track gives: its source's sound or pictures, silence or black, or nothing."""
        track = track_internals(self.sender_track) if self.sender_track is not None else None
        gone = self.owner.is_closed or self.value.stopping or self.removed is not None
        if gone:
            self._end_tones()
        if gone or track is None or track.state == "ended":
            track = None
        feed = track.source.feed if track is not None else None
        if feed is not self._fed_by:
            before, self._fed_by = self._fed_by, feed
            if feed is not None:
                feed.hold(self)
            if before is not None:
                before.let_go(self)
        if self.media_sender is not None:
            audio = track.source.audio if track is not None else None
            self.owner.driver.core.attach(self.media_sender, audio, track is not None and track.enabled)
        if self.video is not None:
            video = track.source.video if track is not None else None
            self.video.feed(video, enabled=track is not None and track.enabled)

    def leave(self, last: jsep.Transceiver) -> None:
        """Note the last value: the transceiver has left the set. Nothing is sent for it from now on."""
        self.removed = last
        self.follow_track()
        self.let_go()

    def let_go(self) -> None:
        """Forget the track's feed: the connection is closed, or the transceiver has left it."""
        self._end_tones()
        before, self._fed_by = self._fed_by, None
        if before is not None:
            before.let_go(self)
        if self.video is not None:
            self.video.feed(None, enabled=False)
        if self.sender_track is not None:
            calls = track_internals(self.sender_track).when_changed
            if self.follow_track in calls:
                calls.remove(self.follow_track)

    def _end_tones(self) -> None:
        """End what awaits a tone: the last one was played."""
        if self.dtmf is not None:
            self.owner.driver.run_here(end_events, self.dtmf, "the transceiver is stopped, or its connection is closed")

    def follow_jitter_target(self) -> None:
        """Give the core the jitterBufferTarget."""
        if self.media_receiver is not None:
            target = self.jitter_target
            self.owner.driver.core.jitter_target(self.media_receiver, None if target is None else target / 1000)

    def end_receiving(self) -> None:
        """W3C stop sending and receiving, step 5: the receiver's track ends, with its event (closing rule 7).

        Mediacapture-streams, life-cycle and media flow: that is a task of its own.
        """
        if self.owner.driver.is_over:
            self.receiver.end_quietly()
        else:
            self.owner.driver.queue_task(self.receiver.end)


def new_cname() -> str:
    """Make the name of one side of a connection in RTCP: 96 random bits (RFC 7022 section 4.2)."""
    return secrets.token_urlsafe(12)
