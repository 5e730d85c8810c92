"""`hello`: a new seat, or the old one after a lost socket.

A resume token is random, 128 bits, stored as a hash, bound to the user, and used once: each resume gives a new one.
If a token is used a second time, it was stolen, or the answer to its first use was lost. The hub cannot know which. So
it frees the seat; the rightful client gets a new seat, and its peers learn about it.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING

from adieu.bucket import Bucket
from adieu.protocol import VERSION
from adieu.protocol.signaling import CloseCode, Error, Refreshed, Resume, Welcome, encode
from adieu.server.hub import presence
from adieu.server.hub.state import RIGHTS, Grant, Seat, Timer, TokenRefusedError

if TYPE_CHECKING:
    from adieu.protocol.signaling import Hello, Refresh
    from adieu.server.hub.state import Connection, State

ID_BYTES = 16


def hello(state: State, connection: Connection, message: Hello, request: int | None, now: float) -> None:
    """Answer `hello`, once for each socket: with a seat and `welcome`, or with an error and a close."""
    if message.version != VERSION:
        text = f"this server has version {VERSION} of the protocol, but the client has version {message.version}"
        turn_away(state, connection, CloseCode.BAD_REQUEST, "version", text, request)
        return
    try:
        grant = state.authenticate(message.token)
    except TokenRefusedError as error:
        code = {CloseCode.EXPIRED: "expired", CloseCode.TOO_MANY: "busy"}.get(error.code, "invalid-token")
        turn_away(state, connection, error.code, code, str(error), request)
        return
    claim = message.resume
    seat = None if claim is None else _resumable(state, claim, grant, now)
    if claim is None or seat is None:
        _begin(state, connection, message, grant, request, now)
    else:
        state.acknowledged(seat, claim.last_seq)
        _resume(state, connection, seat, grant, request, now)


def turn_away(
    state: State, connection: Connection, close: CloseCode, code: str, text: str, request: int | None = None
) -> None:
    """Send the reason, then close a socket that has no seat."""
    state.counters[f"refused_{code}"] += 1
    state.send(connection, encode(Error(code=code, message=text, temporary=not close.final), request=request))
    state.close(connection, close, text)


# --- a new seat ---------------------------------------------------------------------------------------------


def _begin(state: State, connection: Connection, message: Hello, grant: Grant, request: int | None, now: float) -> None:
    settings = state.settings
    if len(state.seats) >= settings.seats:
        turn_away(state, connection, CloseCode.TOO_MANY, "busy", "the server is full: try again later", request)
        return
    if not state.gate.take_seat(connection.address):
        text = f"{settings.seats_per_address} clients from one address is the limit: try again when some have left"
        turn_away(state, connection, CloseCode.TOO_MANY, "busy", text, request)
        return
    token = _new_token(state)
    seat = Seat(
        peer=state.random(ID_BYTES).hex(),
        name=message.name,
        grant=grant,
        address=connection.address,
        resume_hash=_hash(token),
        connection=None,
        bucket=Bucket(settings.messages_per_second, settings.burst, now),
    )
    state.seats[seat.peer] = seat
    state.tokens[seat.resume_hash] = seat
    state.counters["seats"] += 1
    _sit(state, connection, seat, now)
    _welcome(state, seat, token, request, resumed=False)


# --- the old one --------------------------------------------------------------------------------------------


def _resumable(state: State, resume: Resume, grant: Grant, now: float) -> Seat | None:
    shown = _hash(resume.token)
    seat = state.tokens.get(shown)
    if seat is None or seat.grant.user != grant.user:
        state.counters["resumes_unknown"] += 1
        return None
    outgoing = seat.outgoing
    if shown == seat.spent_hash or not outgoing.acknowledged <= resume.last_seq <= outgoing.last:
        # # The token was used before, or the numbers of the client cannot be true: the two sides do not agree.
        state.counters["resumes_refused"] += 1
        if seat.connection is not None:
            state.close(seat.connection, CloseCode.LOST, "its resume token was used twice")
        presence.vacate(state, seat, "replaced", "it has lost its seat", now)
        return None
    return seat


def _resume(
    state: State,
    connection: Connection,
    seat: Seat,
    grant: Grant,
    request: int | None,
    now: float,
) -> None:
    """Take over the seat, also from a socket that has not noticed its end yet."""
    was_away = seat.connection is None
    if seat.connection is not None:
        state.close(seat.connection, CloseCode.LOST, "resumed by a newer socket")
    token = _new_token(state)
    state.tokens.pop(seat.spent_hash, None)
    seat.spent_hash, seat.resume_hash = seat.resume_hash, _hash(token)
    state.tokens[seat.resume_hash] = seat
    seat.grant = grant
    state.counters["resumes"] += 1
    _sit(state, connection, seat, now)
    _welcome(state, seat, token, request, resumed=True)
    state.replay(seat)
    if was_away:
        presence.back(state, seat)
    presence.confine(state, seat, now)


# --- both ---------------------------------------------------------------------------------------------------


def _sit(state: State, connection: Connection, seat: Seat, now: float) -> None:
    connection.seat = seat
    seat.connection = connection
    state.timers.cancel((Timer.HELLO, connection.id))
    state.timers.cancel((Timer.GRACE, seat.peer))
    watch_expiry(state, seat, now)


def _welcome(state: State, seat: Seat, token: str, request: int | None, *, resumed: bool) -> None:
    servers, ttl = state.ice_servers(seat.peer, joined=resumed and bool(seat.rooms))
    message = Welcome(
        peer=seat.peer,
        resume_token=token,
        resumed=resumed,
        resume_grace_ms=round(state.settings.grace * 1000),
        ping_ms=round(state.settings.ping * 1000),
        limits=state.settings.announced(),
        ice_servers=servers,
        ice_ttl=ttl,
        can=[right for right in RIGHTS if right in seat.grant.can],
    )
    state.reply(seat, message, request)


def refresh(state: State, seat: Seat, message: Refresh, request: int | None, now: float) -> None:
    """Accept a new token of the same user before the old one ends."""
    try:
        grant = state.authenticate(message.token)
    except TokenRefusedError as error:
        state.refuse(seat, request, "invalid-token", str(error))
        return
    if grant.user != seat.grant.user:
        state.refuse(seat, request, "invalid-token", "the new token belongs to another user")
        return
    seat.grant = grant
    watch_expiry(state, seat, now)
    state.reply(seat, Refreshed(expires_in=grant.expires_in or 0.0), request)
    presence.confine(state, seat, now)


def watch_expiry(state: State, seat: Seat, now: float) -> None:
    """Set the timers that send `tokenExpiring` and end the socket with 3005."""
    left = seat.grant.expires_in
    if left is None:
        state.timers.cancel((Timer.EXPIRING, seat.peer))
        state.timers.cancel((Timer.EXPIRED, seat.peer))
        return
    state.timers.set((Timer.EXPIRING, seat.peer), now + left - warning(state, left))
    state.timers.set((Timer.EXPIRED, seat.peer), now + left)


def warning(state: State, left: float) -> float:
    """Return how long before the end of a token `tokenExpiring` is sent, if it is valid for `left` seconds."""
    return min(left / 2, state.settings.expiry_warning)


def _new_token(state: State) -> str:
    return urlsafe_b64encode(state.random(ID_BYTES)).rstrip(b"=").decode()


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def seat_of_token(state: State, token: str) -> Seat | None:
    """Return the seat of an unused resume token. A page sends it with its goodbye, outside the socket."""
    shown = _hash(token)
    seat = state.tokens.get(shown)
    return seat if seat is not None and shown == seat.resume_hash else None
