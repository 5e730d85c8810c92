"""One `Driver` for each event loop: it takes the core's events and calls the objects.

Theory of operation
-------------------
The core's queue has a descriptor that becomes readable when there is something in it. `wake()` then takes a batch,
bounded in events and bytes, and gives each event to its object by one `match`.

The W3C queues a task for each thing that happens, and between two tasks a browser runs what awaits a promise. Here
that is: after any event but a message the batch stops and goes on in the next round of the event loop, so that a
coroutine that was woken by `open` has run before the first message is handed out. Messages are handed out together;
who has to see each one has a handler or a reader, and both are called in order.

A *turn* is what the W3C calls a task when it says that bufferedAmount may not fall within one: a number that changes
between two rounds of the event loop, and before each event.
"""

from __future__ import annotations

import asyncio
import weakref
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from itertools import chain, count, islice
from threading import current_thread, get_ident
from typing import TYPE_CHECKING, Any, Final

from adieu import _core
from adieu.driver import core_log
from adieu.driver.clock import Clock
from adieu.driver.handles import Handles
from adieu.errors import NotSupportedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator

    from adieu.driver.handles import ChannelHandler, ConnectionHandler, TransportHandler

MAX_EVENTS: Final = 512
MAX_BYTES: Final = 1 << 20
MAX_SECONDS: Final = 0.005
"""Bounds for one batch, so that the other things of the event loop get their turn."""

MESSAGES_BETWEEN_LOOKS: Final = 32
"""How often the clock is looked at."""

SETTLING: Final = 4
"""Rounds of the event loop between a channel that opens and its first message: what awaits the opening, also through
`gather` or `wait_for`, has run by then."""

_chosen: ContextVar[Driver | None] = ContextVar("adieu.driver", default=None)
_drivers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[Driver]] = weakref.WeakKeyDictionary()


class Driver:
    """The door to the core for the objects of one event loop.

    Args:
        loop: the event loop.
        core: the core's queue; one of a `VirtualNetwork` is drained by whoever drives that network.

    Attributes:
        core: the core's queue.
        handles: who gets which events.
        clock: the time to show.
        turn: a number that is another one in each task, as long as somebody watches (`watch_turn`).
        thread: the number of the thread in which the event loop runs, as far as it is known.
        ended: whether `end()` was called.

    Thread safety: none; `queue_task`, `run_here` and `require_thread` may be called from anywhere.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, core: _core.Loop) -> None:
        self.core = core
        self.handles: Handles = Handles()
        self.clock: Clock = Clock(loop.time)
        self._loop = weakref.ref(loop)
        self._events: Iterator[Any] = iter(())
        self._scheduled = False
        self.turn: int = 0
        self.thread: int = get_ident()
        self._turn_is_watched = False
        self._after_turn: list[Callable[[], object]] = []
        self._owed: dict[int, int] = {}
        self._stats: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._requests = count(1)
        self._guard: AsyncGenerator[None] | None = None
        self.ended: bool = False
        # Handlers run in the context of the driver, whoever happens to wake it: objects that they make are of it too.
        context = copy_context()
        context.run(_chosen.set, self)
        self._context = context

    # --- which one -----------

    @classmethod
    def current(cls) -> Driver:
        """The one for objects that are made now: chosen by `use()`, else that of the running event loop.

        Raises:
            RuntimeError: there is no running event loop.
            NotSupportedError: the event loop has no `add_reader`.
            OSError: the system refuses: no descriptor, no thread.
        """
        loop = asyncio.get_running_loop()
        chosen = _chosen.get()
        if chosen is not None and not chosen.ended and chosen.loop is loop:
            return chosen
        reference = _drivers.get(loop)
        driver = reference() if reference is not None else None
        if driver is None or driver.ended:
            driver = cls._attached(loop)
            _drivers[loop] = weakref.ref(driver)
        return driver

    @classmethod
    def _attached(cls, loop: asyncio.AbstractEventLoop) -> Driver:
        core = _core.Loop()
        driver = cls(loop, core)
        try:
            # From here on the event loop owns the driver: it is kept as long as the loop is, and not longer.
            loop.add_reader(core.fileno(), driver.wake)
        except OSError:
            core.close()
            raise
        except NotImplementedError:
            core.close()
            raise NotSupportedError(
                f"{type(loop).__name__} has no add_reader(); use a selector event loop "
                "(on Windows: asyncio.run(main(), loop_factory=asyncio.SelectorEventLoop))"
            ) from None
        driver.watch_loop()
        return driver

    @contextmanager
    def use(self) -> Generator[Driver]:
        """Objects that are made in this block, and in tasks begun in it, belong to this driver."""
        token = _chosen.set(self)
        try:
            yield self
        finally:
            _chosen.reset(token)

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop; None when it is no more."""
        return self._loop()

    # --- tasks and turns -----------

    def queue_task(self, callback: Callable[..., object], *args: object) -> None:
        """Run it soon, as a task of its own. On an event loop that has ended, it never runs."""
        loop = self.loop
        if loop is None or loop.is_closed():
            return
        if asyncio._get_running_loop() is loop:  # noqa: SLF001 documented for libraries: None instead of an exception
            loop.call_soon(self._task, callback, args, context=self._context)
        else:  # a finalizer, in whatever thread the garbage collector runs
            loop.call_soon_threadsafe(self._task, callback, args, context=self._context)

    def run_here(self, callback: Callable[..., object], *args: object) -> None:
        """Call it now if this is the event loop's thread, or nobody's; else let the event loop do it."""
        loop = self.loop
        if loop is None or loop.is_closed():
            return
        if loop.is_running() and asyncio._get_running_loop() is not loop:  # noqa: SLF001 see queue_task
            loop.call_soon_threadsafe(callback, *args)
        else:
            callback(*args)

    def require_thread(self, what: str) -> None:
        """What follows belongs to the thread of the event loop; while that does not run, to any.

        Args:
            what: is being called, as "RTCPeerConnection.close()".

        Raises:
            RuntimeError: this is another thread.
        """
        if get_ident() == self.thread:
            return
        loop = self.loop
        if self.ended or loop is None or not loop.is_running():
            return
        if asyncio._get_running_loop() is loop:  # noqa: SLF001 see queue_task
            self.thread = get_ident()  # it runs in another thread than it did
            return
        raise RuntimeError(
            f"{what} was called in the thread {current_thread().name!r}; its object belongs to an event loop that runs "
            "in another one: loop.call_soon_threadsafe(function, ...) calls a function there, "
            "asyncio.run_coroutine_threadsafe(coroutine, loop) awaits a coroutine there"
        )

    @property
    def is_over(self) -> bool:
        """Whether no event and no task will come any more."""
        loop = self.loop
        return self.ended or loop is None or loop.is_closed()

    def _task(self, callback: Callable[..., object], args: tuple[object, ...]) -> None:
        self.turn += 1
        callback(*args)

    async def next_task(self) -> None:
        """Go on in a task of its own."""
        await asyncio.sleep(0)

    def call_later(self, seconds: float, callback: Callable[..., object], *args: object) -> None:
        """Run it as a task of its own, so many seconds from now; never, when the event loop has ended by then."""
        loop = self.loop
        if loop is not None and not loop.is_closed():
            loop.call_later(seconds, self._task, callback, args, context=self._context)

    def watch_turn(self) -> int:
        """Have `turn` change as soon as the task that runs now is over. Returns it."""
        if not self._turn_is_watched:
            self._turn_is_watched = True
            if (loop := self.loop) is not None and not loop.is_closed():
                loop.call_soon(self._end_turn, context=self._context)
        return self.turn

    def after_turn(self, call: Callable[[], object]) -> None:
        """Have this called as soon as the task that runs now is over."""
        self._after_turn.append(call)
        self.watch_turn()

    def _end_turn(self) -> None:
        self.turn += 1
        self._turn_is_watched = False
        calls, self._after_turn = self._after_turn, []
        for call in calls:
            call()

    # --- the core's events -----------

    def wake(self) -> None:
        """The core has events."""
        if not self._scheduled:
            self._context.run(self._hand_out)

    def _hand_out(self, rounds: int = 0) -> None:
        if rounds:
            self._go_on(rounds - 1)
            return
        self._scheduled = False
        self.turn += 1
        self.thread = get_ident()
        if self._until_next_task():
            return
        if self._turn_is_watched:
            # Something was sent. What is due at the end of this task comes before what the core has had since.
            self._go_on()
            return
        events, more = self.core.drain(MAX_EVENTS, MAX_BYTES)
        self._events = iter(events)
        if not self._until_next_task() and more:
            self._go_on()

    def _until_next_task(self) -> bool:
        """Hand out messages, up to and with the first event that is not one, or until others must have their turn.

        Returns:
            Whether it goes on in another task.
        """
        channels = self.handles.channels
        message, log = _core.MESSAGE, _core.LOG
        loop = self.loop
        end = loop.time() + MAX_SECONDS if loop is not None else 0.0
        while loop is not None:
            event = None
            for event in islice(self._events, MESSAGES_BETWEEN_LOOKS):
                if event[0] != message:
                    if event[0] == log:  # no event of the program's: it ends no batch
                        core_log.write(self.handles.names, *event[1:])
                        continue
                    self._hand_out_alone(event)
                    return True
                channel = channels.get(event[1])
                if channel is not None:  # else its connection is closed, and nobody waits for the bytes
                    channel.handle_message(event[2], event[3])
            if event is None:
                break
            if loop.time() > end:
                self._go_on()
                return True
        return False

    def _hand_out_alone(self, event: Any) -> None:
        try:
            self._dispatch(event)
        finally:
            settle = event[0] in {_core.CHANNEL_OPEN, _core.CHANNEL_INCOMING}
            self._go_on(SETTLING if settle else 0)

    def _go_on(self, rounds: int = 0) -> None:
        loop = self.loop
        if loop is not None and not self.ended:
            self._scheduled = True
            loop.call_soon(self._hand_out, rounds, context=self._context)

    def _dispatch(self, event: Any) -> None:
        """One event to one method. What belongs to nobody any more is let go."""
        match event:
            case (_core.CHANNEL_OPEN, handle):
                self._channel(handle).handle_open()
            case (_core.CHANNEL_CLOSING, handle):
                self._channel(handle).handle_closing()
            case (_core.CHANNEL_CLOSED, handle, error, cause_code):
                self._channel(handle).handle_closed(error, cause_code)
            case (_core.CHANNEL_LOW, handle):
                self._channel(handle).handle_low()
            case (_core.CHANNEL_FAILED, handle, message):
                self._channel(handle).handle_failed(message)
            case (_core.CHANNEL_INCOMING, handle, channel, *description):
                self._transport(handle).handle_incoming(channel, *description)
            case (_core.CANDIDATE, handle, generation, line, url):
                self._transport(handle).handle_candidate(generation, line, url)
            case (_core.CANDIDATE_ERROR, handle, generation, address, port, url, code, text):
                self._transport(handle).handle_candidate_error(generation, address, port, url, code, text)
            case (_core.GATHERING, handle, generation, state):
                self._transport(handle).handle_gathering(generation, state)
            case (_core.ICE_PAIR, handle, _, local, remote):
                self._transport(handle).handle_ice(self._state_with(handle), (local, remote))
            case (_core.ICE_STATE, handle, state):
                self._transport(handle).handle_ice(state, None)
            case (_core.ICE_ROLE, handle, role):
                self._transport(handle).handle_role(role)
            case (_core.DTLS_CERTIFICATES, handle, certificates):
                self._transport(handle).handle_certificates(certificates)
            case (_core.DTLS_STATE, handle, state, detail, message, sent_alert, received_alert):
                self._transport(handle).handle_dtls(state, detail, message, sent_alert, received_alert)
            case (_core.SCTP_STATE, handle, state, cause_code, message, max_channels):
                self._transport(handle).handle_sctp(state, cause_code, message, max_channels)
            case (_core.STATS, _, request, stats):
                self._answer(request, stats)
            case (_core.CONNECTION_ENDED, handle, left):
                # The last of its events: nothing keeps it any more.
                core_log.released(self.handles.names.pop(handle, ""), left)
                self.handles.connections.pop(handle, _NOBODY).handle_ended(left)
            case (_core.CONNECTION_PANICKED, handle, message):
                self._connection(handle).handle_panicked(message)
            case _:
                raise AssertionError(f"the core has an event that is not known here: {event!r}")

    def _state_with(self, transport: int) -> str | None:
        """The state that changes together with the selected pair: the W3C handles both in one task."""
        following = next(self._events, None)
        match following:
            case (_core.ICE_STATE, handle, state) if handle == transport:
                return str(state)
            case None:
                return None
            case _:
                self._events = chain((following,), self._events)
                return None

    def _channel(self, handle: int) -> ChannelHandler:
        found = self.handles.channels.get(handle)
        return _NOBODY if found is None else found

    def _transport(self, handle: int) -> TransportHandler:
        found = self.handles.transports.get(handle)
        return _NOBODY if found is None else found

    def _connection(self, handle: int) -> ConnectionHandler:
        found = self.handles.connections.get(handle)
        return _NOBODY if found is None else found

    # --- back to the core -----------

    def consumed(self, transport: int, size: int) -> None:
        """So many bytes of messages have been taken. The core is told once a round."""
        owed = self._owed
        if not owed and (loop := self.loop) is not None and not loop.is_closed():
            loop.call_soon(self._pay)
        owed[transport] = owed.get(transport, 0) + size

    def _pay(self) -> None:
        owed, self._owed = self._owed, {}
        for transport, size in owed.items():
            self.core.consumed(transport, size)

    async def stats(self, transport: int) -> dict[str, Any]:
        """The core's figures of a transport; nothing, when it has none or the event loop ends.

        Cancellation: the answer is dropped.
        """
        if self.ended:
            return {}
        request = next(self._requests)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._stats[request] = future
        self.core.request_stats(transport, request)
        try:
            return await future
        finally:
            self._stats.pop(request, None)

    def _answer(self, request: int, stats: dict[str, Any]) -> None:
        future = self._stats.get(request)
        if future is not None and not future.done():
            future.set_result(stats)

    # --- the end -----------

    def watch_loop(self) -> None:
        """Learn when the event loop ends.

        asyncio has no hook for it, but before `asyncio.run()` closes its loop it closes every async generator that was
        begun in it. So one is begun here, and its end is the loop's. Without it a program that forgets to close its
        connections would keep them alive until it exits, and the peers would wait for nobody.
        """
        self._guard = self._until_loop_ends()
        with suppress(StopIteration):  # which says that it stands at its yield
            self._guard.__anext__().send(None)

    async def _until_loop_ends(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            self.end()

    def end(self) -> None:
        """Close all connections and the queue. Idempotent."""
        if self.ended:
            return
        self.ended = True
        for connection in list(self.handles.connections.values()):
            connection.handle_loop_ended()
        self.handles = Handles()
        for future in self._stats.values():
            if not future.done():
                future.set_result({})
        loop = self.loop
        if loop is not None and not loop.is_closed() and self.core.fileno() >= 0:
            loop.remove_reader(self.core.fileno())
        self.core.close()


class _Nobody:
    """Takes every event that belongs to nobody any more."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return self._ignore

    def _ignore(self, *_: object) -> None:
        """Nothing."""


_NOBODY: Any = _Nobody()
