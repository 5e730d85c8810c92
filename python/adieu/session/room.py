"""A room: everybody in it who is accepted gets a session; leaving closes all of them gracefully."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, overload

import msgspec

from adieu.errors import SessionClosedError, SessionError, SignalingLostError
from adieu.events import is_own_cancel
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
from adieu.session.channel import payload_of
from adieu.session.connect_for import for_session
from adieu.session.emitter import Emitter
from adieu.session.given import channel_name, close_given
from adieu.session.ice_servers import IceServers
from adieu.session.machine.machine import SessionMachine
from adieu.session.pair import Pair, Unconnected, describe, is_wanted, new_early, who
from adieu.session.room_route import RoomRoute
from adieu.session.session import REMEMBERED, session_over, shell_of
from adieu.session.shell import Shell
from adieu.session.succession import Succession
from adieu.session.tasks import Tasks, report
from adieu.signaling import Down, Ended, Moved, RoomLost, SignalingClient, Up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
    from typing import TypeAlias

    from adieu.protocol.signaling import Peer, Relayed
    from adieu.protocol.words import Level
    from adieu.session.channel import Sent
    from adieu.session.connect_for import Connect
    from adieu.session.emitter import Handler, On, R, Reacts
    from adieu.session.machine.cause import Presence
    from adieu.session.machine.options import Options
    from adieu.session.receipt import CloseReceipt, ResetReport
    from adieu.session.session import Session
    from adieu.signaling import SignalingEvent
    from adieu.webrtc import RTCPeerConnection, TransportSettings

    PeerReport: TypeAlias = PeerJoined | PeerAway | PeerBack | PeerLeft
    Accept: TypeAlias = Callable[[Peer], bool | Awaitable[bool]]

EVENTS = frozenset({"session", "peer", "unconnected", "signaling"})
REMEMBER = 60.0
"""Seconds: late words for an ended session are answered with `closed`."""
CLAIM = 2.0
"""Seconds that somebody new waits while somebody we know is missing at the server."""
DOUBT = 6.0
"""Seconds after which a session that answers is believed more than the word that there is another."""
PACE = 0.5
"""Seconds between two sessions that the other side may begin."""
MAX_GONE = 256
MAX_SPOKEN = 16


class Room(Succession):
    """A room on a signaling server; made by `adieu.join()`.

    Attributes:
        name: the name of the room.
        client: the signaling client, for other uses.

    Thread safety: use it in one event loop only.
    """

    def __init__(
        self,
        client: SignalingClient,
        name: str,
        *,
        connect: Connect | None,
        settings: TransportSettings | None = None,
        accept: Accept | None,
        options: Options | None,
        on_wait: Callable[[str, float], bool] | None,
    ) -> None:
        super().__init__()
        self.name = name
        self.client = client
        self.tasks: Tasks = Tasks(f"room {name!r}")
        self._connect = connect
        """The user's own, if there is one."""
        self._settings = settings
        self._ice = IceServers(client)
        self._accept = accept
        self._options = options
        self._on_wait = on_wait
        self._me = client.peer
        self._peers: dict[str, Peer] = {}
        self._pairs: dict[str, Pair] = {}
        """The other peers by id, including some that have left."""
        self._by_id: dict[str, Session] = {}
        """Those that run, and those that ended a moment ago."""
        self._claims: dict[str, str] = {}
        """The new peer id that the other side claims in-band, by session."""
        self._spoken: dict[str, set[str]] = {}
        """The peers that have claimed by signaling to be the other side, by session."""
        self._arrivals: list[Session] = []
        """Connected, and not handed out yet."""
        self._changed = asyncio.Event()
        self._closing = False
        self._over: str | None = None
        self._emitter = Emitter(self.tasks, EVENTS, f"room {name!r}")

    # --- what people do with it ---------------------------------------------------------------------------

    async def session(self, name: str | None = None) -> Session:
        """Wait for the session with the next connected peer, each once; with `name`, the next peer of that name.

        Raises:
            SignalingLostError: the room has ended.

        Cancellation: no session is lost.
        """
        while True:
            for session in self._arrivals:
                if name is None or session.name == name:
                    self._arrivals.remove(session)
                    return session
            if self._over is not None or self._closing:
                raise SignalingLostError(f"room {self.name!r} is over: {self.over}")
            await self._changed.wait()

    async def __aiter__(self) -> AsyncIterator[Session]:
        """Yield each session as it connects, until this side leaves the room.

        Raises:
            SignalingLostError: the server has ended the room.
        """
        async for session in self._arriving(None):
            yield session

    async def broadcast(
        self, channel: str, data: str | bytes | bytearray | memoryview
    ) -> dict[Session, Sent | SessionError]:
        """Send one message to everybody with a session, on their channel of this name. Opens it where it is not open.

        Each peer gets it as fast as it can take it: a slow one does not hold the others up.

        Returns:
            For each session the accepted message, or the error that it met: most often that it ended meanwhile.

        Raises:
            TypeError, ValueError: it is neither text nor bytes, or the channel cannot be.

        Cancellation: peers that have not accepted it yet do not get it.
        """
        channel, _ = channel_name(channel), payload_of(data)  # before anybody gets it

        async def send(session: Session) -> Sent | SessionError:
            try:
                here = session.channels.get(channel) or await session.open(channel)
                return await here.send(data)
            except SessionError as error:
                return error

        async with asyncio.TaskGroup() as group:
            sends = {session: group.create_task(send(session)) for session in self.sessions}
        return {session: task.result() for session, task in sends.items()}

    @property
    def sessions(self) -> list[Session]:
        """Those that have not ended."""
        return [session for session in self._by_id.values() if session.receipt is None]

    @property
    def over(self) -> str | None:
        """Why the room is over; None: it is not."""
        return "it was left" if self._over is None and self._closing else self._over

    @property
    def _shells(self) -> list[Shell]:
        return [shell_of(session) for session in self.sessions]

    @property
    def peers(self) -> list[Peer]:
        """Return the other peers in the room, as the server reports them. It has lost the socket of `away` ones."""
        return list(self._peers.values())

    @property
    def unconnected(self) -> list[Unconnected]:
        """Return the other peers in the room that are not connected with us, and why (closing rule S13)."""
        now = asyncio.get_running_loop().time()
        described = (describe(self._pair(peer.peer), peer, now) for peer in self._peers.values())
        return [found for found in described if found is not None]

    def try_again(self, peer: str) -> bool:
        """Try now to connect with somebody whose last session ended, which nobody wanted, instead of when planned.

        Args:
            peer: its id, as `unconnected` has it.

        Returns:
            Whether it is tried: it is here, the server is up, and there is no session.
        """
        pair = self._pairs.get(peer)
        # Else it is planned again when the server, or the peer, is back.
        if pair is None or pair.standing != "apart" or not self.client.up or not self._is_here(peer):
            return False
        self._make(pair, pair.n + 1, invite=True)
        return True

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
        close_given(reason, timeout)
        self._closing = True
        self._wake()
        sessions = list(self._by_id.values())
        async with asyncio.TaskGroup() as group:
            closes = [group.create_task(session.close(reason, timeout)) for session in sessions]
        return [close.result() for close in closes]

    @property
    def may_close_for_all(self) -> bool:
        """Whether `close_for_all` is allowed: the token grants the right `close`."""
        return "close" in self.client.can

    async def close_for_all(self, reason: str = "", timeout: float | None = None) -> list[CloseReceipt]:  # noqa: ASYNC109
        """Close the room for everybody in it, with the cause `room-closed`; as `close` for the rest.

        Raises:
            SignalingRefusedError: the token does not grant the right `close`. Nothing is closed.
            SignalingLostError: the server cannot be reached. Nothing is closed.
        """
        close_given(reason, timeout)
        self.room_closing(True)  # the others may know it, and close, before the answer is here
        try:
            await self.client.close_room(self.name, reason)
        except BaseException:
            self.room_closing(False)
            raise
        return await self.close(reason, timeout)

    def _closed_for_all(self, reason: str) -> None:
        """Close all sessions: the server says that the room was closed for everybody."""
        self._over = f"the room was closed: {reason}" if reason else "the room was closed"
        self.room_closing(True)
        for session in self.sessions:
            self.tasks.spawn(session.close(reason), "closes a session with its room")

    @overload
    def on(self, name: Literal["session"]) -> On[Session]: ...
    @overload
    def on(self, name: Literal["session"], handler: Reacts[Session, R]) -> Reacts[Session, R]: ...
    @overload
    def on(self, name: Literal["peer"]) -> On[PeerReport]: ...
    @overload
    def on(self, name: Literal["peer"], handler: Reacts[PeerReport, R]) -> Reacts[PeerReport, R]: ...
    @overload
    def on(self, name: Literal["unconnected"]) -> On[Unconnected]: ...
    @overload
    def on(self, name: Literal["unconnected"], handler: Reacts[Unconnected, R]) -> Reacts[Unconnected, R]: ...
    @overload
    def on(self, name: Literal["signaling"]) -> On[SignalingEvent]: ...
    @overload
    def on(self, name: Literal["signaling"], handler: Reacts[SignalingEvent, R]) -> Reacts[SignalingEvent, R]: ...
    def on(self, name: str, handler: Handler | None = None) -> Any:
        """Add a handler, or decorate one.

        Events: `session` (a Session), `peer` (a report of the server: PeerJoined, PeerAway, …), `unconnected` (an
            Unconnected: a peer is not connected, or the reason has changed), `signaling` (Up, Down, Moved, Kicked,
            Goaway, RoomLost, Ended).
        """
        return self._emitter.on(name) if handler is None else self._emitter.on(name, handler)

    def __repr__(self) -> str:
        return f"<Room {self.name!r} with {len(self.sessions)} sessions>"

    # --- life ---------------------------------------------------------------------------------------------

    async def enter(self, meta: Mapping[str, Any] | None) -> None:
        """Join, and from now on follow what happens."""
        self.tasks.spawn(self._follow(), "follows the server")
        await self.client.join(self.name, meta)
        self.tasks.spawn(self._ice.renew(self._own_connections), "renews the ICE servers")

    async def leave(self) -> None:
        """After `close`: end what is left."""
        for pair in self._pairs.values():
            pair.forget_timer()
        async with asyncio.TaskGroup() as group:  # at once: what one waits for is not waited for again by the next
            for session in list(self._by_id.values()):
                group.create_task(session.end())
        await self.tasks.end()

    def _make_connection(self) -> RTCPeerConnection:
        from adieu.webrtc import peer_connection  # noqa: PLC0415 rooms are entered before it is loaded

        return peer_connection.RTCPeerConnection({"iceServers": self._ice.servers}, settings=self._settings)

    def _own_connections(self) -> list[RTCPeerConnection]:
        """Return those that the room has made: of connections that the program makes, it knows the servers."""
        return [session.pc for session in self.sessions if session.pc is not None and self._connect is None]

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
        self.look_again()

    async def _follow(self) -> None:
        async for event in self.client.events():
            self._handle(event)

    def _handle(self, event: SignalingEvent) -> None:
        match event:
            case Joined(room=self.name, peers=peers):
                self._joined(peers)
            case PeerJoined() | PeerAway() | PeerBack() | PeerLeft():
                if event.room == self.name:
                    self._peer_changed(event)
            case Up() | Down() | Moved() | Ended() | Kicked() | Goaway() | RoomLost(room=self.name):
                self._signaling(event)
            case words.Moved():
                self._moved_said(event)
            case Description() | Candidates():
                self._deliver(event)
            case words.Closing() | words.Wait() | words.Done() | words.Closed():
                self._deliver(event)
            case words.Reset() | words.ResetOk() | words.Switch() | words.Switched() | words.Cancel():
                self._deliver(event)
            case _:
                pass

    def _signaling(self, event: SignalingEvent) -> None:
        match event:
            case Up():
                for session in self._by_id.values():
                    shell_of(session).signaling_changed(True)
                for pair in self._pairs.values():
                    if pair.standing == "apart":
                        self._plan(pair)
            case Down(reason=reason):
                for session in self._by_id.values():
                    shell_of(session).signaling_changed(False, reason)
            case Moved(new=new):
                self._me = new
                for pair in self._pairs.values():
                    pair.n = 0  # of the sessions between the new ids there was none
                for shell in self._shells:
                    shell.say_moved(new)
            case Kicked(code="room-closed", reason=reason) | RoomLost(code="room-closed", text=reason):
                self._closed_for_all(reason)
            case Ended() | RoomLost():
                text = event.text if isinstance(event, RoomLost) else str(event.error or "it was left")
                self._over = self._over or text
                for session in self._by_id.values():
                    shell_of(session).signaling_changed(False, self._over)
            case _:
                pass
        self._emitter.emit("signaling", event)
        self._wake()

    # --- who is there -------------------------------------------------------------------------------------

    def _pair(self, peer: str) -> Pair:
        return self._pairs.setdefault(peer, Pair(peer))

    def _joined(self, peers: list[Peer]) -> None:
        self._me = self.client.peer
        self._peers = {peer.peer: peer for peer in peers}
        for peer in peers:
            self._arrived(peer)
        for shell in self._shells:
            self._say_moved(shell)

    def _peer_changed(self, event: PeerJoined | PeerAway | PeerBack | PeerLeft) -> None:
        match event:
            case PeerJoined(peer=peer, reloaded=reloaded):
                if (before := self._pairs.get(reloaded)) is not None and before.session is not None:
                    shell_of(before.session).presence_changed("left", reloaded=True)
                self._arrived(peer)
            case PeerAway(peer=id_):
                self._set_away(id_, away=True)
            case PeerBack(peer=id_):
                self._set_away(id_, away=False)
            case PeerLeft(peer=id_, reason=reason):
                self._peers.pop(id_, None)
                self._presence(id_, reason)
                self._forget_some()
        self._emitter.emit("peer", event)
        self._wake()

    def _set_away(self, id_: str, *, away: bool) -> None:
        known = self._peers.get(id_)
        if known is None:
            return
        peer = self._peers[id_] = msgspec.structs.replace(known, away=away)
        if away:
            self._presence(id_, "away")
            self._tell(self._pair(id_))
        else:
            self._arrived(peer)

    def _presence(self, peer: str, presence: Presence) -> None:
        pair = self._pairs.get(peer)
        if pair is not None and pair.session is not None:
            shell_of(pair.session).presence_changed(presence)

    def _forget_some(self) -> None:
        """Bound the memory of peers that have left."""
        gone = [id_ for id_, pair in self._pairs.items() if id_ not in self._peers and pair.live is None]
        for id_ in gone[: max(0, len(gone) - MAX_GONE)]:
            self._pairs.pop(id_).forget_timer()

    def _arrived(self, peer: Peer) -> None:
        self._peers[peer.peer] = peer
        pair = self._pair(peer.peer)
        match pair.standing:
            case "together":
                self._presence(peer.peer, "away" if peer.away else "here")
            case "apart":
                self._plan(pair)
            case "new":
                for shell in self._shells:
                    self._say_moved(shell)
                if not peer.away and not self._closing and pair.early is None:
                    pair.early = new_early()
                    self.tasks.spawn(self._consider(pair, peer), f"considers {who(peer)}")
            case _:
                pass
        self._tell(pair)

    def _tell(self, pair: Pair) -> None:
        """Say that, and why, somebody who is here is not connected."""
        peer = self._peers.get(pair.peer)
        if peer is None or self._closing or self._pairs.get(pair.peer) is not pair:
            return
        found = describe(pair, peer, asyncio.get_running_loop().time())
        if found is not None:
            self._emitter.emit("unconnected", found)

    def _is_here(self, id_: str) -> bool:
        """Whether a peer can be connected with now."""
        peer = self._peers.get(id_)
        return peer is not None and not peer.away and not self._closing and self._over is None

    # --- who gets a session -------------------------------------------------------------------------------

    async def _consider(self, pair: Pair, peer: Peer) -> None:
        """Decide about a peer; what it has said meanwhile is heard when it gets a session."""
        if await self._is_known(pair):
            return  # by another session, which has its place now
        pair.standing = "considered"
        if self._accept is not None:
            self._tell(pair)
        accepted = pair.accepted = pair.accepted or await self._asked(peer)
        await self._ice.known.wait()
        early, pair.early = pair.early or (), None
        pair.standing = "new"
        if not accepted:
            self._refuse(pair, peer, early)
            return
        self._prove_all()
        if self._pairs.get(pair.peer) is not pair:
            for message in early:
                self._deliver(message)
        elif self._is_here(pair.peer):
            self._begin(pair, early)
        # else it has left, or gone away: it is considered again when it is back

    async def _asked(self, peer: Peer) -> bool:
        """Ask `accept`. An exception counts as a no, and is reported once."""
        if self._accept is None:
            return True
        try:
            wanted = self._accept(peer)
            if inspect.isawaitable(wanted):
                wanted = await wanted
        except (Exception, asyncio.CancelledError) as error:
            if is_own_cancel(error):
                raise
            report(asyncio.get_running_loop(), f"accept() of {self!r} failed: {who(peer)} is refused", error)
            return False
        return bool(wanted)

    async def _is_known(self, pair: Pair) -> bool:
        """Wait whether a new peer is a known one with a new id from a restarted server.

        The wait is short, and ends when the peer starts a session of its own. A peer that claims the id only in-band,
        as the previous version did, is awaited while its session lives.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + CLAIM
        while self._pairs.get(pair.peer) is pair and not self._closing:
            lost = [shell for shell in self._shells if shell.peer_now not in self._peers]
            claimed = any(self._claims.get(shell.id) == pair.peer and shell.machine.state == "open" for shell in lost)
            speaks = any(pair.number(self.name, self._me, said.session) for said in pair.early or ())
            if not lost or speaks or (loop.time() >= until and not claimed):
                return False
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until if loop.time() < until else None):
                    await self._changed.wait()
        return True

    def _begin(self, pair: Pair, early: Iterable[Relayed]) -> None:
        """Start the first session with a peer. The other side may have started and given up earlier ones."""
        ended = offered = 0
        refused = False
        for message in early:
            n = pair.number(self.name, self._me, message.session) or 0
            match message:
                case Description(sdp_type="offer"):
                    offered = n
                case words.Closing() | words.Closed():
                    ended = max(ended, n)
                    refused = message.reason.code == "busy"
                case _:
                    pass
        if refused:
            pair.standing, pair.text, pair.n = "over", "the other side did not accept it", ended
            self._tell(pair)
            return
        n = max(offered, ended + 1)
        if offered <= ended and ended and not self._opens(pair):
            pair.n, pair.standing, pair.text = ended, "apart", "it gave up meanwhile"
            pair.attempts = 1
            self._plan(pair)
            return
        session = self._make(pair, n, invite=not offered)
        for message in early:
            if message.session == session.id:
                shell_of(session).signaled(message)

    def _opens(self, pair: Pair) -> bool:
        """Whether this side opens the sessions of the two: it has the smaller id."""
        return self._me < pair.peer

    def _refuse(self, pair: Pair, peer: Peer, early: Iterable[Relayed]) -> None:
        pair.standing, pair.text = "refused", f"{who(peer)} was not accepted by this side"
        spoken = [n for said in early if (n := pair.number(self.name, self._me, said.session))]
        self._say_no(pair, session_id(self.name, self._me, pair.peer, max(spoken, default=1)))
        self._tell(pair)

    def _say_no(self, pair: Pair, session: str) -> None:
        """Answer that this session does not exist here, and never will."""
        refused = words.Reason("busy", "not accepted")
        reason = refused if pair.standing == "refused" else words.Reason("left", "the last session was closed")
        self.client.send(
            words.Closed(
                receipt=receipt_id(session), closer=self._me, reason=reason, channels={}, session=session, to=pair.peer
            )
        )

    def _make(self, pair: Pair, n: int, *, invite: bool = False) -> Session:
        """The nth session with a peer, which is here."""
        peer = self._peers[pair.peer]
        machine = SessionMachine(
            me=self._me, peer=peer.peer, room=self.name, n=n, options=self._options, remembered=REMEMBERED
        )
        route = RoomRoute(self, peer.peer)
        make = for_session(self._connect or self._make_connection)
        shell = route.shell = Shell(machine, name=peer.name, connect=lambda: make(session), route=route)
        session = session_over(shell, self._on_wait)
        pair.forget_timer()
        pair.n, pair.session, pair.standing, pair.early = n, session, "together", None
        pair.began = asyncio.get_running_loop().time()
        self._by_id[session.id] = session
        self._emitter.emit("session", session)
        self._tell(pair)
        self.tasks.spawn(self._watch(session), f"watches the session with {who(peer)}")
        if not self.client.up:
            shell.signaling_changed(False)
        session.start()
        if invite and not machine.smaller:
            # Who opens may not look: it may still think of a session that has ended here (a long sleep).
            route.send(Candidates(epoch=1, candidates=[], session=session.id))
        return session

    async def _watch(self, session: Session) -> None:
        """Hand it out when it is connected; forget it a while after it has ended."""
        try:
            await session.wait_open()
            if (pair := self._pair_of(shell_of(session))) is not None:
                pair.attempts, pair.text = 0, ""
                self._arrivals = [
                    old for old in self._arrivals if old.receipt is None or shell_of(old).peer_now != pair.peer
                ]
            self._arrivals.append(session)
            self._wake()
        except SessionClosedError:
            pass
        receipt = await session.wait_closed()
        if (pair := self._pair_of(shell_of(session))) is not None:
            self._ended(pair, receipt)
        self._wake()
        await asyncio.sleep(REMEMBER)
        self._arrivals = [other for other in self._arrivals if other is not session]  # nobody has taken it
        await session.end()
        self._by_id.pop(session.id, None)
        self._claims.pop(session.id, None)
        self._spoken.pop(session.id, None)

    def _pair_of(self, shell: Shell) -> Pair | None:
        """Return the pair whose last session it is; None if there is a newer one."""
        pair = self._pairs.get(shell.peer_now)
        return pair if pair is not None and pair.session is not None and pair.session.id == shell.id else None

    # --- again --------------------------------------------------------------------------------------------

    def _ended(self, pair: Pair, receipt: CloseReceipt) -> None:
        """The last session with a peer is over: for good, or until the next."""
        pair.text = receipt.notice
        early, pair.early = pair.early, None
        if is_wanted(receipt):
            pair.standing = "over"
        else:
            pair.standing = "apart"
            pair.attempts += 1
            self._plan(pair)
        self._tell(pair)
        for message in early or ():
            self._deliver(message)

    def _plan(self, pair: Pair) -> None:
        """When the next session comes. The side with the smaller id opens it, the other can only guess."""
        pair.forget_timer()
        if not self._is_here(pair.peer):
            return  # planned again when it is back
        loop = asyncio.get_running_loop()
        pair.again_at = loop.time() + pair.delay()
        if self._opens(pair):
            pair.timer = loop.call_at(pair.again_at, self.try_again, pair.peer)

    def _other_began(self, pair: Pair, message: Relayed) -> None:
        """Handle a message of a session that does not exist here: the peer has started it, or asks us to."""
        n = pair.number(self.name, self._me, message.session)
        match message:
            case Description(sdp_type="offer") if not self._opens(pair):
                pass
            case Candidates(candidates=[]) if self._opens(pair):
                pass
            case _:
                return
        if n is None or not self._is_here(pair.peer):
            return
        now = asyncio.get_running_loop().time()
        live = pair.live
        if pair.standing in {"refused", "over"}:
            self._say_no(pair, message.session)
        elif live is not None and _is_well(live):
            # All is well here, as far as is known; what comes is kept until that is certain.
            pair.early = new_early()
            pair.keep(message)
            shell_of(live).doubt()
            asyncio.get_running_loop().call_later(DOUBT, self._no_doubt, pair, live)
        elif now - pair.began >= PACE:
            if live is not None:
                shell_of(live).superseded()
            session = self._make(pair, n)
            shell_of(session).signaled(message)

    def _no_doubt(self, pair: Pair, session: Session) -> None:
        if pair.session is session and _is_well(session):
            pair.early = None
        elif pair.session is session:
            self._take_early(pair)

    def state_changed(self, shell: Shell) -> None:
        """Handle the messages that were kept for a session that is in another state now."""
        self.look_again()
        pair = self._pair_of(shell)
        if pair is not None and pair.early and pair.session is not None and not _is_well(pair.session):
            asyncio.get_running_loop().call_soon(self._take_early, pair)

    def _take_early(self, pair: Pair) -> None:
        """Handle that the other side has started another session, and the known one does not answer."""
        if pair.live is None or _is_well(pair.live):
            return
        early, pair.early = pair.early, None
        for message in early or ():
            self._deliver(message)

    # --- who has a new id ---------------------------------------------------------------------------------

    def claimed(self, shell: Shell, peer: str) -> None:
        """The other side of a session says in-band that it has a new peer id. It has to say so by signaling, too."""
        self._claims[shell.id] = peer
        self._say_moved(shell)
        self._prove(shell)
        self._wake()

    def _say_moved(self, shell: Shell) -> None:
        """The word by signaling, once it is known where to."""
        to = self.address(shell)
        if shell.machine.moved_to and to in self._peers:
            self.client.send(words.Moved(peer=self._me, session=shell.id, to=to))

    def _moved_said(self, said: words.Moved) -> None:
        session = self._by_id.get(said.session)
        if session is not None and said.peer == said.from_:
            self._hear_of(shell_of(session), said.from_)

    def _hear_of(self, shell: Shell, sender: str) -> None:
        """Note that `sender` claims by signaling to be the other side of this session."""
        spoken = self._spoken.setdefault(shell.id, set())
        if len(spoken) < MAX_SPOKEN:
            spoken.add(sender)
        self._prove(shell)

    def _prove_all(self) -> None:
        for shell in self._shells:
            self._prove(shell)

    def _prove(self, shell: Shell) -> None:
        """Believe that the other side has a new id if it says so both in-band and, from there, by signaling.

        And only if the server has lost its old one: nobody is in two places. One that is being considered, or has a
        session of its own, is somebody else.
        """
        new, old = self._claims.get(shell.id), shell.peer_now
        if new is None or new == old or shell.receipt is not None:
            return
        if new not in self._spoken.get(shell.id, ()) or old in self._peers or new not in self._peers:
            return
        there = self._pair(new)
        if there.standing != "new" or self._pairs.get(old) is None:
            return
        pair = self._pairs.pop(old)
        early = there.early or ()
        pair.peer, pair.n = new, 0
        self._pairs[new] = pair
        shell.moved(new)
        self._presence(new, "away" if self._peers[new].away else "here")
        self._wake()
        for message in early:
            self._deliver(message)

    def address(self, shell: Shell) -> str:
        """Where the other side of a session is: if the server has lost it, where it says that it is."""
        known = shell.peer_now
        return known if known in self._peers else self._claims.get(shell.id, known)

    # --- what peers say -----------------------------------------------------------------------------------

    def _deliver(self, message: Relayed) -> None:
        sender = message.from_
        session = self._by_id.get(message.session)
        if session is not None:
            shell = shell_of(session)
            if shell.peer_now != sender and self._claims.get(session.id) == sender:
                self._hear_of(shell, sender)
            if shell.peer_now == sender:
                shell.signaled(message)
            return
        pair = self._pairs.get(sender)
        if pair is None or sender not in self._peers:
            return
        if pair.early is not None:
            pair.keep(message)
            self._wake()
        else:
            self._other_began(pair, message)


def _is_well(session: Session) -> bool:
    """Whether it has a connection without trouble."""
    return session.state in {"open", "resetting"} and session.epoch != 0
