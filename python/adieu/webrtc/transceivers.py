"""The transceivers of a connection: how a program makes them, and what descriptions do to their objects.

https://www.w3.org/TR/webrtc/#rtcpeerconnection-interface-extensions. `jsep.transceivers` decides, and this module
carries out the decisions on the objects.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from adieu import jsep
from adieu.errors import InvalidAccessError
from adieu.jsep import Transceiver, default_encoding
from adieu.webrtc.media_stream import MediaStream, StreamInternals
from adieu.webrtc.media_stream_track import MediaStreamTrack, no_track
from adieu.webrtc.negotiation_needed import update_negotiation_needed_flag
from adieu.webrtc.rtp_parameters import check_new_encodings
from adieu.webrtc.rtp_sender import RTCRtpSender, stream_ids
from adieu.webrtc.rtp_transceiver import RTCRtpTransceiver, internals_of
from adieu.webrtc.track_event import RTCTrackEvent
from adieu.webrtc.transceiver_internals import TransceiverInternals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from adieu.jsep import Encoding, Kind, MediaChanges
    from adieu.sdp.attributes import Direction
    from adieu.webrtc.internals import Internals
    from adieu.webrtc.rtp_transceiver import RTCRtpTransceiverInit


# --- the program's calls -----------


def add_transceiver(internals: Internals, track_or_kind: object, init: RTCRtpTransceiverInit) -> RTCRtpTransceiver:
    """W3C addTransceiver, from step 5 on; the connection is not closed.

    Raises:
        TypeError, ValueError, OperationError: the encodings are wrong.
    """
    track, kind = track_and_kind(track_or_kind)
    # step 8
    most = jsep.MAX_ENCODINGS if kind == "video" else 1
    encodings = check_new_encodings(kind, init.sendEncodings, internals.capabilities.codecs[kind], most)
    # steps 9 to 12
    direction = cast("Direction", init.direction)
    transceiver = _create(internals, kind, direction, track, stream_ids(init.streams), encodings=encodings)
    # step 13
    update_negotiation_needed_flag(internals)
    return transceiver


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


def add_track(internals: Internals, track: object, streams: Sequence[MediaStream]) -> RTCRtpSender:
    """W3C addTrack, from step 4 on; the connection is not closed.

    Raises:
        TypeError: an argument is not a track or not a stream.
        InvalidAccessError: a sender has this track.
    """
    if not isinstance(track, MediaStreamTrack):
        raise no_track(track)
    ids = stream_ids(streams)
    # step 6
    present = list(_not_stopping(internals))
    if any(internals_of(transceiver).sender_track is track for transceiver in present):
        raise InvalidAccessError(f"{track!r} has a sender already")
    # steps 7 and 8
    chosen = next((transceiver for transceiver in present if _can_take(internals_of(transceiver), track)), None)
    if chosen is not None:
        reused = internals_of(chosen)
        wanted = jsep.direction.of(send=True, receive=jsep.direction.receives(reused.value.direction))
        reused.set_track(track)
        reused.change(streams=ids, direction=wanted, taken_by_track=True)
    else:
        chosen = _create(internals, track.kind, "sendrecv", track, ids, by_track=True)
    # step 10
    update_negotiation_needed_flag(internals)
    return chosen.sender


def _can_take(transceiver: TransceiverInternals, track: MediaStreamTrack) -> bool:
    """W3C addTrack, step 7: its sender has nothing to send, and never had."""
    value = transceiver.value
    return value.kind == track.kind and transceiver.sender_track is None and not value.has_sent


def remove_track(internals: Internals, sender: object) -> None:
    """W3C removeTrack, from step 4 on; the connection is not closed.

    Raises:
        TypeError: it is not a sender.
        InvalidAccessError: it is a sender of another connection.
    """
    if not isinstance(sender, RTCRtpSender):
        raise TypeError(f"{sender!r} is not an RTCRtpSender")
    # step 4
    if sender not in internals.senders_made:
        raise InvalidAccessError(f"{sender!r} is one of another connection")
    # steps 5 to 7
    found = next((transceiver for transceiver in _not_stopping(internals) if transceiver.sender is sender), None)
    if found is None or internals_of(found).sender_track is None:
        return
    # steps 8 to 10
    transceiver = internals_of(found)
    transceiver.set_track(None)
    receive = jsep.direction.receives(transceiver.value.direction)
    transceiver.change(direction=jsep.direction.of(send=False, receive=receive))
    # step 11
    update_negotiation_needed_flag(internals)


def offer_to_receive(internals: Internals, kind: Kind, *, wanted: bool) -> None:
    """https://www.w3.org/TR/webrtc/#legacy-configuration-extensions: offerToReceiveAudio and offerToReceiveVideo."""
    directions = jsep.direction
    all_present = map(internals_of, _not_stopping(internals))
    of_kind = [transceiver for transceiver in all_present if transceiver.value.kind == kind]
    receiving = [transceiver for transceiver in of_kind if directions.receives(transceiver.value.direction)]
    if not wanted:
        for transceiver in receiving:
            send = directions.sends(transceiver.value.direction)
            transceiver.change(direction=directions.of(send=send, receive=False))
    elif not receiving:
        _create(internals, kind, "recvonly", None, ())
    else:
        return
    update_negotiation_needed_flag(internals)


def _create(
    internals: Internals,
    kind: Kind,
    direction: Direction,
    track: MediaStreamTrack | None,
    streams: tuple[str, ...],
    *,
    encodings: tuple[Encoding, ...] = (),
    by_track: bool = False,
) -> RTCRtpTransceiver:
    """W3C create an RTCRtpTransceiver, and add it to the set."""
    value = Transceiver(
        id=internals.negotiation.transceiver_ids + 1,
        kind=kind,
        direction=direction,
        streams=streams,
        encodings=encodings or (default_encoding(kind),),
        made_by_track=by_track,
        taken_by_track=by_track,
    )
    internals.negotiation = internals.negotiation.with_transceiver(value)
    return _new_object(internals, value, track)


def _new_object(internals: Internals, value: Transceiver, track: MediaStreamTrack | None) -> RTCRtpTransceiver:
    transceiver = RTCRtpTransceiver(TransceiverInternals.create(internals, value, track, internals.cname))
    internals.transceivers[value.id] = transceiver
    internals.senders_made.add(transceiver.sender)
    return transceiver


# --- the set of transceivers -----------


def transceivers(internals: Internals) -> list[RTCRtpTransceiver]:
    """W3C CollectTransceivers."""
    return [internals.transceivers[value.id] for value in internals.negotiation.transceivers]


def live_transceivers(internals: Internals) -> list[RTCRtpTransceiver]:
    """W3C CollectSenders, CollectReceivers: the transceivers that are not stopped."""
    return [
        internals.transceivers[value.id]
        for value in internals.negotiation.transceivers
        if not value.stopped or internals.is_closed
    ]


def _not_stopping(internals: Internals) -> Iterator[RTCRtpTransceiver]:
    for value in internals.negotiation.transceivers:
        if not value.stopping:
            yield internals.transceivers[value.id]


# --- descriptions -----------


def apply(internals: Internals, changes: MediaChanges) -> Mapping[int, RTCRtpTransceiver]:
    """W3C set a session description, success steps 8 to 10: the objects follow the new snapshot.

    Returns:
        The transceivers of the changes, by their ids: those of the set, and those that leave it now.
    """
    for value in internals.negotiation.transceivers:
        if value.id not in internals.transceivers:
            _new_object(internals, value, None)
    concerned = dict(internals.transceivers)
    for removed in changes.removed_transceivers:
        if removed.id in internals.transceivers:  # else one description has made and stopped it
            internals_of(internals.transceivers.pop(removed.id)).leave(removed)
    for value in internals.negotiation.transceivers:
        transceiver = internals.transceivers[value.id]
        transceiver.sender.forget_parameters()
        if not value.stopped:
            key = internals.negotiation.bundle_transport(value.index)
            transport = internals.transports.get(key) if key is not None else None
            internals_of(transceiver).transport = transport.dtls if transport is not None else None
    return concerned


def announcements(
    internals: Internals, changes: MediaChanges, concerned: Mapping[int, RTCRtpTransceiver]
) -> Iterator[Callable[[], None]]:
    """Success steps 16 to 19, each event as a call: a handler may close the connection between two.

    Args:
        internals: of the connection.
        changes: what the events report.
        concerned: the transceivers of the changes (`apply`).
    """
    for id_ in changes.muted:
        yield partial(internals_of(concerned[id_]).receiver.set_muted, True)
    for name, id_ in changes.removed:
        yield partial(internals.remote_streams[name].remove, concerned[id_].receiver.track)
    for name, id_ in changes.added:
        yield partial(_stream(internals, name).add, concerned[id_].receiver.track)
    for id_ in changes.tracks:
        yield partial(_announce_track, internals, concerned[id_])


def _announce_track(internals: Internals, transceiver: RTCRtpTransceiver) -> None:
    names = internals_of(transceiver).value.remote_streams
    init: dict[str, Any] = {
        "receiver": transceiver.receiver,
        "track": transceiver.receiver.track,
        "streams": [_object_of(_stream(internals, name)) for name in names],
        "transceiver": transceiver,
    }
    internals.fire(RTCTrackEvent("track", init))


def _stream(internals: Internals, name: str) -> StreamInternals:
    """W3C set the associated remote streams, step 2: one for each id in the life of a connection."""
    if name not in internals.remote_streams:
        stream = StreamInternals() if name.startswith(jsep.NAMELESS) else StreamInternals(name)
        internals.remote_streams[name] = stream
        MediaStream.of(stream)
    return internals.remote_streams[name]


def _object_of(stream: StreamInternals) -> MediaStream:
    if stream.stream is None:
        raise AssertionError("a stream of the other side has its object")
    return stream.stream


# --- the end -----------


def stop_all(internals: Internals) -> None:
    """W3C close the connection, step 4 (closing rules 5, 7): every transceiver stops, receiver tracks end."""
    for transceiver in internals.transceivers.values():
        internals_of(transceiver).end_receiving()
