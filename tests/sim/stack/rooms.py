"""Rooms over real engines and a network in memory, with a signaling server that is as little as a room needs.

The server keeps seats, relays in order, and can lose the way to a seat (`away`), take it back, or be started anew.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from adieu.protocol.signaling import Joined, Peer, PeerAway, PeerBack, PeerJoined, PeerLeft
from adieu.protocol.words import Moved as PeerMoved
from adieu.session.room import Room
from adieu.signaling import Down, Ended, Moved, Probed, Up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from adieu.session import Session, Unconnected
    from support.virtual import World

DELAY = 0.005


class Client:
    """One seat's client: what `Room` uses of `SignalingClient`."""

    def __init__(self, server: Server, peer: str, name: str) -> None:
        self.server = server
        self.peer = peer
        self.name = name
        self.up = True
        self.old = False
        """Of the version before: it neither says nor knows `moved` by signaling."""
        self.said: list[Any] = []
        self._events: asyncio.Queue[Any] = asyncio.Queue()

    async def events(self) -> AsyncIterator[Any]:
        while True:
            event = await self._events.get()
            yield event
            if isinstance(event, Ended):
                return

    def hear(self, event: Any) -> None:
        self._events.put_nowait(event)

    async def join(self, room: str, meta: Any) -> None:
        del meta
        self.server.join(self, room)

    async def ice_servers(self) -> tuple[list[Any], float]:
        return [], 0.0

    def network_changed(self, gone: Sequence[str]) -> None:
        """A network in memory carries signaling apart from the connections."""

    async def probe(self, peer: str) -> Probed:
        await asyncio.sleep(2 * DELAY)
        there = peer in self.server.seats and peer not in self.server.away
        return Probed(socket=there, program=there)

    def send(self, message: Any) -> None:
        if self.old and isinstance(message, PeerMoved):
            return
        self.said.append(message)
        self.server.relay(self.peer, message)


class Server:
    def __init__(self) -> None:
        self.seats: dict[str, Client] = {}
        self.away: dict[str, list[Any]] = {}
        self.room = ""
        self.underway: deque[tuple[str, Any]] = deque()

    def described(self, client: Client) -> Peer:
        return Peer(peer=client.peer, name=client.name, away=client.peer in self.away)

    def join(self, client: Client, room: str) -> None:
        self.room = room
        client.hear(Joined(room=room, peers=[self.described(other) for other in self.seats.values()]))
        for other in list(self.seats):
            self.tell(other, PeerJoined(room=room, peer=self.described(client)))
        self.seats[client.peer] = client

    def tell(self, peer: str, event: Any) -> None:
        self.underway.append((peer, event))
        asyncio.get_running_loop().call_later(DELAY, self._arrive)

    def _arrive(self) -> None:
        peer, event = self.underway.popleft()  # in order, whichever timer runs first
        if peer in self.away:
            self.away[peer].append(event)
        elif peer in self.seats:
            self.seats[peer].hear(event)

    def relay(self, sender: str, message: Any) -> None:
        if sender in self.away or sender not in self.seats:
            return
        self.tell(message.to, msgspec.structs.replace(message, from_=sender))

    def lose(self, client: Client) -> None:
        """Its socket ends; the seat is kept."""
        self.away[client.peer] = []
        client.up = False
        client.hear(Down("lost", 1.0))
        for other in self.seats:
            self.tell(other, PeerAway(room=self.room, peer=client.peer))

    def resume(self, client: Client) -> None:
        """It takes its seat back, and what was kept for it."""
        kept = self.away.pop(client.peer)
        client.up = True
        client.hear(Up(client.peer, resumed=True))
        for event in kept:
            client.hear(event)
        for other in self.seats:
            if other != client.peer:
                self.tell(other, PeerBack(room=self.room, peer=client.peer))

    def vacate(self, client: Client) -> None:
        """The seat is given up: whoever comes back has another."""
        self.away.pop(client.peer, None)
        self.seats.pop(client.peer, None)
        for other in self.seats:
            self.tell(other, PeerLeft(room=self.room, peer=client.peer, reason="timeout"))

    def return_as(self, client: Client, peer: str) -> None:
        """The client comes back with a new seat."""
        old, client.peer = client.peer, peer
        client.up = True
        client.hear(Moved(old, peer))
        client.hear(Up(peer, resumed=False))
        self.join(client, self.room)

    def restart(self, *ids: str) -> None:
        """All seats are lost; the clients come back, in their order, with these ids."""
        clients = list(self.seats.values())
        self.seats.clear()
        self.away.clear()
        for client in clients:
            client.up = False
            client.hear(Down("the server is gone", 0.1))
        for client, peer in zip(clients, ids, strict=True):
            self.return_as(client, peer)


class Member:
    """A room, and what it has told."""

    def __init__(self, room: Room, client: Client) -> None:
        self.room = room
        self.client = client
        self.sessions: list[Session] = []
        self.told: list[Unconnected] = []
        room.on("session", self.sessions.append)
        room.on("unconnected", self.told.append)

    def whys(self) -> list[str]:
        """Why somebody was not connected, each reason once in a row."""
        whys: list[str] = []
        for each in self.told:
            if whys[-1:] != [each.why]:
                whys.append(each.why)
        return whys


class House:
    """The server and its rooms."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.server = Server()
        self.members: list[Member] = []
        self._hosts = world.hosts(8)

    async def enter(self, peer: str, *, name: str = "", old: bool = False, **members: Any) -> Member:
        """Somebody comes in, with this peer id."""
        host = next(self._hosts)
        client = Client(self.server, peer, name or peer)
        client.old = old
        connect = members.pop("connect", None) or (lambda: self.world.connection(host))
        members = {"accept": None, "options": None, "on_wait": None, **members}
        room = Room(client, "lab", connect=connect, **members)  # type: ignore[arg-type]
        member = Member(room, client)
        await room.enter(None)
        self.members.append(member)
        return member


@asynccontextmanager
async def house(world: World) -> AsyncIterator[House]:
    """Leaving the block ends all rooms."""
    made = House(world)
    try:
        yield made
    finally:
        for member in made.members:
            await member.room.close(timeout=0)
            member.client.hear(Ended(None))
            await member.room.leave()


async def until(condition: Any, seconds: float) -> None:
    """Let time pass until something holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def talk(one: Session, other: Session, text: str) -> None:
    """The two ends of one session are connected."""
    assert one.id == other.id
    here, there = await asyncio.gather(one.open("chat"), other.open("chat"))
    await here.send(text)
    assert await there.receive() == text
