"""The close of one channel, while the session goes on (closing rules S1, S3, S4 and S14).

Announced, drained, its data channel reset both ways (RFC 8831), forgotten. Each side says `closing` or hears it, then
`done`, then `closed` with its account: the closer first, and the other answers with `heard`. A side that reads `heard`
knows that both have both accounts. It says `gone` and closes the data channel, and the other does the same. From then
on name and id may be used again.

The words go over the control channel alone. On another connection each side says again how far it is. No channel goes
further than `done` while a new connection is being made. So both sides mean the same channel when they say what they
have of it, and the new connection has the same data channels. Only a side that has said and heard `closed` leaves the
channel's data channel out of a new connection. If the other does not know that yet, it says with `gone` that it closes
one there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from adieu.errors import ChannelError
from adieu.protocol import control, words
from adieu.protocol.text import sendable
from adieu.session.machine import account, actions, channels
from adieu.session.machine.flow import ViolationError
from adieu.session.machine.receipt import ChannelEndReceipt
from adieu.session.machine.state import ChannelEnd, Drain

if TYPE_CHECKING:
    from adieu.session.machine.receipt import ChannelPath, Outcome
    from adieu.session.machine.state import Channel, MachineState

LONGEST = 3600.0
"""Seconds: the longest time that the other side may ask for."""


def drain_until(now: float, deadline: float) -> float:
    """Return when the drain ends at the latest: the last tenth of the time is for the steps after it."""
    total = deadline - now
    return deadline - min(max(0.1 * total, 0.2), total / 2)


# --- how it begins --------------------------------------------------------------------------------------------------


def begin(m: MachineState, channel: Channel, reason: str, timeout: float) -> None:
    """Close a channel from this side. A close that is under way goes on, and ends within the shorter time."""
    deadline = m.now + timeout
    end = channel.end
    if end is None:
        end = _open(m, channel, ChannelEnd("local", sendable(reason, words.MAX_TEXT), m.now, deadline, 0.0, m.now))
        end.drain_until = drain_until(m.now, deadline)
    elif end.over:
        return
    end.may_send = False  # who closes has no last words left
    end.own = True
    if deadline < end.deadline:
        end.deadline, end.drain_until = deadline, min(end.drain_until, drain_until(m.now, deadline))


def _open(m: MachineState, channel: Channel, end: ChannelEnd) -> ChannelEnd:
    channel.end = end
    m.ending[channel.name] = channel
    channel.receiver.claimed = True  # what is queued counts as taken, whoever reads it
    channels.keep(m, channel)
    return end


def last_words_over(channel: Channel) -> None:
    """Accept no further last words on a channel; the accepted ones are still sent."""
    if channel.end is not None:
        channel.end.may_send = False


# --- the words ------------------------------------------------------------------------------------------------------


def handle(m: MachineState, word: control.EndChannel) -> None:
    """Take a stage of the other side; one that comes twice has one effect.

    Raises:
        ViolationError: its account cannot be.
    """
    if m.closing is not None and not isinstance(m.closing.step, Drain):
        return
    channel = m.channels.get(word.name)
    if channel is None or channel.id != word.id:
        _answer_unknown(m, word)
        return
    channels.is_open(m, channel)  # its `opened` may be lost, and the other side speaks of it
    if word.closing is not None:
        _announced(m, channel, word.closing)
    elif channel.end is None:
        if word.closed is None:
            return  # there is nothing that it could go on with
        _announced(m, channel, control.ChannelClosing(deadline_ms=0, final=word.closed.accepted.messages))
    end = channel.end
    assert end is not None
    end.progressed = m.now
    if word.done is not None:
        end.heard_done, end.final = True, word.done
    elif word.closed is not None:
        if end.heard is None:
            if wrong := account.impossible_of(channel, word.closed):
                raise ViolationError(f"an account that cannot be: {wrong}")
            end.heard = word.closed
            if end.said is not None:
                _settle(channel, end.heard)
        end.agreed = end.agreed or (word.heard and end.said is not None)
    elif word.gone is not None:
        end.agreed = end.heard_gone = True
        if end.said is None:
            _freeze(m, channel, end)
        if word.gone:
            end.gone_on = m.active
            channels.close_unmatched(m, channel.id)


def _answer_unknown(m: MachineState, word: control.EndChannel) -> None:
    """Answer for a channel that is forgotten here: what was said last was lost with its connection."""
    if m.active is None:
        return
    if word.gone is None:
        m.send_control(m.active, control.EndChannel(name=word.name, id=word.id, gone=False))
    elif word.gone and word.id not in m.by_id:
        channels.close_unmatched(m, word.id)


def _announced(m: MachineState, channel: Channel, word: control.ChannelClosing) -> None:
    end = channel.end
    deadline = m.now + min(word.deadline_ms / 1000, LONGEST)
    if end is None:
        end = ChannelEnd("remote", word.reason, m.now, deadline, drain_until(m.now, deadline), m.now, may_send=True)
        end.final = word.final
        _open(m, channel, end)
        m.report(actions.ChannelClosing(channel.name, end.reason, end.drain_until))
    elif end.by == "local" and end.said is None:
        # Both at once: no last words; the smaller peer id's reason. Each keeps its own time.
        end.by = "both"
        end.final = word.final if end.final is None else end.final
        if not m.smaller:
            end.reason = word.reason


# --- the stages -----------------------------------------------------------------------------------------------------


def progress(m: MachineState) -> None:
    """Go on with the channels that are being closed, as far as their conditions are met."""
    if m.closing is not None and not isinstance(m.closing.step, Drain):
        return  # the session's end ends them
    due: float | None = None
    for channel in list(m.ending.values()):
        end = channel.end
        assert end is not None
        _progress(m, channel, end)
        if channel.end is end and not end.over:
            drains = end.said is None and not _is_untold(m)
            next_look = min(end.drain_until, _patience(m, end)) if drains else end.deadline
            due = next_look if due is None else min(due, next_look)
    if due is None:
        m.timers.pop("channels", None)
    else:
        m.timers["channels"] = due


def _progress(m: MachineState, channel: Channel, end: ChannelEnd) -> None:
    if end.said is None and not end.over:
        _drain(m, channel, end)
    if not end.agreed:
        _speak(m, channel, end)
    elif not _is_held(m):
        _reset(m, channel, end)
    if channel.end is not None and not end.over and m.now >= end.deadline:
        _tell(m, channel, end)


def _patience(m: MachineState, end: ChannelEnd) -> float:
    """Return how long the other side is waited for, if it is the one that closes and nothing new comes of it."""
    return end.drain_until if end.own else end.progressed + m.options.closing_patience


def _is_held(m: MachineState) -> bool:
    """Whether a new connection is being made, or no connection carries the session."""
    return m.active is None or (m.reset is not None and m.reset.level != "ice")


def _is_untold(m: MachineState) -> bool:
    """The other side's version knows no close of a channel."""
    return m.phase != "connecting" and "channels1" not in m.capabilities


def _drain(m: MachineState, channel: Channel, end: ChannelEnd) -> None:
    if _is_untold(m):
        sender = channel.sender
        if (sender.idle and not sender.flight) or m.now >= end.deadline:
            _tell(m, channel, end, "untold")
        return
    if not end.said_done and not end.may_send and channel.open:
        taken = not channel.reliable or (end.final is not None and channel.receiver.up_to >= end.final)
        # Without `final` of the closer's own: the other side's comes with its `done`.
        end.said_done = end.final is not None and taken
    first = end.by == "local" or (end.by == "both" and m.smaller)
    if (end.said_done and end.heard_done and first) or end.heard is not None:
        _freeze(m, channel, end)
    elif m.now >= end.drain_until or m.now >= _patience(m, end):
        _freeze(m, channel, end)
        if not end.own:
            end.deadline = min(end.deadline, m.now + 0.5)


def _freeze(m: MachineState, channel: Channel, end: ChannelEnd) -> None:
    """Neither send nor take from now on: this side's account is final."""
    channels.keep(m, channel)
    channel.receiver.freeze()
    end.said = account.account_of(channel, unread=True)
    if end.heard is not None:
        _settle(channel, end.heard)


def _settle(channel: Channel, heard: words.ChannelAccount) -> None:
    channel.sender.count_delivered(account.which_taken(heard, channel))


def _speak(m: MachineState, channel: Channel, end: ChannelEnd) -> None:
    """Say the stage that is reached, once on each connection."""
    if m.active is None or not channel.open or _is_untold(m):
        return
    if end.spoken_on != m.active:
        end.spoken_on, end.spoken = m.active, 0
    said = None if _is_held(m) else end.said
    stage = (4 if end.heard is not None else 3) if said is not None else 2 if end.said_done else 1
    if stage <= end.spoken:
        return
    final = channel.sender.accepted.messages
    if end.by != "remote" and not end.spoken:
        left = min(max(round((end.deadline - m.now) * 1000), 0), words.MAX_COUNT)
        _say(m, channel, closing=control.ChannelClosing(reason=end.reason, deadline_ms=left, final=final))
    if end.said_done and end.spoken < 2:
        _say(m, channel, done=final)
    if said is not None:
        _say(m, channel, closed=said, heard=stage == 4)
    end.spoken = stage


def _say(
    m: MachineState,
    channel: Channel,
    *,
    closing: control.ChannelClosing | None = None,
    done: int | None = None,
    closed: words.ChannelAccount | None = None,
    heard: bool = False,
    gone: bool | None = None,
) -> None:
    assert m.active is not None
    word = control.EndChannel(
        name=channel.name, id=channel.id, closing=closing, done=done, closed=closed, heard=heard, gone=gone
    )
    m.send_control(m.active, word)


def _reset(m: MachineState, channel: Channel, end: ChannelEnd) -> None:
    """Close the data channel of the active connection, and forget the channel once it is closed."""
    assert m.active is not None
    connection = m.connections[m.active]
    has = channel.id in connection.channels
    if end.gone_on != m.active:
        if end.spoken_on == m.active and end.spoken == 4 and not m.smaller and not end.heard_gone:
            return  # both have said that they heard the other: the smaller peer id's `gone` comes
        if has or not end.heard_gone:
            _say(m, channel, gone=has)
        end.gone_on = m.active
    if has:
        channels.close_stream(m, connection, channel.id)
    else:
        if not end.over:
            _tell(m, channel, end)
        channels.forget(m, channel)


def _tell(m: MachineState, channel: Channel, end: ChannelEnd, path: ChannelPath | None = None) -> None:
    """Report the end to the application: it waits no longer, whatever is still to be said to the other side."""
    if path is None:
        path = "graceful" if end.heard is not None and end.said_done and end.heard_done else "deadline"
    if path == "untold":
        m.ending.pop(channel.name)  # there is nobody to say anything to
    end.over = True
    m.report(actions.ChannelClosed(channel.name, _receipt(m, channel, end, path)))


def _receipt(m: MachineState, channel: Channel, end: ChannelEnd, path: ChannelPath) -> ChannelEndReceipt:
    said = end.said or account.account_of(channel, unread=True)
    sent, received = account.both_directions(channel, said, end.heard, unread=True)
    return ChannelEndReceipt(
        sent=sent,
        received=received,
        reliable=channel.reliable,
        name=channel.name,
        by=end.by,
        reason=end.reason,
        path=path,
        duration=m.now - end.began,
        confirmed=end.heard is not None,
    )


def end_with_session(m: MachineState, outcome: Outcome) -> None:
    """Report the end of the channels that the session's end has overtaken."""
    for channel in list(m.ending.values()):
        end = channel.end
        assert end is not None
        if end.over:
            continue
        end.over = True
        receipt = _receipt(m, channel, end, "session")
        if (settled := outcome.channels.get(channel.name)) is not None:
            receipt = msgspec.structs.replace(
                receipt, sent=settled.sent, received=settled.received, confirmed=outcome.confirmed
            )
        m.report(actions.ChannelClosed(channel.name, receipt))
    m.ending.clear()


def require_sendable(channel: Channel) -> None:
    """See whether the application may send on a channel.

    Raises:
        ChannelError: it is closing or closed.
    """
    end = channel.end
    if end is not None and not end.may_send:
        raise ChannelError(f"cannot send: channel {channel.name!r} is {'closed' if end.over else 'closing'}")
