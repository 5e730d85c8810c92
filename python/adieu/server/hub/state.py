"""What the hub knows, and the three ways in which something leaves it.

* `State.send`: to a socket, now or never (answers to requests).
* `State.deliver`: numbered and kept until acknowledged, refused when that client's queue is full (relayed words).
* `State.announce`: numbered and kept; cannot be refused, so a client whose queue it overflows loses its seat.

The procedures beside this file change the state; nothing here decides.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol, TypeAlias

from adieu.errors import AdieuError
from adieu.protocol.replay import Incoming, Outgoing
from adieu.protocol.signaling import CloseCode, Error, encode, encode_body, wrap
from adieu.server.hub.limits import Gate, Settings
from adieu.server.hub.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Callable

    from msgspec import Raw

    from adieu.protocol.bucket import Bucket
    from adieu.protocol.signaling import FromServer, IceServer, Leaving


class TokenRefusedError(AdieuError):
    """A token that lets nobody in.

    Attributes:
        code: the close code: `EXPIRED` when a fresh token would do, else `INVALID_TOKEN`.
    """

    def __init__(self, message: str, code: CloseCode = CloseCode.INVALID_TOKEN) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a token allows.

    Attributes:
        user: who it is; empty on a server without keys.
        rooms: where it may join; None: everywhere.
        can: rights by name; there is one, `kick`.
        expires_in: seconds from now; None: never.
    """

    user: str = ""
    rooms: frozenset[str] | None = None
    can: frozenset[str] = frozenset()
    expires_in: float | None = None

    def allows(self, room: str) -> bool:
        """Whether this room may be joined."""
        return self.rooms is None or room in self.rooms


class IceSource(Protocol):
    """How the hub asks for STUN and TURN servers; the credentials depend on the wall clock, which is not here."""

    def __call__(self, peer: str, *, joined: bool) -> tuple[list[IceServer], int]:
        """Servers for this peer and how long their credentials hold, in seconds (0: for ever).

        Before a join there are none with credentials.
        """
        ...


def everybody(token: str | None) -> Grant:
    """The grant of a server without keys: tokens are not read."""
    del token
    return Grant()


def no_ice_servers(peer: str, *, joined: bool) -> tuple[list[IceServer], int]:
    """A server that knows neither STUN nor TURN."""
    del peer, joined
    return [], 0


# --- out ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Write this text frame to this socket."""

    connection: int
    text: str


@dataclass(frozen=True, slots=True)
class Close:
    """Close this socket, after what was sent before. The hub has forgotten it already."""

    connection: int
    code: CloseCode
    reason: str = ""


Output: TypeAlias = Send | Close


# --- what is known ------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Connection:
    """A socket. It has a seat after `hello`."""

    id: int
    address: str
    seat: Seat | None = None
    strikes: int = 0


@dataclass(frozen=True, slots=True)
class Membership:
    """A seat in a room: what it told of itself, and the id of its tab, which the others are not told."""

    room: str
    meta: Raw
    tab: str

    @property
    def size(self) -> int:
        """Bytes kept for it, about."""
        return len(bytes(self.meta)) + len(self.room.encode()) + len(self.tab.encode()) + 64


@dataclass(slots=True, eq=False, kw_only=True)
class Seat:
    """A peer: one join of one program or page, which outlives its sockets by the grace time."""

    peer: str
    name: str
    grant: Grant
    address: str
    resume_hash: bytes
    spent_hash: bytes = b""
    """Of the token that the last resume has used. Who shows it again did not get the answer, or has stolen it."""
    connection: Connection | None
    rooms: dict[str, Membership] = field(default_factory=dict[str, Membership])
    incoming: Incoming = field(default_factory=Incoming)
    outgoing: Outgoing[bytes] = field(default_factory=Outgoing[bytes])
    bucket: Bucket
    away_since: float = 0.0
    parting: tuple[Leaving, float] | None = None
    """What its page says in case it ends without another word, and when it said so."""


TabKey: TypeAlias = tuple[str, str, str]
"""Room, user, tab id."""


class Timer(Enum):
    """What a deadline is for; with it stands whose it is."""

    HELLO = auto()
    """A connection's id."""
    GRACE = auto()
    """A peer; so are the next three."""
    ACK = auto()
    EXPIRING = auto()
    EXPIRED = auto()
    TAB = auto()
    """A `TabKey`."""
    SHUTDOWN = auto()


TimerKey: TypeAlias = tuple[Timer, object]

MAX_CLOSE_REASON = 123
"""RFC 6455 section 5.5: a control frame has 125 bytes, two of them are the code."""


def close_reason(text: str) -> str:
    """As much of it as a close frame holds."""
    return text.encode(errors="replace")[:MAX_CLOSE_REASON].decode(errors="ignore")


class State:
    """Sockets, seats, rooms, timers, counters, and what waits to be handed out."""

    def __init__(
        self,
        settings: Settings,
        *,
        random: Callable[[int], bytes],
        authenticate: Callable[[str | None], Grant],
        ice_servers: IceSource,
    ) -> None:
        self.settings = settings
        self.random = random
        self.authenticate = authenticate
        self.ice_servers = ice_servers
        self.connections: dict[int, Connection] = {}
        self.seats: dict[str, Seat] = {}
        self.tokens: dict[bytes, Seat] = {}
        self.rooms: dict[str, dict[str, Seat]] = {}
        self.departed: dict[TabKey, str] = {}
        """The peer that a tab had, and that has left a moment ago."""
        self.gate: Gate = Gate(settings)
        self.timers: Timers[TimerKey] = Timers()
        self.counters: Counter[str] = Counter()
        self.outputs: deque[Output] = deque()
        self.kept: int = 0
        """Bytes that are kept for clients."""
        self.slow: list[Connection] = []
        """Sockets to be closed at the end of this call: their queue is full."""
        self.doomed: list[Seat] = []
        """Seats to be freed at the end of this call: what they must know cannot be kept."""

    # --- ways out -----------------------------------------------------------------------------------------

    def send(self, connection: Connection, text: str) -> None:
        """Hand a frame out."""
        self.outputs.append(Send(connection.id, text))

    def close(self, connection: Connection, code: CloseCode, reason: str = "") -> None:
        """Hand out a close, and forget the socket. The seat, if any, is the caller's to look after."""
        self.counters[f"closed_{int(code)}"] += 1
        self.outputs.append(Close(connection.id, code, close_reason(reason)))
        self.forget(connection)

    def forget(self, connection: Connection) -> None:
        """The socket is gone."""
        self.connections.pop(connection.id, None)
        self.timers.cancel((Timer.HELLO, connection.id))
        if connection.seat is not None:
            connection.seat.connection = None
            self.timers.cancel((Timer.ACK, connection.seat.peer))
            connection.seat = None

    def reply(self, seat: Seat, message: FromServer, request: int | None = None) -> None:
        """Answer a request; not kept: who has not got it asks again."""
        if seat.connection is not None:
            self.send(seat.connection, encode(message, request=request, ack=self._said(seat)))

    def refuse(self, seat: Seat, request: int | None, code: str, text: str, *, temporary: bool = False) -> None:
        """Answer a request with an error."""
        self.counters[f"refused_{code}"] += 1
        self.reply(seat, Error(code=code, message=text, temporary=temporary), request)

    def deliver(self, seat: Seat, body: bytes) -> bool:
        """Number, keep and send a message; False when there is no room for it, and then nothing has happened."""
        full = seat.outgoing.size + len(body) > self.settings.queue_bytes
        if full and seat.connection is not None:
            self.slow.append(seat.connection)
        if full or self.kept + len(body) > self.settings.kept_bytes:
            return False
        self._number(seat, body)
        return True

    def announce(self, seat: Seat, message: FromServer, request: int | None = None) -> None:
        """Number, keep and send what cannot be refused: presence, and errors about relayed messages.

        It may take the queue as much again; beyond, the seat is freed and its client will know that it missed
        something, because it gets a new one.
        """
        body = encode_body(message) if request is None else wrap(encode_body(message), request=request).encode()
        size = seat.outgoing.size + len(body)
        crowded = self.kept > self.settings.kept_bytes and seat.connection is None
        if crowded or size > 2 * self.settings.queue_bytes:
            self.doomed.append(seat)
            return
        if size > self.settings.queue_bytes and seat.connection is not None:
            self.slow.append(seat.connection)
        self._number(seat, body)

    def _number(self, seat: Seat, body: bytes) -> None:
        seq = seat.outgoing.add(body, len(body))
        self.kept += len(body)
        if seat.connection is not None:
            self.send(seat.connection, wrap(body, seq=seq, ack=self._said(seat)))

    def replay(self, seat: Seat) -> None:
        """Send again, on a new socket, what was not acknowledged."""
        if seat.connection is None:
            return
        for seq, body in seat.outgoing.kept():
            self.send(seat.connection, wrap(body, seq=seq, ack=self._said(seat)))

    def acknowledged(self, seat: Seat, up_to: int) -> None:
        """The client has these. Raises ValueError when it cannot have them."""
        before = seat.outgoing.size
        seat.outgoing.acknowledge(up_to)
        self.kept -= before - seat.outgoing.size

    def _said(self, seat: Seat) -> int | None:
        """Every frame to a client carries the acknowledgement, so that none is owed after it."""
        self.timers.cancel((Timer.ACK, seat.peer))
        return seat.incoming.say()
