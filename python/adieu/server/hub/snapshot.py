"""The whole state of a hub as bytes, and back: how a new server of a bus learns what the others know.

Counters and histograms are not part of it: each server counts from its own start.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from adieu.bucket import Bucket
from adieu.protocol.signaling import Leaving  # noqa: TC001 msgspec reads the annotations
from adieu.server.hub.state import Connection, Grant, Membership, Seat, State, Timer, TimerKey


class _Socket(Struct, array_like=True):
    id: int
    address: str
    since: float
    strikes: int
    joined: bool


class _Chair(Struct, array_like=True):
    """A seat."""

    peer: str
    name: str
    grant: Grant
    address: str
    resume_hash: bytes
    spent_hash: bytes
    connection: int | None
    rooms: list[tuple[str, bytes, str]]
    incoming: tuple[int, int]
    acknowledged: int
    kept: list[bytes]
    bucket: tuple[float, float]
    away_since: float
    parting: tuple[Leaving, float] | None


class _Snapshot(Struct, array_like=True):
    sockets: list[_Socket]
    chairs: list[_Chair]
    rooms: list[tuple[str, list[str]]]
    departed: list[tuple[tuple[str, str, str], str]]
    buckets: list[tuple[str, tuple[float, float]]]
    timers: list[tuple[str, int | str | tuple[str, str, str] | None, float]]
    last_connection: int


# # JSON, and not MessagePack: `Leaving` has tagged members that only their own encoding may read.
_decoder = msgspec.json.Decoder(_Snapshot)
_encoder = msgspec.json.Encoder(order="deterministic")


def dump(state: State) -> bytes:
    """Return the state as bytes."""
    return _encoder.encode(
        _Snapshot(
            [_Socket(one.id, one.address, one.since, one.strikes, one.joined) for one in state.connections.values()],
            [_chair(seat) for seat in state.seats.values()],
            [(room, list(members)) for room, members in state.rooms.items()],
            list(state.departed.items()),
            state.gate.kept(),
            [_timer(key, at) for key, at in state.timers.kept()],
            state.last_connection,
        )
    )


def load(state: State, data: bytes) -> None:
    """Put a dumped state into a new one. Raises ValueError if the bytes are no such state."""
    read = _decoder.decode(data)
    for one in read.sockets:
        connection = Connection(one.id, one.address, one.since, strikes=one.strikes, joined=one.joined)
        state.connections[one.id] = connection
    for chair in read.chairs:
        _sit(state, chair)
    for room, members in read.rooms:
        state.rooms[room] = {peer: state.seats[peer] for peer in members}
    state.last_connection = read.last_connection
    state.departed.update(read.departed)
    state.gate.restore(read.buckets)
    for name, owner, at in read.timers:
        state.timers.set((Timer[name], owner), at)


def _timer(key: TimerKey, at: float) -> tuple[str, int | str | tuple[str, str, str] | None, float]:
    timer, owner = key
    return timer.name, owner, at  # type: ignore[return-value]  # `Timer` says which owner each has


def _chair(seat: Seat) -> _Chair:
    return _Chair(
        peer=seat.peer,
        name=seat.name,
        grant=seat.grant,
        address=seat.address,
        resume_hash=seat.resume_hash,
        spent_hash=seat.spent_hash,
        connection=None if seat.connection is None else seat.connection.id,
        rooms=[(room, bytes(membership.meta), membership.tab) for room, membership in seat.rooms.items()],
        incoming=(seat.incoming.last, seat.incoming.unsaid),
        acknowledged=seat.outgoing.acknowledged,
        kept=[body for _, body in seat.outgoing.kept()],
        bucket=seat.bucket.kept(),
        away_since=seat.away_since,
        parting=seat.parting,
    )


def _sit(state: State, chair: _Chair) -> None:
    bucket = Bucket(state.settings.messages_per_second, state.settings.burst, 0.0)
    bucket.restore(*chair.bucket)
    seat = Seat(
        peer=chair.peer,
        name=chair.name,
        grant=chair.grant,
        address=chair.address,
        resume_hash=chair.resume_hash,
        spent_hash=chair.spent_hash,
        connection=None if chair.connection is None else state.connections[chair.connection],
        rooms={room: Membership(room, msgspec.Raw(meta), tab) for room, meta, tab in chair.rooms},
        bucket=bucket,
        away_since=chair.away_since,
        parting=chair.parting,
    )
    seat.incoming.last, seat.incoming.unsaid = chair.incoming
    seat.outgoing.restore(chair.acknowledged, [(body, len(body)) for body in chair.kept])
    if seat.connection is not None:
        seat.connection.seat = seat
    state.seats[seat.peer] = seat
    state.tokens[seat.resume_hash] = seat
    if seat.spent_hash:
        state.tokens[seat.spent_hash] = seat
    state.gate.take_seat(seat.address)
    state.kept += seat.outgoing.size + sum(membership.size for membership in seat.rooms.values())
