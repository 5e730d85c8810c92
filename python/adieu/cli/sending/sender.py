"""The side that sends: it lets receivers in, as many at once as there are places, and serves each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from adieu.cli.sending.guest import Guest, Limit
from adieu.cli.sending.messages import ExchangeError, RefusedError
from adieu.cli.sending.proof import Pin
from adieu.cli.sending.tries import VoidError, WrongCodeError
from adieu.errors import SessionError, SignalingLostError
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
ROLE = "adieu send"
"""The member of a peer's metadata that says which side it is: `sender` or `receiver`."""


class Gate:
    """Lets as many peers in as there are places, each for its proof and its files; the others wait.

    Attributes:
        room: set when it is there.
        ice: the STUN and TURN servers that the signaling server names.
        waiting: set while somebody waits for a place.
        places: how many there are.
    """

    def __init__(self, places: int = 1) -> None:
        self.room: asyncio.Future[Room] = asyncio.get_running_loop().create_future()
        self.ice: list[dict[str, Any]] = []
        self.waiting: asyncio.Event = asyncio.Event()
        self.places: int = places
        self._inside: dict[str, asyncio.TimerHandle | None] = {}
        self._freed = asyncio.Event()

    async def __call__(self, peer: Peer) -> bool:
        """Wait for a place. Another sender gets no place."""
        room = await asyncio.shield(self.room)
        if peer.meta.get(ROLE) == "sender":
            return False
        while len(self._inside) >= self.places:
            self.waiting.set()
            await self._freed.wait()
            if all(each.peer != peer.peer for each in room.peers):
                return False  # it has left: its place would be empty for long
        timer = asyncio.get_running_loop().call_later(TO_CONNECT, self.leave, peer.peer)
        self._inside[peer.peer] = timer
        self.ice, _seconds = await room.client.ice_servers()
        return True

    def taken(self, peer: str) -> None:
        """The one that was let in is connected."""
        self._stop_timer(peer)
        self._inside[peer] = None

    def leave(self, peer: str) -> None:
        """Give its place to the next one."""
        self._stop_timer(peer)
        self._inside.pop(peer, None)
        self.waiting.clear()
        self._freed.set()
        self._freed = asyncio.Event()

    def _stop_timer(self, peer: str) -> None:
        timer = self._inside.get(peer)
        if timer is not None:
            timer.cancel()


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
        self._serving: set[asyncio.Task[None]] = set()

    def connect(self, session: Session) -> RTCPeerConnection:
        """Return a new connection for a session."""
        return self._pin_of(session).connection(self.gate.ice)

    def _pin_of(self, session: Session) -> Pin:
        """Return the pin of a session: the same for all its connections."""
        return self._pins.setdefault(session.id, Pin(self._certificate, self._settings))

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
        accepting = asyncio.create_task(self._accept(room))
        try:
            while not self._is_over():
                await self._changed.wait()
        finally:
            for task in (accepting, *self._serving):
                task.cancel()
            await asyncio.gather(accepting, *self._serving, return_exceptions=True)
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
            self.gate.taken(session.peer)
            task = asyncio.create_task(self._look_after(session, session.peer))
            self._serving.add(task)
            task.add_done_callback(self._served)

    def _served(self, task: asyncio.Task[None]) -> None:
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
        guest = Guest(self._listing, self._known, pin, self._display, self._limit, self._enter)
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
        except (WrongCodeError, RefusedError) as error:
            await self._refuse(session, error)
        except ExchangeError as error:
            guest.display.end()
            guest.display.say("failed", f"the receiver cannot go on: {error}")
            guest.how = "failed"
            await session.close(str(error)[:100], timeout=1.0)
        except SessionError:
            guest.how = await self._lost(session, guest)
        finally:
            leaving.cancel()
            guest.ended = asyncio.get_running_loop().time()
            self._pins.pop(session.id, None)
            if self._receivers is not None:
                self.gate.places = max(self._receivers - len(self.ended), 1)
            self.gate.leave(peer)

    def _enter(self, guest: Guest) -> None:
        """Count a receiver that has proved itself."""
        self.guests.append(guest)
        if self._several:
            guest.display = self._display.of(len(self.guests))

    async def _refuse(self, session: Session, error: Exception) -> None:
        left = self._known.tries.left
        self._display.say("wrong-code", f"{error} ({left} more tries)", left=left)
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
            guest.display.say("left", f"the receiver left: {receipt.notice}")
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
