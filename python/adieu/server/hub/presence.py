"""Presence: which peers are in which room, and the announcements joined, away, back and left.

A seat whose socket ends without `quit` is away. It is back when it resumes, or left (`timeout`) when the grace time is
over. All of this is announced in order with the relayed messages, so that no peer gets a message of a peer that it does
not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec

from adieu.protocol.signaling import (
    Joined,
    LeaveReason,
    Left,
    Peer,
    PeerAway,
    PeerBack,
    PeerJoined,
    PeerLeft,
)
from adieu.server.hub.state import Membership, Timer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from adieu.protocol.signaling import Join
    from adieu.server.hub.state import Seat, State, TabKey

MAX_TAB = 64


class _JoinMembers(msgspec.Struct):
    meta: dict[str, msgspec.Raw] = {}


_join_decoder = msgspec.json.Decoder(_JoinMembers)
_tab_decoder = msgspec.json.Decoder(str)


# --- rooms --------------------------------------------------------------------------------------------------


def join(state: State, seat: Seat, message: Join, data: str, request: int | None, now: float) -> None:
    """Join a room. Joining again changes nothing and is answered again."""
    room = message.room
    if not seat.grant.allows(room):
        state.refuse(
            seat, request, "denied", f"the token does not allow the room {room!r}: its claim `room` names others"
        )
        return
    if room not in seat.rooms and not _enter(state, seat, room, data, request, now):
        return
    others = [_describe(other, room) for other in state.rooms[room].values() if other is not seat]
    state.reply(seat, Joined(room=room, peers=others), request)


def _enter(state: State, seat: Seat, room: str, data: str, request: int | None, now: float) -> bool:
    settings = state.settings
    if len(seat.rooms) >= settings.rooms:
        state.refuse(seat, request, "limit", f"this client is in {settings.rooms} rooms, which is the limit: leave one")
        return False
    membership = _read_meta(room, data)
    if len(bytes(membership.meta)) > settings.meta_bytes:
        state.refuse(seat, request, "limit", f"meta is longer than {settings.meta_bytes} bytes")
        return False
    if state.kept + membership.size > settings.kept_bytes:
        state.refuse(seat, request, "busy", "the server is full: try again later", temporary=True)
        return False
    reloaded = _before_reload(state, seat, room, membership.tab, now)
    others = list(state.rooms.get(room, {}).values())
    if len(others) >= settings.room_peers:
        most = settings.room_peers
        text = f"{most} peers are in the room {room!r}, which is the limit (room_peers)"
        state.refuse(seat, request, "room-full", text, temporary=True)
        return False
    state.kept += membership.size
    seat.rooms[room] = membership
    state.rooms.setdefault(room, {})[seat.peer] = seat
    state.counters["joins"] += 1
    if (connection := seat.connection) is not None and not connection.joined:
        connection.joined = True
        state.joining.add(now - connection.since)
    for other in others:
        state.announce(other, PeerJoined(room=room, peer=_describe(seat, room), reloaded=reloaded))
    return True


def _read_meta(room: str, data: str) -> Membership:
    """Return the public metadata, without the tab id (a secret: it authorizes a reload)."""
    meta = _join_decoder.decode(data).meta
    tab = ""
    if (raw := meta.pop("tab", None)) is not None:
        try:
            tab = _tab_decoder.decode(raw)
        except msgspec.ValidationError:
            tab = ""
    return Membership(room, msgspec.Raw(msgspec.json.encode(meta)), tab if len(tab) <= MAX_TAB else "")


def _before_reload(state: State, seat: Seat, room: str, tab: str, now: float) -> str:
    """Return the peer that the same tab had until a moment ago, or "".

    A seat that is still away is freed, because its tab is here. A connected seat stays: a browser gives the copy of a
    tab the same id.
    """
    if not tab:
        return ""
    for other in list(state.rooms.get(room, {}).values()):
        if (
            other.rooms[room].tab == tab
            and other.grant.user == seat.grant.user
            and other.connection is None
            and now - other.away_since <= state.settings.reload_window
        ):
            vacate(state, other, "replaced", "its page was loaded again", now)
            state.departed.pop((room, seat.grant.user, tab), None)
            return other.peer
    return state.departed.pop((room, seat.grant.user, tab), "")


def _describe(seat: Seat, room: str) -> Peer:
    meta = seat.rooms[room].meta
    return Peer(
        peer=seat.peer,
        name=seat.name,
        user=seat.grant.user,
        meta=cast("dict[str, Any]", meta),  # relayed as it is; never read here
        away=seat.connection is None,
    )


def leave(state: State, seat: Seat, room: str, text: str, now: float) -> None:
    """Leave one room; the seat stays."""
    if room in seat.rooms:
        _remove(state, seat, room, "left", text, now)


def dismiss(state: State, seat: Seat, room: str, text: str, now: float) -> None:
    """Leave a room that is being closed. The peer learns it also if it is away: it would not join again otherwise."""
    _remove(state, seat, room, "kicked", text, now)
    state.announce(seat, Left(room=room, code="room-closed", text=text))


def confine(state: State, seat: Seat, now: float) -> None:
    """Leave the rooms that a new token does not allow."""
    for room in [room for room in seat.rooms if not seat.grant.allows(room)]:
        leave(state, seat, room, "its token no longer allows this room", now)
        state.reply(seat, Left(room=room))


def _remove(state: State, seat: Seat, room: str, reason: LeaveReason, text: str, now: float) -> None:
    membership = seat.rooms.pop(room)
    state.kept -= membership.size
    members = state.rooms[room]
    del members[seat.peer]
    if not members:
        del state.rooms[room]
    for other in list(members.values()):
        state.announce(other, PeerLeft(room=room, peer=seat.peer, reason=reason, text=text))
    if membership.tab and reason == "left":
        key = (room, seat.grant.user, membership.tab)
        state.departed[key] = seat.peer
        state.timers.set((Timer.TAB, key), now + state.settings.reload_window)


def forget_tab(state: State, key: TabKey) -> None:
    """Forget a tab whose page did not return in time: it was not a reload."""
    state.departed.pop(key, None)


# --- seats --------------------------------------------------------------------------------------------------


def away(state: State, seat: Seat, now: float) -> None:
    """Keep the seat of an ended socket for the grace time, and announce it as away."""
    seat.away_since = now
    state.counters["aways"] += 1
    state.timers.set((Timer.GRACE, seat.peer), now + state.settings.grace)
    for room, other in _neighbours(state, seat):
        state.announce(other, PeerAway(room=room, peer=seat.peer))


def back(state: State, seat: Seat) -> None:
    """Announce that a peer has resumed its seat."""
    state.timers.cancel((Timer.GRACE, seat.peer))
    for room, other in _neighbours(state, seat):
        state.announce(other, PeerBack(room=room, peer=seat.peer))


def vacate(state: State, seat: Seat, reason: LeaveReason, text: str, now: float) -> None:
    """Free a seat: announce it as left, forget everything about it, and void its token.

    The caller closes its socket, if it has one, before or after.
    """
    state.counters[f"left_{reason}"] += 1
    for room in list(seat.rooms):
        _remove(state, seat, room, reason, text, now)
    state.acknowledged(seat, seat.outgoing.last)
    del state.seats[seat.peer]
    state.tokens.pop(seat.resume_hash, None)
    state.tokens.pop(seat.spent_hash, None)
    state.gate.free_seat(seat.address)
    for timer in (Timer.GRACE, Timer.ACK, Timer.EXPIRING, Timer.EXPIRED):
        state.timers.cancel((timer, seat.peer))


def _neighbours(state: State, seat: Seat) -> Iterator[tuple[str, Seat]]:
    for room in list(seat.rooms):
        for other in list(state.rooms[room].values()):
            if other is not seat:
                yield room, other
