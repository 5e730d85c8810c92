"""The value of an RTCRtpTransceiver with its sender and receiver: all of it that negotiation reads or writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from adieu.jsep.codecs import Codec, Kind
    from adieu.sdp.attributes import Direction, ExtMap


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How one stream of a sender is encoded. https://www.w3.org/TR/webrtc/#dom-rtcrtpencodingparameters

    Attributes:
        rid: names it among several (simulcast).
        active: whether it is sent.
        max_bitrate: bits a second.
        max_framerate: frames a second.
        scale_resolution_down_by: how many times smaller the picture is, 1.0 or more; None for audio.
        codec: a codec instead of the one that negotiation prefers.
        priority: among the streams of a connection.
        network_priority: the same, on the network.
        scalability_mode: layers within the stream, as "L1T2".
    """

    rid: str | None = None
    active: bool = True
    max_bitrate: int | None = None
    max_framerate: float | None = None
    scale_resolution_down_by: float | None = None
    codec: Codec | None = None
    priority: str = "low"
    network_priority: str = "low"
    scalability_mode: str | None = None


MAX_ENCODINGS: Final = 6
"""The number of encodings of one sender; further ones are cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transceiver:
    """See the module. A name in brackets is the W3C's.

    Attributes:
        id: its number within the connection.
        kind: of its tracks.
        direction: [[Direction]], the wanted one.
        streams: [[AssociatedMediaStreamIds]] of the sender.
        encodings: [[SendEncodings]].
        ridless_encodings: [[LastStableRidlessSendEncodings]].
        preferences: [[PreferredCodecs]].
        stopping: [[Stopping]].
        stopped: [[Stopped]].
        made_by_track: whether addTrack() has made it: then it may take up an offered section.
        taken_by_track: whether addTrack() has ever given it a track: then no rollback takes it away.
        offered_by_peer: whether the pending remote offer has made it.
        has_sent: whether [[CurrentDirection]] has ever had a sending part.
        mid: [[Mid]], also if the other side writes no mid.
        index: the place of the section that it is associated with.
        current_direction: [[CurrentDirection]].
        fired_direction: [[FiredDirection]].
        receptive: [[Receptive]].
        remote_streams: the ids of [[AssociatedRemoteMediaStreams]].
        send_codecs: [[SendCodecs]].
        receive_codecs: [[ReceiveCodecs]].
        extensions: header extensions that are negotiated.
        reduced_size: whether reduced-size RTCP is negotiated.
    """

    id: int
    kind: Kind
    direction: Direction = "sendrecv"
    streams: tuple[str, ...] = ()
    encodings: tuple[Encoding, ...] = (Encoding(),)
    ridless_encodings: tuple[Encoding, ...] | None = None
    preferences: tuple[Codec, ...] = ()
    stopping: bool = False
    stopped: bool = False
    made_by_track: bool = False
    taken_by_track: bool = False
    offered_by_peer: bool = False
    has_sent: bool = False
    mid: str | None = None
    index: int | None = None
    current_direction: Direction | None = None
    fired_direction: Direction | None = None
    receptive: bool = False
    remote_streams: tuple[str, ...] = ()
    send_codecs: tuple[Codec, ...] = ()
    receive_codecs: tuple[Codec, ...] = ()
    extensions: tuple[ExtMap, ...] = ()
    reduced_size: bool = False

    @property
    def rids(self) -> tuple[str, ...]:
        """Return the rids of the encodings that have one."""
        return tuple(encoding.rid for encoding in self.encodings if encoding.rid is not None)
