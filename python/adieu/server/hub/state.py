"""The state of the hub, and the three ways to send a message.

* `State.send`: to a socket, now or never (answers to requests).
* `State.deliver`: numbered and kept until acknowledged, refused when that client's queue is full (relayed messages).
* `State.announce`: numbered and kept; cannot be refused, so a client whose queue it overflows loses its seat.

The procedures in the other files change the state; nothing here decides.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol, TypeAlias

from adieu.errors import AdieuError
from adieu.histogram import Histogram
from adieu.protocol.replay import Incoming, Outgoing
from adieu.protocol.signaling import CloseCode, Error, encode, encode_body, wrap
from adieu.server.hub.limits import Gate, Settings
from adieu.server.hub.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Callable

    from msgspec import Raw

    from adieu.bucket import Bucket
    from adieu.protocol.signaling import FromServer, IceServer, Leaving


class TokenRefusedError(AdieuError):
    """The token was refused.

    Attributes:
        code: the close code: `EXPIRED` if a fresh token helps, `TOO_MANY` if the same may be accepted a moment later,
            otherwise `INVALID_TOKEN`.
    """

    def __init__(self, message: str, code: CloseCode = CloseCode.INVALID_TOKEN) -> None:
        super().__init__(message)
        self.code = code


RIGHTS = ("close", "kick")
"""The rights that there are: to close a room for everybody in it, and to remove a peer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """The rights of a token.

    Attributes:
        user: the user; empty on a server without keys.
        rooms: the rooms that it may join; None: all.
        can: rights by name: those of `RIGHTS`.
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
    """Returns STUN and TURN servers. Their credentials depend on the wall clock, which the hub does not have."""

    def __call__(self, peer: str, *, joined: bool) -> tuple[list[IceServer], int]:
        """Return the servers for a peer, and how many seconds their credentials are valid (0: forever).

        Before a join no server with credentials is returned.
        """
        ...


def everybody(token: str | None) -> Grant:
    """Return the grant of a server without keys: tokens are not read."""
    del token
    return Grant()


def no_ice_servers(peer: str, *, joined: bool) -> tuple[list[IceServer], int]:
    """Return no servers, for a server without STUN and TURN."""
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
    """Close this socket after the frames before it. The hub has forgotten it already."""

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
    since: float
    seat: Seat | None = None
    strikes: int = 0
    joined: bool = False


@dataclass(frozen=True, slots=True)
class Membership:
    """A seat in a room: its metadata, and its tab id, which other peers never see."""

    room: str
    meta: Raw
    tab: str

    @property
    def size(self) -> int:
        """Return the bytes kept for it, approximately."""
        return len(bytes(self.meta)) + len(self.room.encode()) + len(self.tab.encode()) + 64


@dataclass(slots=True, eq=False, kw_only=True)
class Seat:
    """A peer: one program or page. It outlives its sockets by the grace time."""

    peer: str
    name: str
    grant: Grant
    address: str
    resume_hash: bytes
    spent_hash: bytes = b""
    """The hash of the token that the last resume used. Its second use means a lost answer or a theft."""
    connection: Connection | None
    rooms: dict[str, Membership] = field(default_factory=dict[str, Membership])
    incoming: Incoming = field(default_factory=Incoming)
    outgoing: Outgoing[bytes] = field(default_factory=Outgoing[bytes])
    bucket: Bucket
    away_since: float = 0.0
    parting: tuple[Leaving, float] | None = None
    """The `if_gone` message of its page, and when it came."""


TabKey: TypeAlias = tuple[str, str, str]
"""Room, user, tab id."""


class Timer(Enum):
    """The purpose of a deadline; its key also has the owner, as noted below."""

    HELLO = auto()
    """The owner is a connection id."""
    GRACE = auto()
    """The owner is a peer, also for the next three."""
    ACK = auto()
    EXPIRING = auto()
    EXPIRED = auto()
    TAB = auto()
    """The owner is a `TabKey`."""
    SHUTDOWN = auto()


TimerKey: TypeAlias = tuple[Timer, object]

MAX_CLOSE_REASON = 123
"""RFC 6455 section 5.5: a control frame has 125 bytes, two of them are the code."""


def close_reason(text: str) -> str:
    """Return the text, cut to the length of a close frame."""
    return text.encode(errors="replace")[:MAX_CLOSE_REASON].decode(errors="ignore")


class State:
    """Sockets, seats, rooms, timers, counters, and the outputs that wait."""

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
        self.last_connection: int = 0
        self.seats: dict[str, Seat] = {}
        self.tokens: dict[bytes, Seat] = {}
        self.rooms: dict[str, dict[str, Seat]] = {}
        self.departed: dict[TabKey, str] = {}
        """Tabs to their last peer, if it left a moment ago."""
        self.gate: Gate = Gate(settings)
        self.timers: Timers[TimerKey] = Timers()
        self.counters: Counter[str] = Counter()
        self.joining: Histogram = Histogram()
        self.outputs: deque[Output] = deque()
        self.kept: int = 0
        """Bytes that are kept for clients."""
        self.slow: list[Connection] = []
        """Sockets to close at the end of this call: their queue is full."""
        self.doomed: list[Seat] = []
        """Seats to free at the end of this call: an announcement to them does not fit."""

    # --- ways out -----------------------------------------------------------------------------------------

    def send(self, connection: Connection, text: str) -> None:
        """Send a frame."""
        self.outputs.append(Send(connection.id, text))

    def close(self, connection: Connection, code: CloseCode, reason: str = "") -> None:
        """Close a socket and forget it. The caller handles its seat, if it has one."""
        self.counters[f"closed_{int(code)}"] += 1
        self.outputs.append(Close(connection.id, code, close_reason(reason)))
        self.forget(connection)

    def forget(self, connection: Connection) -> None:
        """Forget a socket that is gone."""
        self.connections.pop(connection.id, None)
        self.timers.cancel((Timer.HELLO, connection.id))
        if connection.seat is not None:
            connection.seat.connection = None
            self.timers.cancel((Timer.ACK, connection.seat.peer))
            connection.seat = None

    def reply(self, seat: Seat, message: FromServer, request: int | None = None) -> None:
        """Answer a request. The answer is not kept: a client without it asks again."""
        if seat.connection is not None:
            self.send(seat.connection, encode(message, request=request, ack=self._said(seat)))

    def refuse(self, seat: Seat, request: int | None, code: str, text: str, *, temporary: bool = False) -> None:
        """Answer a request with an error."""
        self.counters[f"refused_{code}"] += 1
        self.reply(seat, Error(code=code, message=text, temporary=temporary), request)

    def deliver(self, seat: Seat, body: bytes) -> bool:
        """Number, keep and send a message. False if the queue is full; then nothing has changed."""
        full = seat.outgoing.size + len(body) > self.settings.queue_bytes
        if full and seat.connection is not None:
            self.slow.append(seat.connection)
        if full or self.kept + len(body) > self.settings.kept_bytes:
            return False
        self._number(seat, body)
        return True

    def announce(self, seat: Seat, message: FromServer, request: int | None = None) -> None:
        """Number, keep and send a message that cannot be refused: presence, or an error about a relayed message.

        It may use the size of the queue a second time. Beyond that the seat is freed. Its client notices, because it
        gets a new seat.
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
        """Send the messages that are not acknowledged again, on a new socket."""
        if seat.connection is None:
            return
        for seq, body in seat.outgoing.kept():
            self.send(seat.connection, wrap(body, seq=seq, ack=self._said(seat)))

    def acknowledged(self, seat: Seat, up_to: int) -> None:
        """Forget the messages that the client has. Raises ValueError if it cannot have them."""
        before = seat.outgoing.size
        seat.outgoing.acknowledge(up_to)
        self.kept -= before - seat.outgoing.size

    def _said(self, seat: Seat) -> int | None:
        """Return the acknowledgement for a frame to a client: every frame carries it."""
        self.timers.cancel((Timer.ACK, seat.peer))
        return seat.incoming.say()
