"""Ask whether the other side is there, and note when it answers (closing rule S7).

A `ping` follows a second of silence. From the first one without an answer the machine holds a `Silence`; `recovery.py`
decides what follows from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.protocol import control
from adieu.session.machine.state import Silence

if TYPE_CHECKING:
    from adieu.session.machine.state import Close, MachineState

STOOD_STILL = 5.0
"""Seconds: a timer so late shows that this program did not run: its machine slept, or it was stopped."""


def heard(m: MachineState, epoch: int) -> None:
    """Note that something came over a connection. Over the active one it ends the silence."""
    if epoch != m.active:
        return
    m.last_heard = m.now
    m.timers.setdefault("ping", m.now + m.options.heartbeat)
    if m.silence is None:
        return
    m.silence = None
    for timer in ("suspect", "ladder", "fresh"):
        m.timers.pop(timer, None)
    m.evidence.heard(m.now, m.options.burst)
    if m.is_troubled:
        m.enter("open")


def ask(m: MachineState) -> int:
    """Send a ping, and return its number; the first without an answer begins the silence."""
    m.pings += 1
    if m.active is not None:
        m.send_control(m.active, control.Ping(n=m.pings))
    if m.silence is None:
        m.silence = Silence(m.now)
        m.wake_in("suspect", m.options.suspect_after)
    m.wake_in("ping", m.options.heartbeat)
    return m.pings


def ping_due(m: MachineState) -> None:
    """Ask after a second of silence, and again each second. If a layer below the program answers, the program hangs."""
    due = m.last_heard + m.options.heartbeat
    if m.active is None:
        return
    if m.now < due:
        m.timers["ping"] = due
    else:
        ask(m)


def expect_answer(m: MachineState, closing: Close) -> None:
    """Take `closing` as a question: a peer that does not answer it in half the time is suspected."""
    if m.silence is None:
        m.silence = Silence(m.now)
        half = max((closing.drain_until - m.now) / 2, m.options.burst)
        m.wake_in("suspect", min(half, m.options.suspect_after))


def give_up_path(m: MachineState) -> None:
    """Note that no path works: the next rung of the ladder is due at once."""
    if m.silence is None:
        m.silence = Silence(m.now)
    m.silence.suspected = True
    m.enter("recovering", m.evidence.told(m.now))
    m.wake_in("ladder", 0.0)


def look_for_sleep(m: MachineState) -> None:
    """Check how late the timers are: was this program suspended?"""
    due = m.poll_timeout()
    if due is not None and m.now - due >= STOOD_STILL:
        m.evidence.slept(m.now - due, m.now)
