"""What a room knows of one other peer: which of their sessions it is, and why there is none."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from adieu.protocol.ids import session_id

if TYPE_CHECKING:
    import asyncio

    from adieu.protocol.signaling import Peer, Relayed
    from adieu.session.receipt import CloseReceipt
    from adieu.session.session import Session

Standing: TypeAlias = Literal["new", "considered", "refused", "together", "apart", "over"]
"""Nobody has looked at it; `accept` decides; we do not want it; there is a session; the last one ended, which nobody
wanted; the last one ended, which somebody wanted."""
Why: TypeAlias = Literal["away", "considered", "refused", "connecting", "again", "over"]

MAX_EARLY = 200
"""Messages of a peer that has no session yet; the oldest are dropped for more."""
AHEAD = 128
"""Sessions that the other side may have begun, and given up, while this side did not look."""
FIRST_AGAIN, MAX_AGAIN = 1.0, 30.0
"""Seconds until the first, and between later, tries after an end that nobody wanted."""
UNWANTED = frozenset({"crashed", "frozen", "network-lost", "frozen, network-lost", "busy", "gave-up"})


@dataclass(frozen=True, slots=True)
class Unconnected:
    """Somebody who is in the room, and with whom there is no connection (closing rule S13).

    Attributes:
        peer: who.
        why: `away` the server has lost its socket; `considered` `accept` has not decided; `refused` by `accept`;
            `connecting` for the first time, or again; `again` the last session ended, which nobody wanted, and the next
            one is about to come; `over` it ended, and somebody wanted that: no other comes by itself.
        text: the same for people; how the last session ended, if there was one.
        again: seconds until the next try, about; None: none is planned.
    """

    peer: Peer
    why: Why
    text: str
    again: float | None = None


@dataclass(slots=True)
class Pair:
    """This side and one other peer."""

    peer: str
    """Its id."""
    standing: Standing = "new"
    n: int = 0
    """The number of the last session between the two ids."""
    session: Session | None = None
    """The last one."""
    accepted: bool = False
    """`accept` has said yes."""
    text: str = ""
    attempts: int = 0
    """Ends that nobody wanted, since the last connection."""
    again_at: float | None = None
    timer: asyncio.TimerHandle | None = None
    began: float = float("-inf")
    """When the last session was made."""
    early: deque[Relayed] | None = None
    """What the peer has said of a session that does not exist yet; None: it is not kept."""
    _ids: dict[str, int] = field(default_factory=dict[str, int], repr=False)
    _ids_of: tuple[str, str, int] = ("", "", -1)

    @property
    def live(self) -> Session | None:
        """The session, if it has not ended."""
        return self.session if self.session is not None and self.session.receipt is None else None

    def number(self, room: str, me: str, session: str) -> int | None:
        """Which of the coming sessions of the two this id names; None: none."""
        if self._ids_of != (me, self.peer, self.n):
            self._ids_of = (me, self.peer, self.n)
            coming = range(self.n + 1, self.n + 1 + AHEAD)
            self._ids = {session_id(room, me, self.peer, n): n for n in coming}
        return self._ids.get(session)

    def keep(self, message: Relayed) -> None:
        """Keep a message until there is a session for it."""
        if self.early is not None:
            self.early.append(message)

    def forget_timer(self) -> None:
        """No next try is planned any more."""
        if self.timer is not None:
            self.timer.cancel()
        self.timer, self.again_at = None, None

    def delay(self) -> float:
        """Seconds until the next try."""
        return min(FIRST_AGAIN * 2.0 ** min(self.attempts - 1, 10), MAX_AGAIN) if self.attempts else FIRST_AGAIN


def new_early() -> deque[Relayed]:
    """Room for what a peer says before it has a session."""
    return deque(maxlen=MAX_EARLY)


def is_wanted(receipt: CloseReceipt) -> bool:
    """Whether somebody asked for this end; else both would rather be connected."""
    code = receipt.reason.code
    if code == "busy" and receipt.by == "remote":
        return True  # the other side does not accept us
    return code not in UNWANTED


def who(peer: Peer) -> str:
    """What people call it."""
    return peer.name or peer.peer


def describe(pair: Pair, peer: Peer, now: float) -> Unconnected | None:
    """Why there is no connection with this peer; None: there is one."""
    live = pair.live
    if live is not None and live.state != "connecting":
        return None
    if peer.away and live is None and pair.standing not in {"over", "refused"}:
        return Unconnected(peer, "away", f"{who(peer)} is away: the server has lost the way to it")
    match pair.standing:
        case "new":
            return Unconnected(peer, "connecting", f"{who(peer)} has just come in")
        case "considered":
            return Unconnected(peer, "considered", f"whether {who(peer)} is accepted is not decided")
        case "refused":
            return Unconnected(peer, "refused", pair.text or f"{who(peer)} was not accepted here")
        case "together":
            return Unconnected(peer, "connecting", pair.text or f"{who(peer)} is not connected yet")
        case "apart":
            again = None if pair.again_at is None else max(0.0, pair.again_at - now)
            return Unconnected(peer, "again", pair.text, again)
        case "over":
            return Unconnected(peer, "over", pair.text)
