"""The `Driver`, one for each event loop: it takes the core's events and calls the objects.

Theory of operation
-------------------
The core's event queue has a descriptor that becomes readable when there is something in it. `wake()` then hands out the
events that wait at that moment, bounded in events, bytes and time.

Messages are hot: the core itself hands out a run of them (`EventQueue.deliver`). A message for a single plain handler
gets there without a Python call between (`EventQueue.route`); any other message goes to the channel's `handle_message`.
The core returns all other events one by one. The table `_core.EVENTS` names the method for each kind of event, and the
hot kinds (`HOT`).

The W3C queues a task for each event, and between two tasks a browser runs code that awaits a promise. So here a batch
stops after a cold event, and goes on in the next round of the event loop. A coroutine that was woken by `open` has run
before the first message is handed out.

A *turn* is a task in the sense of the W3C, within which bufferedAmount may not fall. It is a number that changes
between two rounds of the event loop, and before each event.
"""

from __future__ import annotations

import asyncio
import weakref
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from itertools import count
from threading import current_thread, get_ident
from typing import TYPE_CHECKING, Any, Final

from adieu import _core
from adieu.driver import core_log
from adieu.driver.clock import Clock
from adieu.driver.handles import Handles
from adieu.driver.waking import watch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

MAX_EVENTS: Final = 512
MAX_BYTES: Final = 1 << 20
MAX_SECONDS: Final = 0.005
"""Bounds for one batch, so that the other things of the event loop get their turn."""

HOT: Final = frozenset(number for number, row in enumerate(_core.EVENTS) if row[5])
"""Kinds of events that end no batch."""

SETTLING: Final = 4
"""Rounds of the event loop between a channel that opens and its first message: what awaits the opening, also through
`gather` or `wait_for`, has run by then."""

_chosen: ContextVar[Driver | None] = ContextVar("adieu.driver", default=None)
_drivers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[Driver]] = weakref.WeakKeyDictionary()


class Driver:
    """Connects the objects of one event loop to the core.

    Args:
        loop: the event loop.
        core: the core's event queue. The driver of a `VirtualNetwork` empties its queues itself.

    Attributes:
        core: the core's event queue.
        handles: the objects that get the events.
        clock: the time to show.
        ended: whether `end()` was called.

    Thread safety: use it in the thread of its event loop; `queue_task`, `run_here` and `require_thread` may be called
    from anywhere.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, core: _core.EventQueue) -> None:
        self.core = core
        self.handles: Handles = Handles()
        self.clock: Clock = Clock(loop.time)
        self._loop = weakref.ref(loop)
        self._left = 0  # events of the batch that were not handed out yet
        # A network in memory has its own clock, on which a batch takes no time.
        self._max_seconds = MAX_SECONDS if core.fileno() >= 0 else float("inf")
        self._scheduled = False
        core.thread = get_ident()
        self._turn_is_watched = False
        self._after_turn: list[Callable[[], object]] = []
        self._owed: dict[int, int] = {}
        self._stats: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._requests = count(1)
        self._guard: AsyncGenerator[None] | None = None
        self._unwatch: Callable[[], None] | None = None
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
            OSError: the system refuses: no descriptor, no thread.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                "there is no running event loop here, and a connection belongs to one: make it in a coroutine, as in"
                " `async def main(): pc = RTCPeerConnection()` and asyncio.run(main())"
            ) from None
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
        core = _core.EventQueue()
        driver = cls(loop, core)
        try:
            # From here on the event loop owns the driver: it is kept as long as the loop is, and not longer.
            driver._unwatch = watch(loop, core, driver.wake)
        except BaseException:
            core.close()
            raise
        driver.watch_loop()
        return driver

    @contextmanager
    def use(self) -> Generator[Driver]:
        """Let objects that are made in this block, and in tasks started in it, belong to this driver."""
        token = _chosen.set(self)
        try:
            yield self
        finally:
            _chosen.reset(token)

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop; None after it is collected."""
        return self._loop()

    # --- tasks and turns -----------

    @property
    def turn(self) -> int:
        """A number that is another one in each task, as long as somebody watches (`watch_turn`)."""
        return self.core.turn

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
        """Check that this is the thread of the event loop. While the event loop does not run, any thread is right.

        Args:
            what: the call, such as "RTCPeerConnection.close()".

        Raises:
            RuntimeError: this is another thread.
        """
        if get_ident() == self.core.thread:
            return
        loop = self.loop
        if self.ended or loop is None or not loop.is_running():
            self.core.thread = get_ident()
            return
        if asyncio._get_running_loop() is loop:  # noqa: SLF001 see queue_task
            self.core.thread = get_ident()  # it runs in another thread than it did
            return
        raise RuntimeError(
            f"{what} was called in the thread {current_thread().name!r}; its object belongs to an event loop that runs "
            "in another one: loop.call_soon_threadsafe(function, ...) calls a function there, "
            "asyncio.run_coroutine_threadsafe(coroutine, loop) awaits a coroutine there"
        )

    @property
    def is_over(self) -> bool:
        """Whether the last event and the last task have come."""
        loop = self.loop
        return self.ended or loop is None or loop.is_closed()

    def _task(self, callback: Callable[..., object], args: tuple[object, ...]) -> None:
        self.core.next_turn()
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
        self.core.next_turn()
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
        self.core.next_turn()
        self.core.thread = get_ident()
        if not self._left:
            if self._turn_is_watched:
                # Something was sent. What is due at the end of this task comes before what the core has had since.
                self._go_on()
                return
            self._left = min(self.core.waiting, MAX_EVENTS)
        while (event := self._deliver()) is not None:
            if event[0] not in HOT:
                self._hand_out_alone(event)
                return
            self._dispatch(event)
            if not self._left:
                break
        if self._left or self.core.waiting:
            self._go_on()

    def _deliver(self) -> Any:
        """Let the core hand out messages. Return the next other event; None if the batch ends here, or must wait."""
        try:
            event, self._left = self.core.deliver(self.handles.channels, self._left, MAX_BYTES, self._max_seconds)
        except BaseException:
            self._left = 0
            self._go_on()
            raise
        return event

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
        """Give an event to the method that the core's table names. An event without an object is dropped."""
        kind, handle, *rest = event
        values: list[Any] = rest
        if kind == _core.ICE_PAIR:
            _, local, remote = values
            # The W3C handles a state that changes together with the selected pair in one task.
            state = self.core.take_ice_state(handle)
            if state is not None:
                self._left = max(self._left - 1, 0)
            values = [state, (local, remote)]
        elif kind == _core.ICE_STATE:
            values.append(None)
        if not 0 <= kind < len(_core.EVENTS):
            raise AssertionError(f"the core has an event that is not known here: {event!r}")
        _, to, method, *_ = _core.EVENTS[kind]
        if to == "driver":
            values.insert(0, handle)
        target = self._target(to, handle)
        if kind == _core.CONNECTION_ENDED:  # the last of its events: nothing keeps it
            core_log.released(self.handles.names.pop(handle, ""), *values)
            self.handles.connections.pop(handle, None)
        if target is not None:
            getattr(target, method)(*values)

    def _target(self, to: str, handle: int) -> object:
        match to:
            case "channel":
                return self.handles.channels.get(handle)
            case "transport":
                return self.handles.transports.get(handle)
            case "connection":
                return self.handles.connections.get(handle)
            case "receiver" | "sender" | "source" | "sink":
                return self.handles.media.get(handle)
            case _:
                return self

    # --- back to the core -----------

    def consumed(self, transport: int, size: int) -> None:
        """Note that `size` bytes of messages were taken. The core gets the sum once a round."""
        owed = self._owed
        if not owed and (loop := self.loop) is not None and not loop.is_closed():
            loop.call_soon(self._pay)
        owed[transport] = owed.get(transport, 0) + size

    def _pay(self) -> None:
        owed, self._owed = self._owed, {}
        for transport, size in owed.items():
            self.core.consumed(transport, size)

    def stats(self, transport: int) -> asyncio.Future[dict[str, Any]]:
        """Ask the core for the statistics of a transport, as they are now.

        The result is empty if the transport is unknown or the event loop ends. If it is cancelled, the answer is
        dropped.
        """
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        if self.ended:
            future.set_result({})
            return future
        request = next(self._requests)
        self._stats[request] = future
        future.add_done_callback(lambda _: self._stats.pop(request, None))
        self.core.request_stats(transport, request)
        return future

    def handle_log(self, connection: int, logger: str, text: str) -> None:
        """Write a line of the core into the log."""
        core_log.write(self.handles.names, connection, logger, text)

    def handle_stats(self, _transport: int, request: int, stats: dict[str, Any]) -> None:
        """Resolve what `stats` awaits."""
        future = self._stats.get(request)
        if future is not None and not future.done():
            future.set_result(stats)

    # --- the end -----------

    def watch_loop(self) -> None:
        """Notice the end of the event loop.

        asyncio has no hook for it. But before `asyncio.run()` closes its loop, it closes every async generator that was
        started in it. So one is started here, and its end is the end of the loop. Without it, connections that a
        program forgets to close would live until it exits, and their peers would wait for nothing.
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
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        self.core.close()
