"""The media of a connection: how transceivers are made, and what descriptions do to their objects.

https://www.w3.org/TR/webrtc/#rtcpeerconnection-interface-extensions. The decisions are in `jsep`; here are the objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from adieu import jsep
from adieu.errors import InvalidAccessError
from adieu.jsep import SUPPORTED, Transceiver, default_encoding
from adieu.webrtc.media_slots import MediaSlots
from adieu.webrtc.media_stream import MediaStream, StreamSlots
from adieu.webrtc.media_stream_track import MediaStreamTrack
from adieu.webrtc.negotiation_needed import update_negotiation_needed_flag
from adieu.webrtc.rtp_parameters import check_new_encodings
from adieu.webrtc.rtp_receiver import RTCRtpReceiver
from adieu.webrtc.rtp_sender import RTCRtpSender, stream_ids
from adieu.webrtc.rtp_transceiver import RTCRtpTransceiver
from adieu.webrtc.track_event import RTCTrackEvent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from adieu.jsep import Encoding, Kind, MediaChanges
    from adieu.sdp.attributes import Direction
    from adieu.webrtc.rtp_transceiver import RTCRtpTransceiverInit
    from adieu.webrtc.slots import Slots


# --- what a program makes -----------


def add_transceiver(slots: Slots, track_or_kind: object, init: RTCRtpTransceiverInit) -> RTCRtpTransceiver:
    """W3C addTransceiver, from step 5 on; the connection is not closed.

    Raises:
        TypeError, ValueError, OperationError: the encodings are wrong.
    """
    track, kind = track_and_kind(track_or_kind)
    # step 8
    most = jsep.MAX_ENCODINGS if kind == "video" else 1
    encodings = check_new_encodings(kind, init.sendEncodings, SUPPORTED[kind], most)
    # steps 9 to 12
    direction = cast("Direction", init.direction)
    transceiver = _create(slots, kind, direction, track, stream_ids(init.streams), encodings=encodings)
    # step 13
    update_negotiation_needed_flag(slots)
    return transceiver.object


def track_and_kind(track_or_kind: object) -> tuple[MediaStreamTrack | None, Kind]:
    """W3C addTransceiver, steps 5 and 6.

    Raises:
        TypeError: it is neither a track nor "audio" nor "video".
    """
    if isinstance(track_or_kind, MediaStreamTrack):
        return track_or_kind, track_or_kind.kind
    kinds: dict[object, Kind] = {"audio": "audio", "video": "video"}
    if not isinstance(track_or_kind, str) or track_or_kind not in kinds:
        raise TypeError(f"{track_or_kind!r} is neither a MediaStreamTrack nor 'audio' nor 'video'")
    return None, kinds[track_or_kind]


def add_track(slots: Slots, track: object, streams: Sequence[MediaStream]) -> RTCRtpSender:
    """W3C addTrack, from step 4 on; the connection is not closed.

    Raises:
        TypeError: something is no track or no stream.
        InvalidAccessError: a sender has this track.
    """
    if not isinstance(track, MediaStreamTrack):
        raise TypeError(f"{track!r} is not a MediaStreamTrack")
    ids = stream_ids(streams)
    # step 6
    present = list(_live(slots))
    if any(media.slots.sender_track is track for media in present):
        raise InvalidAccessError(f"{track!r} has a sender already")
    # steps 7 and 8
    reused = next((media for media in present if _can_take(media, track)), None)
    if reused is not None:
        value = reused.slots.value
        wanted = jsep.direction.of(send=True, receive=jsep.direction.receives(value.direction))
        reused.slots.sender_track = track
        reused.slots.change(streams=ids, direction=wanted, taken_by_track=True)
    else:
        reused = _create(slots, track.kind, "sendrecv", track, ids, by_track=True)
    # step 10
    update_negotiation_needed_flag(slots)
    return reused.object.sender


def _can_take(media: Media, track: MediaStreamTrack) -> bool:
    """W3C addTrack, step 7: a sender that has nothing to send, and never had."""
    value = media.slots.value
    return value.kind == track.kind and media.slots.sender_track is None and not value.has_sent


def remove_track(slots: Slots, sender: object) -> None:
    """W3C removeTrack, from step 4 on; the connection is not closed.

    Raises:
        TypeError: it is no sender.
        InvalidAccessError: it is one of another connection.
    """
    if not isinstance(sender, RTCRtpSender):
        raise TypeError(f"{sender!r} is not an RTCRtpSender")
    # step 4
    if sender not in slots.senders_made:
        raise InvalidAccessError(f"{sender!r} is one of another connection")
    # steps 5 to 7
    media = next((media for media in _live(slots) if media.object.sender is sender), None)
    if media is None or media.slots.sender_track is None:
        return
    # steps 8 to 10
    value = media.slots.value
    media.slots.sender_track = None
    media.slots.change(direction=jsep.direction.of(send=False, receive=jsep.direction.receives(value.direction)))
    # step 11
    update_negotiation_needed_flag(slots)


def offer_to_receive(slots: Slots, kind: Kind, *, wanted: bool) -> None:
    """https://www.w3.org/TR/webrtc/#legacy-configuration-extensions: offerToReceiveAudio and offerToReceiveVideo."""
    directions = jsep.direction
    of_kind = [media.slots for media in _live(slots) if media.slots.value.kind == kind]
    receiving = [media for media in of_kind if directions.receives(media.value.direction)]
    if not wanted:
        for media in receiving:
            media.change(direction=directions.of(send=directions.sends(media.value.direction), receive=False))
    elif not receiving:
        _create(slots, kind, "recvonly", None, ())
    else:
        return
    update_negotiation_needed_flag(slots)


class Media:
    """A transceiver's object and its slots."""

    __slots__ = ("object", "slots")

    def __init__(self, slots: MediaSlots) -> None:
        self.slots: MediaSlots = slots
        self.object: RTCRtpTransceiver = RTCRtpTransceiver(slots, RTCRtpSender(slots), RTCRtpReceiver(slots))


def _create(
    slots: Slots,
    kind: Kind,
    direction: Direction,
    track: MediaStreamTrack | None,
    streams: tuple[str, ...],
    *,
    encodings: tuple[Encoding, ...] = (),
    by_track: bool = False,
) -> Media:
    """W3C create an RTCRtpTransceiver, and add it to the set."""
    value = Transceiver(
        id=slots.negotiation.transceiver_ids + 1,
        kind=kind,
        direction=direction,
        streams=streams,
        encodings=encodings or (default_encoding(kind),),
        made_by_track=by_track,
        taken_by_track=by_track,
    )
    slots.negotiation = slots.negotiation.with_transceiver(value)
    return _objects_of(slots, value, track)


def _objects_of(slots: Slots, value: Transceiver, track: MediaStreamTrack | None) -> Media:
    media = Media(MediaSlots.create(slots, value, track))
    slots.media[value.id] = media
    slots.senders_made.add(media.object.sender)
    return media


# --- the set of transceivers -----------


def transceivers(slots: Slots) -> list[RTCRtpTransceiver]:
    """W3C CollectTransceivers."""
    return [slots.media[value.id].object for value in slots.negotiation.transceivers]


def live_transceivers(slots: Slots) -> list[RTCRtpTransceiver]:
    """W3C CollectSenders, CollectReceivers: of those that are not stopped."""
    return [
        slots.media[value.id].object for value in slots.negotiation.transceivers if not value.stopped or slots.is_closed
    ]


def _live(slots: Slots) -> Iterator[Media]:
    for value in slots.negotiation.transceivers:
        if not value.stopping:
            yield slots.media[value.id]


# --- what a description does -----------


def apply(slots: Slots, changes: MediaChanges) -> None:
    """W3C set a session description, success steps 8 to 10: the objects of what the new snapshot has."""
    for value in slots.negotiation.transceivers:
        if value.id not in slots.media:
            _objects_of(slots, value, None)
    for gone in changes.gone:
        if gone.id not in slots.media:  # made and stopped by one description
            continue
        slots.media.pop(gone.id).slots.gone = gone
    for value in slots.negotiation.transceivers:
        media = slots.media[value.id]
        media.object.sender.forget_parameters()
        if not value.stopped:
            key = slots.negotiation.carrier(value.index)
            transport = slots.transports.get(key) if key is not None else None
            media.slots.transport = transport.dtls if transport is not None else None


def announce(slots: Slots, changes: MediaChanges, known: dict[int, Media]) -> Iterator[None]:
    """Success steps 16 to 19, one event after the other: a handler may close the connection between two.

    Args:
        slots: of the connection.
        changes: what is to be told.
        known: the transceivers, also those that have left the set.
    """
    for id_ in changes.muted:
        known[id_].slots.receiver.set_muted(True)
        yield
    for name, id_ in changes.removed:
        slots.remote_streams[name].remove(known[id_].slots.receiver_track)
        yield
    for name, id_ in changes.added:
        _stream(slots, name).add(known[id_].slots.receiver_track)
        yield
    for id_ in changes.tracks:
        transceiver = known[id_].object
        streams = [_shown(slots, name) for name in known[id_].slots.value.remote_streams]
        init: dict[str, Any] = {
            "receiver": transceiver.receiver,
            "track": transceiver.receiver.track,
            "streams": streams,
            "transceiver": transceiver,
        }
        slots.fire(RTCTrackEvent("track", init))
        yield


def _stream(slots: Slots, name: str) -> StreamSlots:
    """W3C set the associated remote streams, step 2: one for each id in the life of a connection."""
    if name not in slots.remote_streams:
        stream = StreamSlots() if name.startswith(jsep.NAMELESS) else StreamSlots(name)
        slots.remote_streams[name] = stream
        MediaStream.of(stream)
    return slots.remote_streams[name]


def _shown(slots: Slots, name: str) -> MediaStream:
    stream = _stream(slots, name).stream
    if stream is None:
        raise AssertionError("a stream of the other side has its object")
    return stream


# --- the end -----------


def stop_all(slots: Slots) -> None:
    """W3C close the connection, step 4 (closing rules 5, 7): every transceiver stops, receiver tracks end."""
    for media in slots.media.values():
        media.slots.end_receiving()
