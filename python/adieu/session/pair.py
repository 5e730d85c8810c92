"""A room's state for one other peer: which of their sessions is current, or why they have no session."""

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
"""The most sessions that the other side may have started and given up unnoticed."""
FIRST_AGAIN, MAX_AGAIN = 1.0, 30.0
"""Seconds until the first, and between later, tries after an end that nobody wanted."""
UNWANTED = frozenset({"crashed", "frozen", "network-lost", "frozen, network-lost", "busy", "gave-up"})


@dataclass(frozen=True, slots=True)
class Unconnected:
    """A peer in the room without a connection to this side (closing rule S13).

    Attributes:
        peer: the peer id.
        why: `away`: the server has lost its socket. `considered`: `accept` has not decided. `refused`: `accept`
            refused. `connecting`: for the first time, or again. `again`: the last session ended unwanted, and the next
            one is about to start. `over`: the last session ended because somebody wanted it; no other starts by itself.
        text: the same for people, with the end of the last session, if there was one.
        again: seconds until the next attempt, approximately; None: no attempt is planned.
    """

    peer: Peer
    why: Why
    text: str
    again: float | None = None


@dataclass(slots=True)
class Pair:
    """This side and one other peer."""

    peer: str
    """The peer id."""
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
    """Messages of the peer for a session that does not exist yet; None: they are not kept."""
    _ids: dict[str, int] = field(default_factory=dict[str, int], repr=False)
    _ids_of: tuple[str, str, int] = ("", "", -1)

    @property
    def live(self) -> Session | None:
        """The session, if it has not ended."""
        return self.session if self.session is not None and self.session.receipt is None else None

    def number(self, room: str, me: str, session: str) -> int | None:
        """Return which of the coming sessions of the two peers this id names; None: not one of them."""
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
        """Cancel the next attempt."""
        if self.timer is not None:
            self.timer.cancel()
        self.timer, self.again_at = None, None

    def delay(self) -> float:
        """Seconds until the next try."""
        return min(FIRST_AGAIN * 2.0 ** min(self.attempts - 1, 10), MAX_AGAIN) if self.attempts else FIRST_AGAIN


def new_early() -> deque[Relayed]:
    """Bound the messages that a peer sends before it has a session."""
    return deque(maxlen=MAX_EARLY)


def is_wanted(receipt: CloseReceipt) -> bool:
    """Whether somebody asked for this end; else both would rather be connected."""
    code = receipt.reason.code
    if code == "busy" and receipt.by == "remote":
        return True  # the other side does not accept us
    return code not in UNWANTED


def who(peer: Peer) -> str:
    """Return the name of the peer for people."""
    return peer.name or peer.peer


def describe(pair: Pair, peer: Peer, now: float) -> Unconnected | None:
    """Why there is no connection with this peer; None: there is one."""
    live = pair.live
    if live is not None and live.state != "connecting":
        return None
    if peer.away and live is None and pair.standing not in {"over", "refused"}:
        return Unconnected(peer, "away", f"{who(peer)} is away: the server has lost its socket")
    match pair.standing:
        case "new":
            return Unconnected(peer, "connecting", f"{who(peer)} has just come in")
        case "considered":
            return Unconnected(peer, "considered", f"whether {who(peer)} is accepted is not decided")
        case "refused":
            return Unconnected(peer, "refused", pair.text or f"{who(peer)} was not accepted by this side")
        case "together":
            return Unconnected(peer, "connecting", pair.text or f"{who(peer)} is not connected yet")
        case "apart":
            again = None if pair.again_at is None else max(0.0, pair.again_at - now)
            return Unconnected(peer, "again", pair.text, again)
        case "over":
            return Unconnected(peer, "over", pair.text)
