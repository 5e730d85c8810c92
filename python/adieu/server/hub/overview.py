"""Rooms and peers for operators: in pages of a bounded length, in the order of their names."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

    from adieu.server.hub.state import Seat, State

MAX_PAGE = 1000
"""The most rooms or peers in one answer."""


class RoomView(Struct, frozen=True, kw_only=True):
    """A room, as operators see it."""

    room: str
    peers: int
    away: int


class PeerView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A peer, as operators see it."""

    peer: str
    name: str
    user: str
    address: str
    rooms: list[str]
    away: bool
    kept_bytes: int


def rooms(state: State, after: str, count: int) -> list[RoomView]:
    """Return the first `count` rooms whose names come after `after`."""
    return [_room(room, state.rooms[room]) for room in _first(state.rooms, after, count)]


def peers(state: State, room: str | None, after: str, count: int) -> list[PeerView]:
    """Return the first `count` peers of a room (None: of all) whose ids come after `after`."""
    seats = state.seats if room is None else state.rooms.get(room, {})
    return [_peer(seats[peer]) for peer in _first(seats, after, count)]


def _first(names: Iterable[str], after: str, count: int) -> list[str]:
    return heapq.nsmallest(min(count, MAX_PAGE), (name for name in names if name > after))


def _room(room: str, members: dict[str, Seat]) -> RoomView:
    return RoomView(room=room, peers=len(members), away=sum(seat.connection is None for seat in members.values()))


def _peer(seat: Seat) -> PeerView:
    return PeerView(
        peer=seat.peer,
        name=seat.name,
        user=seat.grant.user,
        address=seat.address,
        rooms=sorted(seat.rooms),
        away=seat.connection is None,
        kept_bytes=seat.outgoing.size,
    )
