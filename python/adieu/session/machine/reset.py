"""Reset: a new path or a new connection under the session, as one transaction (closing rule S8).

`ice` restarts ICE on the same connection. `transport` makes a new connection next to the old one and switches when it
is open. `full` closes the old one first. The side with the smaller peer id offers, whichever side asked. Only this side
sends `switch` or `cancel`: one of them, once per epoch. The other side sends `cancel` only when its computer has no
socket or no address for the new connection. Then there is no path on which a `switch` could have come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, assert_never

from adieu.errors import SessionClosedError
from adieu.protocol import words
from adieu.session.machine import actions, connections, heartbeat
from adieu.session.machine.flow import ViolationError
from adieu.session.machine.state import Reset

if TYPE_CHECKING:
    from adieu.protocol.words import Level
    from adieu.session.machine.state import LossKind, MachineState

RANK: dict[Level, int] = {"ice": 0, "transport": 1, "full": 2}
GRACE = 2.0
"""Seconds that the side that does not offer waits longer, so that the offerer's word comes first."""
A_TRY = 5.0
"""Seconds that a reset of the ladder has before the ladder begins another in its place, of the same level."""
ONE_WAY = 1.0
"""Seconds that the old connection has to be heard here too, when the other side hears it and wants no other."""
PESTERED = 5
"""The most resets that may be requested while one waits; beyond it the session ends."""


# --- asking ---------------------------------------------------------------------------------------------------------


def ask(m: MachineState, level: Level) -> None:
    """Begin a reset for the application, join the running one, or raise its level.

    Raises:
        SessionClosedError: the session is closing or has ended.
    """
    if m.closing is not None:
        raise SessionClosedError(f"cannot reset: the session is {m.state}")
    if m.reset is not None and RANK[level] <= RANK[m.reset.level]:
        m.reset.recovery = False
        m.enter("resetting")
    elif m.reset is not None and m.reset.phase == "switching":
        # `switch` is said, and the other side may have done it: this one ends first.
        m.reset.raised_to = level
    else:
        _begin(m, level, recovery=False)


def recover(m: MachineState, level: Literal["ice", "transport"]) -> None:
    """Begin a reset for the ladder, unless one is under way that is not the ladder's, or has not had its time."""
    if m.reset is not None:
        has_time = RANK[level] <= RANK[m.reset.level] and m.now - m.reset.began < A_TRY
        if not m.reset.recovery or m.reset.phase == "switching" or has_time:
            return
        _abandon(m, m.reset, "tried again")
    _begin(m, level, recovery=True)


def may_be_renewed(reset: Reset) -> bool:
    """Whether it only makes a new path, perhaps from addresses that have gone meanwhile, and nobody waits for it."""
    return reset.level == "ice" and reset.recovery


def renew(m: MachineState) -> None:
    """Begin a reset of the path: this machine's network has changed, and what is used may soon be gone."""
    if m.reset is not None:
        _abandon(m, m.reset, "tried again")
    # A path to addresses that have gone may still be under way on the side that offers: a connection goes beside it.
    is_pending = not m.smaller and m.now < m.resets.ice_pending_until
    _begin(m, "transport" if is_pending else "ice", recovery=True, renews=True)


def _begin(m: MachineState, level: Level, *, recovery: bool, renews: bool = False) -> None:
    if m.reset is not None:
        _abandon(m, m.reset, f"raised to {level}")
    level = _possible(m, level)
    m.resets.asked += 1
    reset = Reset(level, _epoch_of(m, level), m.me, m.resets.asked, m.now, recovery, renews)
    _started(m, reset)
    m.say(words.Reset(asker=m.me, n=reset.n, epoch=reset.epoch, level=level), both=recovery)


def _possible(m: MachineState, level: Level) -> Level:
    """Without a connection ICE cannot be restarted."""
    return "transport" if level == "ice" and m.active is None else level


def _epoch_of(m: MachineState, level: Level) -> int:
    return m.active if level == "ice" and m.active is not None else m.last_epoch + 1


def _started(m: MachineState, reset: Reset) -> None:
    m.reset = reset
    if m.silence is not None and reset.level != "ice":
        m.silence.attempts += 1
    m.wake_in("reset", m.options.reset_timeout + (0.0 if m.smaller else GRACE))
    m.report(actions.ResetStarted(reset.level, reset.asker))
    if not reset.recovery:
        m.enter("resetting")


# --- the words ------------------------------------------------------------------------------------------------------


def handle_word(
    m: MachineState, word: words.Reset | words.ResetOk | words.Switch | words.Switched | words.Cancel
) -> None:
    """Take a word of the other side, in-band or by signaling; a word that comes twice has one effect."""
    reset = m.reset
    match word:
        case words.Reset():
            _asked(m, word)
        case words.ResetOk():
            if reset is not None and reset.phase == "asked" and (word.asker, word.n) == (m.me, reset.n):
                m.took_effect("reset")
                _raise_to(reset, word.level, word.epoch)
                _build(m, reset)
        case words.Switch():
            _switch(m, word)
        case words.Switched():
            if reset is not None and reset.phase == "switching" and word.epoch == reset.epoch:
                _finish(m, reset, connections.activate(m, word.epoch, word.have))
        case words.Cancel():
            m.last_epoch = max(m.last_epoch, word.epoch)
            if reset is not None and reset.epoch == word.epoch:
                if not m.smaller:
                    _let_go(m, reset, "cancelled: the old connection goes on")
                elif reset.phase != "switching":
                    _let_go(m, reset, "cancelled: the other side has no socket")
        case _:
            assert_never(word)


def check_epoch(m: MachineState, epoch: int) -> None:
    """See whether there can be a connection of this number.

    Raises:
        ViolationError: it is too far ahead.
    """
    if epoch > m.last_epoch + connections.AHEAD:
        raise ViolationError(f"names connection {epoch}, and the last one was {m.last_epoch}")


def _asked(m: MachineState, word: words.Reset) -> None:
    if word.n <= m.resets.known.get(word.asker, 0):
        if m.reset is not None and m.reset.asker == word.asker and m.reset.n == word.n:
            _say_ok(m, m.reset, word)
        return
    calm = m.reset is None and m.phase == "open"
    if calm and (m.resets.waiting is not None or not m.resets.admit(m.now)):
        _make_wait(m, word)
    else:
        _join(m, word)


def _make_wait(m: MachineState, word: words.Reset) -> None:
    if m.resets.waiting is None:
        m.wake_in("peer-reset", m.options.peer_resets_every)
    elif word.n > m.resets.waiting.n:
        m.resets.pestered += 1
        if m.resets.pestered >= PESTERED:
            raise ViolationError(f"asked for {PESTERED} more resets while one was waiting")
    m.resets.waiting = word


def _join(m: MachineState, word: words.Reset) -> None:
    m.resets.known[word.asker] = word.n
    m.resets.waiting, m.resets.pestered = None, 0
    level = _possible(m, word.level)
    if m.reset is not None and RANK[level] > RANK[m.reset.level] and m.reset.phase != "asked":
        _abandon(m, m.reset, f"raised to {level}")
    reset = m.reset
    if reset is None:
        epoch = _epoch_of(m, level) if level == "ice" else max(word.epoch, _epoch_of(m, level))
        reset = Reset(level, epoch, word.asker, word.n, m.now, recovery=m.is_troubled)
        _started(m, reset)
    else:
        # Both asked at once, or the ladder here and the application there: one reset.
        made = reset.epoch
        _raise_to(reset, level, word.epoch)
        if reset.epoch > made and reset.phase == "building" and m.resets.admit(m.now):
            # The other side has given up the connection that is being made.
            connections.release(m, made)
            reset.phase = "asked"
    m.took_effect("reset")
    _say_ok(m, reset, word)
    if reset.phase == "asked":
        _build(m, reset)


def _raise_to(reset: Reset, level: Level, epoch: int) -> None:
    if RANK[level] > RANK[reset.level]:
        reset.level = level
    if reset.level != "ice":
        reset.epoch = max(reset.epoch, epoch)


def _say_ok(m: MachineState, reset: Reset, word: words.Reset) -> None:
    answer = words.ResetOk(asker=word.asker, n=word.n, epoch=reset.epoch, level=reset.level)
    # With `full` the asker closes the connection that carries the answer; in trouble it may not arrive.
    m.say(answer, both=reset.level == "full" or m.silence is not None)


def _build(m: MachineState, reset: Reset) -> None:
    """Make the new path if this side offers, now that both sides know; the other waits for the offer."""
    reset.phase = "building"
    if reset.level == "full" and reset.asker == m.me and m.active is not None:
        connections.release(m, m.active)
    if not m.smaller:
        return
    if reset.level == "ice":
        m.act(actions.RestartIce(reset.epoch))
    else:
        reset.epoch = max(reset.epoch, m.last_epoch + 1)
        connections.connect(m, reset.epoch)


def begin_by_offer(m: MachineState, epoch: int) -> bool:
    """Begin the reset, or go on, for which an offer came before, or without, its word. Whether the offer is taken."""
    reset = m.reset
    if reset is None:
        if m.closing is not None:
            return False
        reset = Reset("transport", epoch, m.peer, 0, m.now, recovery=m.is_troubled)
        _started(m, reset)
    elif reset.level == "ice":
        reset.level = "transport"
    elif reset.epoch in m.connections and reset.epoch != epoch:
        connections.release(m, reset.epoch)
    reset.epoch, reset.phase = epoch, "building"
    m.took_effect("reset", "resetOk")
    connections.connect(m, epoch)
    return True


# --- the new connection ---------------------------------------------------------------------------------------------


def greeted(m: MachineState, epoch: int) -> None:
    """Say `switch` if this side offers: both have said hello on a connection."""
    reset = m.reset
    if reset is None or epoch != reset.epoch or not m.smaller:
        return
    reset.phase = "switching"
    m.took_effect("resetOk")
    m.say(words.Switch(epoch=epoch, have=m.have()), epoch=epoch)


def _switch(m: MachineState, word: words.Switch) -> None:
    if m.smaller:
        return
    answer = words.Switched(epoch=word.epoch, have=m.have())
    if word.epoch == m.active:
        m.say(answer, epoch=word.epoch, repeat=False)  # said again: the answer was lost
        return
    connection, reset = m.connections.get(word.epoch), m.reset
    if reset is None or word.epoch != reset.epoch or connection is None or not connection.heard_hello:
        return  # by signaling it may come before the hello: it comes in-band too
    m.say(answer, epoch=word.epoch)
    _finish(m, reset, connections.activate(m, word.epoch, word.have))


def negotiated(m: MachineState, epoch: int) -> None:
    """Send a ping over the new path of an `ice` reset, which has been agreed on: the answer proves it."""
    if m.reset is not None and m.reset.level == "ice" and m.reset.epoch == epoch:
        m.took_effect("reset", "resetOk")
        m.reset.phase = "building"
        m.reset.ping = heartbeat.ask(m)


def ponged(m: MachineState, epoch: int, n: int) -> None:
    """Finish an `ice` reset if this answers its ping."""
    reset = m.reset
    if reset is not None and reset.level == "ice" and reset.epoch == epoch and reset.ping is not None:
        if n >= reset.ping:
            _finish(m, reset, 0)


def _finish(m: MachineState, reset: Reset, replayed: int) -> None:
    _forget(m)
    for epoch in [epoch for epoch in m.connections if epoch != m.active]:
        connections.release(m, epoch)
    error = f"raised to {reset.raised_to}" if reset.raised_to is not None else ""
    m.report(actions.ResetEnded(reset.level, reset.asker, reset.epoch, m.now - reset.began, replayed, error))
    if m.closing is not None:
        return
    m.enter("open")
    if reset.raised_to is not None:
        _begin(m, reset.raised_to, recovery=False)


# --- when it does not work ------------------------------------------------------------------------------------------


def wait_is_over(m: MachineState) -> None:
    """Begin the reset that was made to wait, if it may begin now."""
    word = m.resets.waiting
    if word is None or m.closing is not None:
        return
    if m.resets.admit(m.now):
        _join(m, word)
    else:
        m.wake_in("peer-reset", m.options.peer_resets_every)


def connection_lost(m: MachineState, reset: Reset, kind: LossKind, why: str) -> None:
    """Give the reset up, whose connection has ended.

    If the application waits, and it was on purpose, the word that says why may be behind.
    """
    if kind == "left" and not reset.recovery:
        reset.lost = why
        m.wake_in("reset", m.options.word_repeat)
    else:
        _let_go(m, reset, why)


def failed(m: MachineState, why: str = "") -> None:
    """Give the reset up, by default as its time is over. The old connection goes on if it answers, else the ladder."""
    reset = m.reset
    if reset is not None:
        _give_up(m, reset, why or reset.lost or f"not done within {m.options.reset_timeout:g} s")


def end_if_healed(m: MachineState) -> None:
    """Give up a reset that the ladder began and nobody needs: the old connection speaks again.

    The side that does not offer leaves it to the other: its `cancel` or its `switch` comes.
    """
    reset = m.reset
    if m.silence is not None or m.closing is not None or not m.smaller:
        return
    if reset is not None and reset.recovery and not reset.renews and reset.phase != "switching":
        _give_up(m, reset, "the old connection healed")


def _give_up(m: MachineState, reset: Reset, why: str) -> None:
    if m.smaller and reset.phase != "switching":
        m.say(words.Cancel(epoch=reset.epoch))
    _abandon(m, reset, why, m.now - reset.began)
    if m.closing is not None:
        return
    if m.active is not None and m.silence is None:
        m.enter("open")
    else:
        heartbeat.give_up_path(m)


def _let_go(m: MachineState, reset: Reset, why: str) -> None:
    """Give up a reset whose connection has ended, or that the other side gives up.

    If that side offers, most likely it hears the old connection. This side may hear nothing yet, as the other's stack
    sends again ever more rarely. Then it asks once more.
    """
    _give_up(m, reset, why)
    if not m.smaller and m.silence is not None and m.silence.attempts and not m.silence.excused and m.closing is None:
        m.silence.excused = True
        m.silence.attempts -= 1
        m.wake_in("ladder", ONE_WAY)


def _abandon(m: MachineState, reset: Reset, why: str, duration: float = 0.0) -> None:
    """Forget it: the number of its connection is burnt."""
    _forget(m)
    if reset.level == "ice":
        m.resets.ice_pending_until = reset.began + m.options.reset_timeout
    if reset.level != "ice":
        m.last_epoch = max(m.last_epoch, reset.epoch)
        if reset.epoch != m.active:
            connections.release(m, reset.epoch)
    m.report(actions.ResetEnded(reset.level, reset.asker, reset.epoch, duration, 0, why))


def cancel_by_closing(m: MachineState) -> None:
    """Cancel a reset whose old connection still answers; any other is finished within the close's deadline."""
    if m.reset is not None and m.active is not None and m.silence is None and m.reset.phase != "switching":
        _abandon(m, m.reset, "the session is closing")


def end_by_closed(m: MachineState) -> None:
    """End the reset: this side has said `closed`, and a new connection has nothing left to carry."""
    if m.reset is not None:
        _abandon(m, m.reset, "the session is closed", m.now - m.reset.began)


def _forget(m: MachineState) -> None:
    m.reset = None
    m.timers.pop("reset", None)
    m.took_effect("reset", "resetOk", "switch")
