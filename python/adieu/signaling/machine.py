"""The signaling client without a network.

Theory of operation. One *seat* at the server outlives many sockets. While a socket is open, `hello` asks for the old
seat (or a new one) and `welcome` answers. Requests wait for their answer and are sent again on a new socket. Relayed
messages are numbered, kept until they are acknowledged, and sent again only if the server does not have them. Both keep
the order in which the user made them.

    resting ──time──> dialing ──open──> greeting ──welcome──> connected ─quit──> leaving
       ^                 │ lost            │ lost                │ lost            │ goodbye, lost, time
       └─────────────────┴─────────────────┴─────────────────────┘                 v
                          a final code, or the end of the patience ───────────> over

The shell looks at `want` (dial, talk, wait, or nothing), and feeds the frames of the socket. It calls `poll_transmit`
and `poll_event` until they are None, and calls `handle_timeout` at `poll_timeout`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, assert_never

import msgspec

from adieu.bucket import Bucket
from adieu.errors import SignalingError, SignalingLostError, SignalingRefusedError
from adieu.protocol import VERSION
from adieu.protocol.replay import Incoming, Outgoing
from adieu.protocol.signaling import (
    MAX_PERSON,
    MAX_ROOM,
    MAX_TOKEN,
    BareAck,
    Envelope,
    Error,
    FromServer,
    Goodbye,
    Hello,
    IceServers,
    Join,
    Joined,
    Kick,
    Leave,
    Left,
    Limits,
    Probe,
    Quit,
    Refresh,
    Refreshed,
    Relayed,
    Resume,
    Welcome,
    decode_client,
    decode_server,
    encode,
    encode_body,
    is_final,
    wrap,
)
from adieu.protocol.text import checked, scalar, scalar_json, sendable
from adieu.protocol.words import MAX_ID, MAX_TEXT
from adieu.signaling.events import Down, Ended, Moved, RoomLost, Undelivered, Up
from adieu.signaling.states import (
    Alive,
    Answer,
    Connected,
    Dialing,
    Greeting,
    Leaving,
    Output,
    Over,
    Refusal,
    Request,
    Resting,
    State,
    Want,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from adieu.signaling.policy import Policy

ACK_MESSAGES = 16
ACK_DELAY = 0.5
PACE = 0.9
"""The part of the server's limit of messages a second that is used: evenly sent messages may arrive in a bunch."""
MAX_REQUESTS = 256
MAX_PROBED = 64
REMEMBERED = 64
ENVELOPE_BYTES = 80
"""Most bytes of the envelope around a message: three members of up to 16 digits."""
DEFAULT_MESSAGE_BYTES = 64 * 1024


@dataclass(slots=True)
class _Waiting:
    """A request without an answer yet. `until` is None for the machine's own requests."""

    message: Request | Quit
    until: float | None


@dataclass(frozen=True, slots=True)
class _Sent:
    """A relayed message that the server has not acknowledged."""

    request: int
    message: Relayed


@dataclass(frozen=True, slots=True)
class _Frame:
    """A frame that waits to be sent. Requests and relayed messages share one count, which is their order."""

    request: int
    seq: int | None
    body: bytes


class Machine:
    """One client of one server.

    Args:
        policy: the timeouts and bounds.
        name: the name that people see.
        capabilities: sent in `hello`.
        random: draws from [0, 1), for the waits between attempts.

    Raises:
        ValueError: the name is too long.
    """

    def __init__(
        self, policy: Policy, *, name: str = "", capabilities: Sequence[str] = (), random: Callable[[], float]
    ) -> None:
        self.state: State = Over()
        self.peer: str = ""
        self.welcome: Welcome | None = None
        self.bad_frames: int = 0
        """The number of frames from the server that could not be read, and were dropped."""
        self._policy = policy
        self._name = checked("a person's name", name, 0, MAX_PERSON)
        self._capabilities = list(capabilities)
        self._random = random
        self._token_shown: str | None = None
        self._resume_token: str | None = None
        self.can: frozenset[str] = frozenset()
        """The rights that the token grants, as the server says."""
        self._rooms: dict[str, Join] = {}
        self._events: deque[Output] = deque()
        self._attempt = 0
        self._down_since: float | None = None
        self._last_error: Error | None = None
        # The seat, and what is said in it.
        self._count = 0
        self._waiting: dict[int, _Waiting] = {}
        self._outgoing: Outgoing[_Sent] = Outgoing()
        self._incoming = Incoming()
        self._remembered: deque[_Sent] = deque(maxlen=REMEMBERED)
        # This socket.
        self._hello_due = False
        self._frames: deque[_Frame] = deque()
        self._probed: dict[str, Probe] = {}
        self._ack_at: float | None = None
        self._bucket: Bucket | None = None

    @property
    def want(self) -> Want:
        """Return what the shell must do now."""
        match self.state:
            case Resting():
                return Want.WAIT
            case Dialing():
                return Want.DIAL
            case Greeting() | Connected() | Leaving():
                return Want.TALK
            case Over():
                return Want.NOTHING
            case _:
                assert_never(self.state)

    @property
    def up(self) -> bool:
        """Whether the client is connected to the server."""
        return isinstance(self.state, Connected)

    @property
    def rooms(self) -> frozenset[str]:
        """Return the rooms of this client."""
        return frozenset(self._rooms)

    @property
    def leftovers(self) -> dict[str, int]:
        """Return the number of things that are still held; empty if everything is answered and acknowledged."""
        return {"requests": len(self._waiting), "messages": len(self._outgoing), "frames": len(self._frames)}

    # --- from the user ------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Start: `want` is DIAL from now on."""
        self.state = Dialing(now + self._policy.open_timeout)

    def request(self, message: Request, now: float) -> int:
        """Ask the server. `Answer` or `Refusal` follows with the returned number, within the policy's time.

        Raises:
            ValueError: the protocol does not allow the message; the error names the member.
            SignalingError: the client has ended, or too many requests are waiting.
        """
        message = _said(message)
        body = self._checked(message)
        if isinstance(self.state, (Leaving, Over)):
            raise SignalingLostError(f"the client has ended and cannot send a {message.__struct_config__.tag}")
        if len(self._waiting) >= MAX_REQUESTS:
            raise SignalingError(f"{MAX_REQUESTS} requests already wait for an answer, which is the most")
        return self._ask(message, body, now + self._policy.request_timeout)

    def abandon(self, request: int) -> None:
        """Forget a request whose waiter is gone. If the room is joined nevertheless, leave it again."""
        self._waiting.pop(request, None)

    def send(self, message: Relayed) -> None:
        """Send a message to a peer. It is numbered and kept; if the queue is full it is `Undelivered`.

        Raises:
            ValueError: the protocol does not allow the message, or it is too long; the error names the member.
        """
        message = _said(message)
        body = self._checked(message)
        if not message.to:
            raise ValueError(f"a {message.__struct_config__.tag} needs `to`: name the peer that it is for")
        if isinstance(self.state, (Leaving, Over)):
            return
        policy = self._policy
        if len(self._outgoing) >= policy.outbox_messages or self._outgoing.size + len(body) > policy.outbox_bytes:
            text = f"{len(self._outgoing)} messages already wait for the server"
            self._events.append(Undelivered(message.to, "full", text, message))
            return
        self._count += 1
        seq = self._outgoing.add(_Sent(self._count, message), len(body))
        if isinstance(self.state, Connected):
            self._frames.append(_Frame(self._count, seq, body))

    def quit(self, reason: str, now: float) -> None:
        """Leave for good, after all earlier messages."""
        match self.state:
            case Connected():
                message = Quit(reason=sendable(reason, MAX_TEXT))
                self._ask(message, self._checked(message), None)
                self.state = Leaving(now + self._policy.quit_timeout)
            case Resting() | Dialing() | Greeting():
                self._end(None)
            case Leaving() | Over():
                pass
            case _:
                assert_never(self.state)

    def _checked(self, message: Request | Relayed | Quit) -> bytes:
        body = encode_body(message)
        limit = DEFAULT_MESSAGE_BYTES if self.welcome is None else self.welcome.limits.message_bytes
        if len(body) + ENVELOPE_BYTES > limit:
            kind = message.__struct_config__.tag
            raise ValueError(
                f"a {kind} of {len(body)} bytes is too long; the server accepts {limit - ENVELOPE_BYTES} at most"
            )
        try:
            decode_client(body)  # a struct does not check its members
        except ValueError as error:
            raise ValueError(f"the {message.__struct_config__.tag} is not valid: {error}") from None
        return body

    def _ask(self, message: Request | Quit, body: bytes, until: float | None) -> int:
        self._count += 1
        self._waiting[self._count] = _Waiting(message, until)
        if isinstance(self.state, Connected):
            self._frames.append(_Frame(self._count, None, body))
        return self._count

    # --- from the socket ----------------------------------------------------------------------------------

    def handle_open(self, token: str | None) -> None:
        """Handle the opening of the socket; `token` authenticates this client."""
        if isinstance(self.state, Dialing):
            self.state = Greeting(self.state.until)
            self._token_shown = None if token is None else scalar(token)
            self._hello_due = True

    def handle_frame(self, data: str | bytes, now: float) -> None:
        """Handle a frame from the socket. One that cannot be read is counted and dropped."""
        if self.want is not Want.TALK:
            return
        try:
            envelope, message = decode_server(data)
        except ValueError:
            self.bad_frames += 1
            return
        try:
            if isinstance(message, Welcome):
                self._welcomed(message, envelope, now)
            elif isinstance(self.state, Greeting):
                if isinstance(message, Error):
                    self._last_error = message
            else:
                self._received(message, envelope, now)
        except ValueError as error:
            # # The numbers do not fit: this socket is useless, and a new one starts where both sides agree.
            self.handle_lost(f"the server has miscounted: {error}", now)

    def network_changed(self, now: float) -> None:
        """Dial at once, if this client waits to try again: the network may be another one now."""
        if isinstance(self.state, Resting):
            self._attempt = 0
            self.state = Resting(now)

    def handle_lost(
        self,
        reason: str,
        now: float,
        *,
        code: int | str | None = None,
        final: bool = False,
        by_server: bool = False,
    ) -> None:
        """Handle the end of the socket, or that it could not be opened.

        Args:
            reason: for a person.
            now: the time.
            code: the WebSocket close code, if the server has sent one; or a word for the error.
            final: reconnecting is pointless for another reason than the code.
            by_server: the server asked to try again later in another way than by the code.
        """
        match self.state:
            case Over() | Resting():
                return
            case Leaving():
                self._end(None)
                return
            case Connected(since=since):
                if now - since >= self._policy.steady_after:
                    self._attempt = 0
            case Dialing() | Greeting():
                pass
            case _:
                assert_never(self.state)
        if self._last_error is not None:
            # # A close frame holds 123 bytes: the error before it says the same, or more.
            said = self._last_error.message
            reason = said if said.startswith(reason) else f"{reason}: {said}"
        if final or (isinstance(code, int) and is_final(code)):
            word = self._last_error.code if self._last_error is not None else "refused"
            self._end(SignalingRefusedError(reason, word if code is None else code))
            return
        self._rest(reason, now, by_server=by_server or isinstance(code, int))

    def _rest(self, reason: str, now: float, *, by_server: bool) -> None:
        self._attempt += 1
        delay = self._policy.delay(self._attempt, self._random())
        if self._down_since is None:
            self._down_since = now
        give_up = self._policy.give_up
        if give_up is not None and now + delay - self._down_since > give_up:
            self._end(
                SignalingLostError(f"the server could not be reached for {now - self._down_since:.0f} s: {reason}")
            )
            return
        self._forget_socket()
        self.state = Resting(now + delay)
        self._events.append(Down(reason, delay, by_server))

    def _forget_socket(self) -> None:
        self._hello_due = False
        self._last_error = None
        self._frames.clear()
        self._probed.clear()
        self._ack_at = None

    def _end(self, error: SignalingError | None) -> None:
        cause = error or SignalingLostError("the client has quit")
        for request, waiting in self._waiting.items():
            if waiting.until is not None:
                self._events.append(Refusal(request, cause))
        self._waiting.clear()
        self._give_back("ended", str(cause))
        self._forget_socket()
        self._rooms.clear()
        self.state = Over()
        self._events.append(Ended(error))

    def _give_back(self, code: str, text: str) -> None:
        for _, sent in self._outgoing.kept():
            self._events.append(Undelivered(sent.message.to, code, text, sent.message))
        self._outgoing = Outgoing()

    # --- welcome ------------------------------------------------------------------------------------------

    def _welcomed(self, message: Welcome, envelope: Envelope, now: float) -> None:
        if not isinstance(self.state, Greeting):
            self.bad_frames += 1
            return
        old = self.peer
        if message.resumed:
            self._acknowledged(envelope.ack or 0)
        self.state = Connected(now)
        self.welcome = message
        self.peer = message.peer
        self._resume_token = message.resume_token
        self.can = frozenset(message.can)
        self._down_since = None
        self._last_error = None
        limits = message.limits
        if self._bucket is None or not message.resumed:
            self._bucket = _pace(limits, now)
        if not message.resumed:
            self._incoming = Incoming()
            if old:
                self._events.append(Moved(old, message.peer))
                text = "the seat was lost, and the message may be"
                self._give_back("moved", text)
        self._events.append(Up(message.peer, message.resumed))
        self._say_again(rejoin=not message.resumed)

    def _say_again(self, *, rejoin: bool) -> None:
        """Send again what the server has not answered or acknowledged, in the original order."""
        frames = [_Frame(request, None, encode_body(waiting.message)) for request, waiting in self._waiting.items()]
        frames += [_Frame(sent.request, seq, encode_body(sent.message)) for seq, sent in self._outgoing.kept()]
        frames.sort(key=lambda frame: frame.request)
        if rejoin:
            asked = {waiting.message.room for waiting in self._waiting.values() if isinstance(waiting.message, Join)}
            for room, join in self._rooms.items():
                if room not in asked:
                    self._count += 1
                    self._waiting[self._count] = _Waiting(join, None)
                    frames.insert(0, _Frame(self._count, None, encode_body(join)))
        self._frames = deque(frames)

    # --- after welcome ------------------------------------------------------------------------------------

    def _received(self, message: FromServer | None, envelope: Envelope, now: float) -> None:
        new = True
        if envelope.seq is not None:
            new = self._incoming.accept(envelope.seq)
            if self._ack_at is None:
                self._ack_at = now + ACK_DELAY
        if message is None:
            self.bad_frames += 1
        elif new:
            self._taken(message, envelope)
        # # After the message: an error may name a message that this acknowledgement makes us forget.
        if envelope.ack is not None:
            self._acknowledged(envelope.ack)

    def _acknowledged(self, up_to: int) -> None:
        self._remembered.extend(self._outgoing.acknowledge(up_to))

    def _taken(self, message: FromServer, envelope: Envelope) -> None:
        request = envelope.id
        match message:
            case Welcome() | Refreshed() | IceServers():
                self._answered(request, message)
            case BareAck():
                if request is not None:
                    self._answered(request, message)
            case Goodbye():
                self._acknowledged(envelope.ack or 0)
                self._end(None)
            case Joined():
                self._joined(request, message)
            case Left():
                self._left(request, message)
            case Error():
                self._refused(request, message)
            case Probe():
                self._probe(request, message)
            case _:
                self._events.append(message)

    def _answered(self, request: int | None, message: FromServer) -> _Waiting | None:
        waiting = None if request is None else self._waiting.pop(request, None)
        if request is not None and waiting is not None and waiting.until is not None:
            self._events.append(Answer(request, message))
        return waiting

    def _joined(self, request: int | None, message: Joined) -> None:
        waiting = self._answered(request, message)
        if waiting is not None and isinstance(waiting.message, Join):
            self._rooms[message.room] = waiting.message
            self._events.append(message)
        elif message.room not in self._rooms:
            # # The caller has gone away meanwhile.
            leave = Leave(room=message.room)
            self._ask(leave, encode_body(leave), None)

    def _left(self, request: int | None, message: Left) -> None:
        waiting = self._answered(request, message)
        was_in = self._rooms.pop(message.room, None) is not None
        if request is None and waiting is None and was_in:  # else its caller has gone away meanwhile
            text = message.text or "the server says that this client is no longer in it"
            self._events.append(RoomLost(message.room, message.code or "denied", text))

    def _refused(self, request: int | None, message: Error) -> None:
        waiting = None if request is None else self._waiting.pop(request, None)
        if request is not None and waiting is not None:
            if waiting.until is not None:
                self._events.append(Refusal(request, SignalingRefusedError(message.message, message.code)))
            elif isinstance(waiting.message, Join):
                self._rooms.pop(waiting.message.room, None)
                self._events.append(RoomLost(waiting.message.room, message.code, message.message))
            return
        if request is None:
            self._last_error = message
            self._events.append(message)
            return
        sent = self._find(request)
        if sent is not None:
            self._events.append(Undelivered(sent.message.to, message.code, message.message, sent.message))
        elif message.peer:
            self._events.append(Undelivered(message.peer, message.code, message.message, None))

    def _find(self, request: int) -> _Sent | None:
        for _, sent in self._outgoing.kept():
            if sent.request == request:
                return sent
        return next((sent for sent in self._remembered if sent.request == request), None)

    def _probe(self, request: int | None, message: Probe) -> None:
        if not message.from_:
            self._answered(request, message)
        elif message.alive is not None:
            self._events.append(Alive(message.from_))
        elif len(self._probed) < MAX_PROBED:
            self._probed[message.from_] = Probe(to=message.from_, session=message.session, alive=True)

    # --- to the socket ------------------------------------------------------------------------------------

    def poll_transmit(self, now: float) -> str | None:
        """Return the next frame to write; None: nothing now."""
        if self._hello_due:
            self._hello_due = False
            return self._hello()
        if not isinstance(self.state, (Connected, Leaving)) or self._bucket is None:
            return None
        self._drop_answered()
        if not (self._frames or self._probed or self._ack_due(now)) or not self._bucket.take(now):
            return None
        ack = self._incoming.say()
        self._ack_at = None
        if self._frames:
            frame = self._frames.popleft()
            return wrap(frame.body, request=frame.request, seq=frame.seq, ack=ack)
        if self._probed:
            return encode(self._probed.pop(next(iter(self._probed))), ack=ack)
        return encode(BareAck(), ack=ack)

    def _hello(self) -> str:
        resume = None if self._resume_token is None else Resume(token=self._resume_token, last_seq=self._incoming.last)
        return encode(
            Hello(
                version=VERSION,
                name=self._name,
                token=self._token_shown,
                resume=resume,
                capabilities=self._capabilities,
            )
        )

    def _drop_answered(self) -> None:
        """Drop a request that was abandoned before it was sent."""
        while self._frames and self._frames[0].seq is None and self._frames[0].request not in self._waiting:
            self._frames.popleft()

    def _ack_due(self, now: float) -> bool:
        return self._incoming.unsaid >= ACK_MESSAGES or (self._ack_at is not None and now >= self._ack_at)

    # --- to the driver ------------------------------------------------------------------------------------

    def poll_event(self) -> Output | None:
        """Return the next event; None: no event is left."""
        return self._events.popleft() if self._events else None

    def poll_timeout(self, *, can_write: bool = True) -> float | None:
        """Return when to call `handle_timeout`, and `poll_transmit` after it; None: not before the next input.

        Args:
            can_write: a frame can be written at once. If not, the time of the next frame is left out: it may be past.
        """
        times = [waiting.until for waiting in self._waiting.values() if waiting.until is not None]
        match self.state:
            case Resting(until=until) | Dialing(until=until) | Greeting(until=until):
                times.append(until)
            case Connected() | Leaving():
                if isinstance(self.state, Leaving):
                    times.append(self.state.until)
                ready = 0.0 if self._bucket is None else self._bucket.ready_at()
                if not can_write:
                    pass
                elif self._frames or self._probed:
                    times.append(ready)
                elif self._ack_at is not None:
                    times.append(max(ready, self._ack_at))
            case Over():
                return None
            case _:
                assert_never(self.state)
        return min(times, default=None)

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""
        match self.state:
            case Resting(until=until) if now >= until:
                self.state = Dialing(now + self._policy.open_timeout)
            case Dialing(until=until) | Greeting(until=until) if now >= until:
                self.handle_lost(f"no answer within {self._policy.open_timeout:g} s", now)
            case Leaving(until=until) if now >= until:
                self._end(None)
            case _:
                pass
        for request, waiting in list(self._waiting.items()):
            if waiting.until is not None and now >= waiting.until:
                del self._waiting[request]
                kind = waiting.message.__struct_config__.tag
                text = f"no answer to {kind} within {self._policy.request_timeout:g} s"
                self._events.append(Refusal(request, SignalingLostError(text)))


M = TypeVar("M", bound="Request | Relayed")


def _said(message: M) -> M:
    """Return the message with texts that can be encoded: repaired, reasons cut, names checked.

    Raises:
        ValueError: a name is empty or too long; the error has the value and the bound.
        TypeError: a value that must be text is not.
    """
    match message:
        case Join(room=room, meta=meta):
            room = checked("a room's name", room, 1, MAX_ROOM)
            return msgspec.structs.replace(message, room=room, meta=scalar_json(meta))
        case Leave(room=room, reason=reason):
            room = checked("a room's name", room, 1, MAX_ROOM)
            return msgspec.structs.replace(message, room=room, reason=sendable(reason, MAX_TEXT))
        case Kick(peer=peer, reason=reason):
            peer = checked("a peer's id", peer, 1, MAX_ID)
            return msgspec.structs.replace(message, peer=peer, reason=sendable(reason, MAX_TEXT))
        case Refresh(token=token):
            return msgspec.structs.replace(message, token=checked("a token", token, 0, MAX_TOKEN))
        case Probe(to=to):
            return msgspec.structs.replace(message, to=checked("a peer's id", to, 1, MAX_ID))
        case _:
            return message


def _pace(limits: Limits, now: float) -> Bucket:
    return Bucket(max(1.0, limits.messages_per_second * PACE), max(1.0, limits.burst * PACE), now)
