"""Two sessions, each in a program of its own, over a network in memory."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from adieu.session import Session
from adieu.session.session import shell_of
from adieu.signaling import memory_signaling

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from adieu.signaling import MemorySignaling
    from adieu.testing.peer import Peer

NEWS = 0.01
"""Seconds after which a server would tell that a socket has ended."""


class Pair:
    """Two connected sessions, and the programs that they are in. `World.sessions` makes it.

    Attributes:
        first, second: the sessions; `first` has the smaller id.
        ada, ben: the programs that `first` and `second` are in.
        signaling: carries the signaling of both: `cut()`, `heal()`, `delay`.
    """

    def __init__(self, first: Session, second: Session, ada: Peer, ben: Peer, signaling: MemorySignaling) -> None:
        self.first = first
        self.second = second
        self.ada = ada
        self.ben = ben
        self.signaling = signaling
        for peer, other in ((ada, second), (ben, first)):
            peer.died.append(partial(self._tell, other))

    @property
    def sessions(self) -> tuple[Session, Session]:
        """Both sessions."""
        return self.first, self.second

    def cut(self, cut: bool = True) -> None:
        """Drop everything between the two, or heal that; signaling goes on."""
        if cut:
            self.ada.cut()
        else:
            self.ada.heal()

    async def both(self, state: str) -> None:
        """Wait until both sessions are in this state."""
        while any(session.state != state for session in self.sessions):  # noqa: ASYNC110 virtual time costs nothing
            await asyncio.sleep(0.001)

    def _tell(self, survivor: Session) -> None:
        """Report what a server reports when a program dies, if this side can hear it."""
        if self.signaling.up:
            asyncio.get_running_loop().call_later(NEWS, shell_of(survivor).presence_changed, "away")


def _session(
    peer: Peer, signaling: MemorySignaling, members: dict[str, Any], configuration: Mapping[str, Any]
) -> Session:
    with peer.use():
        session = Session(connect=partial(peer.connection, **configuration), signaling=signaling, **members)
        session.start()
    return session


@asynccontextmanager
async def connected(
    ada: Peer, ben: Peer, delay: float, members: dict[str, Any], configuration: Mapping[str, Any]
) -> AsyncGenerator[Pair]:
    """See `World.sessions`."""
    here, there = memory_signaling(delay=delay)
    first = _session(ada, here, {"role": "first", "name": "second", **members}, configuration)
    second = _session(ben, there, {"role": "second", "name": "first", **members}, configuration)
    try:
        await asyncio.gather(first.wait_open(), second.wait_open())
        yield Pair(first, second, ada, ben, here)
    finally:
        for peer in (ada, ben):
            if peer.is_stopped:
                peer.go_on()  # still cut off: what it says reaches nobody
        await asyncio.gather(first.close(timeout=0), second.close(timeout=0))
        await asyncio.gather(first.end(), second.end())
