r"""The session machine: everything that a session decides, without a clock, a socket or a task.

Theory of operation
-------------------
A session is the link of two peers. It lives longer than any connection: connections are numbered by `epoch`, at
most one of them is `active` (what is sent goes over it), all that stand are heard. The machine takes what happened
(`control_received`, `stream_closed`, `signal_received`, …, each with `now`) and gives back, in order, what is to
be done (`poll_action`), what is to be told (`poll_event`) and when it wants to be called again (`poll_timeout`).

    connecting --hello--> open --silence--> suspect --5 s--> recovering --heard or new connection--> open
                           |  \--reset-----> resetting --switch--> open
                           any --close, closing--> closing --both `closed`, streams, connection--> closed
                           any --deliberate end, gave up, broken protocol--> closed

The state has one setter, `enter`. A session that is closed has no connections and no timers. The procedures are in
files of their own and work on the machine's public members: `close.py` (the five steps), `reset.py` (a new path or
connection under the session), `liveness.py` (silence, suspicion, the recovery ladder), `flow.py` (the two directions of
a channel).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, assert_never

from adieu.errors import ChannelError, SessionClosedError
from adieu.protocol import VERSION, control, ids, words
from adieu.protocol.text import sendable
from adieu.session.machine import actions, close, liveness, reset
from adieu.session.machine.cause import Witness
from adieu.session.machine.flow import (
    Budget,
    Payload,
    Receiver,
    Remembered,
    Sender,
    ViolationError,
    is_reliable,
)
from adieu.session.machine.options import Options

if TYPE_CHECKING:
    from adieu.protocol.control import AnyControl, Reliability
    from adieu.protocol.words import AnyWord, Reason
    from adieu.session.machine.cause import Presence
    from adieu.session.machine.receipt import Outcome


@dataclass(slots=True)
class Stream:
    """A session channel's data channel on one connection."""

    open: bool = False
    buffered: int = 0
    """An upper estimate of its bufferedAmount."""
    asked: bool = False
    """`AskDrained` is out."""


@dataclass(slots=True)
class Link:
    """One connection."""

    epoch: int
    offer: bool
    max_message: int = 65536
    """What the other side's engine takes as one SCTP message."""
    control_open: bool = False
    described: bool = False
    """The other side's offer has come."""
    heard_hello: bool = False
    silent: int = 0
    """How often its engine was found alive while no hello came."""
    streams: dict[int, Stream] = field(default_factory=dict[int, Stream])

    @property
    def buffered(self) -> int:
        """An upper estimate of what all its data channels buffer."""
        return sum(stream.buffered for stream in self.streams.values())


@dataclass(slots=True)
class Channel:
    """A named channel."""

    name: str
    ordered: bool
    reliability: Reliability
    id: int
    mine: bool
    """This side's `open` holds."""
    open: bool
    sender: Sender
    receiver: Receiver
    reader_waits: bool = False
    """`data_received` hands out the next message."""

    @property
    def reliable(self) -> bool:
        """Every message arrives, or the receipt says which did not."""
        return self.receiver.reliable


class SessionMachine:
    """One side of a session. Create it, then call `start`."""

    def __init__(
        self,
        *,
        me: str,
        peer: str,
        room: str = "",
        n: int = 1,
        smaller: bool | None = None,
        options: Options | None = None,
        remembered: Remembered | None = None,
    ) -> None:
        """One side.

        Args:
            me: this side's peer id.
            peer: the other's; empty if it is not known yet (then `identify` follows before its first word is fed).
            room: where they met; part of the session's id.
            n: which of the two peers' sessions this is; part of its id.
            smaller: whether this side stands for the smaller peer id; None: compare them.
            options: settings.
            remembered: what was taken in sessions before.
        """
        self.me = me
        self.room = room
        self.n = n
        self.smaller: bool = me < peer if smaller is None else smaller
        """This side offers, and is the polite one."""
        self.identify(peer)
        self.options: Options = options or Options()
        self.remembered: Remembered = remembered or Remembered()
        options = self.options
        self.budget: Budget = Budget(options.budget, options.window, options.max_message)
        self.state: actions.StateName = "connecting"
        self.links: dict[int, Link] = {}
        self.active: int | None = None
        self.last_epoch: int = 0
        self.releasing: set[int] = set()
        """Connections that were ended and still hold something."""
        self.channels: dict[str, Channel] = {}
        self.by_id: dict[int, Channel] = {}
        self.hungry: dict[str, Channel] = {}
        """Channels for whose credit there was no room, the one that has waited longest first."""
        self.witness: Witness = Witness()
        self.capabilities: frozenset[str] = frozenset()
        """What both sides can do: known from the first `hello` on, and the same for the session's life."""
        self.liveness: liveness.Liveness = liveness.Liveness()
        self.closing: close.Close | None = None
        self.reset: reset.Reset | None = None
        self.resets: reset.Resets = reset.Resets(self.options)
        self.outcome: Outcome | None = None
        self.moved_to: str = ""
        """This side's new peer id, after its server was restarted."""
        self.now: float = 0.0
        self.timers: dict[str, float] = {}
        self.words: dict[str, AnyWord] = {}
        """Words said in-band whose effect has not been seen yet, by type."""
        self._actions: deque[actions.AnyAction] = deque()
        self._events: deque[actions.AnyEvent] = deque()
        self._next_id = control.FIRST_ID_SMALLER if self.smaller else control.FIRST_ID_LARGER

    # --- out ---------------------------------------------------------------------------------------------------

    def poll_action(self) -> actions.AnyAction | None:
        """The next thing to do."""
        return self._actions.popleft() if self._actions else None

    def poll_event(self) -> actions.AnyEvent | None:
        """The next thing to tell the application."""
        return self._events.popleft() if self._events else None

    def poll_timeout(self) -> float | None:
        """When to call `handle_timeout` at the latest."""
        return min(self.timers.values(), default=None)

    def act(self, action: actions.AnyAction) -> None:
        """Have it done."""
        self._actions.append(action)

    def tell(self, event: actions.AnyEvent) -> None:
        """Have it told."""
        self._events.append(event)

    def enter(self, state: actions.StateName, cause: str = "") -> None:
        """The one setter of the state."""
        if state == self.state:
            return
        previous, self.state = self.state, state
        self.witness.told = cause
        evidence = self.witness.evidence() if cause else []
        self.tell(actions.StateChanged(state, previous, cause, evidence))

    def identify(self, peer: str) -> None:
        """The other side's peer id is known: so are the session's and the receipt's."""
        self.peer = peer
        self.session: str = ids.session_id(self.room, self.me, peer, self.n)
        self.receipt: str = ids.receipt_id(self.session)

    def introduced(self, peer: str, now: float) -> None:
        """The other side has said its peer id. If this side ended before, its word had no name that the other knows."""
        self.now = now
        self.identify(peer)
        close.introduced(self)

    # --- the life of the session -------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Begin: the smaller peer id offers the first connection."""
        self.now = now
        self.timers["connect"] = now + self.options.connect_timeout
        self.connect(1, now)

    def connect(self, epoch: int, now: float) -> None:
        """Make the connection of `epoch`, with a data channel for every named channel."""
        self.last_epoch = max(self.last_epoch, epoch)
        self.links[epoch] = Link(epoch, self.smaller)
        self.timers[f"hello {epoch}"] = now + self.options.reset_timeout
        self.act(actions.Connect(epoch, self.smaller))
        for channel in self.channels.values():
            # Also one whose `opened` was lost with the connection before: the other side may send on it at once.
            if channel.open or (channel.mine and epoch > 1):
                self._open_stream(epoch, channel)

    def release(self, epoch: int) -> None:
        """End the connection of `epoch`."""
        if self.links.pop(epoch, None) is None:
            return
        self.timers.pop(f"hello {epoch}", None)
        for channel in self.channels.values():
            channel.receiver.connection_gone(epoch)
        if self.active == epoch:
            self.active = None
        self.releasing.add(epoch)
        self.act(actions.Release(epoch))

    def remember(self, now: float) -> None:
        """The session has ended: keep what was taken, in case it is sent again."""
        for channel in self.channels.values():
            self.remembered.add(self.receipt, channel.name, channel.receiver, now)

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""
        self.now = now
        liveness.has_slept(self, now)
        for key in [key for key, when in self.timers.items() if when <= now]:
            if self.timers.pop(key, None) is None:
                continue  # what was due before it has settled it
            kind, _, argument = key.partition(" ")
            match kind:
                case "connect":
                    self.witness.note(now, f"no connection within {self.options.connect_timeout:g} s")
                    close.end(self, now, "network", "gave-up", "the connection could not be made")
                case "hello":
                    self._hello_missing(int(argument), now)
                case "word":
                    if word := self.words.pop(argument, None):
                        self.act(actions.Signal(word))
                case "ack":
                    self._send_acks()
                case "ping" | "suspect" | "ladder" | "fresh":
                    liveness.handle_timeout(self, kind, now)
                case "reset" | "peer-reset":
                    reset.handle_timeout(self, kind, now)
                case "drain" | "end" | "farewell":
                    close.handle_timeout(self, kind, now)
                case _:
                    raise AssertionError(key)
        close.progress(self, now)

    def _hello_missing(self, epoch: int, now: float) -> None:
        link = self.links.get(epoch)
        if link is None or link.heard_hello:
            return
        if link.control_open and self.state == "connecting":
            self.timers[f"hello {epoch}"] = now + 1.0
            self.act(actions.AskFresh(epoch))  # is it silent, or is the network?
        elif self.state == "connecting" and not (link.offer or link.described):
            self.timers[f"hello {epoch}"] = now + self.options.reset_timeout  # nobody has called yet
        elif self.state == "connecting":
            self.release(epoch)
            self.connect_again(now)
        else:
            reset.failed(self, now, f"no hello on connection {epoch}")

    def connect_again(self, now: float) -> None:
        """The first connection did not come up: try another, until the session gives up."""
        if self.smaller:
            self.connect(self.last_epoch + 1, now)

    def end_by_violation(self, now: float, message: str) -> None:
        """The other side broke the protocol: the session ends at once."""
        self.witness.note(now, message)
        close.end(self, now, "local", "protocol-error", message)

    # --- connections -------------------------------------------------------------------------------------------

    def wants_description(self, epoch: int, now: float) -> bool:
        """A session description for `epoch` has come by signaling. Whether it is to be applied.

        A higher epoch than any implies the reset that its word would have asked for.
        """
        self.now = now
        if self.state == "closed":
            return False
        if (link := self.links.get(epoch)) is not None:
            link.described = True
            return True
        if not self.last_epoch < epoch <= self.last_epoch + reset.AHEAD or self.smaller:
            return False
        if self.state == "connecting":
            for old in list(self.links):
                self.release(old)
            self.connect(epoch, now)
            self.links[epoch].described = True
            return True
        return reset.implied(self, epoch, now)

    def control_opened(self, epoch: int, max_message: int, now: float) -> None:
        """The control channel of a connection stands: say hello.

        Args:
            epoch: the connection.
            max_message: the largest SCTP message that the other side's engine takes (maxMessageSize), in bytes.
            now: the time.
        """
        self.now = now
        link = self.links.get(epoch)
        if link is None:
            return
        if max_message < control.MIN_MESSAGE:
            self.end_by_violation(now, f"its engine takes messages of {max_message} bytes at most")
            return
        link.control_open = True
        link.max_message = max_message
        self.timers[f"hello {epoch}"] = now + self.options.hello_timeout
        hello = control.Hello(
            version=VERSION,
            peer=self.me,
            session=self.session,
            epoch=epoch,
            have=self.have(),
            heartbeat_ms=round(self.options.heartbeat * 1000),
            capabilities=list(self.options.capabilities),
        )
        self.act(actions.SendControl(epoch, control.encode(hello)))

    def control_received(self, epoch: int, text: str | bytes, now: float) -> None:
        """A message on a control channel."""
        self.now = now
        link = self.links.get(epoch)
        if link is None:
            return
        try:
            message = control.decode(text)
        except ValueError as error:
            self.end_by_violation(now, f"a wrong control message: {error}")
            return
        if not link.heard_hello and not isinstance(message, control.Hello):
            self.end_by_violation(now, "a control message before hello")
            return
        liveness.heard(self, epoch, now)
        if message is not None:
            self._handle_control(link, message, now)
        close.progress(self, now)

    def _handle_control(self, link: Link, message: AnyControl, now: float) -> None:
        match message:
            case control.Hello():
                self._handle_hello(link, message, now)
            case control.Ping(n=n):
                self.act(actions.SendControl(link.epoch, control.encode(control.Pong(n=n))))
            case control.Pong(n=n):
                reset.ponged(self, link.epoch, n, now)
            case control.Open():
                self._handle_open(message, now)
            case control.Opened():
                self._handle_opened(message, now)
            case control.Ack():
                self._handle_ack(message, now)
            case control.Want():
                self._handle_want(message)
            case words.Moved(peer=peer):
                self.tell(actions.PeerMoved(peer))
            case control.Media(media=media):
                self.tell(actions.MediaSaid(media))
            case control.File():
                self.tell(actions.FileSaid(message))
            case _:
                self._handle_word(message, now)

    def _handle_hello(self, link: Link, hello: control.Hello, now: float) -> None:
        wrong = (
            f"protocol version {hello.version}, this side speaks {VERSION}" if hello.version != VERSION
            else f"hello for session {hello.session}, this is {self.session}" if hello.session != self.session
            else f"hello of epoch {hello.epoch} on connection {link.epoch}" if hello.epoch != link.epoch
            else "a second hello" if link.heard_hello
            else ""
        )  # fmt: skip
        if wrong:
            self.end_by_violation(now, wrong)
            return
        link.heard_hello = True
        self.timers.pop(f"hello {link.epoch}", None)
        if self.state == "connecting":
            self.timers.pop("connect", None)
            self.capabilities = frozenset(self.options.capabilities) & frozenset(hello.capabilities)
            for channel in self.channels.values():
                self._count_messages(channel)
            self.enter("open")
            self.activate(link.epoch, hello.have, now)
        else:
            reset.greeted(self, link.epoch, now)

    def activate(self, epoch: int, have: dict[str, int], now: float) -> int:
        """From now on what is sent goes over this connection, after what the other side has. Messages sent again."""
        self.active = epoch
        liveness.heard(self, epoch, now)
        again = 0
        try:
            for channel in self.channels.values():
                if channel.open and channel.reliable:
                    again += channel.sender.rewind(have.get(channel.name, 0))
        except ViolationError as error:
            self.end_by_violation(now, str(error))
            return 0
        for channel in self.channels.values():
            if channel.open:
                self.pump(channel)
            elif channel.mine:
                self._say_open(channel)
        # What was said over the connection before may have been lost with it.
        self._send_acks(every=True)
        if self.moved_to:
            self.act(actions.SendControl(epoch, control.encode(words.Moved(peer=self.moved_to))))
        return again

    def have(self) -> dict[str, int]:
        """What has arrived of each reliable channel without a gap."""
        return {
            name: channel.receiver.have for name, channel in self.channels.items() if channel.open and channel.reliable
        }

    def connection_lost(self, epoch: int, kind: liveness.LossKind, text: str, now: float) -> None:
        """A connection, its DTLS or its association, has ended by itself, or was closed behind the session's back."""
        self.now = now
        if epoch not in self.links:
            return
        self.witness.note(now, text)
        liveness.lost(self, epoch, kind, text, now)
        close.progress(self, now)

    def cannot_connect(self, epoch: int, text: str, now: float) -> None:
        """The connection that was asked for could not even be made."""
        if self.state != "connecting":
            self.connection_lost(epoch, "failed", text, now)
            return
        self.now = now
        self.witness.note(now, text)
        self.release(epoch)
        close.end(self, now, "local", "gave-up", text)

    def no_way_out(self, epoch: int, text: str, now: float) -> None:
        """This machine has no address or no socket for a connection: no path can come about."""
        self.now = now
        if epoch != self.active:
            if self.reset is not None and self.reset.epoch == epoch and not self.smaller:
                self.say(words.Cancel(epoch=epoch))  # the offerer would wait until its reset's time is over
            self.cannot_connect(epoch, text, now)
            return
        self.witness.note(now, text)
        if self.reset is not None and self.reset.level == "ice":
            reset.failed(self, now, text)  # the path of before may go on

    def ice_changed(self, epoch: int, state: str, now: float) -> None:
        """The ICE state of a connection: only a hint to look (closing rule 66)."""
        self.now = now
        if epoch == self.active and state in {"disconnected", "failed"}:
            self.witness.note(now, f"ICE {state}")
            liveness.ask(self, now)

    def negotiated(self, epoch: int, now: float) -> None:
        """An offer and its answer have been applied on a connection."""
        self.now = now
        reset.negotiated(self, epoch, now)

    def fresh(self, epoch: int, age: float | None, now: float) -> None:
        """The answer to `AskFresh`: seconds since the last packet of the other side's engine."""
        self.now = now
        if self.state != "connecting":
            liveness.fresh(self, epoch, age, now)
        elif (link := self.links.get(epoch)) is not None and not link.heard_hello:
            link.silent = link.silent + 1 if age is not None and age < liveness.FRESH else 0
            if link.silent == 2:
                close.end(self, now, "network", "protocol-error", NOT_ADIEU)
        close.progress(self, now)

    def released(self, epoch: int, now: float) -> None:
        """Nothing of that connection is left."""
        self.now = now
        self.releasing.discard(epoch)
        close.progress(self, now)

    # --- signaling ---------------------------------------------------------------------------------------------

    def signal_received(self, word: AnyWord, now: float) -> None:
        """A word of the other side by signaling."""
        self.now = now
        if self.state == "closed":
            close.late(self, word)
            return
        self._handle_word(word, now)
        close.progress(self, now)

    def signaling_changed(self, up: bool, now: float) -> None:
        """Our way to the other side by signaling. Losing it ends no session."""
        self.now = now
        self.witness.signaling = up
        if up and self.state in {"suspect", "recovering"}:
            liveness.handle_timeout(self, "ladder", now)

    def presence_changed(self, presence: Presence, now: float, *, reloaded: bool = False) -> None:
        """What the server says of the other side."""
        self.now = now
        self.witness.place(presence, now)
        self.witness.reloaded = self.witness.reloaded or reloaded
        if self.state == "closed" or presence == "here":
            return
        if self.closing is not None and not close.waits(self):
            return  # it has said all that was asked of it: now it may go
        self.witness.note(now, f"the server says: {'reloaded' if reloaded else presence}")
        liveness.presence(self, now)

    def probed(self, by_peer: bool, alive: bool, now: float) -> None:
        """The answer to `Probe`, of the server or of the other side itself; one that came too late says nothing."""
        self.now = now
        if self.liveness.asked is None:
            return
        if by_peer:
            self.witness.probe_peer = True
            self.witness.note(now, "it answers by signaling")
        else:
            self.witness.probe_server = alive
            self.witness.note(now, f"the server says that its socket {'stands' if alive else 'is gone'}")
        liveness.recause(self)

    def say(self, word: AnyWord, *, epoch: int | None = None, both: bool = False, repeat: bool = True) -> None:
        """Say a word in-band; by signaling too at once (`both`), or if it has no effect for 250 ms (`repeat`)."""
        epoch = self.speaking() if epoch is None else epoch
        if epoch is not None:
            self.act(actions.SendControl(epoch, control.encode(word)))
        tag = str(type(word).__struct_config__.tag)
        if both or epoch is None:
            self.act(actions.Signal(word))
        elif repeat:
            self.words[tag] = word
            self.timers[f"word {tag}"] = self.now + self.options.word_repeat

    def took_effect(self, *tags: str) -> None:
        """These words need not be repeated."""
        for tag in tags:
            self.words.pop(tag, None)
            self.timers.pop(f"word {tag}", None)

    def speaking(self) -> int | None:
        """The connection whose control channel carries this side's words: the active one, or the only one."""
        if self.active is not None:
            return self.active
        greeted = [epoch for epoch, link in self.links.items() if link.heard_hello]
        return greeted[-1] if greeted else None

    def _handle_word(self, word: AnyWord, now: float) -> None:
        self.now = now
        match word:
            case words.Closing() | words.Wait() | words.Done() | words.Closed():
                close.handle_word(self, word, now)
            case words.Reset() | words.ResetOk() | words.Switch() | words.Switched() | words.Cancel():
                reset.handle_word(self, word, now)
            case _:
                assert_never(word)

    # --- channels ----------------------------------------------------------------------------------------------

    def open_channel(self, name: str, *, ordered: bool, reliability: Reliability, now: float) -> Channel:
        """The channel of this name: made if there is none.

        Raises:
            ChannelError: it stands with other options, or there are too many.
            SessionClosedError: the session takes nothing new.
        """
        self.now = now
        name = sendable(name, control.MAX_NAME)
        self._require_sendable("open a channel")
        channel = self.channels.get(name)
        if channel is not None:
            if (channel.ordered, channel.reliability) != (ordered, reliability):
                raise ChannelError(
                    f"channel {name!r} is already open with ordered={channel.ordered}, {_words(channel.reliability)}; "
                    f"asked for ordered={ordered}, {_words(reliability)}. Both sides must ask for the same."
                )
            self._claim(channel)
            return channel
        if len(self.channels) >= self.options.max_channels:
            raise ChannelError(f"{len(self.channels)} channels are open; the limit is {self.options.max_channels}")
        if self._next_id < 0:
            raise ChannelError(f"no stream id is left for channel {name!r}: a session has 511 on each side")
        channel = self._make_channel(name, ordered, reliability, self._next_id, mine=True)
        self._next_id -= 2
        if self.active is not None:
            self._say_open(channel)
        return channel

    def _make_channel(self, name: str, ordered: bool, reliability: Reliability, id_: int, *, mine: bool) -> Channel:
        reliable = is_reliable(reliability)
        channel = Channel(
            name,
            ordered,
            reliability,
            id_,
            mine,
            open=False,
            sender=Sender(reliable, self.options.send_buffer),
            receiver=Receiver(ordered, reliable, self.budget, claimed=mine),
        )
        self.channels[name] = channel
        self.by_id[id_] = channel
        self._count_messages(channel)
        return channel

    def _count_messages(self, channel: Channel) -> None:
        channel.sender.counted = channel.receiver.counted = "credit2" in self.capabilities

    def _claim(self, channel: Channel) -> None:
        """The application takes the channel: it gets more credit than one that nobody asked for."""
        if not channel.receiver.claimed:
            channel.receiver.claimed = True
            if channel.open and channel.reliable:
                self._send_acks(also=channel)
                self.feed()

    def _say_open(self, channel: Channel) -> None:
        message = control.Open(
            name=channel.name,
            id=channel.id,
            ordered=channel.ordered,
            reliability=channel.reliability,
            window=channel.receiver.grant(),
        )
        assert self.active is not None
        # Before the word: what the other side sends after its `opened` must find the data channel here, also on the
        # connection of a reset that is under way.
        for epoch in self.links:
            self._open_stream(epoch, channel)
        self.act(actions.SendControl(self.active, control.encode(message)))

    def _open_stream(self, epoch: int, channel: Channel) -> None:
        link = self.links[epoch]
        if channel.id not in link.streams:
            link.streams[channel.id] = Stream()
            self.act(actions.OpenStream(epoch, channel.id, channel.name, channel.ordered, channel.reliability))

    def _handle_open(self, message: control.Open, now: float) -> None:
        if self.active is None:
            return  # repeated once the new connection carries the session
        first = control.FIRST_ID_LARGER if self.smaller else control.FIRST_ID_SMALLER
        if message.id > first or (first - message.id) % 2:
            self.end_by_violation(
                now, f"channel {message.name!r} opened with id {message.id}, which is not its to give"
            )
            return
        channel = self.channels.get(message.name)
        error = ""
        if channel is None:
            if len(self.channels) >= self.options.max_channels or message.id in self.by_id:
                error = f"no room for channel {message.name!r}"
            else:
                channel = self._make_channel(message.name, message.ordered, message.reliability, message.id, mine=False)
        elif (channel.ordered, channel.reliability) != (message.ordered, message.reliability):
            error = (
                f"channel {message.name!r} is wanted differently: ordered={message.ordered}, "
                f"{_words(message.reliability)} there; ordered={channel.ordered}, {_words(channel.reliability)} here"
            )
        elif not channel.open and channel.mine:
            if self.smaller:
                # Same name from both at once: the smaller peer's holds, and the other answers it. The data channel that
                # the other has made, and closes now, is closed from here too, or its procedure would not end.
                self._close_foreign(message)
                return
            self._adopt(channel, message.id)
        if error or channel is None:
            answer = control.Opened(name=message.name, id=message.id, error=error)
            self.act(actions.SendControl(self.active, control.encode(answer)))
            if channel is not None and not channel.open:
                self._drop_channel(channel, error)
            return
        answer = control.Opened(name=channel.name, id=channel.id, window=channel.receiver.grant())
        for epoch in self.links:
            self._open_stream(epoch, channel)
        self.act(actions.SendControl(self.active, control.encode(answer)))
        self._opened(channel, message.window, incoming=True)

    def _close_foreign(self, message: control.Open) -> None:
        assert self.active is not None
        self.act(actions.OpenStream(self.active, message.id, message.name, message.ordered, message.reliability))
        self.act(actions.CloseStream(self.active, message.id))

    def _adopt(self, channel: Channel, id_: int) -> None:
        """The other side's `open` of the same name holds: use its id."""
        for epoch, link in self.links.items():
            if link.streams.pop(channel.id, None):
                self.act(actions.CloseStream(epoch, channel.id))
        del self.by_id[channel.id]
        channel.id, channel.mine = id_, False
        self.by_id[id_] = channel

    def _handle_opened(self, message: control.Opened, now: float) -> None:
        channel = self.channels.get(message.name)
        if channel is None or channel.open:
            return
        if message.error:
            self._drop_channel(channel, message.error)
        elif message.id != channel.id:
            self.end_by_violation(now, f"channel {message.name!r} opened with id {message.id} instead of {channel.id}")
        else:
            for epoch in self.links:
                self._open_stream(epoch, channel)
            self._opened(channel, message.window, incoming=False)

    def _opened(self, channel: Channel, window: int, *, incoming: bool) -> None:
        if not channel.open:
            channel.open = True
            self.tell(actions.ChannelOpened(channel.name, incoming))
        channel.sender.granted(window)
        self.pump(channel)

    def _drop_channel(self, channel: Channel, error: str) -> None:
        self.channels.pop(channel.name, None)
        self.by_id.pop(channel.id, None)
        self.hungry.pop(channel.name, None)
        channel.receiver.leave()
        self.feed()
        for epoch, link in self.links.items():
            if link.streams.pop(channel.id, None):
                self.act(actions.CloseStream(epoch, channel.id))
        self.tell(actions.ChannelFailed(channel.name, error))

    def stream_opened(self, epoch: int, id_: int, now: float) -> None:
        """A session channel's data channel stands."""
        self.now = now
        link, channel = self.links.get(epoch), self.by_id.get(id_)
        if link is not None and channel is not None and id_ in link.streams:
            link.streams[id_].open = True
            self.pump(channel)

    def stream_closed(self, epoch: int, id_: int | None, now: float) -> None:
        """A data channel of a connection is closed (id None: the control channel)."""
        self.now = now
        link = self.links.get(epoch)
        if link is None:
            return
        expected = close.stream_closed(self, epoch, id_)
        known = id_ is None or link.streams.pop(id_, None) is not None
        if known and not expected and epoch == self.active:
            self.connection_lost(epoch, "left", "the other side closed a data channel of the session", now)
        close.progress(self, now)

    def drained(self, epoch: int, id_: int, buffered: int, now: float) -> None:
        """The answer to `AskDrained`."""
        self.now = now
        link, channel = self.links.get(epoch), self.by_id.get(id_)
        if link is None or channel is None or id_ not in link.streams:
            return
        stream = link.streams[id_]
        crowded = link.buffered >= self.options.link_high
        stream.buffered, stream.asked = buffered, False
        for other in self.channels.values() if crowded else (channel,):
            self.pump(other)

    def send(self, name: str, payload: Payload, now: float) -> int:
        """Accept a message: its sequence number. Ask `has_room` first.

        Raises:
            ChannelError: larger than `max_message`.
            SessionClosedError: the session takes nothing new.
        """
        self.now = now
        self._require_sendable("send")
        if len(payload.data) > self.options.max_message:
            raise ChannelError(
                f"a message of {len(payload.data)} bytes on channel {name!r}; the limit is {self.options.max_message}. "
                "Send it in pieces, or as a file."
            )
        channel = self.channels[name]
        seq = channel.sender.accept(payload)
        self.pump(channel)
        return seq

    def has_room(self, name: str) -> bool:
        """Whether `send` may be called: what waits to go out is below the buffer's bound."""
        return self.channels[name].sender.queued < self.options.send_buffer

    def _require_sendable(self, what: str) -> None:
        if self.state == "closed" or (self.closing is not None and not self.closing.may_send):
            verb = "has ended" if self.state == "closed" else "is closing"
            raise SessionClosedError(f"cannot {what}: the session with {self.peer} {verb}")

    def pump(self, channel: Channel) -> None:
        """Hand to the active connection what credit and buffer allow."""
        if self.active is None or not channel.open or (self.closing is not None and self.closing.said_closed):
            return
        link = self.links[self.active]
        stream = link.streams.get(channel.id)
        if stream is None or not stream.open or stream.asked:
            return
        fragment = min(control.MAX_FRAGMENT, link.max_message)
        room = min(self.options.stream_high - stream.buffered, self.options.link_high - link.buffered)
        full = not self.has_room(channel.name)
        for frame in channel.sender.frames(room, fragment):
            stream.buffered += len(frame)
            self.act(actions.SendData(link.epoch, channel.id, frame))
        if stream.buffered >= self.options.stream_high:
            self._ask_drained(link, channel.id)
        elif link.buffered >= self.options.link_high:
            for id_, crowded in link.streams.items():
                if crowded.buffered:
                    self._ask_drained(link, id_)
        if (full and self.has_room(channel.name)) or (not channel.reliable and channel.sender.idle):
            self.tell(actions.Acknowledged(channel.name))
        wanted, turn = channel.sender.wanted()
        if wanted:
            want = control.Want(channels={channel.name: wanted}, turns={channel.name: turn} if turn else {})
            self.act(actions.SendControl(link.epoch, control.encode(want)))

    def _ask_drained(self, link: Link, id_: int) -> None:
        stream = link.streams[id_]
        if not stream.asked:
            stream.asked = True
            # Less than was known: who asks because others are full would have the same answer at once, without end.
            most = min(self.options.stream_low, stream.buffered // 2)
            self.act(actions.AskDrained(link.epoch, id_, most))

    def data_received(self, epoch: int, id_: int, data: bytes, now: float) -> Payload | None:
        """Feed an SCTP message of a session channel; get its message if a reader waits for it (`reader_changed`).

        The application has taken what is returned. Otherwise `Readable` says that there is something to `take`.
        """
        self.now = now
        channel = self.by_id.get(id_)
        if channel is None or epoch not in self.links:
            return None
        liveness.heard(self, epoch, now)
        receiver = channel.receiver
        try:
            complete = receiver.receive(
                epoch, data, lambda again: self.remembered.has(again[0], channel.name, again[1], now)
            )
        except ViolationError as error:
            self.end_by_violation(now, f"channel {channel.name!r}: {error}")
            return None
        close.progressed(self, now)
        payload = receiver.take() if complete and channel.reader_waits else None
        self.feed()
        if complete:
            if self.closing is not None:
                close.keep(self)
            if payload is None or receiver.held:
                self.tell(actions.Readable(channel.name))
            close.progress(self, now)
            if payload is None and channel.reliable and not receiver.counted and not len(receiver.line) % SLOW_DOWN:
                self._send_acks(also=channel)
        if payload is not None or not complete:
            self.ack_later(channel, now)
        return payload

    def take(self, name: str, now: float) -> Payload | None:
        """Take the next message of this channel for the application; None if there is none."""
        self.now = now
        channel = self.channels[name]
        self._claim(channel)
        payload = channel.receiver.take()
        self.feed()
        if payload is not None:
            if self.closing is not None:
                close.keep(self)
            self.ack_later(channel, now)
            close.progress(self, now)
        return payload

    def reader_changed(self, name: str, waits: bool, now: float) -> None:
        """Say whether a reader waits for the next message of this channel.

        While one waits, `data_received` returns the message that it completes, and counts it as taken: no `Readable`
        and no `take` are needed. Call this with `waits` only after `take` has returned None; call it without as soon
        as the reader is busy or has left. It stays as it is until then, over all resets.
        """
        self.now = now
        channel = self.channels[name]
        channel.reader_waits = waits
        if waits:
            self._claim(channel)

    def ack_later(self, channel: Channel, now: float) -> None:
        """Acknowledge soon: after enough messages or bytes, or 20 ms; at once while closing."""
        receiver = channel.receiver
        if not receiver.ack_wanted:
            return
        if self.closing is not None or receiver.ack_due(self.options.ack_messages, self.options.ack_bytes):
            self._send_acks()
        else:
            self.timers.setdefault("ack", now + self.options.ack_delay)

    def _send_acks(self, *, every: bool = False, also: Channel | None = None) -> None:
        self.timers.pop("ack", None)
        if self.active is None:
            return
        acks: dict[str, control.Acknowledged] = {}
        ranges = 0
        for name, channel in self.channels.items():
            if channel.receiver.ack_wanted or channel is also or (every and channel.open and channel.reliable):
                acks[name] = channel.receiver.acknowledgement()
                ranges += len(acks[name].ranges)
                if ranges > words.MAX_RANGES or len(acks) == ACKS:
                    self._send_ack(self.active, acks)
                    acks, ranges = {}, 0
        if acks:
            self._send_ack(self.active, acks)

    def _send_ack(self, epoch: int, acks: dict[str, control.Acknowledged]) -> None:
        self.act(actions.SendControl(epoch, control.encode(control.Ack(channels=acks))))

    def _handle_want(self, message: control.Want) -> None:
        for name, wanted in message.channels.items():
            channel = self.channels.get(name)
            if channel is not None and channel.open and channel.reliable and channel.receiver.counted:
                channel.receiver.ask(wanted, message.turns.get(name))
                self.hungry.setdefault(name, channel)
        self.feed()

    def feed(self) -> None:
        """Give credit to those that asked for it, in their order, as far as there is room."""
        first = True
        for name, channel in list(self.hungry.items()):
            receiver = channel.receiver
            if not receiver.hungry:
                del self.hungry[name]
                continue
            edge = receiver.edge
            receiver.grant()
            given = receiver.edge > edge
            if receiver.stuck and first:
                # Nobody behind it gets a turn before it: what is large would wait for ever.
                first = receiver.give_turn()
                given = given or first
            if receiver.waits is not None and receiver.claimed and not receiver.stuck:
                receiver.waits, given = None, True  # Said even if it was said before: the other side waits for it.
            if given:
                if not receiver.stuck:
                    del self.hungry[name]
                self._send_acks(also=channel)

    def _handle_ack(self, message: control.Ack, now: float) -> None:
        for name, ack in message.channels.items():
            channel = self.channels.get(name)
            if channel is None or not channel.reliable:
                continue
            try:
                news = channel.sender.acknowledge(ack)
            except ViolationError as error:
                self.end_by_violation(now, f"channel {name!r}: {error}")
                return
            if news:
                close.progressed(self, now)
            self.pump(channel)
            if news:
                self.tell(actions.Acknowledged(name))

    def say_moved(self, peer: str, now: float) -> None:
        """A restarted server gave this side a new peer id: the session keeps its own."""
        self.now = now
        self.moved_to = peer
        if (epoch := self.speaking()) is not None:
            self.act(actions.SendControl(epoch, control.encode(words.Moved(peer=peer))))

    def say_file(self, file: control.File, now: float) -> None:
        """A step of a file transfer, over the control channel."""
        self.now = now
        if (epoch := self.speaking()) is not None:
            self.act(actions.SendControl(epoch, control.encode(file)))

    # --- what the application asks -----------------------------------------------------------------------------

    def ask_close(self, reason: Reason, timeout: float, now: float) -> None:
        """Begin the five steps (or join them, if they have begun)."""
        self.now = now
        close.begin(self, reason, timeout, now)
        close.progress(self, now)

    def abort(self, now: float) -> None:
        """End at once; the receipt says what is not known."""
        self.now = now
        close.abort(self, now)

    def last_words_over(self, now: float) -> None:
        """All `closing` handlers of the application have settled."""
        self.now = now
        close.last_words_over(self)
        close.progress(self, now)

    def superseded(self, now: float) -> None:
        """The other side has begun another session of the same two peers: this one is over there."""
        self.now = now
        if self.closing is None:
            close.end(self, now, "network", self.witness.cause(), "the other side has begun a new session")

    def doubt(self, now: float) -> None:
        """There is a sign that the other side is not there any more: ask it."""
        self.now = now
        if self.liveness.asked is None and self.active is not None:
            liveness.ask(self, now)

    def ask_wait(self, reason: str, eta: float, now: float) -> None:
        """While the other side closes: ask for `eta` seconds more."""
        self.now = now
        self.say(words.Wait(reason=sendable(reason, words.MAX_TEXT), eta_ms=min(round(eta * 1000), words.MAX_COUNT)))

    def grant_wait(self, eta: float, now: float) -> None:
        """While this side closes: give the other side `eta` seconds from now."""
        self.now = now
        close.extend(self, eta, now)

    def ask_reset(self, level: words.Level, now: float) -> None:
        """Begin a reset, join the running one, or raise its level."""
        self.now = now
        reset.ask(self, level, now)


SLOW_DOWN = 1024
"""A peer that counts payload alone hears of its window again after so many messages that lie here."""
ACKS = 64
"""Channels in one `ack`: with long names and all their ranges it stays below what a connection carries."""
NOT_ADIEU = "the other side said no hello: it does not speak adieu"


def _words(reliability: Reliability) -> str:
    if reliability.max_retransmits is not None:
        return f"maxRetransmits={reliability.max_retransmits}"
    if reliability.max_packet_life_time is not None:
        return f"maxPacketLifeTime={reliability.max_packet_life_time}"
    return "reliable"
