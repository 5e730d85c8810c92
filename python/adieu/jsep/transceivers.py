"""Apply descriptions to transceivers (W3C set a session description, success steps 8 and 9; RFC 9429 5.9, 5.10).

Each function takes the transceivers of a snapshot and returns those after. It also collects the events for the program,
in the W3C's order.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from adieu.jsep import direction as directions
from adieu.jsep.codecs import negotiated_codecs, same_codec
from adieu.jsep.transceiver import MAX_ENCODINGS, Encoding, Transceiver

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from adieu.jsep.codecs import Codec, Kind
    from adieu.jsep.description import Description, Section
    from adieu.jsep.negotiation import Negotiation
    from adieu.sdp.attributes import Direction

NAMELESS: Final = ":"
"""The beginning of a name for a stream without an id. No id of a stream begins with it."""


@dataclass(frozen=True, slots=True)
class MediaChanges:
    """The events that a program gets, by the ids of transceivers.

    Attributes:
        stopped: their tracks end.
        muted: their tracks are muted.
        removed: the stream (by its id) that their track leaves.
        added: the stream that their track joins.
        tracks: for each a `track` event.
        removed_transceivers: they leave the set; with their last values.
    """

    stopped: tuple[int, ...] = ()
    muted: tuple[int, ...] = ()
    removed: tuple[tuple[str, int], ...] = ()
    added: tuple[tuple[str, int], ...] = ()
    tracks: tuple[int, ...] = ()
    removed_transceivers: tuple[Transceiver, ...] = ()


@dataclass(slots=True)
class _Working:
    """The transceivers while a description is applied, and the W3C's lists."""

    transceivers: dict[int, Transceiver]
    next_id: int
    stopped: list[int] = field(default_factory=list[int])
    muted: list[int] = field(default_factory=list[int])
    removed: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    added: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    tracks: list[int] = field(default_factory=list[int])
    removed_transceivers: list[Transceiver] = field(default_factory=list[Transceiver])

    @classmethod
    def of(cls, negotiation: Negotiation) -> _Working:
        return cls({t.id: t for t in negotiation.transceivers}, negotiation.transceiver_ids)

    def put(self, transceiver: Transceiver) -> Transceiver:
        self.transceivers[transceiver.id] = transceiver
        return transceiver

    def at(self, index: int) -> Transceiver | None:
        return next((t for t in self.transceivers.values() if t.index == index), None)

    def done(self, negotiation: Negotiation) -> tuple[Negotiation, MediaChanges]:
        after = replace(negotiation, transceivers=tuple(self.transceivers.values()), transceiver_ids=self.next_id)
        changes = MediaChanges(
            tuple(self.stopped),
            tuple(self.muted),
            tuple(self.removed),
            tuple(self.added),
            tuple(self.tracks),
            tuple(self.removed_transceivers),
        )
        return after, changes

    # --- the W3C's sub-algorithms -----------

    def set_streams(self, transceiver: Transceiver, streams: tuple[str, ...]) -> Transceiver:
        """W3C set the associated remote streams."""
        before = transceiver.remote_streams
        # steps 5 and 6
        left, joined = set(before).difference(streams), set(streams).difference(before)
        self.removed.extend((stream, transceiver.id) for stream in before if stream in left)
        self.added.extend((stream, transceiver.id) for stream in streams if stream in joined)
        # step 7
        return self.put(replace(transceiver, remote_streams=streams))

    def process_tracks(
        self, transceiver: Transceiver, direction: Direction | None, streams: tuple[str, ...]
    ) -> Transceiver:
        """W3C process remote tracks."""
        # step 1
        added = len(self.added)
        fired = transceiver.fired_direction
        transceiver = self.set_streams(transceiver, streams)
        if directions.receives(direction):
            # step 2
            if not directions.receives(fired) or len(self.added) > added:
                self.tracks.append(transceiver.id)
        else:
            # step 3
            transceiver = replace(transceiver, receptive=False)
            # step 4
            if directions.receives(fired):
                self.muted.append(transceiver.id)
        # step 5
        return self.put(replace(transceiver, fired_direction=direction))

    def stop(self, transceiver: Transceiver) -> Transceiver:
        """W3C stop the RTCRtpTransceiver."""
        if not transceiver.stopping:
            self.stopped.append(transceiver.id)
        return self.put(stopped(transceiver))

    def remove(self, transceiver: Transceiver) -> None:
        """Remove it from the set; a removed transceiver has no section."""
        del self.transceivers[transceiver.id]
        self.removed_transceivers.append(replace(transceiver, mid=None, index=None))


def stopped(transceiver: Transceiver) -> Transceiver:
    """W3C stop the RTCRtpTransceiver: return its values."""
    return replace(
        transceiver, direction="inactive", stopping=True, stopped=True, receptive=False, current_direction=None
    )


# --- our descriptions -----------


def apply_local(
    negotiation: Negotiation, description: Description, new_transceivers: Mapping[int, int]
) -> tuple[Negotiation, MediaChanges]:
    """Apply our description.

    Args:
        negotiation: before it.
        description: the description to set.
        new_transceivers: the transceivers that new sections of an offer were made for, by the sections' indexes.
    """
    working = _Working.of(negotiation)
    offer = description.type == "offer"
    theirs = negotiation.pending_remote
    for section in description.sections:
        # steps 8.1.1 and 8.1.2
        transceiver = working.at(section.index)
        if (
            transceiver is None
            and (made := working.transceivers.get(new_transceivers.get(section.index, 0))) is not None
        ):
            transceiver = replace(made, mid=section.mid, index=section.index)
        # step 8.1.3
        if transceiver is None or transceiver.stopped:
            continue
        # steps 8.1.4 and 8.1.5
        direction: Direction = "inactive" if section.rejected else section.direction
        transceiver = working.put(replace(transceiver, receptive=directions.receives(direction)))
        # step 8.1.7
        if not offer and theirs is not None:
            _local_answer(working, transceiver, section, theirs.sections[section.index], direction)
    if description.type == "answer":
        _forget_rejected(working, description, theirs)
    return working.done(negotiation)


def _local_answer(
    working: _Working, transceiver: Transceiver, ours: Section, theirs: Section, direction: Direction
) -> None:
    """Steps 8.1.6 and 8.1.7. As in browsers, codecs are shown whatever the direction is."""
    transceiver = _with_answered(transceiver, theirs)
    agreed = _as_sent(ours.codecs, theirs.codecs)
    transceiver = _without_lost_codecs(replace(transceiver, send_codecs=agreed, receive_codecs=ours.codecs))
    if not directions.receives(direction) and directions.receives(transceiver.fired_direction):
        transceiver = working.set_streams(transceiver, ())
        working.muted.append(transceiver.id)
    transceiver = working.put(
        replace(
            transceiver,
            current_direction=direction,
            fired_direction=direction,
            has_sent=transceiver.has_sent or directions.sends(direction),
            extensions=ours.extensions,
            reduced_size=theirs.media.has("rtcp-rsize"),
        )
    )
    if ours.rejected:  # by a program, or because there is no codec for it: offering it again would not help
        working.stop(transceiver)


def _without_lost_codecs(transceiver: Transceiver) -> Transceiver:
    """W3C set a session description, step 8: a codec that is no longer negotiated is no longer chosen."""
    encodings = tuple(
        replace(encoding, codec=None)
        if encoding.codec is not None and not any(same_codec(encoding.codec, c) for c in transceiver.send_codecs)
        else encoding
        for encoding in transceiver.encodings
    )
    return replace(transceiver, encodings=encodings)


def _as_sent(agreed: Iterable[Codec], theirs: Iterable[Codec]) -> tuple[Codec, ...]:
    """Return the codecs as their receiver describes them: so they are sent."""
    described = {codec.payload_type: codec for codec in theirs}
    return tuple(described.get(codec.payload_type, codec) for codec in agreed)


# --- descriptions of the other side -----------


def apply_remote(negotiation: Negotiation, description: Description) -> tuple[Negotiation, MediaChanges]:
    """Apply a description of the other side."""
    working = _Working.of(negotiation)
    ours = negotiation.pending_local if description.type != "offer" else None
    for section in description.sections:
        transceiver = _found(working, negotiation, section) if ours is None else working.at(section.index)
        if transceiver is None:
            continue
        # steps 8.2.1 to 8.2.6, and 8.2.8
        transceiver = _with_proposed(transceiver, section) if ours is None else _with_answered(transceiver, section)
        # steps 8.2.10 to 8.2.12
        direction: Direction = "inactive" if section.rejected else directions.reverse(section.direction)
        streams = _streams_of(transceiver, section) if directions.receives(direction) else ()
        transceiver = working.process_tracks(transceiver, direction, streams)
        # steps 8.2.13 and 8.2.14
        if ours is not None:
            own = ours.sections[section.index]
            agreed = negotiated_codecs(own.codecs, section.codecs)
            known = {codec.payload_type: codec for codec in own.codecs}
            receiving = tuple(known.get(codec.payload_type, codec) for codec in agreed)
            transceiver = replace(
                transceiver,
                send_codecs=agreed,
                receive_codecs=receiving,
                extensions=tuple(e for e in section.extensions if any(e.uri == o.uri for o in own.extensions)),
                reduced_size=section.media.has("rtcp-rsize"),
                current_direction=direction,
                has_sent=transceiver.has_sent or directions.sends(direction),
            )
            transceiver = _without_lost_codecs(transceiver)
        transceiver = working.put(transceiver)
        # step 8.2.15
        if section.rejected and not transceiver.stopped:
            working.stop(transceiver)
    if description.type == "answer":
        _forget_rejected(working, ours, description)
    return working.done(negotiation)


def _found(working: _Working, negotiation: Negotiation, section: Section) -> Transceiver | None:
    """Return the transceiver of an offered section; a new one if there is no other (RFC 9429 section 5.10)."""
    if not section.is_rtp:
        return None
    known = working.at(section.index)
    if known is not None:
        if section.mid is None or known.mid == section.mid:
            return known
        # The place is used again by another section.
        working.put(replace(known, mid=None, index=None))
    if section.rejected:
        return None
    mid = section.mid if section.mid is not None else _free_mid(working, negotiation)
    if (waiting := _waiting(working, section)) is not None:
        return working.put(replace(waiting, mid=mid, index=section.index))
    working.next_id += 1
    kind: Kind = "video" if section.media.kind == "video" else "audio"
    return working.put(
        Transceiver(
            id=working.next_id,
            kind=kind,
            direction="recvonly",
            encodings=(default_encoding(kind),),
            offered_by_peer=True,
            mid=mid,
            index=section.index,
        )
    )


def _waiting(working: _Working, section: Section) -> Transceiver | None:
    """Find a transceiver of addTrack() without a section: it answers an offer to send or to receive."""
    if not directions.receives(section.direction):
        return None
    return next(
        (
            t
            for t in working.transceivers.values()
            if t.made_by_track and t.index is None and not t.stopping and t.kind == section.media.kind
        ),
        None,
    )


def _free_mid(working: _Working, negotiation: Negotiation) -> str:
    taken = {t.mid for t in working.transceivers.values()}
    return next(mid for mid in negotiation.fresh_mids() if mid not in taken)


def _streams_of(transceiver: Transceiver, section: Section) -> tuple[str, ...]:
    """Return the streams of its track. RFC 8830 section 3.2.1: without an msid there is one stream without an id."""
    if section.has_msid:
        return section.streams
    return (f"{NAMELESS}{transceiver.id}",)


# --- encodings -----------


def default_encoding(kind: Kind) -> Encoding:
    """W3C create an RTCRtpSender step 8: the encoding if no encoding is given."""
    return Encoding(scale_resolution_down_by=1.0 if kind == "video" else None)


def _with_proposed(transceiver: Transceiver, section: Section) -> Transceiver:
    """Apply the simulcast that the other side asks for (steps 8.2.1 to 8.2.6)."""
    wanted = section.simulcast.recv if section.simulcast is not None else ()
    rids = tuple(dict.fromkeys(stream.rids[0] for stream in wanted))[:MAX_ENCODINGS]
    if (
        transceiver.kind == "audio"
        or not rids
        or len(transceiver.encodings) != 1
        or transceiver.encodings[0].rid is not None
    ):
        return transceiver
    # The program's values for the only encoding come back after a rollback.
    proposed = tuple(
        replace(Encoding(), rid=rid, scale_resolution_down_by=2.0 ** (len(rids) - place - 1))
        for place, rid in enumerate(rids)
    )
    return replace(transceiver, encodings=proposed, ridless_encodings=transceiver.encodings)


def _with_answered(transceiver: Transceiver, section: Section) -> Transceiver:
    """Remove the simulcast streams that the other side does not take (step 8.2.8)."""
    if len(transceiver.encodings) < 2:
        return transceiver
    wanted = {rid for stream in (section.simulcast.recv if section.simulcast else ()) for rid in stream.rids}
    left = tuple(encoding for encoding in transceiver.encodings if encoding.rid in wanted)
    return replace(transceiver, encodings=left or transceiver.encodings[:1])


# --- the end of a section, and of an offer -----------


def _forget_rejected(working: _Working, ours: Description | None, theirs: Description | None) -> None:
    """W3C step 10: remove the transceivers that are stopped and rejected."""
    for transceiver in list(working.transceivers.values()):
        index = transceiver.index
        if transceiver.stopped and index is not None:
            both = (d.sections[index] for d in (ours, theirs) if d is not None and index < len(d.sections))
            if any(section.rejected for section in both):
                working.remove(transceiver)


def make_stable(transceivers: Iterable[Transceiver]) -> tuple[Transceiver, ...]:
    """Return the transceivers that a rollback goes back to: the state is "stable"."""
    return tuple(replace(t, offered_by_peer=False, ridless_encodings=None) for t in transceivers)


def roll_back(negotiation: Negotiation) -> tuple[Negotiation, MediaChanges]:
    """W3C step 9, for each transceiver. The program's changes since the offer stay."""
    working = _Working.of(negotiation)
    before = {t.id: t for t in negotiation.stable_transceivers}
    for current in negotiation.transceivers:
        stable = before.get(current.id)
        # steps 9.2.1 to 9.2.5
        transceiver = replace(
            current,
            mid=stable.mid if stable is not None else None,
            index=stable.index if stable is not None else None,
            receive_codecs=stable.receive_codecs if stable is not None else (),
            receptive=stable.receptive if stable is not None and not current.stopped else False,
            ridless_encodings=None,
            offered_by_peer=False,
        )
        if current.ridless_encodings is not None and current.rids:
            transceiver = replace(transceiver, encodings=current.ridless_encodings)
        working.put(transceiver)
        # step 9.2.6
        if negotiation.state == "have-remote-offer":
            streams = stable.remote_streams if stable is not None else ()
            transceiver = working.process_tracks(transceiver, transceiver.current_direction, streams)
        # step 9.2.7
        if current.offered_by_peer and not current.taken_by_track:
            working.remove(working.stop(transceiver))
        elif current.offered_by_peer:
            # From now on it counts as made by addTrack() alone.
            working.put(replace(transceiver, made_by_track=True))
    return working.done(negotiation)
