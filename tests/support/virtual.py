"""An asyncio event loop on virtual time over a network in memory.

When nothing is ready, time jumps to whatever is due next: a timer of the loop, or something in the network. So an
outage of ten minutes takes milliseconds, and a run is the same each time. When nothing is ready and nothing is due, the
program hangs: that is an error, which names the tasks that wait.

```python
@simulated()
async def test_something(world):
    a, b = world.connection(world.host("10.0.0.1")), world.connection(world.host("10.0.0.2"))
    await world.connect(a, b)
```
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import selectors
from collections import deque
from typing import TYPE_CHECKING, Any

from adieu import RTCPeerConnection, _core, once
from adieu.driver import Driver

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping


class HangError(AssertionError):
    """Nothing is ready, and nothing is due, or not for a very long time."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module. `limit`: so many virtual seconds are long enough for any test."""

    def __init__(self, network: _core.VirtualNetwork, limit: float) -> None:
        self.network = network
        self.limit = limit
        self.drivers: list[Driver] = []
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.network.now

    def idle(self, timeout: float | None) -> None:
        """Nothing is ready: go on to what is due next."""
        now = self.network.now
        due = self.network.next()
        if due is None and timeout is None:
            raise HangError(f"nothing is due any more at {now:.3f} s; waiting: {self._waiting()}")
        if not self._wake():
            target = min(time for time in (due, None if timeout is None else now + timeout) if time is not None)
            if target > self.limit:
                raise HangError(f"nothing more happens until {target:.3f} s; waiting: {self._waiting()}")
            self.network.advance(target)
            self._wake()

    def _wake(self) -> bool:
        """Wake the drivers that have something to do. Whether there were any."""
        woken = [driver for driver in self.drivers if driver.core.counters()["queued_events"]]
        for driver in woken:
            driver.wake()
        return bool(woken)

    def _waiting(self) -> str:
        """Each task that is not done, and the line where it stands."""
        places = []
        for task in asyncio.all_tasks(self):
            stack = task.get_stack(limit=1)
            where = f"{stack[-1].f_code.co_qualname}:{stack[-1].f_lineno}" if stack else "?"
            places.append(f"{task.get_name()} at {where}")
        return ", ".join(places) or "nobody"


class _Selector(selectors.BaseSelector):
    """The loop's own wake-up pipe is real; time is not."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if not ready and (timeout is None or timeout > 0):
            self._loop.idle(timeout)
        return ready

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class World:
    """What a simulated test works with.

    Attributes:
        network: loss, delay, cuts.
        errors: what went to the loop's exception handler. A test that expects some takes them out.
        signaling_delay: seconds that a description or a candidate takes from one side to the other.
    """

    def __init__(self, network: _core.VirtualNetwork, loop: VirtualLoop) -> None:
        self.network = network
        self.errors: list[dict[str, Any]] = []
        self.signaling_delay = 0.0
        self._loop = loop
        self._links: list[Link] = []
        loop.set_exception_handler(lambda _, context: self.errors.append(context))

    @property
    def now(self) -> float:
        return self.network.now

    def host(self, *addresses: str) -> Driver:
        """A host of its own. `with host.use():` makes objects there."""
        driver = Driver(self._loop, self.network.host(*addresses))
        self._loop.drivers.append(driver)
        return driver

    def hosts(self, count: int = 2) -> Iterator[Driver]:
        """Hosts with one address each: 10.0.0.1, 10.0.0.2 …"""
        for number in range(1, count + 1):
            yield self.host(f"10.0.0.{number}")

    def connection(self, host: Driver, *args: Any, **members: Any) -> RTCPeerConnection:
        """A connection on this host."""
        with host.use():
            return RTCPeerConnection(*args, **members)

    def pair(self, **members: Any) -> tuple[RTCPeerConnection, RTCPeerConnection]:
        """Two connections on two new hosts."""
        one, two = self.hosts()
        return self.connection(one, **members), self.connection(two, **members)

    def link(self, polite: RTCPeerConnection, other: RTCPeerConnection) -> Link:
        """Perfect negotiation between the two, from now on and in both directions."""
        link = Link(self, polite, other)
        self._links.append(link)
        return link

    async def connect(self, a: RTCPeerConnection, b: RTCPeerConnection, *, data: bool = True) -> Link:
        """Negotiate until both are connected. With `data`, `a` makes a channel for it; else one has been made."""
        link = self.link(a, b)
        if data:
            a.createDataChannel("connect")
        await asyncio.gather(reached(a, "connected"), reached(b, "connected"))
        return link

    async def open_channel(
        self, a: RTCPeerConnection, b: RTCPeerConnection, label: str = "chat", **members: Any
    ) -> tuple[Any, Any]:
        """A channel from `a` to `b`, open at both ends; the two are connected if they are not."""
        arrives = asyncio.ensure_future(once(b, "datachannel"))
        ours = a.createDataChannel(label, **members)
        if not any(link.joins(a, b) for link in self._links):
            self.link(a, b)
        await once(ours, "open")
        return ours, (await arrives).channel

    def task(self, coroutine: Any) -> asyncio.Task[Any]:
        """A task whose failure is the test's."""
        task = asyncio.ensure_future(coroutine)
        task.add_done_callback(self._note)
        return task

    def _note(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.errors.append({"message": "a task failed", "exception": error})

    async def settle(self, seconds: float = 1.0) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(seconds)

    async def finish(self) -> None:
        """The end of the test: nothing may have failed unseen."""
        for link in self._links:
            link.stop()
        assert not self.errors, self.errors


class Link:
    """Perfect negotiation (W3C webrtc-pc, section 10.7), with a signaling channel that takes time and keeps order."""

    def __init__(self, world: World, polite: RTCPeerConnection, other: RTCPeerConnection) -> None:
        self.offers = 0
        self._world = world
        self._sides = (Side(self, polite, polite=True), Side(self, other, polite=False))
        self._tasks = [world.task(side.run()) for side in self._sides]
        for side, peer in zip(self._sides, reversed(self._sides), strict=True):
            side.peer = peer
            side.attach()

    def joins(self, *connections: RTCPeerConnection) -> bool:
        return all(any(side.pc is pc for side in self._sides) for pc in connections)

    def task(self, coroutine: Any) -> asyncio.Task[None]:
        return self._world.task(coroutine)

    def post(self, side: Side, message: Any) -> None:
        delay = self._world.signaling_delay
        if delay:
            # Timers of the same moment are in no order: what is due takes the oldest.
            side.on_the_way.append(message)
            asyncio.get_running_loop().call_later(delay, lambda: side.inbox.put_nowait(side.on_the_way.popleft()))
        else:
            side.inbox.put_nowait(message)

    def stop(self) -> None:
        for side, task in zip(self._sides, self._tasks, strict=True):
            side.detach()
            task.cancel()


class Side:
    """One side of a link: two tasks in one, what comes in and what negotiationneeded asks for, are kept in order."""

    peer: Side

    def __init__(self, link: Link, pc: RTCPeerConnection, *, polite: bool) -> None:
        self.pc = pc
        self._link = link
        self._polite = polite
        self.inbox: asyncio.Queue[Any] = asyncio.Queue()
        self.on_the_way: deque[Any] = deque()
        self._making_offer = False
        self._ignoring = False
        self._offers: set[asyncio.Task[None]] = set()

    def attach(self) -> None:
        self.pc.addEventListener("negotiationneeded", self._needed)
        self.pc.addEventListener("icecandidate", self._candidate)

    def detach(self) -> None:
        self.pc.removeEventListener("negotiationneeded", self._needed)
        self.pc.removeEventListener("icecandidate", self._candidate)
        for task in self._offers:
            task.cancel()

    def _needed(self, _: Any) -> None:
        task = self._link.task(self._offer())
        self._offers.add(task)
        task.add_done_callback(self._offers.discard)

    async def _offer(self) -> None:
        self._making_offer = True
        try:
            await self.pc.setLocalDescription()
            self._link.offers += 1
            self._send(self.pc.localDescription)
        except Exception:
            if self.pc.signalingState != "closed":
                raise
        finally:
            self._making_offer = False

    def _candidate(self, event: Any) -> None:
        if event.candidate is not None:
            self._send(event.candidate)

    def _send(self, message: Any) -> None:
        self._link.post(self.peer, message.toJSON())

    async def run(self) -> None:
        while True:
            message = await self.inbox.get()
            if self.pc.signalingState == "closed":
                continue
            try:
                await (self._description(message) if "sdp" in message else self._add(message))
            except Exception:
                if self.pc.signalingState != "closed":
                    raise

    async def _description(self, description: Mapping[str, Any]) -> None:
        offer = description["type"] == "offer"
        self._ignoring = offer and not self._polite and (self._making_offer or self.pc.signalingState != "stable")
        if self._ignoring:
            return
        await self.pc.setRemoteDescription(description)
        if offer:
            await self.pc.setLocalDescription()
            self._send(self.pc.localDescription)

    async def _add(self, candidate: Mapping[str, Any]) -> None:
        try:
            await self.pc.addIceCandidate(candidate)
        except Exception:
            if not self._ignoring:
                raise


async def reached(pc: RTCPeerConnection, state: str) -> None:
    """Wait until `connectionState` is this."""
    while pc.connectionState != state:
        await once(pc, "connectionstatechange")


def simulate(main: Callable[[World], Awaitable[Any]], *, seed: int = 0, limit: float = 600.0) -> Any:
    """Run a program in a world of its own."""
    network = _core.VirtualNetwork(seed)
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(network, limit)) as runner:
        loop: Any = runner.get_loop()
        world = World(network, loop)

        async def program() -> Any:
            result = await main(world)
            await world.finish()
            return result

        try:
            return runner.run(program())
        finally:
            for driver in loop.drivers:
                driver.end()


def simulated(*, seed: int = 0, limit: float = 600.0) -> Callable[[Any], Any]:
    """For tests: an async function that takes the world first becomes a plain one."""

    def decorate(test: Any) -> Any:
        @functools.wraps(test)
        def run(**fixtures: Any) -> None:
            simulate(lambda world: test(world=world, **fixtures), seed=seed, limit=limit)

        signature = inspect.signature(test)
        fixtures = [parameter for name, parameter in signature.parameters.items() if name != "world"]
        run.__signature__ = signature.replace(parameters=fixtures)  # type: ignore[attr-defined]
        del run.__wrapped__  # type: ignore[attr-defined]
        return run

    return decorate
