"""The side that sends: it lets receivers in, as many at once as there are places, and serves each."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from adieu.cli.sending.display import amount, shown
from adieu.cli.sending.guest import Guest, Limit
from adieu.cli.sending.messages import ExchangeError, ToldError
from adieu.cli.sending.proof import Pin
from adieu.cli.sending.tries import VoidError, WrongCodeError
from adieu.errors import SessionError, SignalingLostError
from adieu.session.ice_servers import IceServers
from adieu.session.pair import is_wanted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from adieu.cli.sending.display import Display
    from adieu.cli.sending.listing import Listing
    from adieu.cli.sending.proof import Secrets
    from adieu.protocol.signaling import Peer
    from adieu.session import Room, Session
    from adieu.webrtc import RTCCertificate, RTCPeerConnection, TransportSettings

__all__ = ["Gate", "Limit", "Sender"]

MAX_WRONG = 3
"""Wrong codes; then this one is void: three guesses of 24 bits."""
TO_CONNECT = 45.0
"""Seconds for a peer that was let in to be connected."""
CANDIDATES = 6
"""Peers that are heard at the same time, before they have proved that they know the secret."""
HURRY = 8.0
"""Seconds that such a peer has while others wait: then the one that was let in first goes."""
ROLE = "adieu send"
"""The member of a peer's metadata that says which side it is: `sender` or `receiver`."""


class Gate:
    """Lets peers in: some as candidates, until they have proved themselves, and as many as there are places after that.

    A stranger that says nothing holds nobody up: the next candidate is heard meanwhile, and when strangers hold all of
    their places, the first of them goes.

    Attributes:
        room: set when it is there.
        ice: the STUN and TURN servers that the signaling server names; set with the room.
        waiting: set while somebody waits for a place.
        places: for those that have proved themselves.
    """

    def __init__(self, places: int = 1) -> None:
        self.room: asyncio.Future[Room] = asyncio.get_running_loop().create_future()
        self.ice: asyncio.Future[IceServers] = asyncio.get_running_loop().create_future()
        self.waiting: asyncio.Event = asyncio.Event()
        self.places: int = places
        self._candidates: dict[str, _Candidate] = {}
        """Those that have proved nothing yet, in the order in which they were let in."""
        self._inside: set[str] = set()
        """Those that have."""
        self._freed = asyncio.Event()

    async def __call__(self, peer: Peer) -> bool:
        """Wait for a place. Another sender gets no place."""
        room = await asyncio.shield(self.room)
        if peer.meta.get(ROLE) == "sender":
            return False
        while (full := len(self._inside) >= self.places) or len(self._candidates) >= CANDIDATES:
            await self._wait(None if full else self._until_first_goes())
            if all(each.peer != peer.peer for each in room.peers):
                return False  # it has left: its place would be empty for long
        loop = asyncio.get_running_loop()
        self._candidates[peer.peer] = _Candidate(loop.time(), loop.call_later(TO_CONNECT, self.leave, peer.peer))
        ice = await asyncio.shield(self.ice)
        await ice.known.wait()
        return True

    def taken(self, peer: str, put_out: Callable[[], None]) -> None:
        """The one that was let in is connected. `put_out` ends its session."""
        if (found := self._candidates.get(peer)) is None:  # it took long to connect
            found = self._candidates[peer] = _Candidate(asyncio.get_running_loop().time())
        found.stop_timer()
        found.put_out = put_out

    async def enter(self, peer: str) -> None:
        """Give a place to a candidate that has proved itself, when one is free."""
        candidate = self._candidates.pop(peer, None)
        if candidate is not None:
            candidate.stop_timer()
        while len(self._inside) >= self.places:
            await self._wait(None)
        self._inside.add(peer)
        self._wake()

    def leave(self, peer: str) -> None:
        """Give its place to the next one."""
        candidate = self._candidates.pop(peer, None)
        if candidate is not None:
            candidate.stop_timer()
        self._inside.discard(peer)
        self._wake()

    def _wake(self) -> None:
        self.waiting.clear()
        self._freed.set()
        self._freed = asyncio.Event()

    async def _wait(self, seconds: float | None) -> None:
        """Wait until a place may be free. With `seconds` the first candidate goes after them."""
        self.waiting.set()
        try:
            async with asyncio.timeout(seconds):
                await self._freed.wait()
        except TimeoutError:
            if len(self._candidates) >= CANDIDATES and self._until_first_goes() <= 0:
                peer, first = next(iter(self._candidates.items()))
                first.put_out()
                self.leave(peer)

    def _until_first_goes(self) -> float:
        first = next(iter(self._candidates.values()))
        return first.since + HURRY - asyncio.get_running_loop().time()


@dataclass(slots=True)
class _Candidate:
    since: float
    timer: asyncio.TimerHandle | None = None
    """Runs until it is connected."""
    put_out: Callable[[], None] = lambda: None

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()


class Sender:
    """One sending.

    Args:
        listing: makes the list of files, for each receiver.
        known: what a receiver may prove.
        certificate: for all connections.
        display: where it is said.
        limit: of the rate, for all receivers together.
        finished: called with a receiver that has everything, and its number from 1.
        receivers: it ends after so many; None: it never does.
        at_once: of them at the same time.
        settings: addresses and ports of the connections.

    Attributes:
        gate: who may come in.
        guests: those that proved that they know the secret, in the order of their coming.
    """

    def __init__(
        self,
        listing: Callable[[], Awaitable[Listing]],
        known: Secrets,
        certificate: RTCCertificate,
        display: Display,
        limit: Limit | None,
        finished: Callable[[Guest, int], None],
        *,
        receivers: int | None = 1,
        at_once: int = 16,
        settings: TransportSettings | None = None,
    ) -> None:
        places = at_once if receivers is None else min(receivers, at_once)
        self.gate: Gate = Gate(places)
        self.guests: list[Guest] = []
        self._listing = listing
        self._known = known
        self._certificate = certificate
        self._settings = settings
        self._display = display
        self._limit = limit
        self._finished = finished
        self._receivers = receivers
        self._several = receivers != 1
        self._pins: WeakValueDictionary[str, Pin] = WeakValueDictionary()
        """Session ids with their pins. The connections of a session hold its pin; it goes with them."""
        self._lost_room: SignalingLostError | None = None
        self._changed = asyncio.Event()
        self._serving: set[asyncio.Task[Any]] = set()

    def connect(self, session: Session) -> RTCPeerConnection:
        """Return a new connection for a session."""
        return self._pin_of(session).connection(self.gate.ice.result().servers)

    def _pin_of(self, session: Session) -> Pin:
        """Return the pin of a session: the same for all its connections."""
        return self._pins.setdefault(session.id, Pin(self._certificate, self._settings))

    def _open_connections(self) -> list[RTCPeerConnection]:
        return [pc for pin in list(self._pins.values()) for pc in pin.open]

    @property
    def ended(self) -> list[Guest]:
        """Return the receivers that are served, well or not."""
        return [guest for guest in self.guests if guest.how in {"done", "failed", "left", "unconfirmed"}]

    async def run(self, room: Room) -> int:
        """Serve until as many receivers as wanted have ended. Return the exit code: 0 if all of them hold the receipt.

        Raises:
            SignalingLostError: the server is gone for good, and nobody is served.
        """
        self.gate.room.set_result(room)
        self.gate.ice.set_result(ice := IceServers(room.client))
        accepting = asyncio.create_task(self._accept(room))
        renewing = asyncio.create_task(ice.renew(self._open_connections))
        try:
            while not self._is_over():
                await self._changed.wait()
        finally:
            for task in (accepting, renewing, *self._serving):
                task.cancel()
            await asyncio.gather(accepting, renewing, *self._serving, return_exceptions=True)
        if self._lost_room is not None:
            raise self._lost_room
        if self._receivers is not None and len(self.ended) < self._receivers:
            self._display.say(
                "void", f"{MAX_WRONG} wrong codes were tried: this code is void. Send again with a new one."
            )
            return 1
        return int(any(guest.how != "done" for guest in self.ended))

    def _is_over(self) -> bool:
        if self._receivers is not None and len(self.ended) >= self._receivers:
            return True
        shut = self._lost_room is not None or (not self._known.tries.left and self._known.link is None)
        return shut and not self._serving

    async def _accept(self, room: Room) -> None:
        while True:
            try:
                session = await room.session()
            except SignalingLostError as error:
                self._lost_room = error
                self._wake()
                return
            self.gate.taken(session.peer, partial(self._put_out, session))
            task = asyncio.create_task(self._look_after(session, session.peer))
            self._serving.add(task)
            task.add_done_callback(self._served)

    def _put_out(self, session: Session) -> None:
        """End the session of somebody who has proved nothing while others wait."""
        task = asyncio.create_task(session.close("it took too long to show the code or link", timeout=0.5))
        self._serving.add(task)
        task.add_done_callback(self._served)

    def _served(self, task: asyncio.Task[Any]) -> None:
        self._serving.discard(task)
        if not task.cancelled() and task.exception() is not None:
            task.get_loop().call_exception_handler(
                {"message": "a receiver was not served", "exception": task.exception(), "task": task}
            )
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _look_after(self, session: Session, peer: str) -> None:
        """Serve one receiver, and say how it ended."""
        pin = self._pin_of(session)
        guest = Guest(self._listing, self._known, pin, self._display, self._limit, partial(self._enter, peer))
        leaving = asyncio.create_task(self._give_way(session))
        try:
            confirmed = await guest.serve(session)
            guest.how = "done" if confirmed else "unconfirmed"
            if confirmed:
                self._finished(guest, self.guests.index(guest) + 1)
        except OSError as error:  # the receipt cannot be written
            guest.how = "failed"
            guest.display.say("failed", f"{error.filename or ''}: {error.strerror or error}")
            await session.close("the sender cannot go on", timeout=1.0)
        except WrongCodeError as error:
            await self._refuse(session, error)
        except ExchangeError as error:
            if guest.path:  # else somebody who proved nothing: its words are not shown
                guest.display.end()
                who = "the receiver cannot" if isinstance(error, ToldError) else "cannot"
                guest.display.say("failed", f"{who} go on: {error}")
                guest.how = "failed"
            await session.close(str(error)[:100], timeout=1.0)
        except SessionError:
            guest.how = await self._lost(session, guest)
        except Exception:
            guest.how = "failed"  # else it would be waited for
            raise
        finally:
            leaving.cancel()
            guest.ended = asyncio.get_running_loop().time()
            self._pins.pop(session.id, None)
            if self._receivers is not None:
                self.gate.places = max(self._receivers - len(self.ended), 1)
            self.gate.leave(peer)

    async def _enter(self, peer: str, guest: Guest) -> None:
        """Give a receiver that has proved itself a place, and count it."""
        await self.gate.enter(peer)
        self.guests.append(guest)
        if self._several:
            guest.display = self._display.of(len(self.guests))

    async def _refuse(self, session: Session, error: Exception) -> None:
        left = self._known.tries.left
        self._display.say("wrong-code", f"{error} ({left or 'no'} more {'try' if left == 1 else 'tries'})", left=left)
        if not left and self._known.link is not None and not isinstance(error, VoidError):
            self._display.say("void", "So many wrong codes were tried that the code is void. The link still works.")
        await session.close("the code was wrong", timeout=1.0)

    async def _lost(self, session: Session, guest: Guest) -> str:
        """Say how a session ended that was to send. Return how that counts."""
        receipt = await session.wait_closed()
        if not guest.path:
            return ""  # somebody who proved nothing
        guest.display.end()
        if is_wanted(receipt) and receipt.by == "remote":
            size = 0 if guest.listing is None else guest.listing.size
            why = f": {shown(receipt.reason.text)}" if receipt.reason.text else ""
            guest.display.say("left", f"The receiver left{why}. It has {amount(guest.sent)} of {amount(size)}.")
            return "left"
        text = f"{receipt.notice} Waiting for the receiver: the same command goes on from there."
        guest.display.say("lost", text)
        return "lost"

    async def _give_way(self, session: Session) -> None:
        """End a session whose receiver was killed as soon as its successor waits; do not wait for it to come back."""
        while session.receipt is None:
            await self.gate.waiting.wait()
            if session.state in {"suspect", "recovering"}:
                await session.close("another receiver has come", timeout=0.5)
                return
            await asyncio.sleep(0.2)
