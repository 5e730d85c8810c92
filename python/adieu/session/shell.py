"""The asyncio shell of a session: its machine, connections, timer and tasks, which a program does not see.

Each input of the machine passes through `step`. It feeds the machine, carries out the actions of the machine at once
and in order, and passes its events to the session. Above the shell are `Session`, `Channel` and
`Transfers`; below it are `Connection` and `SignalingRoute`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from adieu.errors import DOMException, SessionClosedError
from adieu.protocol import words
from adieu.protocol.signaling import Candidates, Description, Probe, Relayed
from adieu.session import events
from adieu.session.connect import check_connection
from adieu.session.connection import Connection
from adieu.session.emitter import Emitter, settle_current
from adieu.session.given import seconds_given
from adieu.session.ledger import Held
from adieu.session.machine import actions
from adieu.session.machine.cause import ROOM_CLOSED
from adieu.session.media import COUNTED, SessionMedia
from adieu.session.recorder import Recorder, unreadable
from adieu.session.session_log import SessionLog
from adieu.session.tasks import Tasks, report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from adieu.events import MessageEvent
    from adieu.protocol.words import AnyWord
    from adieu.session.machine.cause import Presence
    from adieu.session.machine.held import Payload
    from adieu.session.machine.machine import SessionMachine
    from adieu.session.machine.state import LossKind
    from adieu.session.receipt import CloseReceipt
    from adieu.session.recorder import Mark
    from adieu.session.signaling_route import SignalingRoute
    from adieu.webrtc import NetworkChangeEvent, RTCPeerConnection, RTCTrackEvent

T = TypeVar("T")

EVENTS = frozenset(
    {"state", "closing", "closed", "channel", "file", "folder", "signaling", "reset", "progress", "track"}
)

ROOM_TOLD = 1.0
"""Seconds in which this side's server says that the room is closed for all, after the other side has."""


class Shell:
    """Drives one session machine. Its methods from `control_opened` on are what connections and signaling report.

    Attributes:
        machine: decides everything.
        name: what people call the other side.
        route: carries the signaling messages.
        tasks: owns all tasks of the session.
        emitter: runs the handlers of the session's events.
        media: sends its tracks.
        recorder: the flight recorder.
        log: writes lines of the log.
        receipt: how the session ended; None before. Set by the session.
        signaling_up: whether signaling works.
        connections: by epoch; those that are not released.
        readers: by channel: gets a message that comes while a reader of the channel waits.
    """

    def __init__(
        self,
        machine: SessionMachine,
        *,
        name: str,
        connect: Callable[[], RTCPeerConnection],
        route: SignalingRoute,
    ) -> None:
        self.machine = machine
        self.name = name
        self.route = route
        self.tasks: Tasks = Tasks(f"session {machine.session[:8]}")
        self.emitter: Emitter = Emitter(self.tasks, EVENTS, "the session")
        self._unheard: list[events.TrackEvent] = []
        """Tracks that came while nobody listened."""
        self.media: SessionMedia = SessionMedia(self.tasks)
        self.recorder: Recorder = Recorder(self._head)
        self.log: SessionLog = SessionLog()
        self.receipt: CloseReceipt | None = None
        self.signaling_up: bool = True
        self.connections: dict[int, Connection] = {}
        self.readers: dict[str, Callable[[Payload], None]] = {}
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self.on_event: Callable[[actions.AnyEvent], None] = _ignore
        """Called with each event of the machine. Set by the session."""
        self._context = copy_context()  # the timer is the session's, whoever makes it set one
        self._connect = connect
        self._left: list[Held] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        """When it runs: never later than the machine wants, perhaps earlier."""
        self._settling = False
        self._counting: asyncio.Task[Any] | None = None
        self._hearing: asyncio.Task[Any] | None = None
        self._room_closes = asyncio.Event()

    @property
    def id(self) -> str:
        """The session's id."""
        return self.machine.session

    @property
    def close_code(self) -> str:
        """The code of the reason when this side closes."""
        return ROOM_CLOSED if self.machine.room_closes else "left"

    @property
    def peer_now(self) -> str:
        """The other side's peer id at the server: another than in the machine when the server was restarted."""
        return self.route.peer or self.machine.peer

    def start(self) -> None:
        """Begin to connect."""
        self.log.began(self.name)
        self.route.start()
        self.step(self.machine.start)

    async def stop(self, patience: float) -> None:
        """Wait for connections that are being released, for so many seconds at most, then end all tasks."""
        if releasing := {c.releasing for c in self.connections.values() if c.releasing is not None}:
            await asyncio.wait(releasing, timeout=patience)
        await self.route.stop()
        await self.tasks.end()
        self.emitter.clear()

    async def wait_for_end(self, receipt: T | None, end: asyncio.Future[T]) -> T:
        """Return the receipt of the session or of a channel, now or when its end comes.

        Cancellation: the end still comes.
        """
        settle_current()
        if receipt is not None:
            return receipt
        self.check_loop()
        return await asyncio.shield(end)

    def close_seconds(self, timeout: float | None) -> float:
        """Return the time of a close that the caller gave, or the one of the options.

        Raises:
            ValueError: it is no time.
        """
        return self.machine.options.close_timeout if timeout is None else seconds_given(timeout)

    def check_loop(self) -> None:
        """Refuse a caller in another event loop: a session lives in one, and ends with it.

        Raises:
            SessionClosedError: its event loop has ended, and it with it.
            RuntimeError: the caller is in another event loop.
        """
        try:
            if asyncio.get_running_loop() is self.loop:
                return
        except RuntimeError:  # a thread without a loop
            pass
        whom = self.name or self.machine.peer
        if self.loop.is_closed():
            raise SessionClosedError(
                f"the session with {whom} ended with its event loop, without a goodbye", self.receipt
            )
        raise RuntimeError(
            f"the session with {whom} is in another event loop: asyncio.run_coroutine_threadsafe(coroutine, loop) "
            "awaits a coroutine there, loop.call_soon_threadsafe(function, ...) calls a function"
        )

    def held(self) -> list[Held]:
        """Return the connections that are not released, and what those that are left behind."""
        return [Held("connection", f"connection {c.epoch}", c.where) for c in self.connections.values()] + self._left

    @property
    def has_timer(self) -> bool:
        """Whether the machine's timer is set."""
        return self._timer is not None

    def _head(self) -> dict[str, Any]:
        """Return what a recording says of the session as a whole."""
        machine = self.machine
        receipt = None if self.receipt is None else self.receipt.recorded()
        return {"session": machine.session, "me": machine.me, "peer": machine.peer, "receipt": receipt}

    def record(self, mark: Mark, /, **members: Any) -> None:
        """Keep a line in the flight recorder, see `Recorder.note`."""
        self.recorder.note(self.loop.time(), mark, members)

    def note(self, mark: Mark, text: str, /, **members: Any) -> None:
        """Keep a line in the flight recorder, and write the text to the log."""
        self.record(mark, **members)
        self.log.line(mark, text)

    def note_control(self, mark: Mark, message: str | bytes) -> None:
        """Keep a control message in the flight recorder, and write what can be shown of it to the log."""
        kept = message if isinstance(message, str) else unreadable(message)
        self.recorder.note(self.loop.time(), mark, kept)
        if self.log.is_detailed:
            self.log.control(mark, message)

    def __repr__(self) -> str:
        machine = self.machine
        return f"<Session {machine.session[:8]} with {self.name or machine.peer!r}: {machine.state}>"

    # --- the machine --------------------------------------------------------------------------------------

    def step(self, call: Callable[[float], T]) -> T:
        """Give the machine an input, then do what it asks for."""
        try:
            result = call(self.loop.time())
        except SessionClosedError as error:
            raise self.with_receipt(error) from None
        self.settle()
        return result

    def with_receipt(self, error: SessionClosedError) -> SessionClosedError:
        """Return the machine's error with the receipt, and in words why the session has ended."""
        if self.receipt is None:
            return error
        return SessionClosedError(f"{error}: {self.receipt.notice}", self.receipt)

    def settle(self) -> None:
        """Do the machine's actions, hand out its events, and set the timer."""
        if self._settling:
            return  # what an action brings about is done by the loop that is doing it
        machine = self.machine
        if machine.actions or machine.events:
            self._settling = True
            try:
                while True:
                    if machine.actions:
                        self._do(machine.actions.popleft())
                    elif machine.events:
                        self.on_event(machine.events.popleft())
                    else:
                        break
            finally:
                self._settling = False
            self.media.switch(machine.active or 0)
        self.arm()

    def arm(self) -> None:
        """Set the timer to when the machine wants to be called again, or leave it earlier."""
        when = self.machine.poll_timeout()
        if when is None or self._timer is None or when < self._timer_at:
            self._set_timer(when)

    def _set_timer(self, when: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if when is not None:
            self._timer_at = when
            self._timer = self.loop.call_at(when, self._due, context=self._context)

    def _due(self) -> None:
        self._timer = None
        when = self.machine.poll_timeout()
        if when is not None and when <= self._timer_at:
            # A loop may call a little early, by its clock's resolution: it is the time that was asked for.
            self.step(lambda now: self.machine.handle_timeout(max(now, when)))
        else:
            self.arm()

    def _do(self, action: actions.AnyAction) -> None:
        match action:
            case actions.SendData(epoch=epoch, id=id_, data=data):
                if (connection := self.connections.get(epoch)) is not None:
                    connection.send_data(id_, data)
            case actions.SendControl(epoch=epoch, text=text):
                self.note_control(">", text)
                if (connection := self.connections.get(epoch)) is not None:
                    connection.send_control(text)
            case actions.AskDrained(epoch=epoch, id=id_, most=most):
                if (connection := self.connections.get(epoch)) is not None:
                    connection.ask_drained(id_, most)
            case actions.Connect(epoch=epoch, offer=offer):
                self._make_connection(epoch, offer)
            case actions.OpenStream(epoch=epoch):
                if (connection := self.connections.get(epoch)) is not None:
                    connection.open_stream(action)
            case actions.CloseStream(epoch=epoch, id=id_):
                if id_ is None and self.media.is_in_use:
                    self.tasks.spawn(self.media.take_account(), "accounts for media")
                if (connection := self.connections.get(epoch)) is not None:
                    connection.close_stream(id_)
            case actions.RestartIce(epoch=epoch):
                if (connection := self.connections.get(epoch)) is not None:
                    connection.restart_ice()
            case actions.AskFresh(epoch=epoch):
                if (connection := self.connections.get(epoch)) is not None:
                    connection.ask_fresh()
            case actions.Release(epoch=epoch):
                if (connection := self.connections.get(epoch)) is not None:
                    connection.release()
                else:  # it could not be made
                    self.step(lambda now: self.machine.released(epoch, now))
            case actions.Signal(word=word):
                self.signal(word)
            case actions.Probe():
                self.route.probe()

    def _make_connection(self, epoch: int, offer: bool) -> None:
        try:
            pc = check_connection(self._connect(), [connection.pc for connection in self.connections.values()])
        except Exception as error:  # noqa: BLE001 it is the user's function
            self.note("!", f"connection {epoch}: {error!r}", type="lost", epoch=epoch, text=type(error).__name__)
            report(self.loop, f"connection {epoch} of {self!r} could not be made", error)
            text = str(error) or type(error).__name__
            self.step(lambda now: self.machine.cannot_connect(epoch, text, now))
            return
        self.note("=", f"connection {epoch} is made: {pc.log_id}", type="made", epoch=epoch)
        self.connections[epoch] = Connection(
            epoch,
            pc,
            offer=offer,
            polite=self.machine.smaller,
            sink=self,
            tasks=self.tasks,
        )

    # --- what connections report (connection.Sink) --------------------------------------------------------

    def control_opened(self, epoch: int, max_message: int) -> None:
        """See `SessionMachine.control_opened`."""
        self.step(lambda now: self.machine.control_opened(epoch, max_message, now))

    def control_received(self, epoch: int, text: str | bytes) -> None:
        """See `SessionMachine.control_received`."""
        self.note_control("<", text)
        self.step(lambda now: self.machine.control_received(epoch, text, now))

    def data_received(self, epoch: int, id_: int, event: MessageEvent) -> None:
        """See `SessionMachine.data_received`. All messages come this way: a call that does nothing is not made."""
        data, machine = event.data, self.machine
        if isinstance(data, str):
            self.step(lambda now: machine.end_by_violation(now, "text on a session channel"))
            return
        payload = machine.data_received(epoch, id_, data, self.loop.time())
        if machine.actions or machine.events:
            self.settle()
        elif (when := machine.poll_timeout()) is not None and (self._timer is None or when < self._timer_at):
            self._set_timer(when)
        if payload is not None:
            self.readers[machine.by_id[id_].name](payload)

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
        self.note("!", f"connection {epoch}: {text}", type="lost", epoch=epoch, text=text)
        self.step(lambda now: self.machine.connection_lost(epoch, kind, text, now))

    def no_way_out(self, epoch: int, text: str) -> None:
        """See `SessionMachine.no_way_out`."""
        self.note("!", f"connection {epoch}: {text}", type="lost", epoch=epoch, text=text)
        self.step(lambda now: self.machine.no_way_out(epoch, text, now))

    def ice_changed(self, epoch: int, state: str) -> None:
        """See `SessionMachine.ice_changed`."""
        self.note("=", f"connection {epoch}: ICE {state}", type="ice", epoch=epoch, state=state)
        self.step(lambda now: self.machine.ice_changed(epoch, state, now))

    def network_changed(self, epoch: int, event: NetworkChangeEvent) -> None:
        """Look at the path and at signaling: this machine's network has changed, or it has slept."""
        if epoch == self.machine.active:
            words = [f"{', '.join(event.gone)} has gone"] if event.gone else []
            words += [f"{', '.join(event.came)} has come"] if event.came else []
            words += [f"it has slept {event.slept:.0f} s"] if event.slept else []
            self.look_at_network(f"this machine's network: {'; '.join(words)}", event.gone)

    def look_at_network(self, text: str, gone: Sequence[str] = (), *, at_once: bool = False) -> None:
        """See `SessionMachine.network_changed`."""
        self.note("!", text)
        self.route.network_changed(gone)
        self.step(lambda now: self.machine.network_changed(text, now, at_once=at_once))

    def negotiated(self, epoch: int) -> None:
        """See `SessionMachine.negotiated`."""
        self.step(lambda now: self.machine.negotiated(epoch, now))
        self._begin_counting()  # a track may come while the session closes

    def wants_tracks(self, epoch: int, pc: RTCPeerConnection) -> None:
        """Offer the session's tracks: the first description of this connection is about to be made."""
        self.media.attach(epoch, pc)

    def track_came(self, epoch: int, event: RTCTrackEvent) -> None:
        """Report a track of the other side; after a reset it is another one, in streams of the same ids."""
        self.log.line("=", f"connection {epoch}: {event.track.kind} comes")
        self._unheard.append(events.TrackEvent(event.track, event.streams, event.transceiver))
        if self.emitter.has("track"):
            self.tell_tracks()
        else:
            self._unheard = [came for came in self._unheard if came.track.readyState == "live"]

    def tell_tracks(self) -> None:
        """Fire `track` for the tracks that came while nobody listened, and have not ended."""
        waiting, self._unheard = self._unheard, []
        for came in waiting:
            if came.track.readyState == "live":
                self.emitter.emit("track", came)

    def fresh(self, epoch: int, age: float | None) -> None:
        """See `SessionMachine.fresh`."""
        self.step(lambda now: self.machine.fresh(epoch, age, now))

    def released(self, epoch: int) -> None:
        """See `SessionMachine.released`."""
        connection = self.connections.pop(epoch, None)
        self.media.detach(epoch)
        if connection is not None:
            self._left += connection.left
        self.step(lambda now: self.machine.released(epoch, now))

    # --- the end of media ---------------------------------------------------------------------------------

    def finish_media(self, *, heard: bool) -> None:
        """Let what is queued be spoken (`heard`), take the account, then let the drain end; the deadline ends both."""

        async def finish() -> None:
            self._begin_counting()
            try:
                await self.media.finish(heard=heard)
            except (
                DOMException
            ) as error:  # its track was stopped, its connection is lost: the account says what is unsent
                self.log.line("!", f"media: {error}")
            finally:
                if self.receipt is None:
                    self._tell_media()
                    self.step(self.machine.media_finished)

        self.tasks.spawn(finish(), "lets media finish")

    def _begin_counting(self) -> None:
        if self.machine.closing is not None and self.media.is_in_use and self._counting is None:
            self._counting = self.tasks.spawn(self._count_media(), "counts media")

    def stop_waiting(self) -> None:
        """Count media no longer, and hear no server: the session has ended."""
        for task in (self._counting, self._hearing):
            if task is not None:
                task.cancel()

    async def _count_media(self) -> None:
        """Keep the account of media fresh until this side says its last word, which carries it."""
        while (closing := self.machine.closing) is not None and closing.said_closed is None:
            await self.media.take_account()
            self._tell_media()
            await asyncio.sleep(COUNTED)

    def _tell_media(self) -> None:
        self.step(lambda now: self.machine.media_counted(self.media.accounts, now))

    def room_closing(self, closes: bool) -> None:
        """Note that the room is closed for all, or that this side asks for it; False: it is refused."""
        self.step(lambda now: self.machine.room_closing(closes, now))
        if closes:
            self._room_closes.set()
        else:
            self._room_closes.clear()

    def handlers_over(self) -> None:
        """Note that the `closing` handlers have ended.

        If the other side says that the room is closed for all, this side's server is heard first: a receipt names that
        cause only if its own side knows it.
        """
        closing = self.machine.closing
        if closing is not None and closing.reason.code == ROOM_CLOSED and not self.machine.room_closes:
            self._hearing = self.tasks.spawn(self._hear_server(), "hears whether the room is closed")
        else:
            self.last_words_over()

    async def _hear_server(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._room_closes.wait(), ROOM_TOLD)
        self.last_words_over()

    def last_words_over(self) -> None:
        """Let the end come. Sound that the `closing` handlers have queued is spoken before."""
        speaking = self.machine.closing is not None and self.media.is_in_use
        self.step(lambda now: self.machine.last_words_over(now, speaking=speaking))
        if speaking:
            self.finish_media(heard=True)

    # --- signaling ----------------------------------------------------------------------------------------

    def signal(self, message: Relayed) -> None:
        """Hand a message to the other side's session by signaling."""
        addressed = msgspec.structs.replace(message, session=self.machine.session, to=self.machine.peer)
        self._note_signal(">", message)
        self.route.send(addressed)

    def _note_signal(self, mark: Mark, message: Relayed) -> None:
        if isinstance(message, Description):
            self.record(mark, type="signal", word="description", epoch=message.epoch)
        elif not isinstance(message, (Candidates, Probe, words.Moved)):
            word = str(type(message).__struct_config__.tag)
            self.note(mark, f"by signaling: {type(message).__name__}", type="signal", word=word)

    def signaled(self, message: Relayed) -> None:
        """Take a message of the other side's session by signaling."""
        self._note_signal("<", message)
        match message:
            case Description(epoch=epoch) | Candidates(epoch=epoch):
                if isinstance(message, Description):
                    wanted = self.step(lambda now: self.machine.wants_description(epoch, now))
                    if not wanted:
                        return
                if (connection := self.connections.get(epoch)) is not None:
                    connection.signaled(message)
            case Probe() | words.Moved():
                pass  # answered by the client; heard by the room
            case _:
                word: AnyWord = message
                self.step(lambda now: self.machine.signal_received(word, now))

    def signaling_changed(self, up: bool, reason: str = "") -> None:
        """Note that signaling is up, or down."""
        if up == self.signaling_up:
            return
        self.signaling_up = up
        text = "signaling is up" if up else f"signaling is down: {reason}"
        self.note("=" if up else "!", text, type="signaling", up=up)
        self.emitter.emit("signaling", events.SignalingChange(up, reason))
        self.step(lambda now: self.machine.signaling_changed(up, now))

    def signaling_broken(self, message: str) -> None:
        """End the session: what the other side says by signaling makes no sense."""
        self.step(lambda now: self.machine.end_by_violation(now, f"by signaling: {message}"))

    def superseded(self) -> None:
        """End the session: the other side has started another one with this side."""
        self.step(self.machine.superseded)

    def doubt(self) -> None:
        """Ask the other side for an answer: something says that it is gone."""
        self.step(self.machine.doubt)

    def introduced(self, peer: str) -> None:
        """See `SessionMachine.introduced`."""
        self.step(lambda now: self.machine.introduced(peer, now))

    def say_moved(self, peer: str) -> None:
        """Tell the other side in-band the new peer id that a restarted server gave this side."""
        self.step(lambda now: self.machine.say_moved(peer, now))

    def moved(self, peer: str) -> None:
        """Send signaling to the other side's new peer id, which is certain now."""
        self.route.peer = peer

    def presence_changed(self, presence: Presence, *, reloaded: bool = False) -> None:
        """See `SessionMachine.presence_changed`: what the server says of the other side."""
        text = f"the server says: {presence}{', reloaded' if reloaded else ''}"
        self.note("<", text, type="presence", presence=presence, reloaded=reloaded)
        self.step(lambda now: self.machine.presence_changed(presence, now, reloaded=reloaded))

    def probed(self, *, by_peer: bool, alive: bool) -> None:
        """See `SessionMachine.probed`: the answer to a probe."""
        self.record("<", type="probed", byPeer=by_peer, alive=alive)
        self.step(lambda now: self.machine.probed(by_peer, alive, now))


def _ignore(_: actions.AnyEvent) -> None:
    """Drop what happens before there is a session."""
