"""A session: what a program sees of it. How it is driven is in `shell.py`, what it decides in `machine/`."""

from __future__ import annotations

import asyncio
import math
import secrets
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args, overload

import msgspec

from adieu.errors import AdieuError, ChannelError, ResetFailedError, SessionClosedError
from adieu.protocol import words
from adieu.session import events, observers
from adieu.session.channel import Channel, ChannelEvent
from adieu.session.connect import check_connect
from adieu.session.direct_route import DirectRoute
from adieu.session.emitter import settle_current
from adieu.session.files.transfers import Transfers, file_parcel, folder_parcel
from adieu.session.given import channel_name, grants, reason_of, reliability_of
from adieu.session.ledger import Held, Ledger
from adieu.session.machine import actions
from adieu.session.machine.machine import SessionMachine
from adieu.session.machine.remembered import Remembered
from adieu.session.notice import sentence
from adieu.session.receipt import CloseReceipt, ResetReport, ending_error
from adieu.session.recorder import keep
from adieu.session.shell import Shell
from adieu.unclosed import warn_unclosed, where_made

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from types import TracebackType
    from typing import Self

    from adieu.protocol.words import Level
    from adieu.session.emitter import Handler, On, R, Reacts
    from adieu.session.files.file import IncomingFile
    from adieu.session.files.folder import IncomingFolder
    from adieu.session.files.transfer import Transfer
    from adieu.session.files.transfers import FileSource, FolderSource
    from adieu.session.machine.actions import StateName
    from adieu.session.machine.options import Options
    from adieu.session.recorder import Recorder
    from adieu.signaling import Signaling
    from adieu.webrtc import MediaStream, MediaStreamTrack, RTCPeerConnection

Hint: TypeAlias = Literal["network-changed"]
"""Names the hints of `Session.hint`."""

RECORDED = (
    actions.StateChanged,
    actions.ChannelOpened,
    actions.ChannelFailed,
    actions.ClosingAsked,
    actions.WaitAsked,
    actions.ResetStarted,
    actions.ResetEnded,
)
"""The machine's events that the flight recorder keeps."""
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
        self._reset_cause = ""
        """Why the reset that is under way began."""
        self._gone = observers.NO_TRAFFIC
        """The traffic of channels that were closed by themselves."""
        self._telling = False
        """Handlers of `progress` run."""
        self._where = where_made()
        for future in (self._open, self._ended):
            future.add_done_callback(lambda future: future.cancelled() or future.exception())
        shell.on_event = self._handle

    # --- life ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect. `async with` and a room do it by themselves."""
        if not self._started:
            self._started = True
            observers.tell(lambda observer: observer.began(self))
            self._shell.start()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.close(reason=reason_of(error))
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

        If a channel of this name is closing, this waits for its end.

        Args:
            name: 1 to 128 characters.
            ordered: messages come in the order they were sent.
            max_retransmits: unreliable: how often a lost piece is sent again.
            max_packet_life_time: unreliable: milliseconds after which a lost piece is given up.

        Raises:
            ChannelError: the other side wants it differently; or an earlier channel of this name was closed, and the
                other side does not know that yet.
            SessionClosedError: the session has ended, or is closing.
            TypeError, ValueError: a wrong name, number or option.

        Cancellation: the channel may be open or not; opening it again gives the same one.
        """
        name = channel_name(name)
        reliability = reliability_of(ordered, max_retransmits, max_packet_life_time)
        self._shell.check_loop()
        while (before := self._channels.get(name)) is not None and before.is_closing:
            await before.wait_closed()
        self._shell.step(lambda now: self._machine.open_channel(name, now, ordered=ordered, reliability=reliability))
        channel = self._channel(name)
        channel.where = channel.where or where_made()
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

    # --- media --------------------------------------------------------------------------------------------

    def add_track(self, track: MediaStreamTrack, *streams: MediaStream) -> None:
        """Send a track, from now on and over the connections that follow this one.

        The track still belongs to the program: the end of the session does not stop it. After a reset the new
        connection sends it, and never both; what an `adieu.media.AudioSource` has queued is not lost.

        Args:
            track: of a source of `adieu.media`, or of a device. One that is sent already is left as it is.
            streams: the streams that the other side finds it in.

        Raises:
            TypeError: it is not a track.
            ValueError: the track has ended.
            SessionClosedError: the session is closing or has ended.
        """
        self._shell.check_loop()
        if self._machine.closing is not None:
            raise SessionClosedError(f"cannot send a track: the session with {self.name or self.peer} is closing")
        self._shell.media.add(track, streams)

    def remove_track(self, track: MediaStreamTrack) -> None:
        """Send a track no longer. The other side's track is muted.

        Raises:
            ValueError: this session does not send it.
        """
        self._shell.check_loop()
        self._shell.media.remove(track)

    # --- the end ------------------------------------------------------------------------------------------

    async def close(
        self,
        reason: str = "",
        timeout: float | None = None,  # noqa: ASYNC109 the deadline is the protocol's, not only the waiting's
        *,
        media: Literal["finish", "cut"] = "finish",
    ) -> CloseReceipt:
        """Close gracefully: announce, drain, close the channels, close the connection, clean up.

        Args:
            reason: a few words for the people on the other side.
            timeout: seconds for everything, 5 by default. The receipt has what has not arrived by then. 0: at once.
            media: `finish`: what is queued in an `AudioSource` is spoken before the end, within the timeout; `cut`: it
                is not. In both cases nothing more is taken from now on.

        Returns:
            The receipt; the same again if it has ended already.

        Cancellation: when the last caller that awaits the close is cancelled, the close goes on abruptly. This raises
            when the receipt is there, half a second later at most; cancelled again, at once.
        """
        settle_current()
        if self.receipt is not None:
            return self.receipt
        self._shell.check_loop()
        seconds = self._shell.close_seconds(timeout)
        if media not in {"finish", "cut"}:
            raise ValueError(f"media must be 'finish' or 'cut', not {media!r}")
        said = words.reason(self._shell.close_code, reason)  # before anything begins: what is no text ends nothing
        self._shell.record("=", type="askClose", seconds=seconds)
        self.start()
        speaking = seconds > 0 and self._machine.closing is None and self._shell.media.is_in_use
        self._shell.step(lambda now: self._machine.ask_close(said, seconds, now, speaking=speaking))
        if speaking:
            self._shell.finish_media(heard=media == "finish")
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
            self._shell.record("=", type="abort")
            self._shell.step(self._machine.abort)

    async def wait_closed(self) -> CloseReceipt:
        """Wait for the end, and return the receipt, whichever side closes.

        Cancellation: the session goes on.
        """
        return await self._shell.wait_for_end(self.receipt, self._ended)

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
        self._shell.record("=", type="askReset", level=level)
        try:
            self._shell.step(lambda now: self._machine.ask_reset(level, now))
        except AdieuError:
            self._reset_waiters.remove(done)
            raise
        return await asyncio.shield(done)

    def hint(self, what: Hint) -> None:
        """Say what the program knows earlier than the session can.

        Args:
            what: `network-changed`: this machine's network has changed, or will in a moment. The path is renewed at
                once, while the old one may still work, and signaling is looked at.

        Raises:
            ValueError: no such hint.

        After the end it does nothing.
        """
        if what not in get_args(Hint):
            raise ValueError(f"a hint is one of {', '.join(map(repr, get_args(Hint)))}, not {what!r}")
        self._shell.check_loop()
        if self.receipt is None:
            self._shell.look_at_network("the program says that this machine's network has changed", at_once=True)

    async def send_file(
        self,
        source: FileSource,
        *,
        name: str | None = None,
        type: str = "",  # noqa: A002
        pace: Callable[[int], Awaitable[None]] | None = None,
    ) -> Transfer:
        """Offer a file to the other side; see `Transfer`.

        Args:
            source: a path, bytes or a stream. A file is not to change before it is there. A stream is a binary file
                that is open for reading, or an async iterable of bytes. It cannot be sent again after its session has
                ended, and needs a peer that knows folders.
            name: the name that the other side reads, 1 to 255 characters; by default the file's own.
            type: its media type, if known; at most 255 characters.
            pace: awaited before each message of the file with its number of bytes: a limit of the rate, for one file or
                for all that share it.

        Raises:
            OSError: it cannot be read, or is a folder, a device or a pipe; the path is named.
            SessionClosedError: the session has ended.
            TypeError: the source is something else.
            ValueError: the name or the type is too long, or bytes or a stream have no name.

        Cancellation: nothing has been offered.
        """
        self._shell.check_loop()
        return self._transfers.send(await file_parcel(source, name, type, pace))

    async def send_folder(
        self,
        path: FolderSource,
        *,
        name: str | None = None,
        exclude: Iterable[str] = (),
        pace: Callable[[int], Awaitable[None]] | None = None,
    ) -> Transfer:
        """Offer a folder to the other side, with everything in it, in one transfer; see `Transfer`.

        Links, devices and what cannot be read are left out (`Transfer.left_out`). A file that changes while the folder
        is sent makes the transfer fail: send it again, and only the missing bytes are sent.

        Args:
            path: the folder, or a selection of files and folders (`adieu.session.files.scan`).
            name: the name that the other side reads, 1 to 255 characters; by default the folder's own.
            exclude: patterns of files and folders to leave out, as in a `.gitignore`: `["*.pyc", "build/"]`.
            pace: see `send_file`.

        Raises:
            OSError: it cannot be read, or is no folder; the path is named.
            SessionClosedError: the session has ended.
            ValueError: the name is too long; or there are more than 100 000 files and folders, or one whose path is
                longer than 1024 characters.

        Cancellation: nothing has been offered.
        """
        self._shell.check_loop()
        return self._transfers.send(await folder_parcel(path, name, exclude, pace))

    @overload
    def on(self, name: Literal["state"]) -> On[events.StateEvent]: ...
    @overload
    def on(self, name: Literal["state"], handler: Reacts[events.StateEvent, R]) -> Reacts[events.StateEvent, R]: ...
    @overload
    def on(self, name: Literal["closing"]) -> On[events.ClosingEvent]: ...
    @overload
    def on(
        self, name: Literal["closing"], handler: Reacts[events.ClosingEvent, R]
    ) -> Reacts[events.ClosingEvent, R]: ...
    @overload
    def on(self, name: Literal["closed"]) -> On[events.ClosedEvent]: ...
    @overload
    def on(self, name: Literal["closed"], handler: Reacts[events.ClosedEvent, R]) -> Reacts[events.ClosedEvent, R]: ...
    @overload
    def on(self, name: Literal["channel"]) -> On[ChannelEvent]: ...
    @overload
    def on(self, name: Literal["channel"], handler: Reacts[ChannelEvent, R]) -> Reacts[ChannelEvent, R]: ...
    @overload
    def on(self, name: Literal["file"]) -> On[IncomingFile]: ...
    @overload
    def on(self, name: Literal["file"], handler: Reacts[IncomingFile, R]) -> Reacts[IncomingFile, R]: ...
    @overload
    def on(self, name: Literal["folder"]) -> On[IncomingFolder]: ...
    @overload
    def on(self, name: Literal["folder"], handler: Reacts[IncomingFolder, R]) -> Reacts[IncomingFolder, R]: ...
    @overload
    def on(self, name: Literal["signaling"]) -> On[events.SignalingChange]: ...
    @overload
    def on(
        self, name: Literal["signaling"], handler: Reacts[events.SignalingChange, R]
    ) -> Reacts[events.SignalingChange, R]: ...
    @overload
    def on(self, name: Literal["reset"]) -> On[events.ResetEvent]: ...
    @overload
    def on(self, name: Literal["reset"], handler: Reacts[events.ResetEvent, R]) -> Reacts[events.ResetEvent, R]: ...
    @overload
    def on(self, name: Literal["track"]) -> On[events.TrackEvent]: ...
    @overload
    def on(self, name: Literal["track"], handler: Reacts[events.TrackEvent, R]) -> Reacts[events.TrackEvent, R]: ...
    @overload
    def on(self, name: Literal["progress"]) -> On[events.ProgressEvent]: ...
    @overload
    def on(
        self, name: Literal["progress"], handler: Reacts[events.ProgressEvent, R]
    ) -> Reacts[events.ProgressEvent, R]: ...
    def on(self, name: str, handler: Handler | None = None) -> Any:
        """Add a handler (plain or async), or decorate one. Handlers run one after the other.

        Events: `state` (StateEvent), `closing` (ClosingEvent), `closed` (ClosedEvent), `channel` (ChannelEvent),
        `file` (IncomingFile), `folder` (IncomingFolder), `signaling` (SignalingChange), `reset` (ResetEvent), `track`
        (TrackEvent), `progress` (ProgressEvent). Tracks, files and folders wait for the first handler; `progress` is
        not fired while a handler of it still runs.

        Raises:
            ValueError: there is no such event.
        """
        if handler is None:
            self._emitter.on(name)
            on: Any = self.on
            return partial(on, name)
        self._shell.check_loop()
        self._emitter.on(name, handler)
        if name in {"file", "folder"}:
            self._transfers.handler_added()
        elif name == "track":
            self._shell.tell_tracks()
        elif name == "progress":
            self._watch()
        return handler

    def off(self, name: str, handler: Handler) -> None:
        """Remove a handler."""
        self._emitter.off(name, handler)
        self._watch()

    def traffic(self) -> observers.Traffic:
        """Return the messages and bytes until now, over all channels; files are among them."""
        known = tuple(self._machine.channels.values())  # at once: metrics are read in other threads
        channels = [channel for channel in known if channel.end is None or not channel.end.over]
        return observers.Traffic(
            observers.added(self._gone.sent, *(channel.sender.accepted.total() for channel in channels)),
            observers.added(self._gone.delivered, *(channel.sender.delivered.total() for channel in channels)),
            observers.added(self._gone.taken, *(channel.receiver.taken.total() for channel in channels)),
        )

    def ledger(self) -> Ledger:
        """Return everything that is not given back yet, and the lines that made it.

        Connections, tasks, the timer, handlers; until the session ends, channels, tracks and files under way too.
        """
        shell = self._shell
        held = shell.held() + [Held("task", name, self._where) for name in shell.tasks.names()]
        if shell.has_timer:
            held.append(Held("timer", "the session's clock", self._where))
        held += self._emitter.held()
        for channel in self._channels.values():
            held += channel.held()
        return Ledger((*held, *self._shell.media.held(), *self._transfers.held()))

    def assert_released(self) -> None:
        """Check that the session holds nothing, for tests: after `async with`, or after `close()` and `end()`.

        Raises:
            AssertionError: something is held; the message names each thing, and the line that made it.
        """
        self.ledger().assert_released()

    def recording(self) -> Recorder:
        """Return the flight recorder: the last things that happened.

        `session.recording().save("ada.json")` writes a file for `adieu explain`. With the environment variable
        ADIEU_RECORD set to a folder, each session leaves one there when it ends.
        """
        return self._shell.recorder

    # --- what happens to it -------------------------------------------------------------------------------

    def _handle(self, event: actions.AnyEvent) -> None:
        if isinstance(event, RECORDED):
            self._shell.record("=", **msgspec.to_builtins(event))
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
                if channel is not None:
                    channel.failed(ChannelError(message))
            case actions.ChannelClosing(name=name, reason=text, deadline=deadline):
                self._channels[name].other_closes(text, deadline)
            case actions.ChannelClosed(name=name, receipt=receipt):
                if receipt.path != "session":
                    self._gone = observers.with_channel(self._gone, receipt)
                self._shell.log.line("=", f"channel {name!r} is closed: {receipt.path}, by {receipt.by}")
                channel = self._channels.pop(name, None)
                self._shell.readers.pop(name, None)
                if channel is not None:
                    channel.end(receipt)
            case actions.ClosingAsked(reason=reason, deadline=deadline):
                closing = events.ClosingEvent(reason, deadline - self._shell.loop.time(), self._ask_wait)
                self._emitter.emit("closing", closing, self._shell.handlers_over)
            case actions.WaitAsked(reason=text, eta=eta):
                if self._on_wait is not None and grants(self._on_wait, text, eta):
                    self._machine.grant_wait(eta, self._shell.loop.time())
            case actions.ResetStarted(level=level, asker=asker):
                reset = self._machine.reset
                self._reset_cause = "network-changed" if reset is not None and reset.renews else ""
                told = events.ResetEvent(level, asker, self._reset_cause)
                observers.tell(lambda observer: observer.reset(self, told))
                self._emitter.emit("reset", told)
            case actions.ResetEnded():
                self._reset_ended(event)
            case actions.Progressed():
                self._tell_progress(event)
            case actions.FileSaid(file=file):
                self._transfers.said(file)
            case actions.MediaSaid():
                pass  # notices about tracks come with media
            case actions.PeerMoved(peer=peer):
                self._shell.route.moved(peer)
            case actions.Ended():
                self._finish()

    def _state_changed(self, event: actions.StateChanged) -> None:
        connection = self._shell.connections.get(self._machine.active or 0)
        path = connection.pc.log_id if connection is not None else "nothing"
        self._shell.log.state(event, self._machine.session, path)
        self._shell.route.state_changed()
        if event.state == "open" and not self._open.done():
            self._open.set_result(None)
        told = events.StateEvent(event.state, event.previous, event.cause, event.evidence)
        observers.tell(lambda observer: observer.changed(self, told))
        self._emitter.emit("state", told)

    def _tell_progress(self, event: actions.Progressed) -> None:
        """Tell those that watch, unless they are still busy with the last one."""
        if self._telling:
            return
        self._telling = True
        reset = self._machine.reset
        told = events.ProgressEvent(
            event.work,
            event.step,
            reset.level if event.work == "reset" and reset is not None else None,
            event.messages,
            event.bytes,
            event.incoming,
            self._transfers.partial(),
            event.seconds,
        )
        self._shell.loop.call_soon(self._hand_out_progress, told)

    def _hand_out_progress(self, told: events.ProgressEvent) -> None:
        # At once: a handler of `closing` may take as long as the close itself.
        if self._emitter.enter("progress", told, self._told_progress):
            self._told_progress()

    def _told_progress(self) -> None:
        self._telling = False

    def _watch(self) -> None:
        watched = self._emitter.has("progress")
        if watched != (self._machine.watch is not None) and self.receipt is None:
            self._shell.step(lambda now: self._machine.watch_progress(watched, now))

    def _ask_wait(self, reason: str, seconds: float) -> None:
        if not 0 <= seconds < math.inf:
            raise ValueError(f"the extra time must be 0 or more seconds, not {seconds}")
        self._shell.step(lambda now: self._machine.ask_wait(reason, seconds, now))

    def _reset_ended(self, event: actions.ResetEnded) -> None:
        self._shell.log.reset_ended(event)
        raised = event.error.startswith("raised to") or event.error == "tried again"
        connection = self._shell.connections.get(event.epoch)
        path = connection.path() if connection is not None else ""
        report = ResetReport(event.level, event.asker, event.epoch, event.duration, event.replayed, path)
        cause = self._reset_cause
        error = event.error or None
        told = events.ResetEvent(event.level, event.asker, cause, report=None if error else report, error=error)
        observers.tell(lambda observer: observer.reset(self, told))
        self._emitter.emit("reset", told)
        if not error:
            self._transfers.reconnected()
        if raised:
            return  # its waiters wait for its replacement now
        waiters, self._reset_waiters = self._reset_waiters, []
        failure = f"the reset ({event.level}) failed: {event.error}"
        for waiter in waiters:
            if event.error:
                waiter.set_exception(ResetFailedError(failure, report, self._shell.recorder))
            else:
                waiter.set_result(report)

    def _finish(self) -> None:
        """Make the receipt, and answer all waiters: the machine is done."""
        outcome = self._machine.outcome
        assert outcome is not None  # noqa: S101 the machine has just said so
        shell = self._shell
        shell.arm()
        shell.stop_waiting()
        partial = self._transfers.partial()
        self._transfers.end(outcome.reason.text or outcome.cause)
        senders = {name: channel.sender for name, channel in self._machine.channels.items()}
        receipt = shell.receipt = CloseReceipt(
            outcome,
            Ledger(tuple(shell.held())),
            sentence(outcome, self.name, self._transfers.arrived, partial),
            senders,
            self._transfers.arrived,
            shell.recorder,
            partial,
            shell.media.receipts,
        )
        shell.media.end()
        shell.record("=", type="notice", text=receipt.notice)
        if trouble := keep(shell.recorder, self.id, self.me):
            shell.log.line("!", trouble)
        shell.log.ended(outcome, receipt.notice)
        error = ending_error(receipt)
        if not self._open.done():
            self._open.set_exception(error)
        for channel in self._channels.values():
            channel.session_ended(outcome, error)
        waiters, self._reset_waiters = self._reset_waiters, []
        for waiter in waiters:
            waiter.set_exception(error)
        self._ended.set_result(receipt)
        observers.tell(lambda observer: observer.ended(self, receipt))
        self._emitter.emit("closed", events.ClosedEvent(receipt))


def session_over(shell: Shell, on_wait: Callable[[str, float], bool] | None) -> Session:
    """Make a session over a shell, as a room does."""
    session = Session.__new__(Session)
    session._init(shell, on_wait)  # noqa: SLF001 its own module # pyright: ignore[reportPrivateUsage]
    return session


def transfers_of(session: Session) -> Transfers:
    """Return the files and folders of a session, for the room that carries some on."""
    return session._transfers  # noqa: SLF001 its own module # pyright: ignore[reportPrivateUsage]


def shell_of(session: Session) -> Shell:
    """Return the inside of a session, for the room that drives it."""
    return session._shell  # noqa: SLF001 its own module # pyright: ignore[reportPrivateUsage]
