"""Reset: a new path or a new connection under the session, as one transaction (closing rule S8).

`ice` restarts ICE on the same connection. `transport` makes a new connection beside the old one and switches when it
stands. `full` closes the old one first. The side with the smaller peer id offers, whoever asked; only it says
`switch` or `cancel`, one of them, once per epoch. The other side says `cancel` when its machine has no socket or no
address for the new connection: then there is no path on which a `switch` could have come about.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, assert_never

from adieu.errors import SessionClosedError
from adieu.protocol import words
from adieu.session.machine import actions, close, liveness

if TYPE_CHECKING:
    from adieu.protocol.words import Level
    from adieu.session.machine.machine import SessionMachine
    from adieu.session.machine.options import Options

RANK: dict[Level, int] = {"ice": 0, "transport": 1, "full": 2}
GRACE = 2.0
"""Seconds that the side that does not offer waits longer, so that the offerer's word comes first."""
PESTERED = 5
AHEAD = 1024
"""How many connections the other side may have made, or burnt the numbers of, that this side knows nothing of."""


@dataclass(slots=True)
class Reset:
    """The one that is under way."""

    level: Level
    epoch: int
    """Of the new connection; for `ice` of the one that stays."""
    asker: str
    n: int
    began: float
    recovery: bool
    """Begun by the ladder: it ends when the old connection heals."""
    phase: Literal["asked", "building", "switching"] = "asked"
    ping: int | None = None
    """`ice`: the ping whose answer proves the new path."""
    lost: str = ""
    """How its connection ended, if it was closed on purpose."""
    raised_to: Level | None = None
    """Asked for when it was too late to raise this one: the level of the next."""


@dataclass(slots=True)
class Resets:
    """What is remembered between them."""

    options: Options
    asked: int = 0
    """How many this side has asked for."""
    known: dict[str, int] = field(default_factory=dict[str, int])
    """The highest number of each asker."""
    tokens: float = 0.0
    filled: float | None = None
    waiting: words.Reset | None = None
    pestered: int = 0

    def admit(self, now: float) -> bool:
        """Whether a reset asked for by the other side may begin now: a burst, then one in so many seconds."""
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


# --- asking ---------------------------------------------------------------------------------------------------------


def ask(m: SessionMachine, level: Level, now: float) -> None:
    """The application asks: begin one, join the running one, or raise its level.

    Raises:
        SessionClosedError: the session is closing or has ended.
    """
    if m.state in {"closing", "closed"}:
        raise SessionClosedError(f"cannot reset: the session with {m.peer} is {m.state}")
    if m.reset is not None and RANK[level] <= RANK[m.reset.level]:
        m.reset.recovery = False
        m.enter("resetting")
    elif m.reset is not None and m.reset.phase == "switching":
        # `switch` is said, and the other side may have done it: this one ends first.
        m.reset.raised_to = level
    else:
        _begin(m, level, now, recovery=False)


def recover(m: SessionMachine, level: Literal["ice", "transport"], now: float) -> None:
    """The ladder asks: a reset that is under way is left alone, unless it is of the ladder and has had its time."""
    if m.reset is not None:
        if not m.reset.recovery or m.reset.phase == "switching" or (level == "ice" and m.reset.level == "ice"):
            return
        _abandon(m, "tried again")
    _begin(m, level, now, recovery=True)


def _begin(m: SessionMachine, level: Level, now: float, *, recovery: bool) -> None:
    if m.reset is not None:
        _abandon(m, f"raised to {level}")
    if level == "ice" and m.active is None:
        level = "transport"
    m.resets.asked += 1
    m.reset = Reset(level, _epoch_of(m, level), m.me, m.resets.asked, now, recovery)
    _started(m, now)
    word = words.Reset(asker=m.me, n=m.reset.n, epoch=m.reset.epoch, level=level)
    m.say(word, both=recovery)


def _epoch_of(m: SessionMachine, level: Level) -> int:
    return m.active if level == "ice" and m.active is not None else m.last_epoch + 1


def _started(m: SessionMachine, now: float) -> None:
    assert m.reset is not None
    m.timers["reset"] = now + m.options.reset_timeout + (0.0 if m.smaller else GRACE)
    m.tell(actions.ResetStarted(m.reset.level, m.reset.asker))
    if not m.reset.recovery:
        m.enter("resetting")


# --- the words ------------------------------------------------------------------------------------------------------


def handle_word(
    m: SessionMachine,
    word: words.Reset | words.ResetOk | words.Switch | words.Switched | words.Cancel,
    now: float,
) -> None:
    """A word of the other side, in-band or by signaling; each is idempotent."""
    if word.epoch > m.last_epoch + AHEAD:
        m.end_by_violation(now, f"names connection {word.epoch}, and the last one was {m.last_epoch}")
        return
    match word:
        case words.Reset():
            _asked(m, word, now)
        case words.ResetOk():
            if m.reset is not None and m.reset.phase == "asked" and (word.asker, word.n) == (m.me, m.reset.n):
                m.took_effect("reset")
                _raise_to(m.reset, word.level, word.epoch)
                _build(m, now)
        case words.Switch():
            _switch(m, word, now)
        case words.Switched():
            if m.reset is not None and m.reset.phase == "switching" and word.epoch == m.reset.epoch:
                _finish(m, m.activate(word.epoch, word.have, now), now)
        case words.Cancel():
            m.last_epoch = max(m.last_epoch, word.epoch)
            if m.reset is not None and m.reset.epoch == word.epoch:
                if not m.smaller:
                    _give_up(m, now, "cancelled: the old connection goes on")
                elif m.reset.phase != "switching":
                    _give_up(m, now, "cancelled: the other side has no socket")
        case _:
            assert_never(word)


def _asked(m: SessionMachine, word: words.Reset, now: float) -> None:
    if m.state == "connecting" or word.asker != m.peer:
        return
    if m.closing is not None:
        close.say_again(m)
        return
    if word.n <= m.resets.known.get(word.asker, 0):
        if m.reset is not None and m.reset.asker == word.asker and m.reset.n == word.n:
            _say_ok(m, word)
        return
    calm = m.reset is None and m.state == "open"
    if calm and (m.resets.waiting is not None or not m.resets.admit(now)):
        _make_wait(m, word, now)
        return
    _join(m, word, now)


def _make_wait(m: SessionMachine, word: words.Reset, now: float) -> None:
    if m.resets.waiting is None:
        m.timers["peer-reset"] = now + m.options.peer_resets_every
    elif word.n > m.resets.waiting.n:
        m.resets.pestered += 1
        if m.resets.pestered >= PESTERED:
            m.end_by_violation(now, f"asked for {PESTERED} more resets while one was waiting")
            return
    m.resets.waiting = word


def _join(m: SessionMachine, word: words.Reset, now: float) -> None:
    m.resets.known[word.asker] = word.n
    m.resets.waiting, m.resets.pestered = None, 0
    level: Level = word.level if m.active is not None or word.level != "ice" else "transport"
    if m.reset is not None and RANK[level] > RANK[m.reset.level] and m.reset.phase != "asked":
        _abandon(m, f"raised to {level}")
    if m.reset is None:
        epoch = max(word.epoch, _epoch_of(m, level)) if level != "ice" else _epoch_of(m, level)
        m.reset = Reset(level, epoch, word.asker, word.n, now, m.state in {"suspect", "recovering"})
        _started(m, now)
    else:
        # Both asked at once, or the ladder here and the application there: one reset.
        _raise_to(m.reset, level, word.epoch)
    m.took_effect("reset")
    _say_ok(m, word)
    if m.reset.phase == "asked":
        _build(m, now)


def _raise_to(reset: Reset, level: Level, epoch: int) -> None:
    if RANK[level] > RANK[reset.level]:
        reset.level = level
    if reset.level != "ice":
        reset.epoch = max(reset.epoch, epoch)


def _say_ok(m: SessionMachine, word: words.Reset) -> None:
    assert m.reset is not None
    answer = words.ResetOk(asker=word.asker, n=word.n, epoch=m.reset.epoch, level=m.reset.level)
    # With `full` the asker closes the connection that carries the answer; in trouble it may not arrive.
    m.say(answer, both=m.reset.level == "full" or m.liveness.asked is not None)


def _build(m: SessionMachine, now: float) -> None:
    """Both sides know: the offerer makes the new path, the other waits for its offer."""
    reset = m.reset
    assert reset is not None
    reset.phase = "building"
    if reset.level == "full" and reset.asker == m.me and m.active is not None:
        m.release(m.active)
    if not m.smaller:
        return
    if reset.level == "ice":
        m.act(actions.RestartIce(reset.epoch))
    else:
        reset.epoch = max(reset.epoch, m.last_epoch + 1)
        m.connect(reset.epoch, now)


def implied(m: SessionMachine, epoch: int, now: float) -> bool:
    """An offer for a new connection came before, or without, the word that asks for it."""
    if m.closing is not None and m.reset is None:
        return False
    if m.reset is None:
        m.reset = Reset("transport", epoch, m.peer, 0, now, m.state in {"suspect", "recovering"})
        _started(m, now)
    elif m.reset.level == "ice":
        m.reset.level = "transport"
    elif m.reset.epoch in m.links and m.reset.epoch != epoch:
        m.release(m.reset.epoch)
    m.reset.epoch, m.reset.phase = epoch, "building"
    m.took_effect("reset", "resetOk")
    m.connect(epoch, now)
    return True


# --- the new connection ---------------------------------------------------------------------------------------------


def greeted(m: SessionMachine, epoch: int, now: float) -> None:
    """Both have said hello on a connection: the offerer says `switch`."""
    del now
    reset = m.reset
    if reset is None or epoch != reset.epoch or not m.smaller:
        return
    reset.phase = "switching"
    m.took_effect("resetOk")
    m.say(words.Switch(epoch=epoch, have=m.have()), epoch=epoch)


def _switch(m: SessionMachine, word: words.Switch, now: float) -> None:
    if m.smaller:
        return
    answer = words.Switched(epoch=word.epoch, have=m.have())
    if word.epoch == m.active:
        m.say(answer, epoch=word.epoch, repeat=False)  # said again: the answer was lost
        return
    link = m.links.get(word.epoch)
    if m.reset is None or word.epoch != m.reset.epoch or link is None or not link.heard_hello:
        return  # by signaling it may come before the hello: it comes in-band too
    m.say(answer, epoch=word.epoch)
    _finish(m, m.activate(word.epoch, word.have, now), now)


def negotiated(m: SessionMachine, epoch: int, now: float) -> None:
    """`ice`: the new path has been agreed on; a ping proves that the connection works."""
    if m.reset is not None and m.reset.level == "ice" and m.reset.epoch == epoch:
        m.took_effect("reset", "resetOk")
        m.reset.phase = "building"
        m.reset.ping = liveness.ask(m, now)


def ponged(m: SessionMachine, epoch: int, n: int, now: float) -> None:
    """An answer to a ping."""
    reset = m.reset
    if reset is not None and reset.level == "ice" and reset.epoch == epoch and reset.ping is not None:
        if n >= reset.ping:
            _finish(m, 0, now)


def _finish(m: SessionMachine, replayed: int, now: float) -> None:
    reset = m.reset
    if reset is None:
        return  # the switch itself ended the session
    _forget(m)
    for epoch in [epoch for epoch in m.links if epoch != m.active]:
        m.release(epoch)
    error = f"raised to {reset.raised_to}" if reset.raised_to is not None else ""
    m.tell(actions.ResetEnded(reset.level, reset.asker, reset.epoch, now - reset.began, replayed, error))
    if m.closing is not None:
        return
    m.enter("open")
    if reset.raised_to is not None:
        _begin(m, reset.raised_to, now, recovery=False)


# --- when it does not work ------------------------------------------------------------------------------------------


def handle_timeout(m: SessionMachine, kind: str, now: float) -> None:
    """A timer of this file is due."""
    if kind == "reset":
        lost = m.reset.lost if m.reset is not None else ""
        failed(m, now, lost or f"not done within {m.options.reset_timeout:g} s")
    elif m.resets.waiting is not None and m.closing is None:
        if m.resets.admit(now):
            word, m.resets.waiting = m.resets.waiting, None
            _join(m, word, now)
        else:
            m.timers["peer-reset"] = now + m.options.peer_resets_every


def connection_lost(m: SessionMachine, kind: liveness.LossKind, why: str, now: float) -> None:
    """The new connection has ended. If somebody waits, and it was on purpose, the word that says why may be behind."""
    assert m.reset is not None
    if kind == "left" and not m.reset.recovery:
        m.reset.lost = why
        m.timers["reset"] = now + m.options.word_repeat
    else:
        _give_up(m, now, why)


def failed(m: SessionMachine, now: float, why: str) -> None:
    """The reset is given up. The old connection goes on if it answers, else the ladder does."""
    if m.reset is not None:
        _give_up(m, now, why)


def healed(m: SessionMachine, now: float) -> None:
    """The old connection speaks again: what the ladder began is not needed."""
    reset = m.reset
    if reset is None or not reset.recovery or reset.phase == "switching":
        return
    if m.smaller:
        _give_up(m, now, "the old connection healed")
    # else the offerer decides: its `cancel` or its `switch` comes


def _give_up(m: SessionMachine, now: float, why: str) -> None:
    reset = m.reset
    assert reset is not None
    if m.smaller and reset.phase != "switching":
        m.say(words.Cancel(epoch=reset.epoch))
    _abandon(m, why, now)
    if m.closing is not None:
        return
    if m.active is not None and m.liveness.asked is None:
        m.enter("open")
    else:
        liveness.broken(m, now)


def _abandon(m: SessionMachine, why: str, now: float | None = None) -> None:
    """Forget it: the number of its connection is burnt."""
    reset = m.reset
    assert reset is not None
    _forget(m)
    if reset.level != "ice":
        m.last_epoch = max(m.last_epoch, reset.epoch)
        if reset.epoch != m.active:
            m.release(reset.epoch)
    duration = 0.0 if now is None else now - reset.began
    m.tell(actions.ResetEnded(reset.level, reset.asker, reset.epoch, duration, 0, why))


def cancel_by_closing(m: SessionMachine) -> None:
    """`closing` cancels a reset whose old connection still answers; any other is finished within the deadline."""
    if m.reset is not None and m.active is not None and m.liveness.asked is None and m.reset.phase != "switching":
        _abandon(m, "the session is closing")


def end_by_closed(m: SessionMachine) -> None:
    """This side has said `closed`: a new connection has nothing left to carry."""
    if m.reset is not None:
        _abandon(m, "the session is closed", m.now)


def _forget(m: SessionMachine) -> None:
    m.reset = None
    m.timers.pop("reset", None)
    m.took_effect("reset", "resetOk", "switch")
