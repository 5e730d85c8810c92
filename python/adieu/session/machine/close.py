"""The five steps: announce, drain, channels, connection, clean-up (closing rules S1-S6, S11).

Each side walks them by itself; the words of the other move it on, and the deadline moves it on without them. The
last tenth of the time (200 ms at least) is kept for the steps after the drain.

A `close()` of this side ends in its own time, whatever the other side says; only what this side grants the other gives
it more. While the other side closes and this one has not, its deadline holds as long as something new comes of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import msgspec

from adieu.protocol import words
from adieu.protocol.words import Reason, Total
from adieu.session.machine import actions, liveness, reset
from adieu.session.machine.cause import CLAIMS, DEATHS
from adieu.session.machine.held import Ranges
from adieu.session.machine.receipt import (
    Account,
    By,
    ChannelReceipt,
    Outcome,
    Path,
    StepName,
    StepReceipt,
    account,
    agreed_text,
    is_part,
    left,
)

if TYPE_CHECKING:
    from adieu.session.machine.machine import Channel, SessionMachine

GOING_AWAY = 0.25
"""Seconds: what a page that goes away (deadline 0) has sent may still arrive behind its word."""
LONGEST = 3600.0
"""Seconds: what the other side may at most ask for, with its deadline or with `wait`."""
LAST_WORD = 0.5
"""Seconds: after an end without agreement, wait so long for the other's `closed` by signaling."""


@dataclass(slots=True)
class Close:
    """The close that is under way."""

    by: Literal["local", "remote", "both", "network"]
    reason: Reason
    began: float
    deadline: float
    drain_until: float
    own: float | None = None
    """By when this side's own `close()` has to end; `deadline` is never later."""
    progressed: float = 0.0
    """When something new last came of the other side."""
    may_send: bool = False
    """Last words: the other side closes, and the `closing` handlers here have not settled."""
    final: dict[str, int] | None = None
    """How much the other side sends on each channel, once it is known."""
    said_done: bool = False
    heard_done: bool = False
    said_closed: words.Closed | None = None
    heard_closed: words.Closed | None = None
    abrupt: bool = False
    late: bool = False
    """The drain met its deadline."""
    cause: str = ""
    unheard: bool = False
    """The other side had heard nothing from here, and ended it."""
    step: StepName = "announce"
    step_began: float = 0.0
    steps: list[StepReceipt] = field(default_factory=list[StepReceipt])
    streams: set[int | None] = field(default_factory=set[int | None])
    """Data channels that are being closed."""
    streams_asked: bool = False

    @property
    def kept(self) -> float:
        """Seconds for the steps after the drain."""
        return self.deadline - self.drain_until


def _drain_until(now: float, deadline: float) -> float:
    total = deadline - now
    return deadline - min(max(0.1 * total, 0.2), total / 2)


# --- how it begins --------------------------------------------------------------------------------------------------


def begin(m: SessionMachine, reason: Reason, timeout: float, now: float) -> None:
    """This side closes. A close that is under way already goes on, and ends within the shorter time."""
    if m.state == "closed":
        return
    reason = words.reason(reason.code, reason.text)
    if m.closing is None and m.state == "connecting":
        end(m, now, "local", reason.code, reason.text)
    elif timeout <= 0:
        abort(m, now, reason)
    elif m.closing is None:
        _open(m, Close("local", reason, now, now + timeout, _drain_until(now, now + timeout)))
        m.say(_closing(m), both=True)
        liveness.closes(m, now)
    if m.closing is not None:
        _hurry(m, m.closing, now, now + timeout)


def _hurry(m: SessionMachine, closing: Close, now: float, own: float) -> None:
    """This side's own time: each `close()` keeps its own, the shortest decides."""
    closing.own = own if closing.own is None else min(closing.own, own)
    if closing.own < closing.deadline:
        closing.deadline = closing.own
        closing.drain_until = min(closing.drain_until, _drain_until(now, closing.own))
    if closing.said_closed is None:
        m.timers["drain"] = closing.drain_until


def _open(m: SessionMachine, closing: Close) -> None:
    """Announced: from here on nothing new is accepted, what is queued counts as taken, and the drain runs."""
    reset.cancel_by_closing(m)
    m.closing = closing
    closing.step_began = closing.progressed = closing.began
    for channel in m.channels.values():
        channel.receiver.claimed = True  # what lies there counts as taken, whoever reads it
    m.timers["drain"] = closing.drain_until
    m.enter("closing", closing.cause)
    _next_step(m, "drain", "ok")
    keep(m)


def _closing(m: SessionMachine, deadline_ms: int | None = None) -> words.Closing:
    assert m.closing is not None
    if deadline_ms is None:
        deadline_ms = max(round((m.closing.deadline - m.now) * 1000), 0)
    return words.Closing(
        receipt=m.receipt,
        reason=m.closing.reason,
        deadline_ms=deadline_ms,
        final=_final(m),
    )


def _final(m: SessionMachine) -> dict[str, int]:
    return {name: channel.sender.accepted.messages for name, channel in m.channels.items()}


def handle_word(m: SessionMachine, word: words.Closing | words.Wait | words.Done | words.Closed, now: float) -> None:
    """A word of the other side, in-band or by signaling; each is idempotent."""
    closing = m.closing
    match word:
        case words.Closing():
            if word.receipt == m.receipt:
                _announced(m, word, now)
        case words.Wait():
            if closing is not None and closing.by in {"local", "both"} and closing.said_closed is None:
                m.tell(actions.WaitAsked(word.reason, min(word.eta_ms / 1000, LONGEST)))
        case words.Done():
            if closing is not None:
                closing.heard_done, closing.final = True, word.final
        case words.Closed():
            if word.receipt == m.receipt and (closing is None or closing.heard_closed is None):
                _closed(m, word, now)


def _announced(m: SessionMachine, word: words.Closing, now: float) -> None:
    closing = m.closing
    deadline = now + min(word.deadline_ms / 1000, LONGEST)
    if closing is None:
        if word.deadline_ms == 0 or m.state == "connecting":
            _gone(m, word.reason, now)
            return
        m.closing = closing = Close("remote", word.reason, now, deadline, _drain_until(now, deadline))
        closing.final, closing.may_send = word.final, True
        closing.cause = _cause_of(word.reason)
        _open(m, closing)
        m.tell(actions.ClosingAsked(word.reason, closing.drain_until))
    elif closing.by == "local" and not closing.abrupt:
        # Both at once: no last words; the smaller deadline, the smaller peer id's reason.
        closing.by = "both"
        closing.final = closing.final or word.final
        if not m.smaller:
            closing.reason = word.reason
        _move_deadline(m, min(closing.deadline, deadline), now)
    elif closing.by == "remote" and deadline > closing.deadline:
        m.took_effect("wait")
        _move_deadline(m, min(deadline, closing.began + LONGEST), now)


def _closed(m: SessionMachine, word: words.Closed, now: float) -> None:
    """The other side's account: final, and believed as far as it can be true."""
    if wrong := _impossible(m, word):
        m.end_by_violation(now, f"an account that cannot be: {wrong}")
        return
    if m.closing is None and word.closer == m.peer:
        _gone(m, word.reason, now)
    elif m.closing is None:
        _given_up(m, word.reason, now)
    assert m.closing is not None
    m.closing.heard_closed = word
    m.took_effect("closed", "done")


def _cause_of(reason: Reason) -> str:
    return reason.code if reason.code in CLAIMS else "left"


def _gone(m: SessionMachine, reason: Reason, now: float) -> None:
    """The other side goes away without waiting: what it has sent may be a moment behind."""
    closing = Close("remote", reason, now, now + GOING_AWAY + LAST_WORD, now + GOING_AWAY)
    closing.abrupt, closing.cause = True, _cause_of(reason)
    if m.state == "connecting" and reason.code == "gave-up":
        closing.cause = reason.code  # there is no connection: this side knows that too
    _open(m, closing)


def _given_up(m: SessionMachine, reason: Reason, now: float) -> None:
    """The other side says that nobody ended it: to it this side was dead, which this side knows better."""
    liveness.has_slept(m, now)
    closing = Close("network", reason, now, now + GOING_AWAY + LAST_WORD, now + GOING_AWAY)
    closing.abrupt = True
    if m.state == "connecting":
        closing.cause = "gave-up"
    elif reason.code in DEATHS:
        closing.unheard = True
        closing.cause = "frozen" if m.witness.stood_still else "frozen, network-lost"
        m.witness.note(now, f"the other side says: {reason.text}")
    else:
        closing.cause = _cause_of(reason)
    _open(m, closing)


def abort(m: SessionMachine, now: float, reason: Reason | None = None) -> None:
    """End at once, whatever is under way. The receipt is kept."""
    if m.state == "closed":
        return
    closing = m.closing
    if closing is None:
        reason = words.reason(reason.code, reason.text) if reason is not None else Reason("left")
        closing = Close("local", reason, now, now, now)
        _open(m, closing)
        closing.abrupt = True
        m.say(_closing(m, 0), both=True)
    closing.abrupt = True
    closing.deadline = closing.drain_until = closing.own = now
    progress(m, now)


def end(
    m: SessionMachine,
    now: float,
    by: Literal["local", "remote", "network"],
    cause: str,
    text: str,
) -> None:
    """The session ends without agreement: the other side is told by signaling, and heard there for a moment."""
    if m.state == "closed":
        return
    closing = m.closing
    if closing is None:
        closing = Close(by, words.reason(cause, text), now, now + LAST_WORD, now)
        closing.abrupt, closing.cause = True, cause
        _open(m, closing)
        if by == "local":
            m.say(_closing(m, 0), both=True)
    closing.abrupt = True
    closing.drain_until = now
    closing.deadline = min(closing.deadline, now + LAST_WORD)
    progress(m, now)


def lost(m: SessionMachine, now: float, text: str) -> None:
    """No recovery helps any more."""
    slept = m.witness.stood_still > 0.0 and not m.witness.is_gone
    end(m, now, "network", "frozen" if slept else m.witness.cause(), text)
    if m.closing is not None:
        m.closing.unheard = slept


def say_again(m: SessionMachine) -> None:
    """Somebody asks for something that a closing session does not do: say that it closes."""
    if m.closing is not None and m.closing.said_closed is None and m.closing.by in {"local", "both"}:
        m.say(_closing(m), repeat=False)


def extend(m: SessionMachine, eta: float, now: float) -> None:
    """The other side gets `eta` seconds from now: said to it, and kept here."""
    closing = m.closing
    if closing is None or closing.by not in {"local", "both"} or closing.said_closed is not None:
        return
    deadline = now + eta + closing.kept
    if deadline > closing.deadline:
        closing.own = deadline
        _move_deadline(m, deadline, now)
        m.say(_closing(m), both=True)


def _move_deadline(m: SessionMachine, deadline: float, now: float) -> None:
    closing = m.closing
    assert closing is not None
    if closing.own is not None:
        deadline = min(deadline, closing.own)
    if closing.said_closed is None:
        closing.deadline = deadline
        closing.drain_until = max(_drain_until(closing.began, deadline), now)
        m.timers["drain"] = closing.drain_until


def progressed(m: SessionMachine, now: float) -> None:
    """Something new has come of the other side: its deadline is worth waiting for."""
    if m.closing is not None:
        m.closing.progressed = now


def _stalled(m: SessionMachine, closing: Close, now: float) -> bool:
    """The other side closes, and nothing of it comes any more: this side gives up what is left of its time."""
    if closing.by != "remote" or closing.own is not None:
        return False
    due = closing.progressed + m.options.closing_patience
    if now >= due:
        closing.deadline = min(closing.deadline, now + min(closing.kept, LAST_WORD))
        closing.drain_until = min(closing.drain_until, now)
        return True
    m.timers["drain"] = min(closing.drain_until, due)
    return False


def last_words_over(m: SessionMachine) -> None:
    """No more last words: what was accepted still goes out."""
    if m.closing is not None:
        m.closing.may_send = False


# --- the steps ------------------------------------------------------------------------------------------------------


def progress(m: SessionMachine, now: float) -> None:
    """Go on as far as the steps' conditions are met."""
    closing = m.closing
    if closing is None or m.state == "closed":
        return
    if closing.step == "drain":
        _drain(m, closing, now)
    if closing.step == "channels":
        _channels(m, closing, now)
    if closing.step == "connection":
        _connection(m, closing, now)
    if closing.step == "clean-up":
        _clean_up(m, closing, now)


def _drain(m: SessionMachine, closing: Close, now: float) -> None:
    if not closing.abrupt and not closing.said_done and not closing.may_send:
        if closing.final is not None and _has_taken(m, closing.final):
            closing.said_done = True
            m.say(words.Done(final=_final(m)))
    if closing.said_done and closing.heard_done:
        _say_closed(m, closing, "ok")
    elif closing.heard_closed is not None:
        _say_closed(m, closing, "the other side ended it")
    elif m.active is None and m.reset is None:
        _say_closed(m, closing, "the connection was lost")
    elif now >= closing.drain_until or _stalled(m, closing, now):
        closing.late = not closing.abrupt
        _say_closed(m, closing, "abrupt" if closing.abrupt else "deadline")


def _has_taken(m: SessionMachine, final: dict[str, int]) -> bool:
    for name, count in final.items():
        channel = m.channels.get(name)
        if channel is None:
            if count:
                return False
        elif channel.reliable and channel.receiver.up_to < count:
            return False
    return True


def waits(m: SessionMachine) -> bool:
    """Whether this side has closed, or is closing, and the other has not said its last word."""
    return m.closing is not None and m.closing.heard_closed is None


def keep(m: SessionMachine) -> None:
    """While closing what is queued counts as taken and gives its credit back, up to a bound for the session."""
    closing = m.closing
    if closing is None or closing.said_closed is not None:
        return
    room = m.options.closing_bound - sum(channel.receiver.kept_bytes for channel in m.channels.values())
    for channel in m.channels.values():
        room -= channel.receiver.keep(room)
        m.ack_later(channel, m.now)
    m.feed()


def _say_closed(m: SessionMachine, closing: Close, outcome: str) -> None:
    """This side neither sends nor takes any more: its account is final with this word."""
    keep(m)
    m.took_effect("done", "closing")
    closing.may_send = False
    for channel in m.channels.values():
        channel.receiver.freeze()
    told = _tells_unread(m)
    accounts: dict[str, words.ChannelAccount] = {}
    room = words.MAX_RANGES
    for name, channel in m.channels.items():
        sender, receiver = channel.sender, channel.receiver
        if not _was_used(channel):
            continue
        which = channel.reliable and not channel.ordered
        ranges = receiver.taken_beyond.runs(room) if which else []
        room -= len(ranges)
        accounts[name] = words.ChannelAccount(
            accepted=sender.accepted.total(),
            unsent=sender.unsent_total(),
            taken=receiver.taken.total(),
            **({"unread": receiver.left_unread} if told else {}),
            up_to=receiver.up_to if which else None,
            ranges=ranges,
        )
    closing.said_closed = words.Closed(
        receipt=m.receipt, closer=_closer(m, closing), reason=closing.reason, channels=accounts
    )
    m.say(closing.said_closed, both=closing.abrupt)
    if closing.own is None:
        # What is left of a long deadline of the other side's is for the drain; the last steps need no more than a wait.
        closing.deadline = min(closing.deadline, m.now + m.options.closing_patience)
        closing.drain_until = min(closing.drain_until, closing.deadline)
    reset.end_by_closed(m)
    m.timers.pop("drain", None)
    _next_step(m, "channels", outcome)


def _channels(m: SessionMachine, closing: Close, now: float) -> None:
    """Reset the data channels once the other's `closed` is here, the control channel last."""
    if closing.abrupt or m.active is None:
        # After both words ABORT, close_notify or silence counts as the reset.
        _next_step(m, "connection", "ok" if closing.heard_closed and not closing.abrupt else "skipped")
        return
    link = m.links[m.active]
    if not closing.streams_asked:
        wait_until = closing.drain_until + 0.4 * closing.kept
        if closing.heard_closed is None and now < wait_until:
            m.timers["end"] = wait_until
            return
        closing.streams_asked = True
        for id_ in link.streams:
            closing.streams.add(id_)
            m.act(actions.CloseStream(link.epoch, id_))
    if not closing.streams:
        closing.streams.add(None)
        m.act(actions.CloseStream(link.epoch, None))
    until = closing.drain_until + 0.8 * closing.kept
    if now >= until:
        _next_step(m, "connection", "deadline")
    else:
        m.timers["end"] = until


def stream_closed(m: SessionMachine, epoch: int, id_: int | None) -> bool:
    """A data channel is closed. Whether that was to be expected."""
    closing = m.closing
    if closing is None or closing.said_closed is None:
        return False
    if epoch == m.active and closing.streams_asked:
        closing.streams.discard(id_)
        if id_ is None and closing.step == "channels":
            _next_step(m, "connection", "ok")
    return True


def _connection(m: SessionMachine, closing: Close, now: float) -> None:
    for epoch in list(m.links):
        m.release(epoch)
    if not m.releasing:
        _next_step(m, "clean-up", "ok")
        return
    until = closing.deadline + (LAST_WORD if closing.abrupt else 0.0)
    if now >= until:
        _next_step(m, "clean-up", "deadline")
    else:
        m.timers["end"] = until


def _clean_up(m: SessionMachine, closing: Close, now: float) -> None:
    """The last word may still come by signaling; then the account is closed."""
    hopeful = closing.heard_closed is None and m.witness.signaling and m.witness.presence in {"here", "away"}
    if hopeful and now < closing.deadline:
        m.timers["end"] = closing.deadline
        return
    _next_step(m, "clean-up", "ok")
    m.outcome = _outcome(m, closing)
    m.timers.clear()
    m.words.clear()
    m.remember(m.now)
    m.enter("closed", m.outcome.cause)
    m.tell(actions.Ended())


def _next_step(m: SessionMachine, step: StepName, outcome: str) -> None:
    """Write the step that ends here into the account, and go to the next."""
    closing = m.closing
    assert closing is not None
    closing.steps.append(
        StepReceipt(
            name=closing.step,
            start=closing.step_began - closing.began,
            duration=m.now - closing.step_began,
            outcome=outcome,
        )
    )
    closing.step, closing.step_began = step, m.now


def handle_timeout(m: SessionMachine, kind: str, now: float) -> None:
    """A timer of this file is due; `progress` follows."""
    if kind == "farewell" and m.closing is None and m.reset is None and m.active is None:
        end(m, now, "remote", m.witness.cause() if m.witness.is_gone else "connection-closed", "")


# --- the account ----------------------------------------------------------------------------------------------------


def late(m: SessionMachine, word: words.AnyWord) -> None:
    """A word for a session that has ended: the answer is `closed`."""
    closing = m.closing
    if closing is not None and closing.said_closed is not None and not isinstance(word, words.Closed):
        m.act(actions.Signal(closing.said_closed))


def introduced(m: SessionMachine) -> None:
    """The receipt's id is known only now: what was said under another is said again."""
    closing = m.closing
    if closing is not None and closing.said_closed is not None:
        closing.said_closed = msgspec.structs.replace(closing.said_closed, receipt=m.receipt)
        m.act(actions.Signal(closing.said_closed))


def _tells_unread(m: SessionMachine) -> bool:
    return "unread1" in m.capabilities


def _was_used(channel: Channel) -> bool:
    """Both sides know it. One that is asked for and not answered may be unknown there: it carried nothing."""
    return channel.open or channel.sender.accepted.messages > 0 or channel.receiver.taken.messages > 0


def _impossible(m: SessionMachine, word: words.Closed) -> str:
    """What of the other side's account cannot be; empty: all of it may be true.

    Its numbers have to agree with each other, and with what this side knows better.
    """
    if word.closer not in {m.me, m.peer, "both", "network"}:
        return f"closed by {_quoted(word.closer)}"
    nothing = words.ChannelAccount()
    for name in dict.fromkeys((*word.channels, *m.channels)):
        their, channel = word.channels.get(name, nothing), m.channels.get(name)
        if not _may_be(their, channel):
            totals = (their.accepted, their.unsent, their.taken, their.unread)
            numbers = ", ".join(f"{total.messages} ({total.bytes} bytes)" for total in totals)
            return f"{numbers} accepted, unsent, taken and unread of channel {_quoted(name)}"
    return ""


def _may_be(their: words.ChannelAccount, channel: Channel | None) -> bool:
    theirs = left(their.accepted, their.unsent)
    parts = [(their.accepted, their.accepted), (their.unsent, their.accepted), (their.unread, their.taken)]
    if channel is None:
        # Asked for there, and not heard of here: nothing has left on it.
        parts += [(their.accepted, their.unsent), (their.taken, Total())]
    else:
        sender, taken = channel.sender, channel.receiver.taken.total()
        mine = left(sender.accepted.total(), sender.unsent_total())
        if not _rises(their, mine.messages):
            return False
        known = sender.taken_with(_which_taken(their, channel))
        parts += [(their.taken, mine), (known, their.taken), (taken, theirs)]
    seen = 0 if channel is None else channel.receiver.seen
    return all(is_part(part, whole) for part, whole in parts) and theirs.messages >= seen


def _rises(their: words.ChannelAccount, most: int) -> bool:
    last = their.up_to or 0
    for first, end in their.ranges:
        if not last < first <= end:
            return False
        last = end
    return last <= most


def _which_taken(their: words.ChannelAccount, channel: Channel) -> Ranges:
    """The numbers of what the other side has taken, as far as it says: in order they are the first."""
    which = Ranges()
    if channel.reliable:
        up_to = their.taken.messages if channel.ordered else their.up_to
        if up_to:
            which.add(1, up_to)
        if up_to is not None and not channel.ordered:
            which.add_all(their.ranges)
    return which


def _quoted(text: str) -> str:
    """In the words of both languages."""
    return msgspec.json.encode(text).decode()


def _outcome(m: SessionMachine, closing: Close) -> Outcome:
    if closing.heard_closed is not None and (wrong := _impossible(m, closing.heard_closed)):
        # It came before all that it speaks of.
        m.witness.note(m.now, f"an account that cannot be: {wrong}")
        closing.heard_closed = None
    channels = _accounts(m, closing)
    closer, reason = _settled(m, closing)
    by: By = "local" if closer == m.me else "remote" if closer == m.peer else "both" if closer == "both" else "network"
    return Outcome(
        id=m.receipt,
        by=by,
        closer=closer,
        reason=reason,
        path=_path(closing),
        cause=closing.cause or _cause_here(m, closing),
        evidence=m.witness.evidence(),
        channels=channels,
        steps=closing.steps,
        confirmed=closing.heard_closed is not None,
        agreed=agreed_text(m.receipt, reason, closer, channels, m.me, m.peer, unread=_tells_unread(m)),
        unheard=closing.unheard,
    )


def _cause_here(m: SessionMachine, closing: Close) -> str:
    """Of an end that this side wanted. Who closes a session whose other side is dead is told of what it died."""
    dead = m.liveness.suspected and closing.heard_closed is None
    return m.witness.cause() if dead else "left"


def _closer(m: SessionMachine, closing: Close) -> str:
    return {"local": m.me, "remote": m.peer, "both": "both", "network": "network"}[closing.by]


def _settled(m: SessionMachine, closing: Close) -> tuple[str, Reason]:
    """One view of who ended it and why, out of both sides' words: the same on both sides."""
    mine, theirs = closing.said_closed, closing.heard_closed
    assert mine is not None
    if theirs is None:
        return mine.closer, mine.reason
    views = {m.me: mine, m.peer: theirs}
    small, large = (m.me, m.peer) if m.smaller else (m.peer, m.me)
    first = views[small]
    own = [peer for peer, view in views.items() if view.closer == peer]
    if len(own) == 2 or "both" in {mine.closer, theirs.closer}:
        both = first if first.closer in {"both", small} else views[large]
        return "both", both.reason
    if own:
        return own[0], views[own[0]].reason  # who says "I did" is believed
    blamed = [view for view in views.values() if view.closer != "network"]
    if len(blamed) == 1:
        return blamed[0].closer, blamed[0].reason
    return "network", first.reason  # each saw the other vanish


def _path(closing: Close) -> Path:
    confirmed = closing.heard_closed is not None
    if closing.abrupt or not (confirmed or closing.late or closing.heard_done):
        return "abrupt"
    return "graceful" if confirmed and closing.said_done and closing.heard_done else "deadline"


def _accounts(m: SessionMachine, closing: Close) -> dict[str, ChannelReceipt]:
    assert closing.said_closed is not None
    mine = closing.said_closed.channels
    theirs = closing.heard_closed.channels if closing.heard_closed is not None else None
    nothing = words.ChannelAccount()
    receipts: dict[str, ChannelReceipt] = {}
    for name in sorted(m.channels.keys() & {*mine, *(theirs or ())}):
        my, channel = mine.get(name, nothing), m.channels[name]
        if theirs is None:
            sent = account(my.accepted, my.unsent, channel.sender.delivered.total())  # what it acknowledged
            received = Account(
                accepted=None, delivered=my.taken, unread=channel.receiver.left_unread, unknown=None, unsent=None
            )
        else:
            their = theirs.get(name, nothing)
            channel.sender.settle(_which_taken(their, channel))
            sent = account(my.accepted, my.unsent, their.taken, their.unread if _tells_unread(m) else None)
            received = account(their.accepted, their.unsent, my.taken, channel.receiver.left_unread)
        receipts[name] = ChannelReceipt(sent=sent, received=received, reliable=channel.reliable)
    return receipts
