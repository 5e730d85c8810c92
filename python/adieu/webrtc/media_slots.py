"""What a transceiver, its sender and its receiver share.

All that negotiation reads or writes is a value in the connection's snapshot (`jsep.Transceiver`); what is left are the
objects themselves: tracks and transports.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from adieu.jsep import direction
from adieu.webrtc.media_stream_track import MediaStreamTrack, TrackSlots, TrackSource

if TYPE_CHECKING:
    from adieu import jsep
    from adieu.webrtc.dtls_transport import RTCDtlsTransport
    from adieu.webrtc.slots import Slots


@dataclass(slots=True, eq=False)
class MediaSlots:
    """The internal slots of one transceiver.

    Attributes:
        connection: the slots of its connection.
        id: of its value in the snapshot.
        sender_track: [[SenderTrack]].
        receiver: the slots of [[ReceiverTrack]].
        receiver_track: [[ReceiverTrack]].
        transport: [[SenderTransport]] and [[ReceiverTransport]], which are always the same.
        gone: the last value, once it is no longer in the snapshot.
    """

    connection: Slots
    id: int
    sender_track: MediaStreamTrack | None
    receiver: TrackSlots
    receiver_track: MediaStreamTrack
    transport: RTCDtlsTransport | None = None
    gone: jsep.Transceiver | None = None

    @classmethod
    def create(cls, connection: Slots, value: jsep.Transceiver, track: MediaStreamTrack | None) -> MediaSlots:
        """W3C create an RTCRtpReceiver, steps 2 to 5: its track is muted until something comes."""
        receiver = TrackSlots(value.kind, TrackSource(f"remote {value.kind}"), muted=True)
        return cls(connection, value.id, track, receiver, MediaStreamTrack(receiver))

    @property
    def value(self) -> jsep.Transceiver:
        """The transceiver as it is now."""
        value = self.gone or self.connection.negotiation.transceiver(self.id)
        if value is None:
            raise AssertionError("a transceiver that has left the set keeps its last value")
        return value

    def change(self, **members: Any) -> None:
        """Set members of the value."""
        changed = replace(self.value, **members)
        if self.gone is not None:
            self.gone = changed
        else:
            self.connection.negotiation = self.connection.negotiation.with_transceiver(changed)

    @property
    def is_sending(self) -> bool:
        """Whether negotiation lets it send now."""
        return direction.sends(self.value.current_direction)

    def end_receiving(self) -> None:
        """W3C stop sending and receiving, step 5: the receiver's track ends, with its event (closing rule 7).

        Mediacapture-streams, life-cycle and media flow: that is a task of its own.
        """
        if self.connection.driver.is_over:
            self.receiver.stop()
        else:
            self.connection.driver.queue_task(self.receiver.end)


def new_cname() -> str:
    """RFC 7022 section 4.2: what RTCP calls one side of a connection, 96 random bits."""
    return secrets.token_urlsafe(12)
