"""A session: what a program sees of it. How it is driven is in `shell.py`, what it decides in `machine/`."""

from __future__ import annotations

import asyncio
import math
import secrets
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from adieu.errors import AdieuError, ChannelError, ResetFailedError, SessionClosedError
from adieu.protocol import control, words
from adieu.protocol.text import checked
from adieu.session import events
from adieu.session.channel import Channel, ChannelEvent
from adieu.session.connect import check_connect
from adieu.session.direct_route import DirectRoute
from adieu.session.emitter import settle_current
from adieu.session.ledger import Held, Ledger
from adieu.session.machine import actions
from adieu.session.machine.machine import SessionMachine
from adieu.session.machine.remembered import Remembered
from adieu.session.notice import sentence
from adieu.session.receipt import CloseReceipt, ResetReport
from adieu.session.shell import Shell
from adieu.session.transfer import Transfers
from adieu.unclosed import warn_unclosed, where_made

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike
    from types import TracebackType
    from typing import Self

    from adieu.protocol.words import Level
    from adieu.session.emitter import Handler
    from adieu.session.machine.actions import StateName
    from adieu.session.machine.options import Options
    from adieu.session.recorder import Recorder
    from adieu.session.transfer import Transfer
    from adieu.signaling import Signaling
    from adieu.webrtc import RTCPeerConnection

H = TypeVar("H")

HANDLERS_FINISH = 1.0
"""Seconds: after the end, handlers that still run may finish."""
RELEASED = 2.5
"""Seconds: after the end, connections whose release met the deadline are watched so long; the core needs at most 2."""
REMEMBERED = Remembered()
"""Messages that this process took: the next session knows one that is sent again after the end of another."""


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
            raise ValueError(f"role must be 'first' on one side and 'second' on the other, not {role!r}")
        check_connect(connect)
        machine = SessionMachine(
            me=secrets.token_hex(16), peer="", smaller=role == "first", options=options, remembered=REMEMBERED
        )
        route = DirectRoute(signaling)
        route.shell = Shell(machine, name=name, connect=connect, route=route)
        self._init(route.shell, on_wait)

    def _init(self, shell: Shell, on_wait: Callable[[str, float], bool] | None) -> None:
        self._shell = shell
        self._machine = shell.machine
        self._emitter = shell.emitter
        self._on_wait = on_wait
        self._channels: dict[str, Channel] = {}
        self._transfers = Transfers(shell, self)
        self._started = False
        self._closers = 0
        self._open: asyncio.Future[None] = shell.loop.create_future()
        self._ended: asyncio.Future[CloseReceipt] = shell.loop.create_future()
        self._reset_waiters: list[asyncio.Future[ResetReport]] = []
        self._where = where_made()
        for future in (self._open, self._ended):
            future.add_done_callback(lambda future: future.cancelled() or future.exception())
        shell.on_event = self._handle

    # --- life ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect. `async with` and a room do it by themselves."""
        if not self._started:
            self._started = True
            self._shell.start()

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
        """Let handlers that still run and connections that still end finish, then end all tasks. `async with` does it.

        A session that has not ended is ended abruptly first. Both waits have a bound; `ledger()` has what is left.
        """
        if not self._ended.done():
            self._abort()
            await asyncio.wait({self._ended})
        await self._emitter.settle(HANDLERS_FINISH)
        await self._shell.stop(RELEASED)
        for channel in self._channels.values():
            channel.forget()

    # --- what it is ---------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The session's id: the same on both sides, and for its whole life."""
        return self._machine.session

    @property
    def name(self) -> str:
        """The name that people read for the other side."""
        return self._shell.name

    @property
    def me(self) -> str:
        """This side's peer id."""
        return self._machine.me

    @property
    def peer(self) -> str:
        """The other side's peer id."""
        return self._machine.peer

    @property
    def state(self) -> StateName:
        """`connecting`, `open`, `suspect`, `recovering`, `resetting`, `closing` or `closed`."""
        return self._machine.state

    @property
    def epoch(self) -> int:
        """The number of the connection that carries the session; 0 while no connection does."""
        return self._machine.active or 0

    @property
    def receipt(self) -> CloseReceipt | None:
        """The account of how it ended; None before."""
        return self._shell.receipt

    @property
    def signaling_up(self) -> bool:
        """Whether the server, or whatever carries signaling, can be reached."""
        return self._shell.signaling_up

    @property
    def pc(self) -> RTCPeerConnection | None:
        """The W3C connection of the moment: tracks and plain channels are added there. None before and after."""
        connections = self._shell.connections
        connection = connections.get(self.epoch)
        if connection is None and connections:
            connection = connections[max(connections)]
        return connection.pc if connection is not None else None

    @property
    def channels(self) -> dict[str, Channel]:
        """The channels that are open or being opened, by name."""
        return dict(self._channels)

    def __del__(self) -> None:
        # It is kept by its tasks and timers until its event loop has ended.
        if getattr(self, "_started", False) and self.receipt is None:
            warn_unclosed(self, self._where, "its event loop has ended without a goodbye; await close() before that")

    def __repr__(self) -> str:
        return repr(self._shell)

    # --- what people do with it ---------------------------------------------------------------------------

    async def wait_open(self) -> None:
        """Wait until it is connected.

        Raises:
            SessionClosedError: it ended before.
            NotAdieuPeerError: the other side does not speak adieu.

        Cancellation: the session goes on.
        """
        self._shell.check_loop()
        await asyncio.shield(self._open)

    async def open(
        self,
        name: str,
        *,
        ordered: bool = True,
        max_retransmits: int | None = None,
        max_packet_life_time: int | None = None,
    ) -> Channel:
        """Open a named channel; the same name on both sides is the same channel.

        Args:
            name: 1 to 128 characters.
            ordered: messages come in the order they were sent.
            max_retransmits: unreliable: how often a lost piece is sent again.
            max_packet_life_time: unreliable: milliseconds after which a lost piece is given up.

        Raises:
            ChannelError: the other side wants it differently.
            SessionClosedError: the session has ended, or is closing.
            ValueError: a wrong name or number.

        Cancellation: the channel may be open or not; opening it again gives the same one.
        """
        name = checked("a channel's name", name, 1, control.MAX_NAME)
        if max_retransmits is not None and max_packet_life_time is not None:
            raise ValueError("give max_retransmits or max_packet_life_time, not both")
        for what, value in (("max_retransmits", max_retransmits), ("max_packet_life_time", max_packet_life_time)):
            if value is not None and not 0 <= value <= 65535:
                raise ValueError(f"{what} must be 0 to 65535, not {value}")
        reliability = control.Reliability(max_retransmits=max_retransmits, max_packet_life_time=max_packet_life_time)
        self._shell.check_loop()
        self._shell.step(
            lambda now: self._machine.open_channel(name, ordered=ordered, reliability=reliability, now=now)
        )
        channel = self._channel(name)
        await asyncio.shield(channel.opened)
        return channel

    def _channel(self, name: str) -> Channel:
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = Channel(self._shell, self, name)
            self._shell.readers[name] = channel.deliver
            if self._machine.channels[name].open:
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
            timeout: seconds for everything, 5 by default. The receipt has what has not arrived by then. 0: at once.

        Returns:
            The receipt; the same again if it has ended already.

        Cancellation: when the last caller that awaits the close is cancelled, the close goes on abruptly. This raises
            when the receipt is there, half a second later at most; cancelled again, at once.
        """
        settle_current()
        if self.receipt is not None:
            return self.receipt
        self._shell.check_loop()
        seconds = self._machine.options.close_timeout if timeout is None else timeout
        if not 0 <= seconds < math.inf:
            raise ValueError(f"timeout must be 0 or more seconds, not {seconds}")
        said = words.reason("left", reason)  # before anything begins: what is no text ends nothing
        self.start()
        self._shell.step(lambda now: self._machine.ask_close(said, seconds, now))
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

    def _abort(self) -> None:
        if not self._ended.done():
            self._shell.step(self._machine.abort)

    async def wait_closed(self) -> CloseReceipt:
        """Wait for the end, and return the receipt, whichever side closes.

        Cancellation: the session goes on.
        """
        settle_current()
        if self.receipt is not None:
            return self.receipt
        self._shell.check_loop()
        return await asyncio.shield(self._ended)

    async def reset(self, level: Level = "transport") -> ResetReport:
        """Renew what is under the session; channels and messages stay, nothing is lost or doubled.

        Args:
            level: `ice` a new network path; `transport` a new connection beside the old one; `full` the old one
                closed first, devices asked again.

        Returns:
            The report. A second call joins a running reset; a higher level raises it.

        Raises:
            ResetFailedError: it was given up; the session goes on, or recovers, as its state says.
            SessionClosedError: the session is closing or has ended.
            ValueError: no such level.

        Cancellation: the reset goes on; the session owns it.
        """
        if level not in {"ice", "transport", "full"}:
            raise ValueError(f"level must be 'ice', 'transport' or 'full', not {level!r}")
        await self.wait_open()
        done: asyncio.Future[ResetReport] = self._shell.loop.create_future()
        done.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._reset_waiters.append(done)
        try:
            self._shell.step(lambda now: self._machine.ask_reset(level, now))
        except AdieuError:
            self._reset_waiters.remove(done)
            raise
        return await asyncio.shield(done)

    async def send_file(self, path: str | PathLike[str], *, name: str | None = None, type: str = "") -> Transfer:  # noqa: A002
        """Offer a file to the other side; see `Transfer`.

        Args:
            path: the file. It is not to change before it is there.
            name: the name that the other side reads, 1 to 255 characters; by default the file's own.
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
        """Return everything that is not given back yet, and the lines that made it."""
        shell = self._shell
        held = shell.held() + [Held("task", name) for name in shell.tasks.names()]
        if shell.has_timer:
            held.append(Held("timer", "the session's clock"))
        handlers = self._emitter.count() + sum(channel.handlers for channel in self._channels.values())
        if handlers:
            held.append(Held("handler", "of the session and its channels", count=handlers))
        return Ledger(tuple(held))

    def recording(self) -> Recorder:
        """Return the flight recorder: the last things that happened."""
        return self._shell.recorder

    # --- what happens to it -------------------------------------------------------------------------------

    def _handle(self, event: actions.AnyEvent) -> None:
        match event:
            case actions.Readable(name=name):
                if (channel := self._channels.get(name)) is not None:
                    channel.readable()
            case actions.Acknowledged(name=name):
                if (channel := self._channels.get(name)) is not None:
                    channel.changed()
            case actions.StateChanged():
                self._state_changed(event)
            case actions.ChannelOpened(name=name, incoming=incoming):
                self._shell.log.line("=", f"channel {name!r} is open")
                known = name in self._channels
                channel = self._channel(name)
                if not channel.opened.done():
                    channel.opened.set_result(None)
                if incoming and not known and not self._transfers.owns(name):
                    self._emitter.emit("channel", ChannelEvent(channel))
            case actions.ChannelFailed(name=name, message=message):
                self._shell.log.line("!", f"channel {name!r} could not be opened: {message}")
                channel = self._channels.pop(name, None)
                self._shell.readers.pop(name, None)
                if channel is not None and not channel.opened.done():
                    channel.opened.set_exception(ChannelError(message))
            case actions.ClosingAsked(reason=reason, deadline=deadline):
                closing = events.ClosingEvent(reason, deadline - self._shell.loop.time(), self._ask_wait)
                self._emitter.emit("closing", closing, lambda: self._shell.step(self._machine.last_words_over))
            case actions.WaitAsked(reason=text, eta=eta):
                if self._on_wait is not None and self._on_wait(text, eta):
                    self._machine.grant_wait(eta, self._shell.loop.time())
            case actions.ResetStarted(level=level, asker=asker):
                self._emitter.emit("reset", events.ResetEvent(level, asker))
            case actions.ResetEnded():
                self._reset_ended(event)
            case actions.FileSaid(file=file):
                self._transfers.said(file)
            case actions.MediaSaid():
                pass  # notices about tracks come with media
            case actions.PeerMoved(peer=peer):
                self._shell.route.moved(peer)
            case actions.Ended():
                self._finish()

    def _state_changed(self, event: actions.StateChanged) -> None:
        self._shell.recorder.note(self._shell.loop.time(), "=", f"{event.state} {event.cause}".rstrip())
        connection = self._shell.connections.get(self._machine.active or 0)
        path = connection.pc.log_id if connection is not None else "nothing"
        self._shell.log.state(event, self._machine.session, path)
        self._shell.route.state_changed()
        if event.state == "open" and not self._open.done():
            self._open.set_result(None)
        told = events.StateEvent(event.state, event.previous, event.cause, event.evidence)
        self._emitter.emit("state", told)

    def _ask_wait(self, reason: str, seconds: float) -> None:
        if not 0 <= seconds < math.inf:
            raise ValueError(f"the extra time must be 0 or more seconds, not {seconds}")
        self._shell.step(lambda now: self._machine.ask_wait(reason, seconds, now))

    def _reset_ended(self, event: actions.ResetEnded) -> None:
        self._shell.log.reset_ended(event)
        raised = event.error.startswith("raised to") or event.error == "tried again"
        report = ResetReport(event.level, event.asker, event.epoch, event.duration, event.replayed)
        if event.error:
            self._emitter.emit("reset", events.ResetEvent(event.level, event.asker, error=event.error))
        else:
            self._emitter.emit("reset", events.ResetEvent(event.level, event.asker, report=report))
            self._transfers.reconnected()
        if raised:
            return  # its waiters wait for its replacement now
        waiters, self._reset_waiters = self._reset_waiters, []
        for waiter in waiters:
            if event.error:
                waiter.set_exception(ResetFailedError(f"the reset ({event.level}) failed: {event.error}", report))
            else:
                waiter.set_result(report)

    def _finish(self) -> None:
        """Make the receipt, and answer all waiters: the machine is done."""
        outcome = self._machine.outcome
        assert outcome is not None  # noqa: S101 the machine has just said so
        shell = self._shell
        shell.arm()
        self._transfers.end(outcome.reason.text or outcome.cause)
        senders = {name: channel.sender for name, channel in self._machine.channels.items()}
        receipt = shell.receipt = CloseReceipt(
            outcome, Ledger(tuple(shell.held())), sentence(outcome, self.name), senders, self._transfers.arrived
        )
        shell.recorder.note(shell.loop.time(), "=", receipt.notice)
        shell.log.ended(outcome, receipt.notice)
        error = SessionClosedError(receipt.notice, receipt)
        if not self._open.done():
            self._open.set_exception(error)
        for channel in self._channels.values():
            if not channel.opened.done():
                channel.opened.set_exception(error)
            channel.ended()
        waiters, self._reset_waiters = self._reset_waiters, []
        for waiter in waiters:
            waiter.set_exception(error)
        self._ended.set_result(receipt)
        self._emitter.emit("closed", events.ClosedEvent(receipt))


def session_over(shell: Shell, on_wait: Callable[[str, float], bool] | None) -> Session:
    """Make a session over a shell, as a room does."""
    session = Session.__new__(Session)
    session._init(shell, on_wait)  # noqa: SLF001 its own module # pyright: ignore[reportPrivateUsage]
    return session


def shell_of(session: Session) -> Shell:
    """Return the inside of a session, for the room that drives it."""
    return session._shell  # noqa: SLF001 its own module # pyright: ignore[reportPrivateUsage]
