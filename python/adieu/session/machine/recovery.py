"""Suspicion, the recovery ladder, and what a lost connection comes to (closing rules S7, S10).

A silence of three seconds makes the session `suspect`, with a cause and its evidence. Then the policy says what to try.
Anything heard on the active connection ends all of it.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, assert_never

from adieu.session.machine import actions, close, connections, heartbeat, reset
from adieu.session.machine.cause import GONE
from adieu.session.machine.options import STEPS, Ladder

if TYPE_CHECKING:
    from adieu.session.machine.options import Step
    from adieu.session.machine.state import ConnectionState, LossKind, MachineState

FAREWELL = 0.7
"""Seconds after the other side closed the connection: the words that say why may be behind, by signaling, and so may
the news that its socket has ended. A browser closes the connections of a page whose process has died."""

FRESH = 2.0
"""Seconds: packets younger than this show that the other side's machine and network are alive, if they came within the
silence: what came before it, or was under way when it began, shows nothing."""

DOUBT = 1.0
"""Seconds that the path has for an answer after a change of this machine's network, before it is renewed."""
SLACK = 0.001
"""Seconds: sums of times are not exact."""

LATER = 0.05
"""Seconds: the times of two looks at one packet differ by less."""

NOT_ADIEU = "the other side said no hello: it does not speak adieu"


def progress(m: MachineState) -> None:
    """Go on as far as the conditions of the recovery are met, whatever has brought them about."""
    reset.end_if_healed(m)
    if m.timers.get("ladder", m.now + 1) <= m.now:
        climb(m)


def suspect(m: MachineState) -> None:
    """Suspect the other side: it has not answered for too long."""
    if m.silence is None:
        return
    m.silence.suspected = True
    m.note(f"no answer for {m.now - m.silence.since:.1f} s")
    if m.closing is None:
        if m.evidence.presence in GONE:
            close.end(m, "remote", m.evidence.cause(), "")
            return
        if m.phase == "open":
            m.enter("suspect", m.evidence.told(m.now))
        elif m.phase == "resetting":
            m.enter("recovering", m.evidence.told(m.now))  # the reset goes on
    ask_packet_age(m)
    if m.evidence.signaling:
        m.act(actions.Probe())
    climb(m)


def climb(m: MachineState) -> None:
    """Do what the next rung of the ladder says, and note when the one after it is due.

    Nothing is tried while the session closes, which has a deadline of its own, or while the other side's program hangs.
    """
    m.timers.pop("ladder", None)
    silence = m.silence
    if silence is None or not m.is_troubled or m.evidence.ice_fresh:
        return
    update_cause(m)
    seconds = m.now - silence.since
    step, again = _ask_policy(m, seconds, silence.attempts)
    if m.active is None and step in {"wait", "ice"} and m.reset is None:
        step = "transport"  # nothing is left that could heal
    m.timers["ladder"] = max(silence.since + again, m.now + 0.05)
    match step:
        case "wait":
            pass
        case "give-up":
            m.note(f"gave up after {seconds:.0f} s")
            close.end_unanswered(m, f"no answer for {seconds:.0f} s")
        case "ice" | "transport":
            if not m.evidence.signaling:
                m.wake_in("ladder", 1.0)  # or as soon as signaling is up
                return
            m.enter("recovering", m.evidence.told(m.now))
            reset.recover(m, step)
        case _:
            assert_never(step)


def _ask_policy(m: MachineState, seconds: float, attempts: int) -> tuple[Step, float]:
    """Ask the recovery policy. It is the program's: where it fails, the default decides, and the evidence says so."""
    try:
        step, again = m.options.recovery.step(seconds, attempts)
        if step in STEPS and isfinite(again):
            return step, again
    except Exception:  # noqa: BLE001, S110 # else the session would never end
        pass
    m.note("the recovery policy failed: the default decides")
    return Ladder().step(seconds, attempts)


def ask_packet_age(m: MachineState) -> None:
    """Ask how long ago the other side's engine was heard on the active connection."""
    if m.active is not None:
        m.act(actions.AskFresh(m.active))


def packet_age(m: MachineState, connection: ConnectionState, age: float | None) -> None:
    """Look at the age of the engine's last packet.

    An engine that answers while its program does not, by signaling neither, shows a program that hangs, and no ladder
    helps. One that lives twice without a hello belongs to a program that does not speak adieu.
    """
    if m.state == "connecting":
        if age is None or age >= FRESH:
            connection.alive_at = None
        elif connection.alive_at is None:
            connection.alive_at = m.now - age
        elif m.now - age > connection.alive_at + LATER:  # a later packet than the one that was seen before
            close.end(m, "network", "protocol-error", NOT_ADIEU)
    elif m.silence is not None and connection.epoch == m.active and (m.is_troubled or m.closing is not None):
        within = m.now - m.silence.since - m.options.burst
        hangs = age is not None and age < min(FRESH, within) and not m.evidence.probe_peer
        if hangs and not m.evidence.ice_fresh:
            m.note("its engine answers, its program does not")
        m.evidence.ice_fresh = hangs
        m.wake_in("fresh", 1.0)
        if m.closing is None:
            if not hangs:
                m.timers.setdefault("ladder", m.now)
            update_cause(m)


def update_cause(m: MachineState) -> None:
    """Report the state again if the evidence now shows another cause; one that was just corrected holds for a while."""
    if m.is_troubled and (cause := m.evidence.told(m.now)) != m.evidence.reported:
        m.changed(m.state, cause)


def presence_changed(m: MachineState) -> None:
    """Look at once: the server says that the other side is away or gone."""
    gone = m.evidence.presence in GONE
    if m.state == "connecting":
        if gone:
            close.end(m, "remote", m.evidence.cause(), "")
        return
    if not gone and m.evidence.presence != "away":
        return  # evidence only
    if m.silence is None and m.active is not None:
        heartbeat.ask(m)
    update_cause(m)
    m.timers["suspect"] = min(m.timers.get("suspect", m.now + m.options.burst), m.now + m.options.burst)


def network_changed(m: MachineState, text: str, *, at_once: bool) -> None:
    """Look at the path: this machine's network has changed. If it does not answer soon, or `at_once`, it is renewed.

    An address that has come is no reason by itself: on a server they come with each container, and the path works.
    """
    m.note(text)
    if m.active is None or m.phase == "connecting":
        return
    if m.silence is None:
        heartbeat.ask(m)
    if m.closing is not None or m.silence is None:
        return
    if at_once and m.evidence.signaling and m.reset is None:
        reset.renew(m)
    else:
        m.wake_in("network", max(m.silence.since + DOUBT - m.now, 0.0))


def cut_off(m: MachineState) -> None:
    """Renew the path at once, if ICE has lost it by the change of this machine's network."""
    if "network" in m.timers:
        _renew_path(m)


def doubt_is_over(m: MachineState) -> None:
    """Renew the path, if nothing has come over it since the change."""
    if m.silence is not None and m.now >= m.silence.since + DOUBT - SLACK:
        _renew_path(m)


def _renew_path(m: MachineState) -> None:
    m.timers.pop("network", None)
    if m.active is None or m.closing is not None:
        return
    if m.reset is not None and not reset.may_be_renewed(m.reset):
        return
    if m.evidence.signaling:
        reset.renew(m)
    else:
        m.wake_in("network", DOUBT)  # or as soon as signaling is up


def hello_missing(m: MachineState, connection: ConnectionState) -> None:
    """Look why a connection has brought no hello in its time."""
    connection.hello_by = None
    if m.state != "connecting":
        reset.failed(m, f"no hello on connection {connection.epoch}")
    elif connection.control_open:
        connection.hello_by = m.now + 1.0
        m.act(actions.AskFresh(connection.epoch))  # is it silent, or is the network?
    elif not (m.smaller or connection.described):
        connection.hello_by = m.now + m.options.reset_timeout  # nobody has called yet
    else:
        connections.release(m, connection.epoch)
        connections.connect_again(m)


def cannot_meet(m: MachineState) -> None:
    """End: the two sides did not meet in time."""
    m.note(f"no connection within {m.options.connect_timeout:g} s")
    close.end(m, "network", "gave-up", "the connection could not be made")


def connection_lost(m: MachineState, epoch: int, kind: LossKind, text: str) -> None:
    """Decide what follows from a connection that has ended, and not by the session."""
    if epoch not in m.connections:
        return
    m.note(text)
    was_active = epoch == m.active
    connections.release(m, epoch)
    if m.closing is not None:
        return  # `close.progress` sees that it is gone.
    if kind == "security":
        close.end(m, "network", "security-error", text)
    elif m.reset is not None:
        if epoch == m.reset.epoch and m.reset.phase != "asked":
            reset.connection_lost(m, m.reset, kind, f"connection {epoch} ended: {text}")
        # else the old one: the reset goes on, and its deadline decides
    elif m.phase == "connecting":
        if kind == "failed":
            connections.connect_again(m)
        else:
            close.end(m, "local" if kind == "closed" else "remote", "connection-closed", text)
    elif not was_active:
        return
    elif kind == "closed":
        close.end(m, "local", "connection-closed", text)
    elif kind == "left":
        m.wake_in("farewell", FAREWELL)
    else:
        heartbeat.give_up_path(m)


def farewell_over(m: MachineState) -> None:
    """End if no word has come that says why the other side closed the connection, or that there is another."""
    if m.closing is None and m.reset is None and m.active is None:
        close.end(m, "remote", m.evidence.cause() if m.evidence.is_gone else "connection-closed", "")


def cannot_connect(m: MachineState, epoch: int, text: str) -> None:
    """End a session that never was open, or take the connection as lost: it could not even be made."""
    if m.state != "connecting":
        connection_lost(m, epoch, "failed", text)
        return
    m.note(text)
    connections.release(m, epoch)
    close.end(m, "local", "gave-up", text)
