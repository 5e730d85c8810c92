"""The signaling client on asyncio: one WebSocket, one task that owns it, and the machine that decides.

The owner task keeps the time and passes events on. Its two child tasks read and write; each socket gets new ones. When
the owner ends, everything is closed, every caller has an answer, and `Ended` is the last event.
"""

from __future__ import annotations

import asyncio
import errno
import inspect
import logging
import random
import re
import socket
import ssl as tls
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from adieu import log
from adieu.errors import SignalingError, SignalingLostError, SignalingRefusedError
from adieu.events import is_own_cancel
from adieu.protocol.redact import redact
from adieu.protocol.signaling import (
    SUBPROTOCOL,
    BareAck,
    CloseCode,
    CloseRoom,
    IceServers,
    IceServersRequest,
    Join,
    Joined,
    Kick,
    Leave,
    Left,
    Probe,
    Refresh,
    Refreshed,
    TokenExpiring,
)
from adieu.protocol.text import line
from adieu.signaling.buffer import EventBuffer
from adieu.signaling.events import Down, Ended, Moved, RoomLost, Undelivered, Up
from adieu.signaling.machine import Machine
from adieu.signaling.policy import Policy
from adieu.signaling.states import Alive, Answer, Refusal, Want
from adieu.signaling.trust import context_of, explain
from adieu.unclosed import warn_unclosed, where_made

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self, TypeAlias

    from adieu.protocol.signaling import FromServer, Peer, Relayed
    from adieu.signaling.events import SignalingEvent
    from adieu.signaling.states import Request
    from adieu.signaling.trust import Trust

    Token: TypeAlias = str | Callable[[], str | Awaitable[str]]

_socket_logger: Final = logging.getLogger("adieu.signaling.websocket")
_socket_logger.setLevel(logging.INFO)  # at DEBUG it would log frames with their tokens
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_COME_AGAIN = frozenset({408, 425, 429, 503})
"""HTTP statuses that mean: try again later."""
MAX_FRAME = 1024 * 1024
MAX_ROOM = 256
CLOSE_TIMEOUT = 1.0
LOOK_TIMEOUT = 1.0
"""How long the server may take to answer after a change of the network."""
DOUBT_TIMEOUT = 2.0
"""How long it may take while a peer is silent: perhaps this machine is cut off, from the server too."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Probed:
    """The result of a probe of a peer.

    Attributes:
        socket: the server has the socket of the peer.
        program: the program itself answered in time.
    """

    socket: bool
    program: bool


class SignalingClient:
    """A client of `adieu serve`: one WebSocket for any number of rooms.

    ```python
    async with SignalingClient("ws://127.0.0.1:8080/ws", name="ada") as client:
        peers = await client.join("lab")
        async for event in client.events():
            ...
    ```

    The client survives the loss of the server. It reconnects by itself, with waits that grow to two seconds, and takes
    its seat back: no relayed message is lost or doubled. After a restart of the server it has a new peer id (event
    `Moved`) and joins its rooms again.

    Always read the events: while `policy.events` of them wait, nothing is read from the server.

    Args:
        url: a `ws://` or `wss://` url, as `adieu serve` prints it.
        name: the name that people see.
        token: a JWT, or a function (plain or async) that makes one. The function is called for each connection, and
        when a token is about to expire.
        meta: metadata for the other peers of each room.
        policy: the timeouts and bounds.
        ssl: for `wss://`, the certificates to trust instead of the system's: an `ssl.SSLContext`, or a PEM file with
        certificates of CAs or of the server.

    Raises:
        ValueError: the url is not valid, or the file holds no certificates.

    Thread safety: use it in one event loop only.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str = "",
        token: Token | None = None,
        meta: Mapping[str, Any] | None = None,
        policy: Policy | None = None,
        ssl: Trust | None = None,
    ) -> None:
        self._host, self._path, secure = _read_url(url)
        self.url = url
        self._shown_url = _shown(url)
        self._log_id = log.new_id("ws")
        self._is_down = False
        self._ssl = context_of(ssl, secure=secure)
        self._token = token
        self._meta = dict(meta or {})
        self._policy = policy or Policy()
        self._machine = Machine(self._policy, name=name, random=random.random)
        self._answers: dict[int, asyncio.Future[FromServer]] = {}
        self._probes: dict[str, set[asyncio.Future[None]]] = {}
        self._events = EventBuffer(self._policy.events)
        self._wake = asyncio.Event()
        self._to_write = asyncio.Event()
        self._can_write = False
        """Whether the writer waits for frames: not while the socket is full, and not once the writer has ended."""
        self._owner: asyncio.Task[None] | None = None
        self._begun: asyncio.Future[None] | None = None
        self._socket: ClientConnection | None = None
        self._look: asyncio.Task[None] | None = None
        """Ends within two seconds, whatever becomes of its socket."""
        self._token_due = False
        self._patient_until = 0.0
        self._cause: BaseException | None = None
        """The cause of the last failed attempt to connect."""
        self._where = where_made()
        self._left = False
        """`quit` was called, or the block has ended."""

    def __del__(self) -> None:
        # # Its tasks keep it alive until its event loop has ended.
        owner = getattr(self, "_owner", None)
        if owner is not None and not self._left and (owner.cancelled() or not owner.done()):
            warn_unclosed(self, self._where, "its event loop has ended; await quit() before that")

    def __repr__(self) -> str:
        return f"<SignalingClient {self._shown_url}>"

    # --- begin and end ------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Connect.

        If the server is busy, try again for `policy.enter_timeout`.

        Raises:
            SignalingLostError: the server does not answer.
            SignalingRefusedError: the server refuses this client, or its certificate is not trusted.
        """
        if self._owner is not None:
            raise RuntimeError("a SignalingClient connects once: make another one")
        loop = asyncio.get_running_loop()
        self._begun = loop.create_future()
        self._patient_until = loop.time() + self._policy.enter_timeout
        self._machine.start(loop.time())
        self._owner = loop.create_task(self._own(), name=f"adieu signaling {self._shown_url}")
        try:
            await self._begun
        except BaseException:
            await self._cancel()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.quit()
        if self._owner is not None:
            self._owner.result()

    async def quit(self, reason: str = "") -> None:
        """Leave for good. Queued messages are sent first, within `policy.quit_timeout`. The seat is free at once.

        Cancellation: the client ends at once, without a goodbye.
        """
        if self._owner is None:
            return
        self._left = True
        self._machine.quit(reason, self._now())
        self._hand_out()
        self._wake.set()
        try:
            await asyncio.wait({self._owner})
        except asyncio.CancelledError:
            await self._cancel()
            raise

    async def _cancel(self) -> None:
        self._left = True
        if self._owner is not None:
            self._owner.cancel()
            await asyncio.wait({self._owner})

    # --- asking -------------------------------------------------------------------------------------------

    @property
    def peer(self) -> str:
        """Return the peer id of this client. It changes with `Moved`."""
        return self._machine.peer

    @property
    def can(self) -> frozenset[str]:
        """Return the rights that the token grants here, such as `kick` and `close`."""
        return self._machine.can

    @property
    def up(self) -> bool:
        """Whether the client is connected to the server."""
        return self._machine.up

    @property
    def rooms(self) -> frozenset[str]:
        """Return the rooms of this client. It joins them again after a reconnect."""
        return self._machine.rooms

    async def join(self, room: str, meta: Mapping[str, Any] | None = None) -> list[Peer]:
        """Join a room. The same list also comes as the event `Joined`, in order with the other events.

        Args:
            room: the name of the room.
            meta: metadata for the other peers there, in addition to the client's own.

        Returns:
            The other peers in the room.

        Raises:
            SignalingRefusedError: the room is full, or the token does not allow it (`code`).
            SignalingLostError: no answer within `policy.request_timeout`, or the client has ended.
            ValueError: the name is not valid, or the metadata is too long.

        Cancellation: the room is left again if it was entered.
        """
        if not 1 <= len(room) <= MAX_ROOM:
            raise ValueError(f"a room's name must have 1 to {MAX_ROOM} characters, not {len(room)}: {room[:40]!r}")
        return _expect(await self._ask(Join(room=room, meta={**self._meta, **(meta or {})})), Joined).peers

    async def leave(self, room: str, reason: str = "") -> None:
        """Leave a room. Raises as `join`; cancellation: it may be left or not."""
        _expect(await self._ask(Leave(room=room, reason=reason)), Left)

    async def ice_servers(self) -> tuple[list[dict[str, Any]], float]:
        """Return STUN and TURN servers with fresh credentials, and how many seconds they are valid.

        0 seconds: forever. Only after a join. Raises as `join`.
        """
        answer = _expect(await self._ask(IceServersRequest()), IceServers)
        return [msgspec.to_builtins(server) for server in answer.ice_servers], float(answer.ice_ttl)

    async def kick(self, peer: str, reason: str = "") -> None:
        """Remove a peer from the room; needs a token with the right `kick`. Raises as `join`."""
        _expect(await self._ask(Kick(peer=peer, reason=reason)), BareAck)

    async def close_room(self, room: str, reason: str = "") -> None:
        """Close a room for everybody in it; needs a token with the right `close`. This client stays until it leaves.

        Raises as `join`.
        """
        _expect(await self._ask(CloseRoom(room=room, reason=reason)), BareAck)

    async def refresh(self, token: str) -> float:
        """Give the server a new token before the old one expires.

        The client does this by itself if it has a token function. Raises as `join`.

        Returns:
            Seconds until it expires; 0: never.
        """
        return _expect(await self._ask(Refresh(token=token)), Refreshed).expires_in

    async def probe(self, peer: str, wait: float = 2.0) -> Probed:
        """Ask whether a peer is alive. The server answers for its socket, then the peer for itself.

        If the server does not answer within two seconds, its socket is given up, and the client dials again.

        Args:
            peer: the id of the peer.
            wait: seconds to wait for the peer's own answer.

        Raises:
            SignalingLostError: the server does not answer.
        """
        self._look_at_socket(DOUBT_TIMEOUT)
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._probes.setdefault(peer, set())
        waiting.add(answered)
        try:
            if not _expect(await self._ask(Probe(to=peer)), Probe).alive:
                return Probed(socket=False, program=False)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await answered
            return Probed(socket=True, program=answered.done() and not answered.cancelled())
        finally:
            waiting.discard(answered)
            if not waiting:
                self._probes.pop(peer, None)

    def send(self, message: Relayed) -> None:
        """Send a message to the peer `message.to`. Never blocks.

        While the server is away the message waits, and is sent after the resume. A message that cannot be delivered
        comes back as the event `Undelivered`. After `Ended` this does nothing.

        Raises:
            ValueError: the protocol does not allow the message, or it is too long; the error names the member.
        """
        self._machine.send(message)
        self._hand_out()
        self._wake.set()

    def network_changed(self, gone: Sequence[str] = ()) -> None:
        """Look at the socket at once: the network of this machine has changed, or will in a moment.

        A socket from an address that has gone is replaced, and so is one on which the server does not answer within a
        second. While the client waits to try again, it tries at once.

        Args:
            gone: the addresses that this machine has no longer.
        """
        self._machine.network_changed(self._now())
        websocket = self._socket
        if websocket is not None and websocket.transport.get_extra_info("sockname", ("",))[0] in gone:
            websocket.transport.abort()
        else:
            self._look_at_socket(LOOK_TIMEOUT)
        self._wake.set()

    def _look_at_socket(self, seconds: float) -> None:
        """Give the socket up if the server does not answer in this time."""
        if self._socket is not None and (self._look is None or self._look.done()):
            look = _look(self._socket, seconds)
            self._look = asyncio.get_running_loop().create_task(look, name="adieu looks at its socket")

    def events(self) -> AsyncIterator[SignalingEvent]:
        """Return the events from the first connection on; `Ended` is the last. Only one task may read them.

        Cancellation: no event is lost.
        """
        return self._events

    async def _ask(self, message: Request) -> FromServer:
        if self._owner is None:
            raise RuntimeError("the client is not connected: use it as `async with SignalingClient(…) as client`")
        number = self._machine.request(message, self._now())
        answer: asyncio.Future[FromServer] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        self._wake.set()
        try:
            return await answer
        finally:
            if self._answers.pop(number, None) is not None:
                self._machine.abandon(number)
            elif not answer.cancelled():
                answer.exception()  # retrieve it: the waiter was cancelled at the same moment

    # --- the owner ----------------------------------------------------------------------------------------

    async def _own(self) -> None:
        machine = self._machine
        try:
            while True:
                machine.handle_timeout(self._now())
                self._hand_out()
                match machine.want:
                    case Want.DIAL:
                        await self._connect()
                    case Want.WAIT | Want.TALK:
                        await self._pause()
                    case Want.NOTHING:
                        return
        except Exception as error:
            # # An unexpected exception: every waiter gets its text, and `__aexit__` raises it.
            self._cause = error
            machine.handle_lost(f"the client has failed: {_one_line(error)}", self._now(), code="failed", final=True)
            raise
        finally:
            machine.quit("", self._now())
            machine.handle_lost("the client was cancelled", self._now())
            self._hand_out()

    async def _connect(self) -> None:
        """Open a socket and use it until its end."""
        machine = self._machine
        async with asyncio.TaskGroup() as group:
            children = [reader := group.create_task(self._read(group))]
            reader.add_done_callback(lambda _: self._wake.set())
            while not reader.done() and machine.want in {Want.DIAL, Want.TALK}:
                await self._pause()
                machine.handle_timeout(self._now())
                self._hand_out()
                self._to_write.set()
                if self._token_due:
                    self._token_due = False
                    children.append(group.create_task(self._refresh()))
            if not reader.done() and self._socket is not None:
                with suppress(TimeoutError):  # a full socket would not take the close either
                    async with asyncio.timeout(CLOSE_TIMEOUT):
                        await self._socket.close(CloseCode.QUIT if machine.want is Want.NOTHING else CloseCode.LOST)
            for child in children:
                child.cancel()

    async def _pause(self) -> None:
        """Wait until something has happened, or is due."""
        deadline = self._machine.poll_timeout(can_write=self._can_write)
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await self._wake.wait()
        self._wake.clear()

    def _hand_out(self) -> None:
        while (output := self._machine.poll_event()) is not None:
            match output:
                case Answer(request=request, message=message):
                    if (answer := self._answers.pop(request, None)) is not None and not answer.done():
                        answer.set_result(message)
                case Refusal(request=request, error=error):
                    if (answer := self._answers.pop(request, None)) is not None and not answer.done():
                        answer.set_exception(error)
                case Alive(peer=peer):
                    for answered in self._probes.get(peer, ()):
                        if not answered.done():
                            answered.set_result(None)
                case _:
                    self._log(output)
                    self._begin(output)
                    self._events.put(output)
                    self._token_due |= isinstance(output, TokenExpiring) and callable(self._token)

    def _log(self, event: SignalingEvent) -> None:
        """Log the life of the client. Messages of the server are logged as frames."""
        match event:
            case Up(peer=peer, resumed=resumed):
                how = "resumed" if resumed else "with a new place"
                self._is_down = False
                log.SIGNALING.info("%s = connected to %s as peer %s, %s", self._log_id, self._shown_url, peer, how)
            case Down(reason=reason, retry_in=wait):
                text = log.text(reason)
                level = logging.DEBUG if self._is_down else logging.INFO  # a server may be away for hours
                log.SIGNALING.log(level, "%s ! not connected: %s; tries again in %.1f s", self._log_id, text, wait)
                self._is_down = True
            case Moved(old=old, new=new):
                log.SIGNALING.info("%s = was peer %s and is now peer %s", self._log_id, old, new)
            case RoomLost(room=room, text=text):
                log.SIGNALING.info("%s x left the room %r: %s", self._log_id, room, log.text(text))
            case Undelivered(to=to, code=code):
                log.SIGNALING.debug("%s ! not delivered to %s: %s", self._log_id, to, code)
            case Ended(error=error):
                why = "by quit()" if error is None else log.text(str(error))
                log.SIGNALING.info("%s x ended: %s", self._log_id, why)
            case _:
                pass

    def _begin(self, event: SignalingEvent) -> None:
        """Let `__aenter__` return or raise, as the first event decides."""
        if self._begun is None or self._begun.done():
            return
        match event:
            case Up():
                self._begun.set_result(None)
            case Down(by_server=True, retry_in=wait) if self._now() + wait < self._patient_until:
                pass
            case Down(reason=reason):
                self._fail_to_begin(SignalingLostError(f"no signaling at {self._shown_url}: {reason}"))
            case Ended(error=error):
                self._fail_to_begin(error or SignalingLostError(f"quit before {self._shown_url} had answered"))
            case _:
                pass

    def _fail_to_begin(self, error: SignalingError) -> None:
        error.__cause__ = self._cause
        if self._begun is not None:
            self._begun.set_exception(error)

    # --- the socket ---------------------------------------------------------------------------------------

    async def _read(self, group: asyncio.TaskGroup) -> None:
        try:
            token = await self._make_token()
            websocket = await self._dial()
        except _DialError as error:
            self._cause = error.__cause__
            # # After a successful join, such a refusal comes from a proxy while the server restarts.
            final = error.final and not self.peer
            self._machine.handle_lost(str(error), self._now(), code=error.code, final=final, by_server=error.by_server)
            return
        self._cause = None
        writer = group.create_task(self._write(websocket))
        self._socket = websocket
        try:
            self._machine.handle_open(token)
            self._wake.set()
            while True:
                frame = await websocket.recv()
                log.SIGNALING.debug("%s < %s", self._log_id, _Shown(frame))
                self._machine.handle_frame(frame, self._now())
                self._hand_out()
                self._wake.set()
                await self._events.room()
        except ConnectionClosed as closed:
            code, reason = _why(closed)
            final = code == CloseCode.EXPIRED and not callable(self._token)
            self._machine.handle_lost(reason, self._now(), code=code, final=final)
        finally:
            self._socket = None
            self._can_write = False
            writer.cancel()
            websocket.transport.abort()

    async def _write(self, websocket: ClientConnection) -> None:
        with suppress(ConnectionClosed):  # the reader sees it too, and reports it
            while True:
                self._to_write.clear()
                self._can_write = False
                while (frame := self._machine.poll_transmit(self._now())) is not None:
                    log.SIGNALING.debug("%s > %s", self._log_id, _Shown(frame))
                    await websocket.send(frame)
                    self._wake.set()  # another deadline may be next; only after a frame, or the two wake each other
                self._can_write = True
                await self._to_write.wait()

    async def _dial(self) -> ClientConnection:
        options: dict[str, Any] = {}
        if self._ssl is not None:  # without it, the system's CAs are trusted
            options["ssl"] = self._ssl
        try:
            websocket = await connect(
                self.url,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                compression=None,
                proxy=None if self._host in _LOOPBACK else True,
                user_agent_header="adieu",
                open_timeout=None,  # the machine's clock
                ping_interval=self._policy.ping,
                ping_timeout=self._policy.pong,
                close_timeout=CLOSE_TIMEOUT,
                max_size=MAX_FRAME,
                logger=_socket_logger,
                **options,
            )
        except InvalidStatus as error:
            raise self._no_websocket(error) from error
        except InvalidMessage as error:
            secure = self.url.lower().startswith("wss:")
            hint = "" if secure else ": if the server uses TLS, the url must begin with wss://"
            raise _DialError(f"the answer is not HTTP{hint} ({_one_line(error.__cause__ or error)})") from error
        except tls.SSLError as error:
            raise _DialError(explain(error, self._host), code="certificate", final=_is_verdict(error)) from error
        except socket.gaierror as error:
            raise _DialError(f"the host name {self._host!r} is unknown: {error.strerror or error}") from error
        except Exception as error:
            if isinstance(error, OSError) and is_refused(error):
                text = "nothing listens there; start a server with `adieu serve`"
                raise _DialError(text) from error
            # # Every other failure has a cause too, such as a system proxy that cannot be used.
            raise _DialError(_one_line(error)) from error
        if websocket.subprotocol != SUBPROTOCOL:
            websocket.transport.abort()
            text = f"a WebSocket, but not of adieu: it does not support {SUBPROTOCOL}{self._path_hint()}"
            raise _DialError(text, final=True)
        return websocket

    def _no_websocket(self, error: InvalidStatus) -> _DialError:
        """Return the error for an HTTP answer."""
        status = error.response.status_code
        body = line(bytes(error.response.body or b"")[:300].decode(errors="replace")).strip()
        again = status in _COME_AGAIN
        # # Most proxies answer with a page, which is not for a terminal.
        said = body if body and "<" not in body else line(error.response.reason_phrase) or "no reason given"
        text = f"HTTP {status}: {said}{'' if again else self._path_hint()}"
        return _DialError(text, final=not again and status < 500, by_server=again)

    def _path_hint(self) -> str:
        if re.search(r"/ws(/[\w-]+)?/?$", self._path):
            return ""
        path = f"{self._path.rstrip('/')}/ws"
        return f"; the path of a signaling server ends with /ws, but here it is {self._path!r}: try {path!r}"

    async def _make_token(self) -> str | None:
        if self._token is None or isinstance(self._token, str):
            return self._token
        try:
            token = self._token()
            return await token if inspect.isawaitable(token) else token
        except (Exception, asyncio.CancelledError) as error:
            if is_own_cancel(error):
                raise
            raise _DialError(f"no token: {error!r}") from error

    async def _refresh(self) -> None:
        """Refresh the token in time. If this fails, the socket ends with 3005, and the next `hello` has a new token."""
        try:
            token = await self._make_token()
            if token is not None:
                await self.refresh(token)
        except (_DialError, SignalingError) as error:
            log.SIGNALING.warning("%s ! the token was not refreshed: %s", self._log_id, log.text(str(error)))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


async def _look(websocket: ClientConnection, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await (await websocket.ping())
    except (TimeoutError, ConnectionClosed):
        websocket.transport.abort()


REFUSED = {str(errno.ECONNREFUSED), "1225", "10061"}
"""Nothing listens there; the last two are what Windows says."""


class _DialError(Exception):
    """The socket could not be opened. `final`: do not try again. `by_server`: the server asked to try again later."""

    def __init__(self, message: str, *, code: str | None = None, final: bool = False, by_server: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.final = final
        self.by_server = by_server


def _shown(url: str) -> str:
    """Return a URL for errors and the log: without a token, a password or a user."""
    scheme, slashes, rest = re.split("[?#]", url, maxsplit=1)[0].partition("//")
    return scheme + slashes + rest.rpartition("@")[2]


def _read_url(url: str) -> tuple[str, str, bool]:
    """Return host, path, and whether TLS is used."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:  # its text may have a part of a password
        raise ValueError(
            "this is not the url of a signaling server: its host cannot be read, or its port is no number up to 65535. "
            "In a password, write / ? # and @ with %, as %2F"
        ) from None
    if parts.scheme not in {"ws", "wss"} or not host:
        meant = {"http": "ws", "https": "wss"}.get(parts.scheme)
        path = parts.path if parts.path.rstrip("/").endswith("/ws") else parts.path.rstrip("/") + "/ws"
        hint = f"; try {meant}://{parts.netloc.rpartition('@')[2]}{path}" if meant and host else ""
        raise ValueError(
            f"{_shown(url)!r} is not the url of a signaling server: it needs ws:// or wss://, a host and a path{hint}"
        )
    if parts.fragment or (parts.username is not None and parts.password is None):
        more = "a part after #" if parts.fragment else "a user without a password"
        raise ValueError(f"{_shown(url)!r} is not the url of a signaling server: it has {more}. Give a token as token=")
    return host, parts.path, parts.scheme == "wss"


def _one_line(error: BaseException) -> str:
    """Return an error as one line that is never empty."""
    several: tuple[BaseException, ...] = getattr(error, "exceptions", ())  # of an exception group, as tasks raise it
    if several:
        return "; ".join(map(_one_line, several))
    if isinstance(error, (OSError, UnicodeError, SignalingError, WebSocketException)) and str(error):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def is_refused(error: OSError) -> bool:
    """Whether all addresses refused. For a name with several addresses asyncio writes all errors into one."""
    each = re.findall(r"\[(?:Errno|WinError) (\d+)\]", str(error)) if error.errno is None else [str(error.errno)]
    return bool(each) and all(number in REFUSED for number in each)


def _is_verdict(error: tls.SSLError) -> bool:
    """Whether another attempt would fail in the same way. A broken connection may be an accident."""
    return isinstance(error, tls.SSLCertVerificationError) or "ALERT" in (getattr(error, "reason", None) or "")


class _Shown:
    """A frame for the log; it is redacted only when it is written."""

    def __init__(self, frame: str | bytes) -> None:
        self._frame = frame

    def __str__(self) -> str:
        return redact(self._frame)


def _why(closed: ConnectionClosed) -> tuple[int | None, str]:
    if closed.rcvd is not None:
        return closed.rcvd.code, line(closed.rcvd.reason) or f"the server closed with code {closed.rcvd.code}"
    if closed.sent is not None:
        return None, closed.sent.reason or "the connection has failed"
    return None, "the connection was lost"


def _expect(answer: FromServer, kind: type[T]) -> T:
    if not isinstance(answer, kind):
        raise SignalingRefusedError(f"the server answered with {type(answer).__name__}", "bad-answer")
    return answer
