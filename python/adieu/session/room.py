"""A room: everybody in it who is accepted gets a session; leaving closes all of them gracefully."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

import msgspec

from adieu.errors import SessionClosedError, SignalingError, SignalingLostError
from adieu.protocol import words
from adieu.protocol.ids import receipt_id, session_id
from adieu.protocol.signaling import (
    Candidates,
    Description,
    Goaway,
    Joined,
    Kicked,
    PeerAway,
    PeerBack,
    PeerJoined,
    PeerLeft,
)
from adieu.session.emitter import Emitter
from adieu.session.machine.machine import SessionMachine
from adieu.session.session import REMEMBERED, Post, Session
from adieu.session.tasks import Tasks
from adieu.signaling import Down, Ended, Moved, SignalingClient, Up
from adieu.webrtc import RTCPeerConnection

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
    from typing import TypeAlias

    from adieu.protocol.signaling import Peer, Relayed
    from adieu.protocol.words import Level
    from adieu.session.emitter import Handler
    from adieu.session.machine.options import Options
    from adieu.session.receipt import CloseReceipt, ResetReport
    from adieu.signaling import SignalingEvent
    from adieu.signaling.trust import Trust

    Accept: TypeAlias = Callable[[Peer], bool | Awaitable[bool]]

H = TypeVar("H")

logger: Final = logging.getLogger("adieu")

EVENTS = frozenset({"session", "peer", "signaling"})
REMEMBER = 60.0
"""Seconds: late words for an ended session are answered with `closed`."""
MAX_EARLY = 200
"""Messages of a peer that is being considered; more are dropped."""
CLAIM = 2.0
"""Seconds that somebody new waits while somebody we know is missing at the server."""


class Room:
    """A room on a signaling server; made by `adieu.join()`.

    Attributes:
        name: the room's.
        client: the signaling client, for those who need more of it.

    Thread safety: of one event loop.
    """

    def __init__(
        self,
        client: SignalingClient,
        name: str,
        *,
        connect: Callable[[], RTCPeerConnection] | None,
        accept: Accept | None,
        options: Options | None,
        on_wait: Callable[[str, float], bool] | None,
    ) -> None:
        self.name = name
        self.client = client
        self.tasks: Tasks = Tasks(f"room {name!r}")
        self._connect = connect
        """The user's own, if there is one."""
        self._ice: list[dict[str, Any]] = []
        self._ice_known = asyncio.Event()
        self._accept = accept
        self._options = options
        self._on_wait = on_wait
        self._me = client.peer
        self._peers: dict[str, Peer] = {}
        self._sessions: dict[str, Session] = {}
        """By the other side's peer id."""
        self._by_id: dict[str, Session] = {}
        self._ended: dict[str, float] = {}
        self._early: dict[str, list[Relayed]] = {}
        """By peer: what came while it was being considered."""
        self._arrivals: list[Session] = []
        """Connected, and not handed out yet."""
        self._changed = asyncio.Event()
        self._closing = False
        self._over: str | None = None
        self._emitter = Emitter(self.tasks, EVENTS, f"room {name!r}")

    # --- what people do with it ---------------------------------------------------------------------------

    async def session(self, name: str | None = None) -> Session:
        """The next peer that is connected, each once; with `name`, the next that people call so.

        Raises:
            SignalingLostError: the room is over; nobody will come any more.

        Cancellation: no session is lost.
        """
        while True:
            for session in self._arrivals:
                if name is None or session.name == name:
                    self._arrivals.remove(session)
                    return session
            if self._over is not None or self._closing:
                raise SignalingLostError(f"room {self.name!r} is over: {self._over or 'it was left'}")
            await self._changed.wait()

    @property
    def sessions(self) -> list[Session]:
        """Those that have not ended."""
        return [session for session in self._sessions.values() if session.receipt is None]

    @property
    def peers(self) -> list[Peer]:
        """Who else is in the room, as the server says."""
        return list(self._peers.values())

    @property
    def me(self) -> str:
        """Our own peer id."""
        return self._me

    async def reset(self, level: Level = "transport") -> list[ResetReport | BaseException]:
        """Reset all sessions at once: a report for each, or the error that it met."""
        return await asyncio.gather(*(session.reset(level) for session in self.sessions), return_exceptions=True)

    async def close(
        self,
        reason: str = "",
        timeout: float | None = None,  # noqa: ASYNC109 the deadline is the protocol's, not only the waiting's
    ) -> list[CloseReceipt]:
        """Close all sessions gracefully, at once, and leave the room.

        Args:
            reason: a few words for the people on the other sides.
            timeout: seconds for everything.

        Returns:
            The receipts.

        Cancellation: all go on abruptly; receipts are kept.
        """
        self._closing = True
        self._wake()
        sessions = list(self._sessions.values())
        async with asyncio.TaskGroup() as group:
            closes = [group.create_task(session.close(reason, timeout)) for session in sessions]
        return [close.result() for close in closes]

    @overload
    def on(self, name: str) -> Callable[[H], H]: ...
    @overload
    def on(self, name: str, handler: Handler) -> Handler: ...
    def on(self, name: str, handler: Handler | None = None) -> Any:
        """Add a handler, or decorate one.

        Events: `session` (a Session that has just been made), `peer` (what the server says: PeerJoined, PeerAway, …),
        `signaling` (Up, Down, Moved, Ended).
        """
        return self._emitter.on(name) if handler is None else self._emitter.on(name, handler)

    def __repr__(self) -> str:
        return f"<Room {self.name!r} with {len(self._sessions)} sessions>"

    # --- life ---------------------------------------------------------------------------------------------

    async def enter(self, meta: Mapping[str, Any] | None) -> None:
        """Join, and from now on follow what happens."""
        self.tasks.spawn(self._follow(), "follows the server")
        await self.client.join(self.name, meta)
        self.tasks.spawn(self._renew_ice(), "renews the ICE servers")

    async def leave(self) -> None:
        """After `close`: end what is left."""
        for session in list(self._sessions.values()):
            await session.end()
        await self.tasks.end()

    def _make_connection(self) -> RTCPeerConnection:
        return RTCPeerConnection({"iceServers": self._ice})

    async def _renew_ice(self) -> None:
        """Credentials for TURN hold for a while; new connections get fresh ones, and so do those that stand."""
        while True:
            try:
                self._ice, seconds = await self.client.ice_servers()
            except SignalingError:
                seconds = 30.0
            self._ice_known.set()
            for session in self.sessions:
                if (pc := session.pc) is not None and self._connect is None:
                    pc.setConfiguration({"iceServers": self._ice})
            if not seconds:
                return
            await asyncio.sleep(seconds * 2 / 3)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _follow(self) -> None:
        async for event in self.client.events():
            self._handle(event)

    def _handle(self, event: SignalingEvent) -> None:
        match event:
            case Joined(room=self.name, peers=peers):
                self._joined(peers)
            case PeerJoined(room=self.name, peer=peer, reloaded=reloaded):
                if reloaded in self._sessions:
                    self._sessions[reloaded].presence_changed("left", reloaded=True)
                self._arrived(peer)
            case PeerAway(room=self.name, peer=peer):
                self._presence(peer, "away")
            case PeerBack(room=self.name, peer=peer):
                self._presence(peer, "here")
            case PeerLeft(room=self.name, peer=peer, reason=reason):
                self._peers.pop(peer, None)
                self._presence(peer, reason)
            case Up() | Down() | Moved() | Ended() | Kicked() | Goaway():
                self._signaling(event)
            case Description() | Candidates():
                self._deliver(event)
            case words.Closing() | words.Wait() | words.Done() | words.Closed():
                self._deliver(event)
            case words.Reset() | words.ResetOk() | words.Switch() | words.Switched() | words.Cancel():
                self._deliver(event)
            case _:
                pass
        if isinstance(event, (PeerJoined, PeerAway, PeerBack, PeerLeft)):
            self._emitter.emit("peer", event)

    def _signaling(self, event: SignalingEvent) -> None:
        match event:
            case Up():
                for session in self._sessions.values():
                    session.signaling_changed(True)
            case Down(reason=reason):
                for session in self._sessions.values():
                    session.signaling_changed(False, reason)
            case Moved(new=new):
                self._me = new
                for session in self.sessions:
                    session.say_moved(new)
            case Ended(error=error):
                self._over = str(error) if error is not None else "it was left"
                for session in self._sessions.values():
                    session.signaling_changed(False, self._over)
            case _:
                pass
        self._emitter.emit("signaling", event)
        self._wake()

    def _joined(self, peers: list[Peer]) -> None:
        self._peers = {peer.peer: peer for peer in peers}
        for peer in peers:
            self._arrived(peer)

    def _arrived(self, peer: Peer) -> None:
        self._peers[peer.peer] = peer
        if peer.peer in self._sessions:
            self._presence(peer.peer, "away" if peer.away else "here")
        elif not self._closing and session_id(self.name, self._me, peer.peer) not in self._ended:
            if peer.peer not in self._early:
                self._early[peer.peer] = []
                self.tasks.spawn(self._consider(peer), f"considers {peer.name or peer.peer}")

    async def _consider(self, peer: Peer) -> None:
        """Decide about a peer; what it has said meanwhile is heard when it gets a session."""
        try:
            await self._decide(peer)
        finally:
            early = self._early.pop(peer.peer, [])
        for message in early:
            self._deliver(message)

    async def _decide(self, peer: Peer) -> None:
        if self._accept is not None:
            wanted = self._accept(peer)
            if not isinstance(wanted, bool):
                wanted = await wanted
            if not wanted:
                self._refuse(peer.peer)
                return
        await self._claimed(peer.peer)
        await self._ice_known.wait()
        if peer.peer in self._peers and peer.peer not in self._sessions and not self._closing:
            self._make(peer)

    async def _claimed(self, peer: str) -> None:
        """Somebody new may be somebody we know, whom a restarted server gave a new id: wait until it says so."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLAIM):
                while peer not in self._sessions and any(s.peer_now not in self._peers for s in self.sessions):
                    await self._changed.wait()

    def _refuse(self, peer: str) -> None:
        session = session_id(self.name, self._me, peer)
        self._ended[session] = asyncio.get_running_loop().time()
        reason = words.Reason("busy", "not accepted")
        closed = words.Closed(
            receipt=receipt_id(session), closer=self._me, reason=reason, channels={}, session=session, to=peer
        )
        self.client.send(closed)

    def _make(self, peer: Peer) -> Session:
        machine = SessionMachine(
            me=self._me, peer=peer.peer, room=self.name, options=self._options, remembered=REMEMBERED
        )
        post = RoomPost(self, peer.peer)
        session = Session.of_room(machine, self._connect or self._make_connection, post, peer.name, self._on_wait)
        self._sessions[peer.peer] = session
        self._by_id[session.id] = session
        post.session = session
        self._emitter.emit("session", session)
        self.tasks.spawn(self._watch(session), f"watches the session with {peer.name or peer.peer}")
        session.start()
        return session

    async def _watch(self, session: Session) -> None:
        """Hand it out when it is connected; forget it a while after it has ended."""
        try:
            await session.wait_open()
            self._arrivals.append(session)
            self._wake()
        except SessionClosedError:
            pass
        await session.wait_closed()
        self._ended[session.id] = asyncio.get_running_loop().time()
        self._wake()
        await asyncio.sleep(REMEMBER)
        await session.end()
        self._by_id.pop(session.id, None)
        for peer in [peer for peer, known in self._sessions.items() if known is session]:
            del self._sessions[peer]

    def moved(self, session: Session, old: str, new: str) -> None:
        """The other side of a session has a new peer id here: the session is known by it from now on."""
        if self._sessions.get(old) is session:
            del self._sessions[old]
        if new not in self._sessions:
            self._sessions[new] = session
        self._wake()

    def _presence(self, peer: str, presence: Any) -> None:
        if (session := self._sessions.get(peer)) is not None:
            session.presence_changed(presence)

    def _deliver(self, message: Any) -> None:
        if (early := self._early.get(message.from_)) is not None:
            if len(early) < MAX_EARLY:
                early.append(message)
            return
        session = self._by_id.get(message.session)
        if session is not None and self._sessions.get(message.from_) is session:
            session.signaled(message)


class RoomPost(Post):
    """By way of the room's server."""

    session: Session
    peer: str

    def __init__(self, room: Room, peer: str) -> None:
        self._room = room
        self.peer = peer

    def send(self, message: Relayed) -> None:
        """See `Post.send`."""
        try:
            self._room.client.send(msgspec.structs.replace(message, to=self.peer))
        except ValueError as error:
            # An account of very many channels, which the connection has carried, is too long for the server.
            logger.warning("%s: not said by signaling: %s", type(message).__name__, error)

    def probe(self) -> None:
        """See `Post.probe`."""
        self._room.tasks.spawn(self._probe(), "probes")

    async def _probe(self) -> None:
        try:
            probed = await self._room.client.probe(self.peer)
        except SignalingLostError:
            return
        self.session.probed(by_peer=False, alive=probed.socket)
        if probed.program:
            self.session.probed(by_peer=True, alive=True)

    def moved(self, peer: str) -> None:
        """See `Post.moved`."""
        old, self.peer = self.peer, peer
        self._room.moved(self.session, old, peer)


@asynccontextmanager
async def join(
    url: str,
    room: str,
    name: str = "",
    *,
    token: str | Callable[[], str | Awaitable[str]] | None = None,
    accept: Accept | None = None,
    meta: Mapping[str, Any] | None = None,
    connect: Callable[[], RTCPeerConnection] | None = None,
    options: Options | None = None,
    on_wait: Callable[[str, float], bool] | None = None,
    ssl: Trust | None = None,
) -> AsyncGenerator[Room]:
    """Enter a room on a signaling server; leaving the block closes all its sessions gracefully.

    ```python
    async with adieu.join("ws://127.0.0.1:8080/ws", room="lab", name="ada") as room:
        session = await room.session()
    ```

    Args:
        url: of the server, as `adieu serve` prints it.
        room: where peers find each other.
        name: what people read of us.
        token: a JWT, or a function that makes one; for a server with keys.
        accept: called with each `Peer`; whether it gets a session (its addresses become known to us, and ours to it).
            By default everybody in the room does.
        meta: told to the others.
        connect: makes an RTCPeerConnection; by default one with the server's ICE servers.
        options: numbers, see `adieu.session.Options`.
        on_wait: asked when another side wants more time while we close: `on_wait(reason, seconds) -> bool`.
        ssl: for `wss://`, whom to trust instead of whom the system trusts: an `ssl.SSLContext`, or a file with the
            certificates of CAs (or the server's own) in PEM.

    Raises:
        SignalingLostError: nobody answers at `url`.
        SignalingRefusedError: the server or the room does not want us, or its certificate is not trusted.
        ValueError: the url or the room's name is none, or the file holds no certificates.

    Cancellation: everything is closed, abruptly if the cancelling does not wait.
    """
    async with SignalingClient(url, name=name, token=token, ssl=ssl) as client:
        place = Room(
            client,
            room,
            connect=connect,
            accept=accept,
            options=options,
            on_wait=on_wait,
        )
        try:
            await place.enter(meta)
            try:
                yield place
            except BaseException as error:
                await place.close(reason=type(error).__name__)
                raise
            await place.close()
        finally:
            await place.leave()
