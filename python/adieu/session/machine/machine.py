r"""The session machine: everything that a session decides, without a clock, a socket or a task.

Theory of operation
-------------------
A session is the link of two peers. It lives longer than any connection. Connections are numbered by `epoch`. At most
one of them is `active` and carries what is sent; all are heard. The machine takes inputs (`control_received`,
`channel_closed`, `signal_received`, …, each with `now`) and returns, in order, actions (`poll_action`), events
(`poll_event`) and the time of its next timeout (`poll_timeout`).

`states.py` has the table of states: what each accepts, and where it leads. `state.py` has what a machine holds, and
names the files of the procedures. Here are the inputs. Each goes through one wrapper. It notes the time, and ends the
session if the other side broke the protocol. Then it advances recovery and close as far as their conditions are met.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar, assert_never, cast

from adieu.errors import ChannelError, SessionClosedError
from adieu.protocol import control, words
from adieu.protocol.text import sendable
from adieu.session.machine import actions, channels, close, connections, ending, heartbeat, progress, recovery, reset
from adieu.session.machine.flow import ViolationError
from adieu.session.machine.state import Drain, MachineState

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.protocol.control import AnyControl, Reliability
    from adieu.protocol.words import AnyWord, Reason
    from adieu.session.machine.cause import Presence
    from adieu.session.machine.held import Payload
    from adieu.session.machine.state import Channel, ConnectionState, LossKind, Timer

P = ParamSpec("P")
R = TypeVar("R")


def machine_input(
    method: Callable[Concatenate[SessionMachine, P], R],
) -> Callable[Concatenate[SessionMachine, P], R]:
    """Make a method an input. Its last positional argument is `now`."""
    code = method.__code__
    if code.co_varnames[code.co_argcount - 1] != "now":
        raise TypeError(f"{method.__qualname__}: the last positional argument of an input is `now`")

    @wraps(method)
    def feed(self: SessionMachine, /, *args: P.args, **kwargs: P.kwargs) -> R:
        self.now = cast("float", kwargs["now"] if "now" in kwargs else args[-1])
        try:
            result = method(self, *args, **kwargs)
        except ViolationError as error:
            close.end_by_violation(self, str(error))
            result = cast("R", None)  # what the other side says is answered with nothing
        if self.ending:
            ending.progress(self)
        if self.closing is not None:
            close.progress(self, self.closing)
        elif self.silence is not None or self.reset is not None:
            self.recover()
        if self.watch is not None:
            progress.look(self, self.watch)
        return result

    return feed


DUE: dict[Timer, Callable[[MachineState], None]] = {
    "connect": recovery.cannot_meet,
    "ack": channels.send_acks,
    "ping": heartbeat.ping_due,
    "suspect": recovery.suspect,
    "fresh": recovery.ask_packet_age,
    "ladder": recovery.climb,
    "farewell": recovery.farewell_over,
    "network": recovery.doubt_is_over,
    "reset": reset.failed,
    "peer-reset": reset.wait_is_over,
    "drain": lambda _: None,  # the close looks at the time
    "end": lambda _: None,
    "channels": lambda _: None,
    "progress": lambda _: None,
}
"""Handle a timer that is due."""


class SessionMachine(MachineState):
    """One side of a session. Create it, then call `start`."""

    def recover(self) -> None:
        """Go on with the recovery, and with the close that may come of it."""
        recovery.progress(self)
        if self.closing is not None:
            close.progress(self, self.closing)

    # --- the life of the session -------------------------------------------------------------------------------

    @machine_input
    def start(self, now: float) -> None:
        """Begin: the smaller peer id offers the first connection."""
        self.wake_in("connect", self.options.connect_timeout)
        connections.connect(self, 1)

    def introduced(self, peer: str, now: float) -> None:
        """Note the other side's peer id. If this side ended before, its word had no name that the other knows."""
        self.now: float = now
        self.identify(peer)
        close.say_closed_again(self)

    def handle_timeout(self, now: float) -> None:
        """Do what is due, one thing after the other."""
        self.now = now
        heartbeat.look_for_sleep(self)
        for timer, when in list(self.timers.items()):
            if when <= now and self.timers.get(timer) == when:  # what was due before it may have changed it
                del self.timers[timer]
                self._timer_due(timer, now)
        for epoch, connection in list(self.connections.items()):
            if connection.hello_by is not None and connection.hello_by <= now and epoch in self.connections:
                self._hello_due(connection, now)
        for tag, repeat in list(self.words.items()):
            if repeat.due <= now and self.words.get(tag) is repeat:
                del self.words[tag]
                self.act(actions.Signal(repeat.word))

    @machine_input
    def _timer_due(self, timer: Timer, now: float) -> None:
        DUE[timer](self)

    @machine_input
    def _hello_due(self, connection: ConnectionState, now: float) -> None:
        recovery.hello_missing(self, connection)

    # --- connections -------------------------------------------------------------------------------------------

    @machine_input
    def wants_description(self, epoch: int, now: float) -> bool:
        """Decide whether a session description for `epoch`, which has come by signaling, is to be applied.

        A higher epoch than any implies the reset that its word would have asked for.
        """
        if self.outcome is not None:
            return False
        if (connection := self.connections.get(epoch)) is not None:
            connection.described = True
            return True
        if not self.last_epoch < epoch <= self.last_epoch + connections.AHEAD or self.smaller:
            return False
        if self.state != "connecting":
            return reset.begin_by_offer(self, epoch)
        for old in list(self.connections):
            connections.release(self, old)
        connections.connect(self, epoch).described = True
        return True

    @machine_input
    def control_opened(self, epoch: int, max_message: int, now: float) -> None:
        """Note that the control channel of a connection is open: say hello.

        Args:
            epoch: the connection.
            max_message: the largest SCTP message that the other side's engine takes (maxMessageSize), in bytes.
            now: the time.
        """
        if (connection := self.connections.get(epoch)) is not None:
            connections.say_hello(self, connection, max_message)

    @machine_input
    def control_received(self, epoch: int, text: str | bytes, now: float) -> None:
        """Take a message on a control channel."""
        connection = self.connections.get(epoch)
        if connection is None:
            return
        try:
            message = control.decode(text)
        except ValueError as error:
            raise ViolationError(f"a wrong control message: {error}") from None
        if not connection.heard_hello and not isinstance(message, control.Hello):
            raise ViolationError("a control message before hello")
        self._heard(epoch)
        if message is not None:
            self._handle_control(connection, message)

    def _heard(self, epoch: int) -> None:
        heartbeat.heard(self, epoch)
        if self.reset is not None:
            reset.end_if_healed(self)

    def _handle_control(self, connection: ConnectionState, message: AnyControl) -> None:
        match message:
            case control.Hello():
                self._handle_hello(connection, message)
            case control.Ping(n=n):
                self.send_control(connection.epoch, control.Pong(n=n))
            case control.Pong(n=n):
                reset.ponged(self, connection.epoch, n)
            case control.Open():
                channels.handle_open(self, message)
            case control.Opened():
                channels.handle_opened(self, message)
            case control.Ack():
                if channels.handle_ack(self, message):
                    self._progressed()
            case control.Want():
                channels.handle_want(self, message)
            case control.EndChannel():
                ending.handle(self, message)
            case words.Moved(peer=peer):
                self.report(actions.PeerMoved(peer))
            case control.Media(media=media):
                self.report(actions.MediaSaid(media))
            case control.File():
                self.report(actions.FileSaid(message))
            case _:
                self._handle_word(message)

    def _handle_hello(self, connection: ConnectionState, hello: control.Hello) -> None:
        connections.check_hello(self, connection, hello)
        connection.heard_hello, connection.hello_by = True, None
        if self.state != "connecting":
            reset.greeted(self, connection.epoch)
            return
        self.timers.pop("connect", None)
        self.capabilities: frozenset[str] = frozenset(self.options.capabilities) & frozenset(hello.capabilities)
        for channel in self.channels.values():
            channels.count_messages(self, channel)
        self.enter("open")
        connections.activate(self, connection.epoch, hello.have)

    @machine_input
    def connection_lost(self, epoch: int, kind: LossKind, text: str, now: float) -> None:
        """Note that a connection, its DTLS or its association, has ended by itself, or behind the session's back."""
        recovery.connection_lost(self, epoch, kind, text)

    @machine_input
    def cannot_connect(self, epoch: int, text: str, now: float) -> None:
        """Note that the connection that was asked for could not even be made."""
        recovery.cannot_connect(self, epoch, text)

    @machine_input
    def no_way_out(self, epoch: int, text: str, now: float) -> None:
        """Note that this machine has no address or no socket for a connection: no path can come about."""
        if epoch != self.active:
            if self.reset is not None and self.reset.epoch == epoch and not self.smaller:
                self.say(words.Cancel(epoch=epoch))  # the offerer would wait until its reset's time is over
            recovery.cannot_connect(self, epoch, text)
            return
        self.note(text)
        if self.reset is not None and self.reset.level == "ice":
            reset.failed(self, text)  # the path of before may go on

    @machine_input
    def ice_changed(self, epoch: int, state: str, now: float) -> None:
        """Take the ICE state of a connection: only a hint to look (closing rule 66)."""
        if epoch == self.active and state in {"disconnected", "failed"}:
            self.note(f"ICE {state}")
            heartbeat.ask(self)
            recovery.cut_off(self)

    @machine_input
    def network_changed(self, text: str, now: float, *, at_once: bool = False) -> None:
        """Look at the path: this machine's network has changed. `at_once`: renew it even if it still answers."""
        recovery.network_changed(self, text, at_once=at_once)

    @machine_input
    def negotiated(self, epoch: int, now: float) -> None:
        """Note that an offer and its answer have been applied on a connection."""
        reset.negotiated(self, epoch)

    @machine_input
    def fresh(self, epoch: int, age: float | None, now: float) -> None:
        """Take the answer to `AskFresh`: seconds since the last packet of the other side's engine."""
        if (connection := self.connections.get(epoch)) is not None:
            recovery.packet_age(self, connection, age)

    @machine_input
    def released(self, epoch: int, now: float) -> None:
        """Note that nothing of that connection is left."""
        self.releasing.discard(epoch)

    # --- signaling ---------------------------------------------------------------------------------------------

    @machine_input
    def signal_received(self, word: AnyWord, now: float) -> None:
        """Take a word of the other side by signaling."""
        if self.outcome is not None:
            close.answer_after_end(self, word)
        else:
            self._handle_word(word)

    def _handle_word(self, word: AnyWord) -> None:
        match word:
            case words.Closing() | words.Wait() | words.Done() | words.Closed():
                close.handle_word(self, word)
            case words.Reset() | words.ResetOk() | words.Switch() | words.Switched() | words.Cancel():
                reset.check_epoch(self, word.epoch)
                if not isinstance(word, words.Reset):
                    reset.handle_word(self, word)
                elif word.asker == self.peer and self.closing is not None:
                    close.say_again(self, self.closing)
                elif word.asker == self.peer and self.phase != "connecting":
                    reset.handle_word(self, word)
            case _:
                assert_never(word)

    @machine_input
    def signaling_changed(self, up: bool, now: float) -> None:
        """Note whether this side's way to the other by signaling is up. Losing it ends no session."""
        self.evidence.signaling = up
        if up and self.is_troubled:
            self.timers["ladder"] = now
        if up and self.silence is not None:
            recovery.cut_off(self)

    @machine_input
    def presence_changed(self, presence: Presence, now: float, *, reloaded: bool = False) -> None:
        """Take what the server says of the other side."""
        self.evidence.place(presence, now)
        self.evidence.reloaded = self.evidence.reloaded or reloaded
        if self.outcome is not None or presence == "here":
            return
        if self.closing is not None and self.closing.heard_closed is not None:
            return  # it has said all that was asked of it: now it may go
        self.note(f"the server says: {'reloaded' if reloaded else presence}")
        recovery.presence_changed(self)

    @machine_input
    def probed(self, by_peer: bool, alive: bool, now: float) -> None:
        """Take the answer to `Probe`, of the server or of the other side itself; one that comes late says nothing."""
        if self.silence is None:
            return
        if by_peer:
            self.evidence.probe_peer = True
            self.note("it answers by signaling")
            if self.evidence.ice_fresh:
                self.timers.setdefault("ladder", now)
            self.evidence.ice_fresh = False  # then it does not hang
        else:
            self.evidence.probe_server = alive
            self.note(f"the server says that its socket {'stands' if alive else 'is gone'}")
        recovery.update_cause(self)

    # --- channels ----------------------------------------------------------------------------------------------

    @machine_input
    def open_channel(self, name: str, now: float, *, ordered: bool, reliability: Reliability) -> Channel:
        """Return the channel of this name; make it if it does not exist.

        Raises:
            ChannelError: it is open with other options, or there are too many channels.
            SessionClosedError: the session accepts nothing new.
        """
        name = sendable(name, control.MAX_NAME)
        self._require_sendable("open a channel")
        return channels.open_channel(self, name, ordered=ordered, reliability=reliability)

    @machine_input
    def stream_opened(self, epoch: int, id_: int, now: float) -> None:
        """Note that a session channel's data channel is open."""
        connection, channel = self.connections.get(epoch), self.by_id.get(id_)
        if connection is not None and channel is not None and id_ in connection.channels:
            connection.channels[id_].open = True
            channels.pump(self, channel)

    @machine_input
    def stream_closed(self, epoch: int, id_: int | None, now: float) -> None:
        """Note that a data channel of a connection is closed (id None: the control channel)."""
        connection = self.connections.get(epoch)
        if connection is None:
            return
        expected = close.channel_closed(self, epoch, id_)
        under = None if id_ is None else connection.channels.pop(id_, None)
        if under is not None:
            channel = None if id_ is None else self.by_id.get(id_)
            said = channel is not None and channel.end is not None and channel.end.said is not None
            # Its refusal, or its `open` of the same name with an id of its own, may come later than this stream's end.
            gives_way = channel is not None and not channel.open
            expected = expected or under.closing or said or gives_way
            channels.open_later(self)
        if (id_ is None or under is not None) and not expected and epoch == self.active:
            recovery.connection_lost(self, epoch, "left", "the other side closed a data channel of the session")

    @machine_input
    def drained(self, epoch: int, id_: int, buffered: int, now: float) -> None:
        """Take the answer to `AskDrained`."""
        connection, channel = self.connections.get(epoch), self.by_id.get(id_)
        if connection is not None and channel is not None:
            channels.drained(self, connection, channel, buffered)

    @machine_input
    def send(self, name: str, payload: Payload, now: float) -> int:
        """Accept a message, and return its sequence number. Ask `has_room` first.

        Raises:
            ChannelError: larger than `max_message`; or the channel is closing.
            SessionClosedError: the session accepts nothing new.
        """
        self._require_sendable("send")
        if self.ending:
            ending.require_sendable(self.channels[name])
        if len(payload.data) > self.options.max_message:
            raise ChannelError(
                f"a message of {len(payload.data)} bytes on channel {name!r}; the limit is {self.options.max_message}. "
                "Send it in pieces, or as a file."
            )
        channel = self.channels[name]
        seq = channel.sender.accept(payload)
        channels.pump(self, channel)
        return seq

    @machine_input
    def close_channel(self, name: str, reason: str, timeout: float, now: float) -> None:
        """Close a channel within `timeout` seconds, or join its close; the session goes on."""
        if self.closing is None:
            ending.begin(self, self.channels[name], reason, timeout)

    @machine_input
    def channel_last_words_over(self, name: str, now: float) -> None:
        """Note that all `closing` handlers of a channel have ended."""
        if (channel := self.channels.get(name)) is not None:
            ending.last_words_over(channel)

    def has_room(self, name: str) -> bool:
        """Whether `send` may be called: what waits to go out is below the buffer's bound."""
        return channels.has_room(self, self.channels[name])

    def _require_sendable(self, what: str) -> None:
        if self.closing is not None and not self.closing.may_send:
            verb = "is closing" if self.outcome is None else "has ended"
            raise SessionClosedError(f"cannot {what}: the session {verb}")

    @machine_input
    def data_received(self, epoch: int, id_: int, data: bytes, now: float) -> Payload | None:
        """Take an SCTP message of a session channel; return its message if a reader waits for it (`reader_changed`).

        The application has taken what is returned. Otherwise `Readable` says that there is something to `take`.
        """
        channel = self.by_id.get(id_)
        if channel is None or epoch not in self.connections:
            return None
        heartbeat.heard(self, epoch)
        if self.reset is not None:
            reset.end_if_healed(self)
        complete = channels.receive(self, epoch, channel, data)
        taken = complete if channel.reader_waits else None
        if self.hungry:
            channels.feed(self)
        if self.closing is not None:
            self.closing.progressed = now
            if complete is not None:
                self._keep_queued()
        elif channel.end is not None:
            channel.end.progressed = now
            if complete is not None:
                channels.keep(self, channel)
        receiver = channel.receiver
        if complete is not None and (taken is None or receiver.line.count or receiver.kept.count):
            self.report(actions.Readable(channel.name))
            if channel.reliable and not receiver.counted and not len(receiver.line) % channels.SLOW_DOWN:
                channels.send_acks(self, also=channel)
        if taken is not None or complete is None:
            channels.ack_later(self, channel)
        return taken

    @machine_input
    def take(self, name: str, now: float) -> Payload | None:
        """Take the next message of this channel for the application; None if no message is there."""
        channel = self.channels[name]
        channels.claim(self, channel)
        payload = channel.receiver.take()
        channels.feed(self)
        if payload is not None:
            self._keep_queued()
            if channel.end is not None and channel.end.said is None:
                channels.keep(self, channel)
            channels.ack_later(self, channel)
        return payload

    def _progressed(self) -> None:
        """Note that something new has come from the other side: its deadline is worth waiting for."""
        if self.closing is not None:
            self.closing.progressed = self.now

    def _keep_queued(self) -> None:
        """Count what is queued as taken, while the session closes and takes anything."""
        if self.closing is not None and isinstance(self.closing.step, Drain):
            channels.keep_queued(self)

    def reader_changed(self, name: str, waits: bool, now: float) -> None:
        """Note whether a reader waits for the next message of this channel.

        While one waits, `data_received` returns the message that it completes, and counts it as taken: no `Readable`
        and no `take` are needed. Call this with `waits` only after `take` has returned None; call it without as soon
        as the reader is busy or has left. It stays as it is until then, over all resets.
        """
        self.now = now  # all that this input needs of `machine_input`; a reader comes and leaves with each message
        channel = self.channels[name]
        channel.reader_waits = waits
        if waits:
            channels.claim(self, channel)

    @machine_input
    def say_moved(self, peer: str, now: float) -> None:
        """Say this side's new peer id, from a restarted server: the session keeps its own."""
        self.moved_to = peer
        if (epoch := self.speaking()) is not None:
            self.send_control(epoch, words.Moved(peer=peer))

    @machine_input
    def say_file(self, file: control.File, now: float) -> None:
        """Say a word of a file transfer, over the control channel."""
        if (epoch := self.speaking()) is not None:
            self.send_control(epoch, file)

    # --- what the application asks -----------------------------------------------------------------------------

    @machine_input
    def ask_close(self, reason: Reason, timeout: float, now: float, *, speaking: bool = False) -> None:
        """Start the five steps, or join them if they have started.

        Args:
            reason: for the other side.
            timeout: seconds for everything.
            now: the time.
            speaking: sound is still to be heard: `media_finished` ends that.
        """
        close.begin(self, reason, timeout, speaking=speaking)

    @machine_input
    def abort(self, now: float) -> None:
        """End at once; the receipt says what is not known."""
        close.abort(self)

    @machine_input
    def room_closing(self, closes: bool, now: float) -> None:
        """Note that the room is closed for all, or that this side asks for it; False: it is refused."""
        self.room_closes = closes

    @machine_input
    def last_words_over(self, now: float, *, speaking: bool = False) -> None:
        """Note that all `closing` handlers of the application have ended. `speaking`: see `ask_close`."""
        close.last_words_over(self, speaking=speaking)

    @machine_input
    def media_finished(self, now: float) -> None:
        """Note that the sound of this side was heard, or that nothing more can be done for it."""
        close.spoken(self)

    @machine_input
    def media_counted(self, media: dict[str, words.MediaAccount], now: float) -> None:
        """Take this side's account of its media, by mid. The last one before `closed` is said is said with it."""
        self.media = media

    @machine_input
    def superseded(self, now: float) -> None:
        """End the session: the other side has started another session of the two peers."""
        if self.closing is None:
            close.end(self, "network", self.evidence.cause(), "the other side has started a new session")

    def end_by_violation(self, now: float, message: str) -> None:
        """End, as the other side broke the protocol in a way that the shell saw."""
        self._violated(message, now)

    @machine_input
    def _violated(self, message: str, now: float) -> None:
        raise ViolationError(message)

    @machine_input
    def doubt(self, now: float) -> None:
        """Ask the other side for an answer: there is a sign that it has gone."""
        if self.silence is None and self.active is not None:
            heartbeat.ask(self)

    @machine_input
    def ask_wait(self, reason: str, eta: float, now: float) -> None:
        """Ask for `eta` seconds more, while the other side closes."""
        if self.state == "closing":
            eta_ms = min(round(eta * 1000), words.MAX_COUNT)
            self.say(words.Wait(reason=sendable(reason, words.MAX_TEXT), eta_ms=eta_ms))

    @machine_input
    def grant_wait(self, eta: float, now: float) -> None:
        """Give the other side `eta` seconds from now, while this side closes."""
        close.extend(self, eta)

    @machine_input
    def watch_progress(self, on: bool, now: float) -> None:
        """Report the steps of a close or a reset from now on, or no longer."""
        progress.watch(self, on)

    @machine_input
    def ask_reset(self, level: words.Level, now: float) -> None:
        """Begin a reset, join the running one, or raise its level."""
        reset.ask(self, level)
