"""A session: the asyncio shell around the session machine.

Everything the machine is told and everything it asks for passes through `step`: what happened goes in, what is to be
done is done at once and in order, what is to be told is told to handlers and to those who wait.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import secrets
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import msgspec

from adieu.errors import (
    AdieuError,
    ChannelError,
    ResetFailedError,
    SessionClosedError,
    SignalingLostError,
)
from adieu.protocol import control, words
from adieu.protocol.signaling import Candidates, Description, Probe, Relayed
from adieu.protocol.text import checked
from adieu.session import events
from adieu.session.channel import Channel
from adieu.session.connection import Connection
from adieu.session.emitter import Emitter, settle_current
from adieu.session.ledger import Held, Ledger
from adieu.session.machine import actions
from adieu.session.machine.flow import Remembered
from adieu.session.machine.machine import SessionMachine
from adieu.session.notice import sentence
from adieu.session.receipt import CloseReceipt, ResetReport
from adieu.session.recorder import Recorder
from adieu.session.tasks import Tasks, report
from adieu.session.transfer import Transfers
from adieu.unclosed import warn_unclosed, where_made

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike
    from types import TracebackType
    from typing import Self

    from adieu.protocol.words import AnyWord, Level
    from adieu.session.emitter import Handler
    from adieu.session.machine.actions import StateName
    from adieu.session.machine.cause import Presence
    from adieu.session.machine.liveness import LossKind
    from adieu.session.machine.options import Options
    from adieu.session.transfer import IncomingFile, Transfer
    from adieu.signaling import Signaling
    from adieu.webrtc import RTCPeerConnection

H = TypeVar("H")
T = TypeVar("T")

SAY_AGAIN = 1.0
"""Seconds: an offer over signaling of the user's own, to which nothing has come back, is said again."""
HANDLERS_FINISH = 1.0
"""Seconds: after the end, handlers that still run may finish."""
RELEASED = 2.5
"""Seconds: after the end, so long connections whose release met the deadline are watched; the core needs at most 2."""
EVENTS = frozenset({"state", "closing", "closed", "channel", "file", "signaling", "reset"})
REMEMBERED = Remembered()
"""Of this process: messages sent again after a session ended are known again by the next one."""


class Session:
    """The link of two peers, which outlives its connections, ends with a receipt, and can be reset any number of times.

    `room.session()` gives those of a room. By itself, over any signaling of your own:

    ```python
    async with adieu.Session(connect=adieu.RTCPeerConnection, signaling=mine, role="first") as session:
        chat = await session.open("chat")
    ```

    Leaving the block closes it gracefully.

    Args:
        connect: a function that makes a new RTCPeerConnection, each time one is needed: the first time, and for each
            reset. One that is in use already cannot become a session's: the session ends at once and says so.
        signaling: carries messages to the other side's session, in order (see `adieu.signaling.Signaling`).
        role: `first` on one side, `second` on the other.
        name: what people call the other side.
        options: numbers, see `adieu.session.Options`.
        on_wait: asked when the other side wants more time while this side closes: `on_wait(reason, seconds) -> bool`.

    Thread safety: of one event loop.
    """

    def __init__(
        self,
        *,
        connect: Callable[[], RTCPeerConnection],
        signaling: Signaling,
        role: Literal["first", "second"],
        name: str = "",
        options: Options | None = None,
        on_wait: Callable[[str, float], bool] | None = None,
    ) -> None:
        if role not in {"first", "second"}:
            raise ValueError(f"role is {role!r}; one side is 'first', the other 'second'")
        check_connect(connect)
        post = DirectPost(signaling)
        machine = SessionMachine(
            me=secrets.token_hex(16), peer="", smaller=role == "first", options=options, remembered=REMEMBERED
        )
        self._init(machine, connect, post, name, on_wait)
        post.session = self

    @classmethod
    def of_room(
        cls,
        machine: SessionMachine,
        connect: Callable[[], RTCPeerConnection],
        post: Post,
        name: str,
        on_wait: Callable[[str, float], bool] | None,
    ) -> Session:
        """What a room makes; a program gets it from `Room.session()`."""
        session = cls.__new__(cls)
        session._init(machine, connect, post, name, on_wait)  # noqa: SLF001 its own class
        return session

    def _init(
        self,
        machine: SessionMachine,
        connect: Callable[[], RTCPeerConnection],
        post: Post,
        name: str,
        on_wait: Callable[[str, float], bool] | None,
    ) -> None:
        self.machine = machine
        self.name = name
        self.tasks: Tasks = Tasks(f"session {machine.session[:8]}")
        self.receipt: CloseReceipt | None = None
        self.signaling_up: bool = True
        self._loop = asyncio.get_running_loop()
        self._connect = connect
        self._post = post
        self._on_wait = on_wait
        self._connections: dict[int, Connection] = {}
        self._left: list[Held] = []
        self._channels: dict[str, Channel] = {}
        self._emitter = Emitter(self.tasks, EVENTS, "the session")
        self._recorder = Recorder()
        self._transfers = Transfers(self)
        self._timer: asyncio.TimerHandle | None = None
        self._settling = False
        self._started = False
        self._closers = 0
        self._open: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[CloseReceipt] = self._loop.create_future()
        self._reset_waiters: list[asyncio.Future[ResetReport]] = []
        self._where = where_made()
        for future in (self._open, self._ended):
            future.add_done_callback(lambda future: future.cancelled() or future.exception())

    # --- life ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect. Called by `async with` and by a room."""
        if not self._started:
            self._started = True
            self._post.start()
            self.step(self.machine.start)

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.close(reason="" if error is None else f"{type(error).__name__}")
        finally:
            await self.end()

    async def end(self) -> None:
        """After the close: let handlers that still run and connections that still end finish, then end all tasks.

        Both have a bound. What is left is in `ledger()`.
        """
        if not self._ended.done():
            self._abort()
            await asyncio.wait({self._ended})
        await self._emitter.settle(HANDLERS_FINISH)
        if releasing := {c.releasing for c in self._connections.values() if c.releasing is not None}:
            await asyncio.wait(releasing, timeout=RELEASED)
        await self._post.stop()
        await self.tasks.end()
        self._emitter.clear()
        for channel in self._channels.values():
            channel.forget()

    # --- what it is ---------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The session's id: the same on both sides, and for its whole life."""
        return self.machine.session

    @property
    def me(self) -> str:
        """This side's peer id."""
        return self.machine.me

    @property
    def peer(self) -> str:
        """The other side's peer id."""
        return self.machine.peer

    @property
    def peer_now(self) -> str:
        """The other side's peer id at the server, if that was restarted; else `peer`."""
        return self._post.peer or self.machine.peer

    @property
    def state(self) -> StateName:
        """See `adieu.session.machine.machine`."""
        return self.machine.state

    @property
    def epoch(self) -> int:
        """The number of the connection that carries the session; 0 if there is none at the moment."""
        return self.machine.active or 0

    @property
    def pc(self) -> RTCPeerConnection | None:
        """The W3C connection of the moment: tracks and plain channels are added there. None before and after."""
        epoch = self.machine.active
        connection = self._connections.get(epoch) if epoch is not None else None
        if connection is None and self._connections:
            connection = self._connections[max(self._connections)]
        return connection.pc if connection is not None else None

    @property
    def channels(self) -> dict[str, Channel]:
        """The channels that stand, by name."""
        return dict(self._channels)

    def __del__(self) -> None:
        # It is kept by its tasks and timers until its event loop has ended.
        if getattr(self, "_started", False) and self.receipt is None:
            warn_unclosed(self, self._where, "its event loop has ended without a goodbye; await close() before that")

    def __repr__(self) -> str:
        return f"<Session {self.id[:8]} with {self.name or self.peer!r}: {self.state}>"

    # --- what people do with it ---------------------------------------------------------------------------

    async def wait_open(self) -> None:
        """Wait until it is connected.

        Raises:
            SessionClosedError: it ended before.
            NotAdieuPeerError: the other side does not speak adieu.

        Cancellation: the session goes on.
        """
        self.check_loop()
        await asyncio.shield(self._open)

    async def open(
        self,
        name: str,
        *,
        ordered: bool = True,
        max_retransmits: int | None = None,
        max_packet_life_time: int | None = None,
    ) -> Channel:
        """A named channel; the same name on both sides is the same channel.

        Args:
            name: 1 to 128 characters.
            ordered: messages come in the order they were sent.
            max_retransmits: unreliable: how often a lost piece is sent again.
            max_packet_life_time: unreliable: milliseconds after which a lost piece is given up.

        Raises:
            ChannelError: the other side wants it differently.
            SessionClosedError: the session has ended, or is closing.
            ValueError: a wrong name or number.

        Cancellation: the channel may stand or not; opening it again gives the same one.
        """
        name = checked("a channel's name", name, 1, control.MAX_NAME)
        if max_retransmits is not None and max_packet_life_time is not None:
            raise ValueError("max_retransmits and max_packet_life_time exclude each other")
        for what, value in (("max_retransmits", max_retransmits), ("max_packet_life_time", max_packet_life_time)):
            if value is not None and not 0 <= value <= 65535:
                raise ValueError(f"{what}={value}: 0 to 65535")
        reliability = control.Reliability(max_retransmits=max_retransmits, max_packet_life_time=max_packet_life_time)
        self.check_loop()
        self.step(lambda now: self.machine.open_channel(name, ordered=ordered, reliability=reliability, now=now))
        channel = self._channel(name)
        await asyncio.shield(channel.opened)
        return channel

    def _channel(self, name: str) -> Channel:
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = Channel(self, name)
            if self.machine.channels[name].open:
                channel.opened.set_result(None)
        return channel

    async def close(
        self,
        reason: str = "",
        timeout: float | None = None,  # noqa: ASYNC109 the deadline is the protocol's, not only the waiting's
    ) -> CloseReceipt:
        """Close gracefully: announce, drain, close the channels, close the connection, clean up.

        Args:
            reason: a few words for the people on the other side.
            timeout: seconds for everything, 5 by default. What has not arrived by then is in the receipt. 0: at once.

        Returns:
            The receipt; the same again if it has ended already.

        Cancellation: when the last one who awaits the close is cancelled it goes on abruptly, and this raises when
            the receipt is there, half a second later at most; cancelled again, at once.
        """
        settle_current()
        if self.receipt is not None:
            return self.receipt
        self.check_loop()
        seconds = self.machine.options.close_timeout if timeout is None else timeout
        if not 0 <= seconds < math.inf:
            raise ValueError(f"timeout={seconds}: 0 or more seconds")
        said = words.reason("left", reason)  # before anything begins: what is no text ends nothing
        self.start()
        self.step(lambda now: self.machine.ask_close(said, seconds, now))
        self._closers += 1
        try:
            return await asyncio.shield(self._ended)
        except asyncio.CancelledError:
            if self._closers == 1:
                self._abort()
                # A program that is interrupted has no later moment for its receipt.
                await asyncio.wait({self._ended})
            raise
        finally:
            self._closers -= 1

    def check_loop(self) -> None:
        """A session lives in one event loop, and not longer.

        Raises:
            SessionClosedError: its event loop has ended, and it with it.
            RuntimeError: the caller is in another event loop.
        """
        if asyncio.get_running_loop() is self._loop:
            return
        whom = self.name or self.peer
        if self._loop.is_closed():
            raise SessionClosedError(
                f"the session with {whom} ended with its event loop, without a goodbye", self.receipt
            )
        raise RuntimeError(
            f"the session with {whom} is in another event loop: asyncio.run_coroutine_threadsafe(…, loop) goes there"
        )

    def _abort(self) -> None:
        if not self._ended.done():
            self.step(self.machine.abort)

    async def wait_closed(self) -> CloseReceipt:
        """Wait for the end, whoever brings it: the receipt.

        Cancellation: the session goes on.
        """
        settle_current()
        if self.receipt is not None:
            return self.receipt
        self.check_loop()
        return await asyncio.shield(self._ended)

    async def reset(self, level: Level = "transport") -> ResetReport:
        """Renew what is under the session; channels and messages stay, nothing is lost or doubled.

        Args:
            level: `ice` a new network path; `transport` a new connection beside the old one; `full` the old one
                closed first, devices asked again.

        Returns:
            How it went. A second call joins a running reset; a higher level raises it.

        Raises:
            ResetFailedError: it was given up; the session goes on, or recovers, as its state says.
            SessionClosedError: the session is closing or has ended.
            ValueError: no such level.

        Cancellation: the reset goes on; the session owns it.
        """
        if level not in {"ice", "transport", "full"}:
            raise ValueError(f"level={level!r}: 'ice', 'transport' or 'full'")
        await self.wait_open()
        done: asyncio.Future[ResetReport] = self._loop.create_future()
        done.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._reset_waiters.append(done)
        try:
            self.step(lambda now: self.machine.ask_reset(level, now))
        except AdieuError:
            self._reset_waiters.remove(done)
            raise
        return await asyncio.shield(done)

    async def send_file(self, path: str | PathLike[str], *, name: str | None = None, type: str = "") -> Transfer:  # noqa: A002
        """Offer a file to the other side; see `Transfer`.

        Args:
            path: the file. It is not to change before it is there.
            name: what the other side is told, 1 to 255 characters; by default the file's own name.
            type: its media type, if known; at most 255 characters.

        Raises:
            OSError: it cannot be read, or is a folder, a device or a pipe; the path is named.
            SessionClosedError: the session has ended.
            ValueError: the name or the type is too long.

        Cancellation: nothing has been offered.
        """
        return await self._transfers.send(path, name, type)

    @overload
    def on(self, name: str) -> Callable[[H], H]: ...
    @overload
    def on(self, name: str, handler: Handler) -> Handler: ...
    def on(self, name: str, handler: Handler | None = None) -> Any:
        """Add a handler (plain or async), or decorate one. Handlers run one after the other.

        Events: `state` (StateEvent), `closing` (ClosingEvent), `closed` (ClosedEvent), `channel` (ChannelEvent),
        `file` (IncomingFile), `signaling` (SignalingChange), `reset` (ResetEvent).

        Raises:
            ValueError: there is no such event.
        """
        if handler is None:
            self._emitter.on(name)
            return partial(self.on, name)
        self._emitter.on(name, handler)
        if name == "file":
            self._transfers.handler_added()
        return handler

    def off(self, name: str, handler: Handler) -> None:
        """Remove a handler."""
        self._emitter.off(name, handler)

    def ledger(self) -> Ledger:
        """What is still held, and where it was made."""
        held = [Held("connection", f"connection {c.epoch}", c.where) for c in self._connections.values()]
        held += self._left
        held += [Held("task", name) for name in self.tasks.names()]
        if self._timer is not None:
            held.append(Held("timer", "the session's clock"))
        handlers = self._emitter.count() + sum(channel.handlers for channel in self._channels.values())
        if handlers:
            held.append(Held("handler", "of the session and its channels", count=handlers))
        return Ledger(tuple(held))

    def recording(self) -> Recorder:
        """The flight recorder: the last things that happened."""
        return self._recorder

    # --- the machine --------------------------------------------------------------------------------------

    def step(self, call: Callable[[float], T]) -> T:
        """Tell the machine something; then do and tell what it wants."""
        result = call(self._loop.time())
        self._settle()
        return result

    def _settle(self) -> None:
        if self._settling:
            return  # what an action brings about is done by the loop that is doing it
        self._settling = True
        machine = self.machine
        try:
            while True:
                if (action := machine.poll_action()) is not None:
                    self._do(action)
                elif (event := machine.poll_event()) is not None:
                    self._tell(event)
                else:
                    break
        finally:
            self._settling = False
        self._arm()

    def _arm(self) -> None:
        when = self.machine.poll_timeout()
        if self._timer is not None:
            if when is not None and self._timer.when() == when and not self._timer.cancelled():
                return
            self._timer.cancel()
            self._timer = None
        if when is not None:
            self._timer = self._loop.call_at(when, self._due)

    def _due(self) -> None:
        # A loop may call a little early, by its clock's resolution: it is the time that was asked for.
        when = self._timer.when() if self._timer is not None else 0.0
        self._timer = None
        self.step(lambda now: self.machine.handle_timeout(max(now, when)))

    def _do(self, action: actions.AnyAction) -> None:
        match action:
            case actions.SendData(epoch=epoch, id=id_, data=data):
                if (connection := self._connections.get(epoch)) is not None:
                    connection.send_data(id_, data)
            case actions.SendControl(epoch=epoch, text=text):
                self._recorder.note(self._loop.time(), ">", text[:200])
                if (connection := self._connections.get(epoch)) is not None:
                    connection.send_control(text)
            case actions.AskDrained(epoch=epoch, id=id_, most=most):
                if (connection := self._connections.get(epoch)) is not None:
                    connection.ask_drained(id_, most)
            case actions.Connect(epoch=epoch, offer=offer):
                self._make_connection(epoch, offer)
            case actions.OpenStream(epoch=epoch):
                if (connection := self._connections.get(epoch)) is not None:
                    connection.open_stream(action)
            case actions.CloseStream(epoch=epoch, id=id_):
                if (connection := self._connections.get(epoch)) is not None:
                    connection.close_stream(id_)
            case actions.RestartIce(epoch=epoch):
                if (connection := self._connections.get(epoch)) is not None:
                    connection.restart_ice()
            case actions.AskFresh(epoch=epoch):
                if (connection := self._connections.get(epoch)) is not None:
                    connection.ask_fresh()
            case actions.Release(epoch=epoch):
                if (connection := self._connections.get(epoch)) is not None:
                    connection.release()
                else:  # it could not be made
                    self.step(lambda now: self.machine.released(epoch, now))
            case actions.Signal(word=word):
                self.signal(word)
            case actions.Probe():
                self._post.probe()

    def _make_connection(self, epoch: int, offer: bool) -> None:
        try:
            pc = _new(self._connect(), [connection.pc for connection in self._connections.values()])
        except Exception as error:  # noqa: BLE001 it is the user's function
            self._recorder.note(self._loop.time(), "!", f"connection {epoch}: {error!r}")
            report(self._loop, f"connection {epoch} of {self!r} could not be made", error)
            text = str(error) or type(error).__name__
            self.step(lambda now: self.machine.cannot_connect(epoch, text, now))
            return
        self._recorder.note(self._loop.time(), "=", f"connection {epoch} is made")
        self._connections[epoch] = Connection(
            epoch,
            pc,
            offer=offer,
            polite=self.machine.smaller,
            sink=self,
            tasks=self.tasks,
        )

    def _tell(self, event: actions.AnyEvent) -> None:
        match event:
            case actions.Readable(name=name) | actions.Acknowledged(name=name):
                if (channel := self._channels.get(name)) is not None:
                    channel.changed()
            case actions.StateChanged():
                self._state_changed(event)
            case actions.ChannelOpened(name=name, incoming=incoming):
                known = name in self._channels
                channel = self._channel(name)
                if not channel.opened.done():
                    channel.opened.set_result(None)
                if incoming and not known and not self._transfers.owns(name):
                    self._emitter.emit("channel", events.ChannelEvent(channel))
            case actions.ChannelFailed(name=name, message=message):
                channel = self._channels.pop(name, None)
                if channel is not None and not channel.opened.done():
                    channel.opened.set_exception(ChannelError(message))
            case actions.ClosingAsked(reason=reason, deadline=deadline):
                closing = events.ClosingEvent(reason, deadline - self._loop.time(), self._ask_wait)
                self._emitter.emit("closing", closing, lambda: self.step(self.machine.last_words_over))
            case actions.WaitAsked(reason=text, eta=eta):
                if self._on_wait is not None and self._on_wait(text, eta):
                    self.machine.grant_wait(eta, self._loop.time())
            case actions.ResetStarted(level=level, asker=asker):
                self._emitter.emit("reset", events.ResetEvent(level, asker))
            case actions.ResetEnded():
                self._reset_ended(event)
            case actions.FileSaid(file=file):
                self._transfers.said(file)
            case actions.MediaSaid():
                pass  # notices about tracks come with media
            case actions.PeerMoved(peer=peer):
                self._post.moved(peer)
            case actions.Ended():
                self._finish()

    def _state_changed(self, event: actions.StateChanged) -> None:
        self._recorder.note(self._loop.time(), "=", f"{event.state} {event.cause}".rstrip())
        self._post.state_changed()
        if event.state == "open" and not self._open.done():
            self._open.set_result(None)
        told = events.StateEvent(event.state, event.previous, event.cause, event.evidence)
        self._emitter.emit("state", told)

    @property
    def takes_files(self) -> bool:
        """Whether anybody handles `file`."""
        return self._emitter.has("file")

    def tell_file(self, file: IncomingFile, then: Callable[[], None]) -> None:
        """The other side offers a file; `then` is called when the handlers are done with it."""
        self._emitter.emit("file", file, then)

    def _ask_wait(self, reason: str, seconds: float) -> None:
        if not 0 <= seconds < math.inf:
            raise ValueError(f"{seconds} more seconds: 0 or more")
        self.step(lambda now: self.machine.ask_wait(reason, seconds, now))

    def _reset_ended(self, event: actions.ResetEnded) -> None:
        raised = event.error.startswith("raised to") or event.error == "tried again"
        report = ResetReport(event.level, event.asker, event.epoch, event.duration, event.replayed)
        if event.error:
            self._emitter.emit("reset", events.ResetEvent(event.level, event.asker, error=event.error))
        else:
            self._emitter.emit("reset", events.ResetEvent(event.level, event.asker, report=report))
            self._transfers.reconnected()
        if raised:
            return  # who waits for it waits for the one that follows
        waiters, self._reset_waiters = self._reset_waiters, []
        for waiter in waiters:
            if event.error:
                waiter.set_exception(ResetFailedError(f"the reset ({event.level}) failed: {event.error}", report))
            else:
                waiter.set_result(report)

    def _finish(self) -> None:
        """The machine is done: the receipt, and an answer for everybody who waits."""
        outcome = self.machine.outcome
        assert outcome is not None  # noqa: S101 the machine has just said so
        self._arm()
        self._transfers.end(outcome.reason.text or outcome.cause)
        senders = {name: channel.sender for name, channel in self.machine.channels.items()}
        self.receipt = CloseReceipt(
            outcome, self._still_held(), sentence(outcome, self.name), senders, self._transfers.arrived
        )
        self._recorder.note(self._loop.time(), "=", self.receipt.notice)
        error = self._ending_error()
        if not self._open.done():
            self._open.set_exception(error)
        for channel in self._channels.values():
            if not channel.opened.done():
                channel.opened.set_exception(error)
            channel.changed()
        waiters, self._reset_waiters = self._reset_waiters, []
        for waiter in waiters:
            waiter.set_exception(error)
        self._ended.set_result(self.receipt)
        self._emitter.emit("closed", events.ClosedEvent(self.receipt))

    def _still_held(self) -> Ledger:
        held = [Held("connection", f"connection {c.epoch}", c.where) for c in self._connections.values()]
        return Ledger((*held, *self._left))

    def _ending_error(self) -> SessionClosedError:
        assert self.receipt is not None  # noqa: S101 set just before
        return SessionClosedError(self.receipt.notice, self.receipt)

    # --- what connections tell (connection.Sink) ----------------------------------------------------------

    def control_opened(self, epoch: int, max_message: int) -> None:
        """See `SessionMachine.control_opened`."""
        self.step(lambda now: self.machine.control_opened(epoch, max_message, now))

    def control_received(self, epoch: int, text: str | bytes) -> None:
        """See `SessionMachine.control_received`."""
        shown = text if isinstance(text, str) else f"{len(text)} bytes"
        self._recorder.note(self._loop.time(), "<", shown[:200])
        self.step(lambda now: self.machine.control_received(epoch, text, now))

    def data_received(self, epoch: int, id_: int, data: bytes | str) -> None:
        """See `SessionMachine.data_received`."""
        if isinstance(data, str):
            self.step(lambda now: self.machine.end_by_violation(now, "text on a session channel"))
            return
        self.step(lambda now: self.machine.data_received(epoch, id_, data, now))

    def stream_opened(self, epoch: int, id_: int) -> None:
        """See `SessionMachine.stream_opened`."""
        self.step(lambda now: self.machine.stream_opened(epoch, id_, now))

    def stream_closed(self, epoch: int, id_: int | None) -> None:
        """See `SessionMachine.stream_closed`."""
        self.step(lambda now: self.machine.stream_closed(epoch, id_, now))

    def drained(self, epoch: int, id_: int, buffered: int) -> None:
        """See `SessionMachine.drained`."""
        self.step(lambda now: self.machine.drained(epoch, id_, buffered, now))

    def connection_lost(self, epoch: int, kind: LossKind, text: str) -> None:
        """See `SessionMachine.connection_lost`."""
        self._recorder.note(self._loop.time(), "!", f"connection {epoch}: {text}")
        self.step(lambda now: self.machine.connection_lost(epoch, kind, text, now))

    def no_way_out(self, epoch: int, text: str) -> None:
        """See `SessionMachine.no_way_out`."""
        self._recorder.note(self._loop.time(), "!", f"connection {epoch}: {text}")
        self.step(lambda now: self.machine.no_way_out(epoch, text, now))

    def ice_changed(self, epoch: int, state: str) -> None:
        """See `SessionMachine.ice_changed`."""
        self._recorder.note(self._loop.time(), "=", f"connection {epoch}: ICE {state}")
        self.step(lambda now: self.machine.ice_changed(epoch, state, now))

    def negotiated(self, epoch: int) -> None:
        """See `SessionMachine.negotiated`."""
        self.step(lambda now: self.machine.negotiated(epoch, now))

    def fresh(self, epoch: int, age: float | None) -> None:
        """See `SessionMachine.fresh`."""
        self.step(lambda now: self.machine.fresh(epoch, age, now))

    def released(self, epoch: int) -> None:
        """See `SessionMachine.released`."""
        connection = self._connections.pop(epoch, None)
        if connection is not None:
            self._left += connection.left
        self.step(lambda now: self.machine.released(epoch, now))

    # --- signaling ----------------------------------------------------------------------------------------

    def signal(self, message: Relayed) -> None:
        """Hand a message to the other side's session by signaling."""
        addressed = msgspec.structs.replace(message, session=self.machine.session, to=self.machine.peer)
        if not isinstance(message, (Description, Candidates)):
            self._recorder.note(self._loop.time(), ">", f"by signaling: {type(message).__name__}")
        self._post.send(addressed)

    def signaled(self, message: Relayed) -> None:
        """A message of the other side's session by signaling."""
        match message:
            case Description(epoch=epoch) | Candidates(epoch=epoch):
                if isinstance(message, Description):
                    wanted = self.step(lambda now: self.machine.wants_description(epoch, now))
                    if not wanted:
                        return
                if (connection := self._connections.get(epoch)) is not None:
                    connection.signaled(message)
            case Probe() | words.Moved():
                pass  # answered by the client; heard by the room
            case _:
                word: AnyWord = message
                self._recorder.note(self._loop.time(), "<", f"by signaling: {type(message).__name__}")
                self.step(lambda now: self.machine.signal_received(word, now))

    def superseded(self) -> None:
        """The other side has begun another session with this one: here it ends, too."""
        self.step(self.machine.superseded)

    def doubt(self) -> None:
        """There is a sign that the other side is not there any more: ask it."""
        self.step(self.machine.doubt)

    def signaling_changed(self, up: bool, reason: str = "") -> None:
        """Signaling is up or down."""
        if up == self.signaling_up:
            return
        self.signaling_up = up
        self._emitter.emit("signaling", events.SignalingChange(up, reason))
        self.step(lambda now: self.machine.signaling_changed(up, now))

    def signaling_broken(self, message: str) -> None:
        """The other side says something by signaling that makes no sense."""
        self.step(lambda now: self.machine.end_by_violation(now, f"by signaling: {message}"))

    def say_moved(self, peer: str) -> None:
        """A restarted server gave this side a new peer id: tell the other side, which would not know it."""
        self.step(lambda now: self.machine.say_moved(peer, now))

    def moved(self, peer: str) -> None:
        """It is certain that the other side has a new peer id at the server."""
        self._post.peer = peer

    def presence_changed(self, presence: Presence, *, reloaded: bool = False) -> None:
        """What the server says of the other side."""
        self.step(lambda now: self.machine.presence_changed(presence, now, reloaded=reloaded))

    def probed(self, *, by_peer: bool, alive: bool) -> None:
        """The answer to a probe."""
        self.step(lambda now: self.machine.probed(by_peer, alive, now))


class Post:
    """How a session's signaling messages travel."""

    peer: str = ""
    """The other side's peer id at the server."""

    def start(self) -> None:
        """Begin to receive."""

    async def stop(self) -> None:
        """Receive no more."""

    def send(self, message: Relayed) -> None:
        """Queue a message; never blocks, never raises for the state of the network."""
        raise NotImplementedError

    def probe(self) -> None:
        """Ask whether the other side is there; `Session.probed` is called with what is learnt."""

    def moved(self, peer: str) -> None:
        """The other side says in-band that it has a new peer id."""

    def state_changed(self) -> None:
        """The session is in another state."""


class DirectPost(Post):
    """Over a `Signaling` of the user's own: point to point, no server, no presence.

    Whoever starts later may have missed what was said before, and nobody tells: so it is said again, every second until
    it is answered.
    """

    session: Session

    def __init__(self, signaling: Signaling) -> None:
        self._signaling = signaling
        self._out: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._tasks = Tasks("signaling of a session")
        self._heard: set[int] = set()
        """Epochs of which a description has come from the other side."""
        self._unheard: dict[int, list[dict[str, Any]]] = {}
        """By epoch: the offer and its candidates, until it is answered."""

    def start(self) -> None:
        """See `Post.start`."""
        self._tasks.spawn(self._send_all(), "sends")
        self._tasks.spawn(self._receive_all(), "receives")
        self._tasks.spawn(self._repeat(), "says again")
        if not self.session.machine.smaller:
            self._greet()

    async def stop(self) -> None:
        """See `Post.stop`. What was said last is sent first, for at most a second."""
        if self.session.signaling_up and not self._out.empty():
            await asyncio.wait({self._tasks.spawn(self._out.join(), "sends the rest")}, timeout=1.0)
        await self._tasks.end()

    def send(self, message: Relayed) -> None:
        """See `Post.send`."""
        said = msgspec.to_builtins(msgspec.structs.replace(message, from_=self.session.me))
        match message:
            case Description(epoch=epoch, sdp_type="offer") if epoch not in self._heard:
                self._unheard = {epoch: [said]}  # of an older connection nothing is expected any more
            case Candidates(epoch=epoch) if epoch in self._unheard:
                self._unheard[epoch].append(said)
            case _:
                pass
        self._out.put_nowait(said)

    def _greet(self) -> None:
        """Say only that this side is there; the other has the first word."""
        self.send(Candidates(epoch=1, candidates=[], session=self.session.id, to=self.session.peer))

    async def _repeat(self) -> None:
        session = self.session
        while session.receipt is None:
            await asyncio.sleep(SAY_AGAIN)
            if not session.machine.peer and not session.machine.smaller:
                self._greet()
            self._say_again()

    def _say_again(self) -> None:
        if self._out.empty():  # else it has not even left
            for said in [said for messages in self._unheard.values() for said in messages]:
                self._out.put_nowait({**said, "session": self.session.id, "to": self.session.peer})

    async def _send_all(self) -> None:
        while True:
            message = await self._out.get()
            try:
                await self._signaling.send(message)
            except SignalingLostError as error:
                self.session.signaling_changed(False, str(error))
                return
            finally:
                self._out.task_done()

    async def _receive_all(self) -> None:
        session = self.session
        while True:
            try:
                raw = await self._signaling.receive()
            except SignalingLostError as error:
                session.signaling_changed(False, str(error))
                return
            try:
                message: Relayed = msgspec.convert(raw, Relayed)
            except msgspec.ValidationError as error:
                session.signaling_broken(str(error))
                return
            self._received(message)

    def _received(self, message: Relayed) -> None:
        session = self.session
        if not session.machine.peer and message.from_:
            sender = message.from_
            session.step(lambda now: session.machine.introduced(sender, now))
            if session.machine.smaller and not isinstance(message, Description):
                self._say_again()  # it is there now, and was not when we spoke
        if message.from_ != session.machine.peer:
            return
        match message:
            case Description(epoch=epoch):
                self._heard.add(epoch)
                self._unheard.pop(epoch, None)
            case Candidates(epoch=epoch) if epoch not in self._heard:
                return  # a greeting; or the description was lost, and has them when it is said again
            case _:
                pass
        session.signaled(message)


def check_connect(connect: object) -> None:
    """A mistake that would only show when a connection is needed.

    Raises:
        TypeError: it is no function.
    """
    if not callable(connect):
        raise TypeError(
            f"connect={connect!r}: a function that makes a new RTCPeerConnection each time it is called, "
            "as RTCPeerConnection itself does"
        )


def _new(made: Any, mine: list[RTCPeerConnection]) -> RTCPeerConnection:
    """What `connect` gave, if a session can be built on it.

    Raises:
        TypeError: it is no connection.
        ValueError: it is in use.
    """
    if not hasattr(made, "setLocalDescription"):
        if inspect.iscoroutine(made):
            made.close()  # nobody will await it
        raise TypeError(f"connect() gave {made!r}: a plain function that returns a new RTCPeerConnection is wanted")
    pc: RTCPeerConnection = made
    used = (
        "is closed" if pc.signalingState == "closed"
        else "is this session's already" if any(pc is known for known in mine)
        else "is in use already" if pc.localDescription is not None or pc.remoteDescription is not None
        else "is in use already" if pc.signalingState != "stable" or pc.connectionState != "new"
        else ""
    )  # fmt: skip
    if used:
        raise ValueError(f"connect() gave a connection that {used}: it must make a new one each time")
    return pc
