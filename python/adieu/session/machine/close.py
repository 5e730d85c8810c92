"""The five steps: announce, drain, channels, connection, clean-up (closing rules S1-S6, S11).

Each side goes through them by itself; the words of the other move it on, and the deadline moves it on without them. The
last tenth of the time (200 ms at least) is kept for the steps after the drain.

A `close()` of this side ends in its own time, whatever the other side says; only what this side grants the other gives
it more. While the other side closes and this one has not, its deadline counts as long as something new comes from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from adieu.protocol import words
from adieu.protocol.words import Reason
from adieu.session.machine import account, actions, channels, connections, ending, heartbeat, reset
from adieu.session.machine.cause import CLAIMS, DEATHS, ROOM_CLOSED
from adieu.session.machine.flow import ViolationError
from adieu.session.machine.receipt import StepReceipt
from adieu.session.machine.state import CleanUp, Close, CloseChannels, Drain, EndConnections, Over

if TYPE_CHECKING:
    from adieu.session.machine.state import MachineState

GOING_AWAY = 0.25
"""Seconds: what a page that goes away (deadline 0) has sent may still arrive behind its word."""
LONGEST = 3600.0
"""Seconds: what the other side may at most ask for, with its deadline or with `wait`."""
LAST_WORD = 0.5
"""Seconds: after an end without agreement, wait so long for the other's `closed` by signaling."""


# --- how it begins --------------------------------------------------------------------------------------------------


def begin(m: MachineState, reason: Reason, timeout: float, *, speaking: bool = False) -> None:
    """Close from this side. A close that is under way already goes on, and ends within the shorter time.

    `speaking`: sound of this side is still to be heard.
    """
    if m.outcome is not None:
        return
    reason = words.reason(reason.code, reason.text)
    if m.closing is None and m.phase == "connecting":
        end(m, "local", reason.code, reason.text)
    elif timeout <= 0:
        abort(m, reason)
        return
    elif m.closing is None:
        deadline = m.now + timeout
        closing = Close("local", reason, m.now, deadline, ending.drain_until(m.now, deadline))
        closing.step = Drain(speaking=speaking)
        _open(m, closing)
        m.say(_announcement(m, closing), both=True)
        heartbeat.expect_answer(m, closing)
    if m.closing is not None:
        if reason.code == ROOM_CLOSED:
            m.closing.cause = ROOM_CLOSED  # also if the other side has heard it first, and closes already
        _hurry(m, m.closing, m.now + timeout)


def _hurry(m: MachineState, closing: Close, own: float) -> None:
    """Keep this side's own time: each `close()` has its own, the shortest decides."""
    closing.own = own if closing.own is None else min(closing.own, own)
    if closing.own < closing.deadline:
        closing.deadline = closing.own
        closing.drain_until = min(closing.drain_until, ending.drain_until(m.now, closing.own))
    if closing.said_closed is None:
        m.timers["drain"] = closing.drain_until


def _open(m: MachineState, closing: Close) -> None:
    """Announce: from here on nothing new is accepted, what is queued counts as taken, and the drain runs."""
    reset.cancel_by_closing(m)
    previous, m.closing = m.phase, closing
    closing.step_began = closing.progressed = closing.began
    closing.steps.append(StepReceipt(name="announce", start=0.0, duration=m.now - closing.began, outcome="ok"))
    for channel in m.channels.values():
        channel.receiver.claimed = True  # what is queued counts as taken, whoever reads it
    m.timers["drain"] = closing.drain_until
    m.changed(previous, closing.cause)
    channels.keep_queued(m)


def _announcement(m: MachineState, closing: Close, deadline_ms: int | None = None) -> words.Closing:
    if deadline_ms is None:
        deadline_ms = max(round((closing.deadline - m.now) * 1000), 0)
    deadline_ms = min(deadline_ms, words.MAX_COUNT)
    return words.Closing(receipt=m.receipt, reason=closing.reason, deadline_ms=deadline_ms, final=_final(m))


def _final(m: MachineState) -> dict[str, int]:
    return {
        name: channel.sender.accepted.messages
        for name, channel in m.channels.items()
        if channel.end is None or channel.end.said is None
    }


def handle_word(m: MachineState, word: words.Closing | words.Wait | words.Done | words.Closed) -> None:
    """Take a word of the other side, in-band or by signaling; a word that comes twice has one effect."""
    closing = m.closing
    match word:
        case words.Closing():
            if word.receipt == m.receipt:
                _announced(m, word)
        case words.Wait():
            if closing is not None and closing.is_closer and isinstance(closing.step, Drain):
                m.report(actions.WaitAsked(word.reason, min(word.eta_ms / 1000, LONGEST)))
        case words.Done():
            if closing is not None:
                closing.heard_done, closing.final = True, word.final
        case words.Closed():
            if word.receipt == m.receipt and (closing is None or closing.heard_closed is None):
                _closed(m, word)


def _announced(m: MachineState, word: words.Closing) -> None:
    closing = m.closing
    deadline = m.now + min(word.deadline_ms / 1000, LONGEST)
    if closing is None:
        if word.deadline_ms == 0:
            _end_by_departure(m, word.reason)
            return
        if m.phase == "connecting":
            return  # who gives time has been open: its hello is on the way, and this word comes once more behind it
        closing = Close(
            "remote", word.reason, m.now, deadline, ending.drain_until(m.now, deadline), _cause_of(m, word.reason)
        )
        closing.final, closing.step = word.final, Drain(may_send=True)
        _open(m, closing)
        m.report(actions.ClosingAsked(word.reason, closing.drain_until))
    elif closing.by == "local" and not closing.is_abrupt:
        # Both at once: no last words; the smaller deadline, the smaller peer id's reason.
        closing.by = "both"
        closing.final = closing.final or word.final
        if not m.smaller:
            closing.reason = word.reason
        _move_deadline(m, closing, min(closing.deadline, deadline))
    elif closing.by == "remote" and deadline > closing.deadline:
        m.took_effect("wait")
        _move_deadline(m, closing, min(deadline, closing.began + LONGEST))


def _closed(m: MachineState, word: words.Closed) -> None:
    """Take the other side's account: final, and believed as far as it can be true."""
    if wrong := account.impossible(m, word):
        raise ViolationError(f"an account that cannot be: {wrong}")
    closing = m.closing
    if closing is None:
        closing = _end_by_departure(m, word.reason) if word.closer == m.peer else _end_unheard(m, word.reason)
    closing.heard_closed = word
    m.took_effect("closed", "done")


def _cause_of(m: MachineState, reason: Reason) -> str:
    is_known = reason.code in CLAIMS or (reason.code == ROOM_CLOSED and m.room_closes)
    return reason.code if is_known else "left"


def _end_by_departure(m: MachineState, reason: Reason) -> Close:
    """End, as the other side goes away without waiting: what it has sent may be a moment behind."""
    cause = _cause_of(m, reason)
    if m.phase == "connecting" and reason.code == "gave-up":
        cause = reason.code  # there is no connection: this side knows that too
    return _end_soon(m, "remote", reason, cause)


def _end_unheard(m: MachineState, reason: Reason) -> Close:
    """End, as the other side says that nobody ended it: to it this side was dead, which this side knows better."""
    heartbeat.look_for_sleep(m)
    unheard = False
    if m.phase == "connecting":
        cause = "gave-up"
    elif reason.code in DEATHS:
        unheard = True
        cause = "frozen" if m.evidence.stood_still else "frozen, network-lost"
        m.note(f"the other side says: {reason.text}")
    else:
        cause = _cause_of(m, reason)
    closing = _end_soon(m, "network", reason, cause)
    closing.unheard = unheard
    return closing


def _end_soon(m: MachineState, by: Literal["remote", "network"], reason: Reason, cause: str) -> Close:
    soon = m.now + GOING_AWAY
    closing = Close(by, reason, m.now, soon + LAST_WORD, soon, cause, "abrupt")
    _open(m, closing)
    return closing


def abort(m: MachineState, reason: Reason | None = None) -> None:
    """End at once, whatever is under way. The receipt is kept."""
    closing = m.closing
    if m.outcome is not None:
        return
    if closing is None:
        reason = words.reason(reason.code, reason.text) if reason is not None else Reason("left")
        closing = Close("local", reason, m.now, m.now, m.now)
        _open(m, closing)
        closing.ending = "abrupt"
        m.say(_announcement(m, closing, 0), both=True)
    closing.ending = "abrupt"
    closing.deadline = closing.drain_until = closing.own = m.now


def end(m: MachineState, by: Literal["local", "remote", "network"], cause: str, text: str) -> None:
    """End without agreement: the other side is informed by signaling, and heard there for a moment."""
    closing = m.closing
    if m.outcome is not None:
        return
    if closing is None:
        closing = Close(by, words.reason(cause, text), m.now, m.now + LAST_WORD, m.now, cause, "abrupt")
        _open(m, closing)
        if by == "local":
            m.say(_announcement(m, closing, 0), both=True)
    closing.ending = "abrupt"
    closing.drain_until = m.now
    closing.deadline = min(closing.deadline, m.now + LAST_WORD)


def end_by_violation(m: MachineState, message: str) -> None:
    """End, as the other side broke the protocol."""
    m.note(message)
    end(m, "local", "protocol-error", message)


def end_unanswered(m: MachineState, text: str) -> None:
    """End, as no recovery helps."""
    slept = m.evidence.stood_still > 0.0 and not m.evidence.is_gone
    end(m, "network", "frozen" if slept else m.evidence.cause(), text)
    if m.closing is not None:
        m.closing.unheard = slept


def say_again(m: MachineState, closing: Close) -> None:
    """Say that the session closes, to a peer that asks for something that a closing session does not do."""
    if closing.is_closer and isinstance(closing.step, Drain):
        m.say(_announcement(m, closing), repeat=False)


def extend(m: MachineState, eta: float) -> None:
    """Give the other side `eta` seconds from now: say it, and keep to it."""
    closing = m.closing
    if closing is None or not closing.is_closer or not isinstance(closing.step, Drain):
        return
    deadline = m.now + eta + closing.kept
    if deadline > closing.deadline:
        closing.own = deadline
        _move_deadline(m, closing, deadline)
        m.say(_announcement(m, closing), both=True)


def _move_deadline(m: MachineState, closing: Close, deadline: float) -> None:
    if closing.own is not None:
        deadline = min(deadline, closing.own)
    if isinstance(closing.step, Drain):
        closing.deadline = deadline
        closing.drain_until = max(ending.drain_until(closing.began, deadline), m.now)
        m.timers["drain"] = closing.drain_until


def _stalled(m: MachineState, closing: Close) -> bool:
    """End the drain early, if it is the other side that closes and nothing new comes from it."""
    if closing.by != "remote" or closing.own is not None:
        return False
    due = closing.progressed + m.options.closing_patience
    if m.now >= due:
        closing.deadline = min(closing.deadline, m.now + min(closing.kept, LAST_WORD))
        closing.drain_until = min(closing.drain_until, m.now)
        return True
    m.timers["drain"] = min(closing.drain_until, due)
    return False


def last_words_over(m: MachineState, *, speaking: bool) -> None:
    """Accept no further last words; the accepted ones are still sent. `speaking`: sound of this side is to be heard."""
    if m.closing is not None and isinstance(m.closing.step, Drain):
        m.closing.step.may_send, m.closing.step.speaking = False, speaking


def spoken(m: MachineState) -> None:
    """Let the drain wait no longer for sound of this side."""
    if m.closing is not None and isinstance(m.closing.step, Drain):
        m.closing.step.speaking = False


# --- the steps ------------------------------------------------------------------------------------------------------


def progress(m: MachineState, closing: Close) -> None:
    """Go on as far as the steps' conditions are met."""
    while True:
        step = closing.step
        match step:
            case Drain():
                _drain(m, closing, step)
            case CloseChannels():
                _close_channels(m, closing, step)
            case EndConnections():
                _end_connections(m, closing, step)
            case CleanUp():
                _clean_up(m, closing, step)
            case Over():
                return
        if closing.step is step:
            return


def _drain(m: MachineState, closing: Close, step: Drain) -> None:
    if not closing.is_abrupt and not closing.said_done and not step.may_send and not step.speaking:
        if closing.final is not None and _has_taken(m, closing.final):
            closing.said_done = True
            m.say(words.Done(final=_final(m)))
    if closing.said_done and closing.heard_done:
        _say_closed(m, closing, "ok")
    elif closing.heard_closed is not None:
        _say_closed(m, closing, "the other side ended it")
    elif m.active is None and m.reset is None:
        _say_closed(m, closing, "the connection was lost")
    elif m.now >= closing.drain_until or _stalled(m, closing):
        if not closing.is_abrupt:
            closing.ending = "late"
        _say_closed(m, closing, "abrupt" if closing.is_abrupt else "deadline")


def _has_taken(m: MachineState, final: dict[str, int]) -> bool:
    for name, count in final.items():
        channel = m.channels.get(name)
        if channel is None:
            if count:
                return False
        elif channel.end is not None and channel.end.said is not None:
            continue  # this side has taken its last of it
        elif channel.reliable and channel.receiver.up_to < count:
            return False
    return True


def _say_closed(m: MachineState, closing: Close, outcome: str) -> None:
    """Neither send nor take from now on: this side's account is final with this word."""
    channels.keep_queued(m)
    m.took_effect("done", "closing")
    for channel in m.channels.values():
        channel.receiver.freeze()
    said = words.Closed(
        receipt=m.receipt,
        closer=account.closer_of(m, closing),
        reason=closing.reason,
        channels=account.accounts_of_this_side(m),
        media=m.media if "media1" in m.capabilities else {},
    )
    m.say(said, both=closing.is_abrupt)
    if closing.own is None:
        # What is left of a long deadline of the other side's is for the drain; the last steps need no more than a wait.
        closing.deadline = min(closing.deadline, m.now + m.options.closing_patience)
        closing.drain_until = min(closing.drain_until, closing.deadline)
    m.timers.pop("drain", None)
    _next_step(m, closing, CloseChannels(said), outcome)
    reset.end_by_closed(m)


def _close_channels(m: MachineState, closing: Close, step: CloseChannels) -> None:
    """Reset the data channels once the other's `closed` is here, the control channel last."""
    if closing.is_abrupt or m.active is None:
        # After both words ABORT, close_notify or silence counts as the reset.
        confirmed = closing.heard_closed is not None and not closing.is_abrupt
        _next_step(m, closing, EndConnections(step.said), "ok" if confirmed else "skipped")
        return
    connection = m.connections[m.active]
    if step.left is None:
        wait_until = closing.drain_until + 0.4 * closing.kept
        if closing.heard_closed is None and m.now < wait_until:
            m.timers["end"] = wait_until
            return
        step.left = set(connection.channels)
        for id_ in connection.channels:
            m.act(actions.CloseStream(connection.epoch, id_))
    if not step.left:
        step.left.add(None)
        m.act(actions.CloseStream(connection.epoch, None))
    until = closing.drain_until + 0.8 * closing.kept
    if m.now >= until:
        _next_step(m, closing, EndConnections(step.said), "deadline")
    else:
        m.timers["end"] = until


def channel_closed(m: MachineState, epoch: int, id_: int | None) -> bool:
    """Note that a data channel is closed. Whether that was to be expected."""
    closing = m.closing
    if closing is None or isinstance(closing.step, Drain):
        return False
    step = closing.step
    if isinstance(step, CloseChannels) and step.left is not None and epoch == m.active:
        step.left.discard(id_)
        if id_ is None:
            _next_step(m, closing, EndConnections(step.said), "ok")
    return True


def _end_connections(m: MachineState, closing: Close, step: EndConnections) -> None:
    for epoch in list(m.connections):
        connections.release(m, epoch)
    until = closing.deadline + (LAST_WORD if closing.is_abrupt else 0.0)
    if not m.releasing:
        _next_step(m, closing, CleanUp(step.said), "ok")
    elif m.now >= until:
        _next_step(m, closing, CleanUp(step.said), "deadline")
    else:
        m.timers["end"] = until


def _clean_up(m: MachineState, closing: Close, step: CleanUp) -> None:
    """Close the account, unless the last word may still come by signaling."""
    hopeful = closing.heard_closed is None and m.evidence.signaling and m.evidence.presence in {"here", "away"}
    if hopeful and m.now < closing.deadline:
        m.timers["end"] = closing.deadline
        return
    outcome = account.outcome(m, closing, step.said)
    _next_step(m, closing, Over(step.said, outcome), "ok")  # the outcome has the list of steps, too
    m.timers.clear()
    m.words.clear()
    ending.end_with_session(m, outcome)
    for channel in m.channels.values():
        m.remembered.add(m.receipt, channel.name, channel.receiver, m.now)
    m.changed("closing", outcome.cause)
    m.report(actions.Ended())


def _next_step(
    m: MachineState, closing: Close, step: CloseChannels | EndConnections | CleanUp | Over, outcome: str
) -> None:
    """Write the step that ends here into the account, and go to the next."""
    name = closing.step.name
    assert name != "over"
    start, duration = closing.step_began - closing.began, m.now - closing.step_began
    closing.steps.append(StepReceipt(name=name, start=start, duration=duration, outcome=outcome))
    closing.step, closing.step_began = step, m.now


# --- after the end --------------------------------------------------------------------------------------------------


def answer_after_end(m: MachineState, word: words.AnyWord) -> None:
    """Answer a word for a session that has ended: with `closed`."""
    said = m.closing.said_closed if m.closing is not None else None
    if said is not None and not isinstance(word, words.Closed):
        m.act(actions.Signal(said))


def say_closed_again(m: MachineState) -> None:
    """Say the last word again, with the receipt's id, which is known only now."""
    if m.closing is not None and not isinstance(m.closing.step, Drain):
        step = m.closing.step
        step.said = msgspec.structs.replace(step.said, receipt=m.receipt)
        m.act(actions.Signal(step.said))
