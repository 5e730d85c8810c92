"""The signaling server without a network: it takes sockets and text, and returns text and closes.

Theory of operation. A *connection* is a socket; it must send `hello` and then has a *seat*, which is a peer as others
see it. A seat outlives its connection by the grace time. `hello` with the resume token takes it back, and numbered
messages that one side does not have are sent again. Rooms are sets of seats. The hub takes the time as an argument and
randomness as a function. The shell feeds it the frames of the sockets. After every call it takes the outputs, with
`poll_output` until that returns None. It calls `handle_timeout` at `poll_timeout`.

    connect ──> waiting ──hello──> seated ──socket ends──> away ──resume──> seated
                   │ 5 s, bad          │ quit, kicked         │ grace over
                   v                   v                      v
                 closed              free                    free

The hub never raises because of a stranger, and never keeps more than `Settings` allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, assert_never, cast

import msgspec

from adieu.protocol.signaling import (
    BareAck,
    CloseCode,
    CloseRoom,
    Envelope,
    Error,
    FromClient,
    Goaway,
    Goodbye,
    Hello,
    IceServers,
    IceServersRequest,
    Join,
    Kick,
    Kicked,
    Leave,
    LeaveReason,
    Leaving,
    Left,
    Probe,
    Quit,
    Refresh,
    Relayed,
    TokenExpiring,
    decode_client,
    encode,
)
from adieu.protocol.words import Word
from adieu.server.hub import overview, presence, relay, resume, snapshot
from adieu.server.hub.limits import Settings
from adieu.server.hub.state import Connection, Grant, IceSource, Output, Seat, State, Timer, everybody, no_ice_servers

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from adieu.histogram import Histogram
    from adieu.server.hub.state import TabKey

_leaving_decoder = msgspec.json.Decoder(Leaving)
PARTING = 3.0
"""Seconds within which the end of a socket belongs to the page's `if_gone` message before it."""


class Hub:
    """The decisions of one signaling server.

    Args:
        settings: the limits.
        random: returns `n` unpredictable bytes, for peer ids and resume tokens.
        authenticate: returns the grant of a token (or of None); raises `TokenRefusedError`.
        ice_servers: returns STUN and TURN servers for a peer.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        random: Callable[[int], bytes],
        authenticate: Callable[[str | None], Grant] = everybody,
        ice_servers: IceSource = no_ice_servers,
    ) -> None:
        self._state = State(settings or Settings(), random=random, authenticate=authenticate, ice_servers=ice_servers)
        self._closing_at: float | None = None

    # --- in -----------------------------------------------------------------------------------------------

    def handle_connect(self, address: str, now: float) -> int:
        """Handle a new socket from this address. The hub may close it at once.

        Returns:
            The number of the socket, for the other calls.
        """
        state = self._state
        state.last_connection += 1
        connection = Connection(state.last_connection, address, now)
        state.connections[connection.id] = connection
        state.counters["connections"] += 1
        if self._closing_at is not None:
            state.close(connection, CloseCode.SHUTDOWN, "the server is stopping")
        elif len(state.connections) > state.settings.connections or not state.gate.admit(address, now):
            state.close(connection, CloseCode.TOO_MANY, "too many connections: try again later")
        else:
            state.timers.set((Timer.HELLO, connection.id), now + state.settings.hello_timeout)
        return connection.id

    def handle_message(self, connection: int, data: str | bytes, now: float) -> None:
        """Handle a frame from a socket (text as str, binary as bytes)."""
        known = self._state.connections.get(connection)
        if known is not None:
            self._message(known, data, now)
            self._settle(now)

    def handle_disconnect(self, connection: int, now: float) -> None:
        """Handle the end of a socket. The call is optional for a socket that the hub itself has closed."""
        known = self._state.connections.get(connection)
        if known is not None:
            self._detach(known, now)
            self._settle(now)

    def handle_slow(self, connection: int, now: float) -> None:
        """Handle a socket that does not read its frames: it is closed with 3008, and its client may reconnect."""
        known = self._state.connections.get(connection)
        if known is not None:
            self._state.slow.append(known)
            self._settle(now)

    def handle_leaving(self, body: bytes, now: float) -> bool:
        """Handle a page's `POST /v1/leave`: deliver its last messages and free its seat.

        Returns:
            Whether it counts; the answer to the page is the same.
        """
        found = self.read_leaving(body)
        if found is None:
            return False
        leaving, seat = found
        if leaving.if_gone and not seat.bucket.take(now):
            self._state.counters["leaves_too_many"] += 1
            return False
        if leaving.if_gone and (seat.connection is not None or now - seat.away_since > PARTING):
            seat.parting = leaving, now
        else:
            self._part(seat, leaving, now)
        self._settle(now)
        return True

    def read_leaving(self, body: bytes) -> tuple[Leaving, Seat] | None:
        """Read a page's goodbye and find its seat; without one it is counted, and of no use."""
        state = self._state
        try:
            leaving = _leaving_decoder.decode(body)
        except (ValueError, RecursionError):
            state.counters["leaves_bad"] += 1
            return None
        seat = resume.seat_of_token(state, leaving.resume_token)
        if seat is None:
            state.counters["leaves_unknown"] += 1
            return None
        return leaving, seat

    def handle_shutdown(self, after: float, now: float) -> None:
        """Send `goaway`, accept no new clients, and close all sockets with 3001 after `after` seconds."""
        state = self._state
        if self._closing_at is not None:
            self._closing_at = min(self._closing_at, now + after)
        else:
            self._closing_at = now + after
            text = encode(Goaway(reason="the server is stopping", after_ms=round(after * 1000)))
            for connection in state.connections.values():
                state.send(connection, text)
        state.timers.set((Timer.SHUTDOWN, None), self._closing_at)

    def handle_kick(self, peer: str, reason: str, now: float) -> bool:
        """Handle an operator's wish to remove a peer: it gets `kicked`, and then close code 3509.

        Returns:
            Whether there was such a peer.
        """
        seat = self._state.seats.get(peer)
        if seat is not None:
            self._kick(seat, "kicked", reason, now)
            self._settle(now)
        return seat is not None

    def handle_close_room(self, room: str, reason: str, now: float) -> int:
        """Handle the wish to close a room: every peer leaves it, with the code `room-closed` and the reason.

        A peer that is in no other room loses its seat, as if it was kicked. The others get `left`.

        Returns:
            The number of peers that were in the room.
        """
        return self._close_room(room, reason, now)

    def _close_room(self, room: str, reason: str, now: float, but: Seat | None = None) -> int:
        members = [seat for seat in self._state.rooms.get(room, {}).values() if seat is not but]
        for seat in members:
            if len(seat.rooms) > 1:
                presence.dismiss(self._state, seat, room, reason, now)
            else:
                self._kick(seat, "room-closed", reason, now)
        self._settle(now)
        return len(members)

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""
        state = self._state
        while (key := state.timers.pop_due(now)) is not None:
            self._due(key[0], key[1], now)
        self._settle(now)

    # --- out ----------------------------------------------------------------------------------------------

    def poll_output(self) -> Output | None:
        """Return the next action on a socket; None: nothing."""
        outputs = self._state.outputs
        return outputs.popleft() if outputs else None

    def poll_timeout(self) -> float | None:
        """Return when to call `handle_timeout`; None: not before the next input."""
        return self._state.timers.next()

    @property
    def settings(self) -> Settings:
        """Return the limits."""
        return self._state.settings

    @property
    def joining(self) -> Histogram:
        """Seconds from the beginning of a socket to its first room."""
        return self._state.joining

    @property
    def counters(self) -> Counter[str]:
        """Return the counts of events, by name. They only grow."""
        return self._state.counters

    @property
    def ready(self) -> bool:
        """Whether new clients can join: the server is neither full nor about to stop."""
        state = self._state
        full = len(state.connections) >= state.settings.connections or len(state.seats) >= state.settings.seats
        return self._closing_at is None and not full

    def gauges(self) -> dict[str, int]:
        """Return the numbers of things that the hub holds now. Everything that it remembers is in one of them."""
        state = self._state
        return {
            "connections": len(state.connections),
            "seats": len(state.seats),
            "away": sum(seat.connection is None for seat in state.seats.values()),
            "rooms": len(state.rooms),
            "kept_bytes": state.kept,
            "tokens": len(state.tokens),
            "timers": len(state.timers),
            "departed": len(state.departed),
        }

    def has_peer(self, peer: str) -> bool:
        """Whether this peer has a seat."""
        return peer in self._state.seats

    def room_size(self, room: str) -> int:
        """Return the number of peers in a room."""
        return len(self._state.rooms.get(room, ()))

    def dump(self) -> bytes:
        """Return the whole state as bytes, for `load` in another hub with the same settings."""
        return snapshot.dump(self._state)

    def load(self, data: bytes) -> None:
        """Continue, in a new hub, where another one was. Raises ValueError."""
        snapshot.load(self._state, data)

    def rooms(self, *, after: str = "", count: int = overview.MAX_PAGE) -> list[overview.RoomView]:
        """Return a page of the rooms, in the order of their names: the first `count` after the name `after`."""
        return overview.rooms(self._state, after, count)

    def peers(
        self, *, room: str | None = None, after: str = "", count: int = overview.MAX_PAGE
    ) -> list[overview.PeerView]:
        """Return a page of the peers of a room (None: of all rooms), in the order of their ids."""
        return overview.peers(self._state, room, after, count)

    # --- a frame ------------------------------------------------------------------------------------------

    def _message(self, connection: Connection, data: str | bytes, now: float) -> None:
        state = self._state
        state.counters["messages"] += 1
        seat = connection.seat
        if seat is not None and not seat.bucket.take(now):
            text = f"more than {state.settings.messages_per_second:g} messages a second are not allowed"
            self._drop(connection, CloseCode.TOO_MANY, "too-many", text, now)
            return
        if len(data) > state.settings.message_bytes:
            text = f"a message of {len(data)} bytes; the limit is {state.settings.message_bytes}"
            self._drop(connection, CloseCode.TOO_BIG, "too-big", text, now)
            return
        if isinstance(data, bytes):
            self._strike(connection, None, "bad-request", "frames must be JSON text, not binary", now)
            return
        try:
            envelope, message = decode_client(data)
        except ValueError as error:
            self._strike(connection, None, "bad-request", str(error), now)
            return
        if seat is None:
            self._before_hello(connection, envelope, message, now)
        elif self._in_order(connection, seat, envelope, now):
            if message is None:
                state.refuse(seat, envelope.id, "unsupported", "this server does not know this type of message")
            else:
                self._dispatch(connection, seat, message, data, envelope.id, now)

    def _before_hello(self, connection: Connection, envelope: Envelope, message: FromClient | None, now: float) -> None:
        if isinstance(message, Hello):
            resume.hello(self._state, connection, message, envelope.id, now)
        else:
            text = "the first message must be `hello`"
            resume.turn_away(self._state, connection, CloseCode.BAD_REQUEST, "bad-request", text, envelope.id)

    def _in_order(self, connection: Connection, seat: Seat, envelope: Envelope, now: float) -> bool:
        """Count both directions. False: a repeated frame, or impossible numbers, which close the socket."""
        state = self._state
        try:
            if envelope.ack is not None:
                state.acknowledged(seat, envelope.ack)
            if envelope.seq is None:
                return True
            new = seat.incoming.accept(envelope.seq)
        except ValueError as error:
            self._drop(connection, CloseCode.BAD_REQUEST, "out-of-order", str(error), now)
            return False
        if seat.incoming.unsaid >= state.settings.ack_messages:
            state.reply(seat, BareAck())
        elif (Timer.ACK, seat.peer) not in state.timers:
            state.timers.set((Timer.ACK, seat.peer), now + state.settings.ack_delay)
        if not new:
            state.counters["duplicates"] += 1
        return new

    def _dispatch(
        self, connection: Connection, seat: Seat, message: FromClient, data: str, request: int | None, now: float
    ) -> None:
        if isinstance(message, Word):
            self._pass_on(seat, message, data, request)
            return
        state = self._state
        match message:
            case Hello():
                self._strike(connection, request, "bad-request", "`hello` must be sent only once", now)
            case Join():
                presence.join(state, seat, message, data, request, now)
            case Leave():
                presence.leave(state, seat, message.room, message.reason, now)
                state.reply(seat, Left(room=message.room), request)
            case IceServersRequest():
                self._ice_servers(seat, request)
            case Refresh():
                resume.refresh(state, seat, message, request, now)
            case Kick():
                kicked = relay.kick(state, seat, message, request)
                if kicked is not None:
                    self._kick(kicked, "kicked", message.reason, now)
            case CloseRoom():
                if relay.may_close(state, seat, message, request):
                    self._close_room(message.room, message.reason, now, seat)
                    state.reply(seat, BareAck(), request)  # last: the others hear it first
            case Quit():
                state.reply(seat, Goodbye(), request)
                self._free(seat, "left", message.reason, CloseCode.QUIT, now)
            case BareAck():
                pass
            case _:
                assert_never(message)

    def _pass_on(self, seat: Seat, message: Relayed, data: str, request: int | None) -> None:
        if isinstance(message, Probe):
            relay.probe(self._state, seat, message, data, request)
        else:
            relay.relay(self._state, seat, message, data, request)

    def _ice_servers(self, seat: Seat, request: int | None) -> None:
        if not seat.rooms:
            self._state.refuse(seat, request, "denied", "`iceServers` is only for peers in a room: send `join` first")
            return
        servers, ttl = self._state.ice_servers(seat.peer, joined=True)
        self._state.reply(seat, IceServers(ice_servers=servers, ice_ttl=ttl), request)

    # --- time ---------------------------------------------------------------------------------------------

    def _due(self, timer: Timer, whose: object, now: float) -> None:
        state = self._state
        match timer:
            case Timer.HELLO:
                connection = state.connections[cast("int", whose)]
                resume.turn_away(state, connection, CloseCode.LOST, "no-hello", "no `hello` came in time")
            case Timer.GRACE:
                presence.vacate(state, self._seat(whose), "timeout", "it did not reconnect in time", now)
            case Timer.ACK:
                state.reply(self._seat(whose), BareAck())
            case Timer.EXPIRING:
                seat = self._seat(whose)
                left = resume.warning(state, seat.grant.expires_in or 0.0)
                state.reply(seat, TokenExpiring(in_ms=round(left * 1000)))
            case Timer.EXPIRED:
                seat = self._seat(whose)
                if seat.connection is not None:
                    self._drop(seat.connection, CloseCode.EXPIRED, "expired", "the token has expired", now)
            case Timer.TAB:
                presence.forget_tab(state, cast("TabKey", whose))
            case Timer.SHUTDOWN:
                for connection in list(state.connections.values()):
                    state.close(connection, CloseCode.SHUTDOWN, "the server is stopping")
            case _:
                assert_never(timer)

    def _seat(self, whose: object) -> Seat:
        """Return the seat of a timer. The timer is cancelled when the seat is freed, so the seat exists."""
        return self._state.seats[cast("str", whose)]

    # --- ends ---------------------------------------------------------------------------------------------

    def _strike(self, connection: Connection, request: int | None, code: str, text: str, now: float) -> None:
        """Count and answer bad input. Close the socket after too much of it, or at once before `hello`."""
        state = self._state
        state.counters["bad_messages"] += 1
        if connection.seat is None:
            resume.turn_away(state, connection, CloseCode.BAD_REQUEST, code, text, request)
            return
        connection.strikes += 1
        if connection.strikes >= state.settings.strikes:
            self._drop(connection, CloseCode.BAD_REQUEST, code, text, now)
        else:
            state.refuse(connection.seat, request, code, text)

    def _drop(self, connection: Connection, close: CloseCode, code: str, text: str, now: float) -> None:
        """Send the reason and close a socket. A final code frees its seat; with other codes the seat is away."""
        state = self._state
        state.counters[f"refused_{code}"] += 1
        state.send(connection, encode(Error(code=code, message=text, temporary=not close.final)))
        seat = connection.seat
        state.close(connection, close, text)
        if seat is None:
            return
        if close.final:
            presence.vacate(state, seat, "left", text, now)
        else:
            presence.away(state, seat, now)

    def _detach(self, connection: Connection, now: float) -> None:
        seat = connection.seat
        self._state.forget(connection)
        if seat is None:
            return
        if seat.parting is not None and now - seat.parting[1] <= PARTING:
            self._part(seat, seat.parting[0], now)
        else:
            presence.away(self._state, seat, now)

    def _part(self, seat: Seat, leaving: Leaving, now: float) -> None:
        relay.last_words(self._state, seat, list[Relayed](leaving.closing))
        self._free(seat, "left", leaving.reason, CloseCode.QUIT, now)

    def _kick(self, seat: Seat, code: Literal["kicked", "room-closed"], text: str, now: float) -> None:
        if seat.connection is not None:
            self._state.send(seat.connection, encode(Kicked(reason=text, code=code)))
        self._free(seat, "kicked", text, CloseCode.KICKED, now)

    def _free(self, seat: Seat, reason: LeaveReason, text: str, close: CloseCode, now: float) -> None:
        if seat.connection is not None:
            self._state.close(seat.connection, close, text)
        presence.vacate(self._state, seat, reason, text, now)

    def _settle(self, now: float) -> None:
        """Close sockets and free seats whose queue is full. Announcing this may fill others: each turn ends one."""
        state = self._state
        while state.slow or state.doomed:
            if state.slow:
                connection = state.slow.pop()
                if connection.id in state.connections:
                    text = f"{state.settings.queue_bytes} bytes wait for this client, which is the limit"
                    self._drop(connection, CloseCode.SLOW, "slow", text, now)
            else:
                seat = state.doomed.pop()
                if state.seats.get(seat.peer) is seat:
                    state.counters["overflows"] += 1
                    self._free(seat, "timeout", "it missed too much", CloseCode.SLOW, now)
