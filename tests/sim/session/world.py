"""Two session machines, and a world of connections and signaling between them, on virtual time.

The connections are fakes: reliable, ordered streams with a delay and a rate that can be cut, as SCTP is to a session.
The real engines run under the same machines in tests/sim/stack.
"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from adieu.protocol.control import Reliability
from adieu.protocol.words import Reason
from adieu.session.machine import actions
from adieu.session.machine.held import Payload
from adieu.session.machine.machine import SessionMachine

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.session.machine.options import Options

ICE_TIME = 0.005
ROUNDS = 1000
"""Timers that are due at one moment, one after the other: more of them would never end."""


@dataclass
class Side:
    """A machine, its shell and its application."""

    world: World
    name: str
    machine: SessionMachine
    other: Side = None  # type: ignore[assignment]
    alive: bool = True
    hung: bool = False
    """Its process is stopped."""
    stuck: bool = False
    """Its program hangs, its engine answers."""
    engine_until: float | None = None
    """When the last packet of its engine came to the other side, if no more do."""
    signaling: bool = True
    connections: dict[int, set[int | None]] = field(default_factory=dict)
    """Epoch to the data channels made (None: control)."""
    up: set[int] = field(default_factory=set)
    log: list[tuple[float, Any]] = field(default_factory=list)
    trace: list[tuple[Any, ...]] = field(default_factory=list)
    """Everything that passed between the machine and its shell, in order."""
    got: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    reads: bool = True
    waits: bool = False
    """Its readers wait: they get each message in the input that brings it."""
    auto_last_words: bool = True
    busy_until: float = 0.0
    inbox: deque[Callable[[], None]] = field(default_factory=deque)
    grants: bool = False

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Feed the machine, then do what it asks."""
        if not self.alive or self.stuck:
            return None
        result = self.feed(method, *args, **kwargs)
        self.settle()
        return result

    def feed(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Give the machine an input, and write it down."""
        self.trace.append(("in", self.world.now, method, args, kwargs))
        result = getattr(self.machine, method)(*args, now=self.world.now, **kwargs)
        if method == "data_received" and result is not None:
            self.got[self.machine.by_id[args[1]].name].append(result.data)
        return result

    def settle(self) -> None:
        while True:
            if (action := self.machine.poll_action()) is not None:
                self.trace.append(("do", action))
                self.do(action)
            elif (event := self.machine.poll_event()) is not None:
                self.trace.append(("tell", event))
                self.log.append((self.world.now, event))
                self.on_event(event)
            else:
                break

    def on_event(self, event: Any) -> None:
        match event:
            case actions.Readable(name=name) | actions.ChannelOpened(name=name) if self.reads:
                self.read(name)
            case actions.ClosingAsked() if self.auto_last_words:
                self.feed("last_words_over")
            case actions.ChannelClosing(name=name) if self.auto_last_words:
                self.feed("channel_last_words_over", name)
            case actions.WaitAsked(eta=eta) if self.grants:
                self.feed("grant_wait", eta)

    def read(self, name: str) -> None:
        while (payload := self.feed("take", name)) is not None:
            self.got[name].append(payload.data)
        if self.waits and not self.machine.channels[name].reader_waits:
            self.feed("reader_changed", name, True)

    # --- what an application does

    def open(self, name: str, *, ordered: bool = True, **reliability: int) -> None:
        self.call("open_channel", name, ordered=ordered, reliability=Reliability(**reliability))

    def send(self, name: str, data: bytes) -> int:
        return self.call("send", name, Payload(data, text=False))

    def close(self, timeout: float = 5.0, text: str = "done") -> None:
        self.call("ask_close", Reason("left", text), timeout)

    def reset(self, level: str = "transport") -> None:
        self.call("ask_reset", level)

    @property
    def outcome(self) -> Any:
        return self.machine.outcome

    @property
    def state(self) -> str:
        return self.machine.state

    def states(self) -> list[str]:
        return [event.state for _, event in self.log if isinstance(event, actions.StateChanged)]

    def events(self, kind: type) -> list[Any]:
        return [event for _, event in self.log if isinstance(event, kind)]

    # --- the shell

    def do(self, action: Any) -> None:
        world, other = self.world, self.other
        match action:
            case actions.Connect(epoch=epoch, offer=offer):
                self.connections[epoch] = {None}
                if offer:
                    self.signal(lambda: other.described(epoch))
            case actions.OpenStream(epoch=epoch, id=id_):
                if epoch in self.connections:
                    self.connections[epoch].add(id_)
                    world.later(0.001, lambda: self.stream_up(epoch, id_))
                    other.flush_held(epoch, id_)
            case actions.SendControl(epoch=epoch, text=text):
                self.transmit(epoch, None, len(text), lambda: other.call("control_received", epoch, text))
            case actions.SendData(epoch=epoch, id=id_, data=data):
                self.transmit(epoch, id_, len(data), lambda: other.call("data_received", epoch, id_, data))
            case actions.AskDrained(epoch=epoch, id=id_):
                wait = max(self.busy_until - world.now, 0.0005)
                world.later(wait, lambda: epoch in self.connections and self.call("drained", epoch, id_, 0))
            case actions.AskFresh(epoch=epoch):
                age = world.now - other.engine_until if other.engine_until is not None else 0.1
                world.later(0.001, lambda: self.call("fresh", epoch, age + 0.001))
            case actions.CloseStream(epoch=epoch, id=id_):
                self.close_stream(epoch, id_)
            case actions.Release(epoch=epoch):
                self.connections.pop(epoch, None)
                self.up.discard(epoch)
                self.transmit(
                    epoch, None, 0, lambda: other.lost(epoch, "left", "the other side closed the connection"), last=True
                )
                world.later(0.002, lambda: self.call("released", epoch))
            case actions.RestartIce(epoch=epoch):
                self.signal(
                    lambda: (
                        other.call("negotiated", epoch),
                        other.signal(lambda: self.call("negotiated", epoch)),
                    )
                )
            case actions.Signal(word=word):
                self.signal(lambda: other.call("signal_received", word))
            case actions.Probe():
                if self.signaling:
                    world.later(0.01, lambda: self.call("probed", False, other.alive))
                    runs = not (other.hung or other.stuck)
                    self.signal(lambda: other.signal(lambda: self.call("probed", True, True)) if runs else None)
            case _:
                raise AssertionError(action)

    def stream_up(self, epoch: int, id_: int) -> None:
        if epoch in self.up and id_ in self.connections.get(epoch, ()):
            self.call("stream_opened", epoch, id_)

    def described(self, epoch: int) -> None:
        if not self.call("wants_description", epoch):
            return
        self.signal(lambda: self.answered(epoch))

    def answered(self, epoch: int) -> None:
        self.world.ice(self, epoch)

    def connect(self, epoch: int) -> None:
        self.up.add(epoch)
        self.call("control_opened", epoch, 262144)
        for id_ in sorted(i for i in self.connections.get(epoch, ()) if i is not None):
            self.stream_up(epoch, id_)

    def close_stream(self, epoch: int, id_: int | None) -> None:
        def closed_there() -> None:
            if id_ in self.other.connections.get(epoch, ()):
                self.other.connections[epoch].discard(id_)
                self.other.call("stream_closed", epoch, id_)
                self.other.transmit(epoch, id_, 0, closed_here, closes=True)

        def closed_here() -> None:
            if id_ in self.connections.get(epoch, ()):
                self.connections[epoch].discard(id_)
                self.call("stream_closed", epoch, id_)

        self.transmit(epoch, id_, 0, closed_there, closes=True)

    def lost(self, epoch: int, kind: str, text: str) -> None:
        if epoch in self.connections:
            self.connections.pop(epoch)
            self.up.discard(epoch)
            self.call("connection_lost", epoch, kind, text)

    pausing: set[int] = field(default_factory=set[int])
    """Connections over which it sends nothing again yet, though the other side is heard."""
    held: dict[tuple[int, int | None], deque[Callable[[], None]]] = field(default_factory=lambda: defaultdict(deque))

    def transmit(
        self,
        epoch: int,
        id_: int | None,
        size: int,
        arrive: Callable[[], None],
        *,
        last: bool = False,
        closes: bool = False,
    ) -> None:
        world = self.world
        if epoch not in self.connections and not last:
            return
        start = max(world.now, self.busy_until)
        self.busy_until = start + size / world.rate

        # A reset is performed when all that was sent before it has come, on any stream (RFC 6525).
        fifo = (self.name, epoch, None if closes else id_)
        queue = world.pipes[fifo]
        queue.append((id_, arrive))

        def arrival() -> None:
            if not self.alive or not self.other.alive:
                return
            if world.cut or self.other.hung or epoch in self.pausing:
                world.stuck.append(arrival)
                return
            stream, arrive = queue.popleft()  # whichever is due, the oldest comes first
            if epoch not in self.other.connections:
                return
            if stream is not None and stream not in self.other.connections[epoch]:
                if not closes:
                    self.held[epoch, stream].append(arrive)
                return
            arrive()

        world.later(self.busy_until - world.now + world.delay, arrival, fifo=fifo)

    def flush_held(self, epoch: int, id_: int | None) -> None:
        for arrive in self.held.pop((epoch, id_), ()):
            arrive()

    def signal(self, arrive: Callable[[], Any]) -> None:
        world = self.world

        def arrival() -> None:
            if not self.other.alive:
                return
            if not self.other.signaling or self.other.hung:
                self.other.inbox.append(arrival)
                return
            arrive()

        if self.signaling:
            world.later(world.signal_delay, arrival, fifo=(self.name, "signal"))
        else:
            self.outbox.append(lambda: self.signal(arrive))

    outbox: deque[Callable[[], None]] = field(default_factory=deque)


class World:
    """Time, the link, the server."""

    def __init__(
        self, *, delay: float = 0.01, rate: float = 50e6, options: Options | None = None, side: type[Side] = Side
    ) -> None:
        self.now = 0.0
        self.delay = delay
        self.rate = rate
        self.signal_delay = 0.01
        self.cut = False
        self.stuck: deque[Callable[[], None]] = deque()
        self.pipes: dict[Any, deque[tuple[int | None, Callable[[], None]]]] = defaultdict(deque)
        self._queue: list[tuple[float, int, Callable[[], Any]]] = []
        self._count = itertools.count()
        self._last: dict[Any, float] = {}
        self.a = side(self, "a", SessionMachine(me="a", peer="b", room="room", options=options))
        self.b = side(self, "b", SessionMachine(me="b", peer="a", room="room", options=options))
        self.a.other, self.b.other = self.b, self.a

    def start(self) -> World:
        self.a.call("start")
        self.b.call("start")
        return self

    def later(self, seconds: float, call: Callable[[], Any], fifo: Any = None) -> None:
        when = self.now + seconds
        if fifo is not None:
            when = self._last[fifo] = max(when, self._last.get(fifo, 0.0))
        heapq.heappush(self._queue, (when, next(self._count), call))

    def ice(self, side: Side, epoch: int) -> None:
        """Connectivity checks: they go on until both ends are there and the link is not cut."""
        if not (side.alive and side.other.alive):
            return
        if epoch not in side.connections or epoch not in side.other.connections:
            return
        if self.cut or side.hung or side.other.hung:
            self.later(0.5, lambda: self.ice(side, epoch))
            return
        self.later(self.delay * 3 + ICE_TIME, lambda: (side.connect(epoch), side.other.connect(epoch)))

    def run(self, until: float | None = None, *, when: Callable[[], bool] | None = None, limit: float = 300.0) -> float:
        """Let time pass until `until`, or until `when` holds; raises when nothing is left to happen or at the limit."""
        end = self.now + limit if until is None else until
        turns = 0
        while True:
            if when is not None and when():
                return self.now
            due = [self._queue[0][0]] if self._queue else []
            for side in (self.a, self.b):
                timeout = side.machine.poll_timeout()
                if timeout is not None and side.alive and not side.hung and not side.stuck:
                    due.append(timeout)
            if not due or min(due) > end:
                if when is not None:
                    raise AssertionError(
                        f"never: {self.a.state}/{self.b.state} at {self.now:.2f}, {self.a.log[-5:]} {self.b.log[-5:]}"
                    )
                self.now = end
                return self.now
            turns = 0 if min(due) > self.now else turns + 1
            self.now = max(self.now, min(due))
            if self._queue and self._queue[0][0] <= self.now:
                heapq.heappop(self._queue)[2]()
                turns = 0
                continue
            assert turns < ROUNDS, f"timers that are due do nothing: {self.a.state}/{self.b.state} at {self.now:.2f}"
            for side in (self.a, self.b):
                timeout = side.machine.poll_timeout()
                if timeout is not None and timeout <= self.now and side.alive and not side.hung and not side.stuck:
                    side.call("handle_timeout")

    # --- what befalls them

    def _silence(self, *sides: Side) -> None:
        """Their engines' packets come no more, or come again."""
        for side in sides:
            silent = self.cut or side.hung or not side.alive
            if not silent:
                side.engine_until = None
            elif side.engine_until is None:
                side.engine_until = self.now

    def cut_link(self, cut: bool = True) -> None:
        self.cut = cut
        self._silence(self.a, self.b)
        if not cut:
            self._release(0.05)

    def _release(self, seconds: float) -> None:
        """What was held back comes, before what is sent from now on."""
        stuck, self.stuck = self.stuck, deque()
        for arrival in stuck:
            self.later(seconds, arrival)

    def set_signaling(self, side: Side, up: bool) -> None:
        side.signaling = up
        side.call("signaling_changed", up)
        side.other.call("presence_changed", "here" if up else "away")
        if up:
            for send in list(side.outbox):
                send()
            side.outbox.clear()
            for arrival in list(side.inbox):
                self.later(0.01, arrival)
            side.inbox.clear()

    def kill(self, side: Side, *, socket_ends: bool = True) -> None:
        side.alive = False
        self._silence(side)
        side.connections.clear()
        if socket_ends:
            self.later(0.01, lambda: side.other.call("presence_changed", "away"))

    def hang(self, side: Side, hung: bool = True) -> None:
        """SIGSTOP, SIGCONT."""
        side.hung = hung
        self._silence(side)
        if not hung:
            self._release(0.01)
            for arrival in list(side.inbox):
                self.later(0.01, arrival)
            side.inbox.clear()

    def both(self, state: str) -> Callable[[], bool]:
        return lambda: self.a.state == self.b.state == state
