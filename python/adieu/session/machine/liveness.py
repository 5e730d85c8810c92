"""Is the other side there? Silence, suspicion, and the recovery ladder (closing rules S7, S10).

A `ping` follows a second of silence; one that is not answered for three makes the session `suspect`, with a cause
and its evidence. Then the policy says what to try. Anything heard on the active connection ends all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, assert_never

from adieu.protocol import control
from adieu.session.machine import actions, close, reset
from adieu.session.machine.cause import GONE

if TYPE_CHECKING:
    from adieu.session.machine.machine import SessionMachine

LossKind = Literal["left", "closed", "failed", "security"]
"""How a connection ended: the other side closed it; it was closed here, but not by the session; it broke; its
certificate was not the one announced."""

FAREWELL = 0.7
"""Seconds after the other side closed the connection: the words that say why may be behind, by signaling, and so may
the news that its socket has ended. A browser closes the connections of a page whose process has died."""

FRESH = 2.0
"""Seconds: packets younger than this show that the other side's machine and network are alive, if they came within the
silence: what came before it, or was under way when it began, shows nothing."""

STOOD_STILL = 5.0
"""Seconds: a timer so late shows that this program did not run: its machine slept, or it was stopped."""


@dataclass(slots=True)
class Liveness:
    """What is known of the other side's silence."""

    last_heard: float = 0.0
    asked: float | None = None
    """When the first ping was sent that has no answer: the ladder counts from here."""
    n: int = 0
    attempts: int = 0
    """New connections begun in this silence."""
    suspected: bool = False
    """It has lasted so long that it is no accident."""


def heard(m: SessionMachine, epoch: int, now: float) -> None:
    """Something came over a connection. Over the active one it ends suspicion and recovery."""
    if epoch != m.active:
        return
    m.liveness.last_heard = now
    m.timers.setdefault("ping", now + m.options.heartbeat)
    if m.liveness.asked is None and m.state not in {"suspect", "recovering"}:
        return
    m.liveness.asked, m.liveness.attempts, m.liveness.suspected = None, 0, False
    for timer in ("suspect", "ladder", "fresh"):
        m.timers.pop(timer, None)
    m.witness.heard(now, m.options.burst)
    if m.state in {"suspect", "recovering"}:
        m.enter("open")
        reset.healed(m, now)


def ask(m: SessionMachine, now: float) -> int:
    """Send a ping; the first without an answer starts the clock. Its number."""
    live = m.liveness
    live.n += 1
    if m.active is not None:
        m.act(actions.SendControl(m.active, control.encode(control.Ping(n=live.n))))
    if live.asked is None:
        live.asked = now
        m.timers["suspect"] = now + m.options.suspect_after
    m.timers["ping"] = now + m.options.heartbeat
    return live.n


def closes(m: SessionMachine, now: float) -> None:
    """This side closes: its word is a question too, and who does not answer it in half the time is suspected."""
    if m.liveness.asked is None and m.closing is not None:
        m.liveness.asked = now
        half = max((m.closing.drain_until - now) / 2, m.options.burst)
        m.timers["suspect"] = now + min(half, m.options.suspect_after)


def has_slept(m: SessionMachine, now: float) -> None:
    """Look at how late the timers are: has this program stood still?"""
    late = now - min(m.timers.values(), default=now)
    if late >= STOOD_STILL:
        m.witness.slept(late, now)


def handle_timeout(m: SessionMachine, kind: str, now: float) -> None:
    """A timer of this file is due."""
    match kind:
        case "ping":
            due = m.liveness.last_heard + m.options.heartbeat
            if m.active is None:
                return
            if now < due:
                m.timers["ping"] = due
            else:
                # Again each second while it is silent: what answers below the program shows that it hangs.
                ask(m, now)
        case "suspect":
            _suspect(m, now)
        case "fresh":
            if m.active is not None:
                m.act(actions.AskFresh(m.active))
        case "ladder":
            _climb(m, now)
        case _:
            raise AssertionError(kind)


def _suspect(m: SessionMachine, now: float) -> None:
    if m.liveness.asked is None:
        return
    m.liveness.suspected = True
    m.witness.note(now, f"no answer for {now - m.liveness.asked:.1f} s")
    if m.state != "closing" and m.witness.presence in GONE:
        close.end(m, now, "remote", m.witness.cause(), "")
        return
    if m.state == "open":
        m.enter("suspect", m.witness.cause())
    elif m.state == "resetting":
        m.enter("recovering", m.witness.cause())  # the reset goes on
    if m.active is not None:
        m.act(actions.AskFresh(m.active))
    if m.witness.signaling:
        m.act(actions.Probe())
    _climb(m, now)  # but not while closing: a close has a deadline of its own


def fresh(m: SessionMachine, epoch: int, age: float | None, now: float) -> None:
    """Packets of the other side's engine, but no word of its program: it hangs, and no ladder helps."""
    if m.liveness.asked is None or epoch != m.active or m.state not in {"suspect", "recovering", "closing"}:
        return
    within = now - m.liveness.asked - m.options.burst
    hangs = age is not None and age < min(FRESH, within)
    if hangs and not m.witness.ice_fresh:
        m.witness.note(now, "its engine answers, its program does not")
    m.witness.ice_fresh = hangs
    m.timers["fresh"] = now + 1.0
    if m.state == "closing":
        return
    if not hangs:
        m.timers.setdefault("ladder", now)
    recause(m)


def recause(m: SessionMachine) -> None:
    """Tell the state again if the evidence now speaks for another cause."""
    if m.state in {"suspect", "recovering"} and m.witness.cause() != m.witness.told:
        m.witness.told = m.witness.cause()
        m.tell(actions.StateChanged(m.state, m.state, m.witness.told, m.witness.evidence()))


def presence(m: SessionMachine, now: float) -> None:
    """The server says that the other side is away or gone: look at once."""
    gone = m.witness.presence in GONE
    if m.state == "connecting":
        if gone:
            close.end(m, now, "remote", m.witness.cause(), "")
        return
    if not gone and m.witness.presence != "away":
        return  # evidence only
    if m.liveness.asked is None and m.active is not None:
        ask(m, now)
    recause(m)
    m.timers["suspect"] = min(m.timers.get("suspect", now + m.options.burst), now + m.options.burst)


def lost(m: SessionMachine, epoch: int, kind: LossKind, text: str, now: float) -> None:
    """A connection has ended, and not by the session."""
    was_active = epoch == m.active
    m.release(epoch)
    if m.closing is not None:
        return  # `close.progress` sees that it is gone.
    if kind == "security":
        close.end(m, now, "network", "security-error", text)
    elif m.reset is not None:
        if epoch == m.reset.epoch and m.reset.phase != "asked":
            reset.connection_lost(m, kind, f"connection {epoch} ended: {text}", now)
        # else the old one: the reset goes on, and its deadline decides
    elif m.state == "connecting":
        if kind == "failed":
            m.connect_again(now)
        else:
            close.end(m, now, "local" if kind == "closed" else "remote", "connection-closed", text)
    elif not was_active:
        return
    elif kind == "closed":
        close.end(m, now, "local", "connection-closed", text)
    elif kind == "left":
        m.timers["farewell"] = now + FAREWELL
    else:
        broken(m, now)


def broken(m: SessionMachine, now: float) -> None:
    """No connection is left: a new one is needed, at once."""
    if m.liveness.asked is None:
        m.liveness.asked = now
    m.liveness.suspected = True
    m.enter("recovering", m.witness.cause())
    _climb(m, now)


def _climb(m: SessionMachine, now: float) -> None:
    """One rung of the ladder, and when the next is due."""
    if m.liveness.asked is None or m.state not in {"suspect", "recovering"} or m.witness.ice_fresh:
        return
    silence = now - m.liveness.asked
    step, again = m.options.recovery.step(silence, m.liveness.attempts)
    if m.active is None and step in {"wait", "ice"} and m.reset is None:
        step = "transport"  # nothing is left that could heal
    m.timers["ladder"] = max(m.liveness.asked + again, now + 0.05)
    match step:
        case "wait":
            pass
        case "give-up":
            m.witness.note(now, f"gave up after {silence:.0f} s")
            close.lost(m, now, f"no answer for {silence:.0f} s")
        case "ice" | "transport":
            if not m.witness.signaling:
                m.timers["ladder"] = now + 1.0  # or as soon as signaling is up
                return
            if m.state == "suspect":
                m.enter("recovering", m.witness.cause())
            if step == "transport":
                m.liveness.attempts += 1
            reset.recover(m, step, now)
        case _:
            assert_never(step)
