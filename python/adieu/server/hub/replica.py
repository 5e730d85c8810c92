"""One hub in several servers: each has a whole copy, and all of them take the same inputs in the same order.

Theory of operation. A hub is a machine that neither reads a clock nor draws random numbers. So hubs that get the same
inputs in the same order are equal. The order is a *log* that the servers share. A server never acts on a frame of its
own client: it appends the frame to the log. When it reads the frame in the log, it gives it to its copy of the hub, as
all others do. It sends those outputs that are for its own sockets.

    frame of a client -> batch -> log -> every server: hub -> outputs for its own sockets

* A batch has inputs of one server, the server's number for it, and a seed for random numbers. A batch that was appended
  twice, because an answer of the log was lost, is ignored the second time. A missing one raises `GapError`.
* The time of the hub is that of the log, but a silence of the log counts as `LONGEST_SILENCE` at most. So an outage of
  the log uses up nobody's grace.
* A server appends at least every `HEARTBEAT` seconds. When it was not heard for `DEAD` seconds of the hub's time, every
  server sees that at the same place of the log, and ends the dead server's sockets. If it was only slow, it reads that
  too, closes its sockets and enters again under a new name.
* Tokens are checked by the server that has the socket. The log has the grant, and not the token.
* Every server keeps and reads the whole log. So of a stranger only `hello` gets into it. A first frame that is no
  `hello` is answered here, and a page's goodbye must show the token of a seat in this copy.

Every copy has read the same log, and the log alone decides which messages clients get. So a server may end at any time.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, assert_never

import msgspec
from msgspec import Struct

from adieu.protocol.signaling import CloseCode, Error, Goaway, Hello, Refresh, decode_client, encode
from adieu.protocol.text import scalar
from adieu.server.hub.hub import Hub
from adieu.server.hub.limits import Settings
from adieu.server.hub.state import (
    Close,
    Grant,
    Output,
    Send,
    TokenRefusedError,
    close_reason,
    everybody,
    no_ice_servers,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.histogram import Histogram
    from adieu.protocol.signaling import IceServer
    from adieu.server.hub.overview import PeerView, RoomView
    from adieu.server.hub.state import IceSource

FORMAT = 2
"""The version of the batches and of the hub's answers to them: servers of one log must have the same."""
HEARTBEAT = 0.5
DEAD = 5.0
LONGEST_SILENCE = 1.0
MOST_UNREAD = 2
"""Times `Settings.burst`: the most frames of one socket that are not back from the log. More is more than the hub
allows too, and would fill the log meanwhile."""
MOST_PENDING = 32 * 1024 * 1024
"""The most characters of frames and goodbyes that wait to be appended. They wait longer when the log is slow."""


class GapError(Exception):
    """Entries of the log are missing: this copy is of no use."""


# --- the entries of the log -----------------------------------------------------------------------------------


class Refused(Struct, array_like=True, tag=1):
    """A token was refused."""

    code: int
    text: str


class Allowed(Struct, array_like=True, tag=2):
    """A token was accepted."""

    grant: Grant


class Enter(Struct, array_like=True, tag=1):
    """A server enters the log. With `blank` it knows nothing, and waits for a snapshot."""

    blank: bool


class Exit(Struct, array_like=True, tag=2):
    """A server ends in order."""


class Connected(Struct, array_like=True, tag=3):
    """A client has connected to this server."""

    socket: int
    address: str


class Frame(Struct, array_like=True, tag=4):
    """A client has sent a frame; the verdict is on its token, if it had to be checked."""

    socket: int
    text: str | None
    size: int
    """The length, if it was binary; its bytes are of no use."""
    verdict: Allowed | Refused | None = None


class Gone(Struct, array_like=True, tag=5):
    """A socket has ended."""

    socket: int


class Slow(Struct, array_like=True, tag=6):
    """A socket does not read its frames."""

    socket: int


class Parting(Struct, array_like=True, tag=7):
    """A page has sent its goodbye beside the socket."""

    peer: str
    body: bytes


class KickWish(Struct, array_like=True, tag=8):
    """An operator removes a peer."""

    peer: str
    reason: str


class CloseWish(Struct, array_like=True, tag=9):
    """An operator closes a room."""

    room: str
    reason: str


Input: TypeAlias = Enter | Exit | Connected | Frame | Gone | Slow | Parting | KickWish | CloseWish


class Batch(Struct, array_like=True):
    """Inputs of one server."""

    node: str
    number: int
    seed: bytes
    inputs: list[Input]


_decoder = msgspec.msgpack.Decoder(Batch)
_encoder = msgspec.msgpack.Encoder()


class _Snapshot(Struct, array_like=True):
    position: str
    clock: int
    at: int | None
    nodes: list[tuple[str, int, int, bool, list[tuple[int, int]]]]
    hub: bytes


# --- a copy -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Node:
    """A server, as all copies know it."""

    heard: int
    """In milliseconds of the hub's time."""
    number: int = 0
    blank: bool = False
    """Whether it has entered without a copy. Its second batch says that it has one."""
    sockets: dict[int, int] = field(default_factory=dict[int, int])
    """The server's own numbers of sockets, with those of the hub."""


@dataclass(slots=True)
class _Socket:
    """A socket of this server."""

    greeted: bool = False
    refused: bool = False
    """Whether its token was refused: the hub closes it when it reads that."""
    unread: int = 0
    """Frames that are not back from the log yet."""


class Replica:
    """A server's copy of the hub. It is used like a `Hub`, but its outputs come when the inputs are back from the log.

    Args:
        settings: the limits; they count for all servers together, and must be the same in all.
        node: the name of this server in the log, which nobody else ever had.
        random: returns `n` unpredictable bytes.
        authenticate: returns the grant of a token; raises `TokenRefusedError`.
        ice_servers: returns STUN and TURN servers for a peer.
    """

    node: str
    position: str
    expelled: bool

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        node: str,
        random: Callable[[int], bytes],
        authenticate: Callable[[str | None], Grant] = everybody,
        ice_servers: IceSource = no_ice_servers,
    ) -> None:
        self._settings = settings or Settings()
        self._random = random
        self._authenticate = authenticate
        self._ice_servers = ice_servers
        self._mine: dict[int, _Socket] = {}
        self._last_socket = 0
        self._outputs: deque[Output] = deque()
        self._closing_at: float | None = None
        self.up: bool = False
        """Whether the log works: without it, nobody is let in."""
        self.snapshots: list[tuple[str, bytes]] = []
        """Snapshots that this server has to give to others, by name."""
        self._begin(node)

    def _begin(self, node: str) -> None:
        self.node = node
        self.position = "0-0"
        self.expelled = False
        self._number = 0
        self._pending: list[Input] = []
        self._pending_size = 0
        self._partings: Counter[str] = Counter()
        """The goodbyes of a peer that are not back from the log yet."""
        self._nodes: dict[str, _Node] = {}
        self._owners: dict[int, tuple[str, int]] = {}
        self._clock = 0
        """The time of the hub, in whole milliseconds: sums of fractions would not be exact."""
        self._at: int | None = None
        self._seed = (b"", 0)
        self._verdict: Allowed | Refused | None = None
        self._is_own = False
        self._hub = Hub(self._settings, random=self._draw, authenticate=self._judge, ice_servers=self._servers_for_own)

    # --- in: as of a hub ----------------------------------------------------------------------------------

    def handle_connect(self, address: str, now: float) -> int:
        """Handle a new socket."""
        del now
        self._last_socket += 1
        number = self._last_socket
        if self._closing_at is not None:
            self._close(number, CloseCode.SHUTDOWN, "the server is stopping")
        elif not self.up:
            self._close(number, CloseCode.TOO_MANY, "the server has lost its bus: try again later")
        else:
            self._mine[number] = _Socket()
            self._pending.append(Connected(number, address))
        return number

    def handle_message(self, connection: int, data: str | bytes, now: float) -> None:
        """Handle a frame from a socket."""
        del now
        socket = self._mine.get(connection)
        if socket is None or socket.refused:
            return
        socket.unread += 1
        if socket.unread > MOST_UNREAD * self._settings.burst:
            self._end(connection, CloseCode.TOO_MANY, "too many messages at once")
        elif isinstance(data, bytes) or len(data) > self._settings.message_bytes:
            self._pending.append(Frame(connection, None, len(data)))
        elif not self._has_room(len(data)):
            self._end(connection, CloseCode.TOO_MANY, "the server is busy: try again later")
        else:
            self._text(connection, socket, data)

    def _text(self, connection: int, socket: _Socket, data: str) -> None:
        """Append a text frame, without its token. Turn away here a stranger that does not begin with `hello`."""
        if socket.greeted and "refresh" not in data:
            self._append(Frame(connection, data, len(data)), len(data))
            return
        request, error = None, "the first message must be `hello`"
        verdict: Allowed | Refused | None = None
        try:
            envelope, message = decode_client(data)
            request = envelope.id
            if isinstance(message, (Hello, Refresh)):
                verdict = self._judgement(message.token)
                bare = msgspec.structs.replace(message, token="" if isinstance(message, Refresh) else None)
                data = encode(bare, request=request, seq=envelope.seq, ack=envelope.ack)
        except ValueError as wrong:
            message, error = None, str(wrong)
        if not socket.greeted and not isinstance(message, Hello):
            self.counters["refused_bad-request"] += 1
            self._outputs.append(Send(connection, encode(Error(code="bad-request", message=error), request=request)))
            self._end(connection, CloseCode.BAD_REQUEST, error)
            return
        socket.refused = not socket.greeted and isinstance(verdict, Refused)
        socket.greeted = True
        self._append(Frame(connection, data, len(data), verdict), len(data))

    def _judgement(self, token: str | None) -> Allowed | Refused:
        try:
            verdict: Allowed | Refused = Allowed(self._authenticate(token))
            _encoder.encode(verdict)  # a half of a surrogate pair in a name would stop the whole batch
        except TokenRefusedError as error:
            verdict = Refused(int(error.code), scalar(str(error)))
        except UnicodeEncodeError:
            verdict = Refused(int(CloseCode.INVALID_TOKEN), "the token's claims are not valid: they have broken text")
        return verdict

    def _has_room(self, size: int) -> bool:
        return self._pending_size + size <= MOST_PENDING

    def _append(self, each: Frame | Parting, size: int) -> None:
        self._pending.append(each)
        self._pending_size += size

    def _end(self, connection: int, code: CloseCode, reason: str) -> None:
        """Close a socket here, and say so in the log."""
        self._close(connection, code, reason)
        self._pending.append(Gone(connection))

    def handle_disconnect(self, connection: int, now: float) -> None:
        """Handle the end of a socket."""
        del now
        if self._mine.pop(connection, None) is not None:
            self._pending.append(Gone(connection))

    def handle_slow(self, connection: int, now: float) -> None:
        """Handle a socket that does not read its frames."""
        del now
        if connection in self._mine:
            self._pending.append(Slow(connection))

    def handle_leaving(self, body: bytes, now: float) -> bool:
        """Handle a page's `POST /v1/leave`. Its effect comes with the log. Whether it gets into it."""
        del now
        found = self._hub.read_leaving(body) if self.up else None
        if found is None:
            return False
        leaving, seat = found
        allowed = int(seat.bucket.level(self._now)) + (not leaving.if_gone)  # the last one frees the seat
        if self._partings[seat.peer] >= allowed or not self._has_room(len(body)):
            self.counters["leaves_too_many"] += 1
            return False
        self._partings[seat.peer] += 1
        self._append(Parting(seat.peer, body), len(body))
        return True

    def handle_kick(self, peer: str, reason: str, now: float) -> bool:
        """Handle an operator's wish to remove a peer, of whichever server. Whether there is such a peer."""
        del now
        known = self.up and self._hub.has_peer(peer)
        if known:
            self._pending.append(KickWish(peer, scalar(reason)))
        return known

    def handle_close_room(self, room: str, reason: str, now: float) -> int:
        """Handle the wish to close a room, in all servers. Return the number of peers in it."""
        del now
        count = self._hub.room_size(room) if self.up else 0
        if count:
            self._pending.append(CloseWish(room, scalar(reason)))
        return count

    def handle_shutdown(self, after: float, now: float) -> None:
        """Send `goaway` to the clients of this server, and close their sockets after `after` seconds."""
        if self._closing_at is None:
            text = encode(Goaway(reason="the server is stopping", after_ms=round(after * 1000)))
            self._outputs.extend(Send(number, text) for number in self._mine)
        due = now + after
        self._closing_at = due if self._closing_at is None else min(self._closing_at, due)

    def handle_timeout(self, now: float) -> None:
        """Do what is due in this server alone; the rest is due by the log."""
        if self._closing_at is not None and now >= self._closing_at:
            self._close_all(CloseCode.SHUTDOWN, "the server is stopping")

    # --- out: as of a hub ---------------------------------------------------------------------------------

    def poll_output(self) -> Output | None:
        """Return the next action on a socket of this server; None: nothing."""
        return self._outputs.popleft() if self._outputs else None

    def poll_timeout(self) -> float | None:
        """Return when to call `handle_timeout`."""
        return self._closing_at if self._mine else None

    @property
    def settings(self) -> Settings:
        """Return the limits."""
        return self._settings

    @property
    def joining(self) -> Histogram:
        """Seconds from the beginning of a socket to its first room, of all servers since this one's start."""
        return self._hub.joining

    @property
    def counters(self) -> Counter[str]:
        """Return the counts of events of all servers since this one's start."""
        return self._hub.counters

    @property
    def ready(self) -> bool:
        """Whether new clients can join here."""
        return self.up and self._closing_at is None and self._hub.ready

    def gauges(self) -> dict[str, int]:
        """Return the numbers of things that all servers hold together, and of this one."""
        own = {"bus_up": int(self.up), "bus_servers": len(self._nodes), "bus_sockets_here": len(self._mine)}
        return self._hub.gauges() | own

    def rooms(self, *, after: str = "", count: int = 1000) -> list[RoomView]:
        """Return a page of the rooms of all servers."""
        return self._hub.rooms(after=after, count=count)

    def peers(self, *, room: str | None = None, after: str = "", count: int = 1000) -> list[PeerView]:
        """Return a page of the peers of all servers."""
        return self._hub.peers(room=room, after=after, count=count)

    # --- the log ------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> bool:
        """Whether inputs wait to be appended."""
        return bool(self._pending)

    def take_batch(self) -> bytes:
        """Return the next batch, which must be appended, and again until that has succeeded. It may have no inputs."""
        data = _encoder.encode(Batch(self.node, self._number + 1, self._random(16), self._pending))
        self._number += 1
        self._pending, self._pending_size = [], 0
        return data

    def enter(self, *, blank: bool) -> None:
        """Begin with the first batch. `blank`: this copy is empty, though there are others that know more."""
        self._pending.insert(0, Enter(blank))

    def exit(self) -> None:
        """Make the last batch: the others do not wait for this server."""
        self._close_all(CloseCode.SHUTDOWN, "the server is stopping")
        self._pending.append(Exit())

    def lose(self, reason: str) -> None:
        """Close all sockets: the log cannot be reached. Their clients keep their seats in it."""
        self.up = False
        self._close_all(CloseCode.LOST, reason)

    def start_again(self, node: str) -> None:
        """Forget the copy, under a new name."""
        self._close_all(CloseCode.LOST, "the server has lost its bus")
        self.up = False
        self._begin(node)

    def rename(self, node: str) -> None:
        """Enter again under a new name, with the copy as it is: the others have ended this server, which was slow."""
        self._close_all(CloseCode.LOST, "the server was too slow")
        self.node = node
        self.expelled = False
        self._number = 0
        self._pending = [Enter(blank=False)]
        self._pending_size = 0
        self._partings.clear()

    def apply(self, position: str, data: bytes) -> None:
        """Take an entry of the log.

        Args:
            position: its id: milliseconds, a dash, a number.
            data: the batch.

        Raises:
            GapError: entries before this one are missing.
        """
        self._advance(int(position.partition("-")[0]))
        self.position = position
        try:
            batch = _decoder.decode(data)
        except msgspec.DecodeError:
            self.counters["bus_bad"] += 1
            return
        node = self._nodes.get(batch.node)
        if node is None:
            if batch.number != 1 or not batch.inputs or not isinstance(batch.inputs[0], Enter):
                self.counters["bus_late"] += 1  # of a server that was ended
                return
            node = self._nodes[batch.node] = _Node(self._clock)
        elif batch.number <= node.number:
            self.counters["bus_doubled"] += 1
            return
        if batch.number != node.number + 1:
            raise GapError(f"batch {batch.number} of {batch.node} came after {node.number}")
        node.number, node.heard = batch.number, self._clock
        self._seed = (batch.seed, 0)
        self._is_own = batch.node == self.node
        for each in batch.inputs:
            self._take(batch.node, node, each)

    def _advance(self, at: int) -> None:
        """Advance the time of the hub to this entry, and do what is due."""
        before = at if self._at is None else self._at
        self._at = at
        self._clock += min(max(0, at - before), round(LONGEST_SILENCE * 1000))
        self._is_own = False
        for name in [name for name, node in self._nodes.items() if self._clock - node.heard > DEAD * 1000]:
            self._bury(name)
        self._hub.handle_timeout(self._now)
        self._hand_out()

    @property
    def _now(self) -> float:
        return self._clock / 1000

    def _take(self, name: str, node: _Node, each: Input) -> None:
        hub, now = self._hub, self._now
        match each:
            case Enter(blank=blank):
                node.blank = blank
                if blank and self._giver() == self.node:
                    self.snapshots.append((name, self.dump()))
            case Exit():
                self._bury(name)
            case Connected(socket=socket, address=address):
                number = hub.handle_connect(address, now)
                node.sockets[socket] = number
                self._owners[number] = name, socket
            case Frame(socket=socket, text=text, size=size, verdict=verdict):
                if self._is_own and (own := self._mine.get(socket)) is not None:
                    own.unread -= 1
                if (known := node.sockets.get(socket)) is not None:
                    self._verdict = verdict
                    hub.handle_message(known, bytes(size) if text is None else text, now)
                    self._verdict = None
            case Gone(socket=socket):
                if (known := node.sockets.pop(socket, None)) is not None:
                    del self._owners[known]
                    hub.handle_disconnect(known, now)
            case Slow(socket=socket):
                if (known := node.sockets.get(socket)) is not None:
                    hub.handle_slow(known, now)
            case Parting(peer=peer, body=body):
                if self._is_own:
                    self._partings[peer] -= 1
                    if not self._partings[peer]:
                        del self._partings[peer]
                hub.handle_leaving(body, now)
            case KickWish(peer=peer, reason=reason):
                hub.handle_kick(peer, reason, now)
            case CloseWish(room=room, reason=reason):
                hub.handle_close_room(room, reason, now)
            case _:
                assert_never(each)
        self._hand_out()

    def _giver(self) -> str | None:
        """Return the server that gives a snapshot: of those with a copy the one that was heard last."""
        able = [(node.heard, name) for name, node in self._nodes.items() if node.number > 1 or not node.blank]
        return max(able)[1] if able else None

    def _bury(self, name: str) -> None:
        """End the sockets of a server that is gone."""
        node = self._nodes.pop(name)
        if name == self.node:
            self.expelled = True
        for number in node.sockets.values():
            del self._owners[number]
            self._hub.handle_disconnect(number, self._now)
        self._hand_out()

    def _hand_out(self) -> None:
        """Keep the outputs of the hub that are for sockets of this server."""
        while (output := self._hub.poll_output()) is not None:
            owner = self._owners.get(output.connection)
            if owner is None:
                continue
            name, socket = owner
            if isinstance(output, Close):
                del self._owners[output.connection]
                del self._nodes[name].sockets[socket]
            if name == self.node and socket in self._mine:
                match output:
                    case Send(text=text):
                        self._outputs.append(Send(socket, text))
                    case Close(code=code, reason=reason):
                        self._close(socket, code, reason)

    # --- snapshots ----------------------------------------------------------------------------------------

    def dump(self) -> bytes:
        """Return this copy as bytes: the same bytes in all servers that have read the log up to the same entry."""
        nodes = [
            (name, node.number, node.heard, node.blank, list(node.sockets.items()))
            for name, node in self._nodes.items()
        ]
        return _encoder.encode(_Snapshot(self.position, self._clock, self._at, nodes, self._hub.dump()))

    def load(self, data: bytes) -> None:
        """Continue from a snapshot, in a new copy. Raises ValueError."""
        read = msgspec.msgpack.decode(data, type=_Snapshot)
        self._hub.load(read.hub)
        self.position, self._clock, self._at = read.position, read.clock, read.at
        for name, number, heard, blank, sockets in read.nodes:
            self._nodes[name] = _Node(heard, number, blank, dict(sockets))
            self._owners.update({known: (name, socket) for socket, known in sockets})

    # --- small things -------------------------------------------------------------------------------------

    def _close(self, socket: int, code: CloseCode, reason: str) -> None:
        self._mine.pop(socket, None)
        if code in {CloseCode.LOST, CloseCode.TOO_MANY} and not self.up:
            text = encode(Error(code="busy", message=reason, temporary=True))
            self._outputs.append(Send(socket, text))
        self._outputs.append(Close(socket, code, close_reason(reason)))

    def _close_all(self, code: CloseCode, reason: str) -> None:
        for socket in list(self._mine):
            self._end(socket, code, reason)

    def _draw(self, count: int) -> bytes:
        """Return random bytes, the same in each copy."""
        seed, drawn = self._seed
        self._seed = seed, drawn + 1
        return hashlib.shake_256(seed + drawn.to_bytes(8)).digest(count)

    def _judge(self, token: str | None) -> Grant:
        """Return the verdict in the log on the token of the frame that is being read."""
        del token
        match self._verdict:
            case Allowed(grant=grant):
                return grant
            case Refused(code=code, text=text):
                raise TokenRefusedError(text, CloseCode(code))
            case None:
                raise TokenRefusedError("the token could not be read")

    def _servers_for_own(self, peer: str, *, joined: bool) -> tuple[list[IceServer], int]:
        """Return STUN and TURN servers; only the server that answers makes their credentials."""
        return self._ice_servers(peer, joined=joined) if self._is_own else ([], 0)
