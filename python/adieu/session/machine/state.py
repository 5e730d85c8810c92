"""The state of a session machine, and the few functions that every procedure uses.

Three parts describe a session. Each is an object that exists only while it applies:

- `phase` until the session closes, then `closing` with its steps: `state` is the name that follows from them;
- `silence`, from the first question without an answer until the other side is heard;
- `reset`, from its beginning to its end, also while the session is silent or closes.

Each procedure has a file, which imports only the files before it: `heartbeat.py`, `channels.py`, `ending.py`,
`connections.py`, `reset.py`, `close.py` (and the account at its end, `account.py`), `recovery.py`, `progress.py`;
`machine.py` has the inputs.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, ClassVar, Literal

from adieu.protocol import control, ids, words
from adieu.session.machine import actions
from adieu.session.machine.budget import Budget
from adieu.session.machine.cause import PeerEvidence
from adieu.session.machine.options import Options
from adieu.session.machine.remembered import Remembered

if TYPE_CHECKING:
    from adieu.protocol.control import AnyControl, Reliability
    from adieu.protocol.words import AnyWord, Level, Reason
    from adieu.session.machine.receipt import By, Outcome, StepName, StepReceipt
    from adieu.session.machine.receiver import Receiver
    from adieu.session.machine.sender import Sender

Phase = Literal["connecting", "open", "suspect", "recovering", "resetting"]
"""The states of a session that does not close."""

LossKind = Literal["left", "closed", "failed", "security"]
"""How a connection ended: the other side closed it; it was closed here, but not by the session; it broke; its
certificate was not the one announced."""

Timer = Literal[
    "connect", "ack",
    "ping", "suspect", "fresh", "ladder", "farewell", "network",
    "reset", "peer-reset",
    "drain", "end", "channels", "progress",
]  # fmt: skip
"""The timers of a session, except `hello_by` (hello of a connection) and `Repeat.due` (effect of a message)."""


@dataclass(slots=True)
class ChannelOnConnection:
    """A session channel's data channel on one connection."""

    open: bool = False
    buffered: int = 0
    """An upper estimate of its bufferedAmount."""
    asked: bool = False
    """`AskDrained` is out."""
    closing: bool = False
    """Whether it is being closed: it carries nothing, and its id is free afterwards."""


@dataclass(slots=True)
class ConnectionState:
    """One connection."""

    epoch: int
    hello_by: float | None
    """When its hello is due; None once it has come, or is not waited for."""
    max_message: int = 65536
    """The largest SCTP message that the other side's engine accepts."""
    control_open: bool = False
    described: bool = False
    """The other side's offer has come."""
    heard_hello: bool = False
    alive_at: float | None = None
    """When its engine was heard last, if it was found alive while no hello came."""
    channels: dict[int, ChannelOnConnection] = field(default_factory=dict[int, ChannelOnConnection])
    """The data channels, by stream id."""

    @property
    def buffered(self) -> int:
        """Return an upper estimate of the bytes that all its data channels buffer."""
        return sum(channel.buffered for channel in self.channels.values())


@dataclass(slots=True)
class Channel:
    """A named channel."""

    name: str
    ordered: bool
    reliability: Reliability
    id: int
    """The stream id of its data channel on every connection."""
    mine: bool
    """This side's `open` is the one that counts."""
    open: bool
    sender: Sender
    receiver: Receiver
    reader_waits: bool = False
    """`data_received` returns the next message."""
    end: ChannelEnd | None = None
    """The close that is under way, or over."""

    @property
    def reliable(self) -> bool:
        """Every message arrives, or the receipt says which did not."""
        return self.receiver.reliable


@dataclass(slots=True)
class ChannelEnd:
    """The close of a channel, while the session goes on."""

    by: Literal["local", "remote", "both"]
    reason: str
    began: float
    deadline: float
    """When the application learns of the end at the latest."""
    drain_until: float
    progressed: float
    """When something new of this channel last came."""
    own: bool = False
    """This side's application has asked for it: its time is kept, whatever the other side says."""
    may_send: bool = False
    """Last words: the other side closes, and the `closing` handlers here have not ended."""
    final: int | None = None
    """How many messages the other side sends, once that is known."""
    said_done: bool = False
    heard_done: bool = False
    said: words.ChannelAccount | None = None
    """This side's last word: from then on it neither sends nor takes."""
    heard: words.ChannelAccount | None = None
    """The other side's last word."""
    agreed: bool = False
    """Each side is known to have both last words: the data channel is reset, and all of it is forgotten."""
    heard_gone: bool = False
    """The other side closes its data channel, or has forgotten the channel."""
    gone_on: int | None = None
    """The connection on which one side has said `gone`."""
    over: bool = False
    """Whether the application knows of the end. The rest is for the other side."""
    spoken_on: int | None = None
    """The connection that carried the last stage of this side; on another it is said again."""
    spoken: int = 0
    """The last stage said there: 1 closing, 2 done, 3 closed, 4 closed and heard."""


@dataclass(slots=True)
class Silence:
    """The other side owes an answer."""

    since: float
    """When the first question was asked that has no answer: the ladder counts from here."""
    attempts: int = 0
    """New connections in this silence."""
    excused: bool = False
    """Whether one of them does not count, as the other side gave it up: it is tried again soon, once."""
    suspected: bool = False
    """Whether it has lasted so long that it is no accident."""


@dataclass(slots=True)
class Reset:
    """The reset that is under way."""

    level: Level
    epoch: int
    """The epoch of the new connection; for `ice` of the current one."""
    asker: str
    n: int
    began: float
    recovery: bool
    """Whether the recovery started it: then it ends when the old connection heals."""
    renews: bool = False
    """Whether a change of this machine's network started it: the new path is wanted even if the old one still works."""
    phase: Literal["asked", "building", "switching"] = "asked"
    ping: int | None = None
    """`ice`: the ping whose answer proves the new path."""
    lost: str = ""
    """How its connection ended, if it was closed on purpose."""
    raised_to: Level | None = None
    """Asked for when it was too late to raise this one: the level of the next."""


@dataclass(slots=True)
class Resets:
    """The memory between two resets."""

    options: Options
    asked: int = 0
    """How many this side has asked for."""
    known: dict[str, int] = field(default_factory=dict[str, int])
    """The highest number of each asker."""
    tokens: float = 0.0
    filled: float | None = None
    waiting: words.Reset | None = None
    pestered: int = 0
    ice_pending_until: float = -inf
    """Until then the side that offers may still be making a path, in an `ice` reset that was given up here."""

    def admit(self, now: float) -> bool:
        """Whether a reset that the other side asks for may begin now: a burst, then one in so many seconds."""
        if self.filled is None:
            self.tokens = float(self.options.peer_resets_burst)
        else:
            gained = (now - self.filled) / self.options.peer_resets_every
            self.tokens = min(self.tokens + gained, float(self.options.peer_resets_burst))
        self.filled = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(slots=True)
class Drain:
    """Until this side says `closed`: what was accepted goes out, and what comes is taken."""

    name: ClassVar[StepName] = "drain"
    may_send: bool = False
    """Last words: the other side closes, and the `closing` handlers here have not ended."""
    speaking: bool = False
    """Sound of this side is still to be heard."""


@dataclass(slots=True)
class CloseChannels:
    """Reset the data channels of the active connection."""

    name: ClassVar[StepName] = "channels"
    said: words.Closed
    left: set[int | None] | None = None
    """Those that are being closed (None: the control channel); None until the closing begins."""


@dataclass(slots=True)
class EndConnections:
    """Release all connections."""

    name: ClassVar[StepName] = "connection"
    said: words.Closed


@dataclass(slots=True)
class CleanUp:
    """Wait for the other side's last word by signaling."""

    name: ClassVar[StepName] = "clean-up"
    said: words.Closed


@dataclass(slots=True)
class Over:
    """The session has ended."""

    name: ClassVar[Literal["over"]] = "over"
    said: words.Closed
    outcome: Outcome


@dataclass(slots=True)
class Close:
    """The close that is under way, or over; each step holds what exists only in it."""

    by: By
    reason: Reason
    began: float
    deadline: float
    drain_until: float
    cause: str = ""
    ending: Literal["orderly", "late", "abrupt"] = "orderly"
    """Late: the drain met its deadline. Abrupt: nobody waits for the other side."""
    final: dict[str, int] | None = None
    """How much the other side sends on each channel, once it is known."""
    own: float | None = None
    """The time when this side's own `close()` must end; `deadline` is never later."""
    progressed: float = 0.0
    """When something new last came of the other side."""
    said_done: bool = False
    heard_done: bool = False
    heard_closed: words.Closed | None = None
    unheard: bool = False
    """The other side had heard nothing from here, and ended it."""
    step: Drain | CloseChannels | EndConnections | CleanUp | Over = field(default_factory=Drain)
    step_began: float = 0.0
    steps: list[StepReceipt] = field(default_factory=list["StepReceipt"])
    """Those that are done."""

    @property
    def kept(self) -> float:
        """Seconds for the steps after the drain."""
        return self.deadline - self.drain_until

    @property
    def is_abrupt(self) -> bool:
        """Nobody waits for the other side."""
        return self.ending == "abrupt"

    @property
    def is_closer(self) -> bool:
        """This side has asked for the end, and may give the other more time."""
        return self.by in {"local", "both"}

    @property
    def may_send(self) -> bool:
        """Last words are accepted."""
        return isinstance(self.step, Drain) and self.step.may_send

    @property
    def said_closed(self) -> words.Closed | None:
        """This side's last word, once it is said."""
        return None if isinstance(self.step, Drain) else self.step.said

    @property
    def outcome(self) -> Outcome | None:
        """The account, once the session has ended."""
        return self.step.outcome if isinstance(self.step, Over) else None


@dataclass(slots=True)
class Repeat:
    """A word said in-band whose effect has not been seen yet."""

    word: AnyWord
    due: float
    """When to say it by signaling too."""


@dataclass(slots=True)
class Watch:
    """Somebody watches the steps of a close or a reset."""

    at: tuple[str, str] | None = None
    """The step that was reported last."""
    due: float = 0.0
    """When to report it again."""


class MachineState:
    """One side of a session: its data, what it has to do, and what it has to report."""

    room_closes: bool = False
    """The room is closed for all, or this side asks for it: the other side may know it first."""

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
        """Make one side.

        Args:
            me: this side's peer id.
            peer: the peer id of the other side; empty if it is not known yet (then `identify` follows before its first
                control message).
            room: where they met; part of the session's id.
            n: the number of this session of the two peers; part of its id.
            smaller: whether this side takes the part of the smaller peer id; None: compare them.
            options: settings.
            remembered: messages that were taken in earlier sessions.
        """
        self.me = me
        self.room = room
        self.n = n
        self.smaller: bool = me < peer if smaller is None else smaller
        """This side offers, and is the polite one."""
        self.identify(peer)
        self.options: Options = options or Options()
        self.remembered: Remembered = remembered or Remembered()
        self.budget: Budget = Budget(self.options.budget, self.options.window, self.options.max_message)
        self.now: float = 0.0
        """The time of the last input."""
        self.phase: Phase = "connecting"
        self.closing: Close | None = None
        """Set once; from then on `phase` says nothing."""
        self.silence: Silence | None = None
        self.reset: Reset | None = None
        self.resets: Resets = Resets(self.options)
        self.connections: dict[int, ConnectionState] = {}
        self.active: int | None = None
        """The connection that carries what is sent."""
        self.last_epoch: int = 0
        self.releasing: set[int] = set()
        """Connections that were ended and still hold something."""
        self.channels: dict[str, Channel] = {}
        self.by_id: dict[int, Channel] = {}
        self.ending: dict[str, Channel] = {}
        """Channels that are being closed."""
        self.later: dict[int, control.Open] = {}
        """Channels that the other side opens while an earlier one holds the name or the id; by stream id."""
        self.hungry: dict[str, Channel] = {}
        """Channels for whose credit there was no room, the one that has waited longest first."""
        self.evidence: PeerEvidence = PeerEvidence()
        self.media: dict[str, words.MediaAccount] = {}
        """Mid to this side's account, for its last word."""
        self.capabilities: frozenset[str] = frozenset()
        """Return the capabilities of both sides: known from the first `hello` on, and fixed for the session's life."""
        self.last_heard: float = 0.0
        self.pings: int = 0
        """How many were sent."""
        self.moved_to: str = ""
        """This side's new peer id, after its server was restarted."""
        self.next_id: int = control.FIRST_ID_SMALLER if self.smaller else control.FIRST_ID_LARGER
        """The stream id of the next channel that this side opens."""
        self.watch: Watch | None = None
        self.timers: dict[Timer, float] = {}
        self.words: dict[str, Repeat] = {}
        """Messages by type."""
        self.actions: deque[actions.AnyAction] = deque()
        self.events: deque[actions.AnyEvent] = deque()

    # --- out ---------------------------------------------------------------------------------------------------

    def poll_action(self) -> actions.AnyAction | None:
        """Return the next thing to do."""
        return self.actions.popleft() if self.actions else None

    def poll_event(self) -> actions.AnyEvent | None:
        """Return the next thing to report to the application."""
        return self.events.popleft() if self.events else None

    def poll_timeout(self) -> float | None:
        """Return when to call `handle_timeout` at the latest."""
        due = min(self.timers.values(), default=None)
        for connection in self.connections.values():
            if connection.hello_by is not None and (due is None or connection.hello_by < due):
                due = connection.hello_by
        for repeat in self.words.values():
            if due is None or repeat.due < due:
                due = repeat.due
        return due

    def note(self, text: str) -> None:
        """Keep a line of evidence."""
        self.evidence.note(self.now, text)

    def wake_in(self, timer: Timer, seconds: float) -> None:
        """Set a timer, `seconds` from now."""
        self.timers[timer] = self.now + seconds

    def act(self, action: actions.AnyAction) -> None:
        """Have it done."""
        self.actions.append(action)

    def report(self, event: actions.AnyEvent) -> None:
        """Have it reported to the application."""
        self.events.append(event)

    # --- the state ---------------------------------------------------------------------------------------------

    @property
    def state(self) -> actions.StateName:
        """The name of the state."""
        if self.closing is None:
            return self.phase
        return "closing" if self.closing.outcome is None else "closed"

    @property
    def outcome(self) -> Outcome | None:
        """The account of the session, once it has ended."""
        return None if self.closing is None else self.closing.outcome

    @property
    def is_troubled(self) -> bool:
        """The other side is silent, and the application knows it."""
        return self.closing is None and self.phase in {"suspect", "recovering"}

    def enter(self, phase: Phase, cause: str = "") -> None:
        """Set the phase."""
        if phase != self.phase:
            previous, self.phase = self.phase, phase
            self.changed(previous, cause)

    def changed(self, previous: actions.StateName, cause: str) -> None:
        """Report the state, which was another one before."""
        self.evidence.reported = cause
        lines = self.evidence.lines() if cause else []
        self.report(actions.StateChanged(self.state, previous, cause, lines))

    def identify(self, peer: str) -> None:
        """Note the other side's peer id: the ids of the session and of the receipt follow from it."""
        self.peer = peer
        self.session: str = ids.session_id(self.room, self.me, peer, self.n)
        self.receipt: str = ids.receipt_id(self.session)

    # --- what is said ------------------------------------------------------------------------------------------

    def send_control(self, epoch: int, message: AnyControl) -> None:
        """Send a message over the control channel of a connection."""
        self.act(actions.SendControl(epoch, control.encode(message)))

    def say(self, word: AnyWord, *, epoch: int | None = None, both: bool = False, repeat: bool = True) -> None:
        """Say a word in-band; by signaling too at once (`both`), or if it has no effect for 250 ms (`repeat`)."""
        epoch = self.speaking() if epoch is None else epoch
        if epoch is not None:
            self.send_control(epoch, word)
        if both or epoch is None:
            self.act(actions.Signal(word))
        elif repeat:
            self.words[str(type(word).__struct_config__.tag)] = Repeat(word, self.now + self.options.word_repeat)

    def took_effect(self, *tags: str) -> None:
        """Do not repeat these words."""
        for tag in tags:
            self.words.pop(tag, None)

    def speaking(self) -> int | None:
        """Return the connection whose control channel carries this side's words: the active one, or the last."""
        if self.active is not None:
            return self.active
        greeted = [epoch for epoch, connection in self.connections.items() if connection.heard_hello]
        return greeted[-1] if greeted else None

    def have(self) -> dict[str, int]:
        """Return what has arrived of each reliable channel without a gap."""
        return {
            name: channel.receiver.have for name, channel in self.channels.items() if channel.open and channel.reliable
        }
