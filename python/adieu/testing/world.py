"""A world for tests: virtual time, a network in memory, and programs on computers of their own.

```python
from adieu.testing import World, simulated


@simulated()
async def test_nothing_is_lost_when_the_network_is_cut(world: World):
    world.link(delay=0.02, loss=0.01)
    async with world.sessions() as pair:
        chat, other = await asyncio.gather(pair.first.open("chat"), pair.second.open("chat"))
        pair.cut()
        await chat.send("hello")
        await asyncio.sleep(20)  # takes milliseconds
        pair.cut(False)
        assert await other.receive() == "hello"
```
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import TYPE_CHECKING, Any

from adieu import _core
from adieu.events import once
from adieu.testing.loop import VirtualLoop
from adieu.testing.negotiation import Negotiation, reached
from adieu.testing.pair import connected
from adieu.testing.peer import Peer
from adieu.testing.turn import TurnServer
from adieu.webrtc import RTCPeerConnection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from adieu.driver import Driver
    from adieu.testing.pair import Pair
    from adieu.webrtc import RTCDataChannel


class World:
    """The world that a simulated test works with.

    Attributes:
        network: the network in memory: losses one by one (`drop_next`), forged packets (`inject`), recording.
        errors: what went to the loop's exception handler. A test that expects some takes them out: what is left fails
            the test.
        signaling_delay: seconds that a description or a candidate of `negotiate` takes from one side to the other.
    """

    def __init__(self, network: _core.VirtualNetwork, loop: VirtualLoop) -> None:
        self.network = network
        self.errors: list[dict[str, Any]] = []
        self.signaling_delay: float = 0.0
        self._loop = loop
        self._negotiations: list[Negotiation] = []
        self._hosts = 0
        self._servers = 0
        loop.set_exception_handler(lambda _, context: self.errors.append(context))

    @property
    def now(self) -> float:
        """The virtual time: seconds since the world began. It is that of the event loop."""
        return self.network.now

    def link(
        self,
        *,
        delay: float = 0.0,
        loss: float = 0.0,
        jitter: float = 0.0,
        rate: float | None = None,
        queue: int = 262_144,
    ) -> None:
        """Set how all packets fare from now on.

        Args:
            delay: seconds one way.
            loss: the part that is lost, 0 to 1.
            jitter: up to so many seconds more for each packet. More than the time between two packets reorders them.
            rate: bytes a second that a computer can send; None: any.
            queue: bytes that wait for the rate; what does not fit is lost.

        Raises:
            ValueError: a number is out of its bounds.
        """
        self.network.link(loss=loss, delay=delay, jitter=jitter, rate=rate, queue=queue)

    def peer(self, *addresses: str) -> Peer:
        """Make a program on a computer of its own, by default with the address 10.0.0.1, 10.0.0.2, and so on."""
        self._hosts += 1
        return Peer(self._loop, addresses or (f"10.0.0.{self._hosts}",))

    def turn_server(self, address: str = "") -> TurnServer:
        """Put a TURN server on a computer of its own, by default with the address 10.1.0.1, 10.1.0.2, and so on."""
        self._servers += 1
        return TurnServer(self.network, address or f"10.1.0.{self._servers}")

    def sessions(
        self,
        *,
        delay: float = 0.002,
        peers: tuple[Peer, Peer] | None = None,
        configuration: Mapping[str, Any] | None = None,
        **members: Any,
    ) -> AbstractAsyncContextManager[Pair]:
        """Connect two sessions, each in a program of its own; leaving the block ends what is left of them.

        Args:
            delay: seconds that signaling takes.
            peers: their programs; None makes new ones.
            configuration: of their connections, such as `relay_only` of a `TurnServer`.
            **members: more arguments for both, as of `adieu.Session`: `options`, `on_wait`.
        """
        ada, ben = (self.peer(), self.peer()) if peers is None else peers
        return connected(ada, ben, delay, members, configuration or {})

    # --- connections without a session --------------------------------------------------------------------

    def host(self, *addresses: str) -> Driver:
        """Make a computer. `with host.use():` makes objects there."""
        return self.peer(*addresses).driver

    def hosts(self, count: int = 2) -> Iterator[Driver]:
        """Make computers with one address each."""
        for _ in range(count):
            yield self.host()

    def connection(self, host: Driver, *args: Any, **members: Any) -> RTCPeerConnection:
        """Make a connection on this computer."""
        with host.use():
            return RTCPeerConnection(*args, **members)

    def pair(self, **members: Any) -> tuple[RTCPeerConnection, RTCPeerConnection]:
        """Make two connections on two new computers."""
        one, two = self.hosts()
        return self.connection(one, **members), self.connection(two, **members)

    def negotiate(self, polite: RTCPeerConnection, other: RTCPeerConnection) -> Negotiation:
        """Negotiate between the two, from now on and in both directions."""
        negotiation = Negotiation(polite, other, delay=lambda: self.signaling_delay, spawn=self.task)
        self._negotiations.append(negotiation)
        return negotiation

    async def connect(self, a: RTCPeerConnection, b: RTCPeerConnection, *, data: bool = True) -> Negotiation:
        """Negotiate until both are connected. With `data`, `a` makes a channel for it; else one has been made."""
        negotiation = self.negotiate(a, b)
        if data:
            a.createDataChannel("connect")
        await asyncio.gather(reached(a, "connected"), reached(b, "connected"))
        return negotiation

    async def open_channel(
        self, a: RTCPeerConnection, b: RTCPeerConnection, label: str = "chat", **members: Any
    ) -> tuple[RTCDataChannel, RTCDataChannel]:
        """Open a channel from `a` to `b`; the two are connected if they are not. Return both of its ends."""
        arrives = asyncio.ensure_future(once(b, "datachannel"))
        ours = a.createDataChannel(label, **members)
        if not any(negotiation.joins(a, b) for negotiation in self._negotiations):
            self.negotiate(a, b)
        await once(ours, "open")
        event: Any = await arrives
        return ours, event.channel

    # --- the test -----------------------------------------------------------------------------------------

    def task(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task whose failure is the test's."""
        task = asyncio.ensure_future(coroutine)
        task.add_done_callback(self._note)
        return task

    def _note(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.errors.append({"message": "a task failed", "exception": error})

    async def settle(self, seconds: float = 1.0) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(seconds)

    def finish(self) -> None:
        """End the test.

        Raises:
            AssertionError: something failed unseen.
        """
        for negotiation in self._negotiations:
            negotiation.stop()
        if self.errors:
            raise AssertionError(f"failed unseen: {self.errors}")


def simulate(main: Callable[[World], Awaitable[Any]], *, seed: int = 0, limit: float = 600.0) -> Any:
    """Run a program in a world of its own, and return its result.

    Args:
        main: gets the world.
        seed: for losses and jitter. The same seed gives the same run, but for keys and certificates.
        limit: virtual seconds.

    Raises:
        HangError: nothing happens, or not within the limit.
        AssertionError: an exception went to the loop's exception handler.
    """
    network = _core.VirtualNetwork(seed)
    loop = VirtualLoop(network, limit)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.get_loop()
        world = World(network, loop)

        async def program() -> Any:
            try:
                result = await main(world)
            finally:
                for each in loop.programs:
                    if each.is_stopped:
                        each.go_on()  # so that its tasks can end
            world.finish()
            return result

        try:
            return runner.run(program())
        finally:
            for each in loop.programs:
                each.driver.end()


def simulated(*, seed: int = 0, limit: float = 600.0) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Decorate a test, an async function with an argument `world`: it runs in a world of its own.

    Args:
        seed: see `simulate`.
        limit: virtual seconds.
    """

    def decorate(test: Callable[..., Any]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(**fixtures: Any) -> None:
            simulate(lambda world: test(world=world, **fixtures), seed=seed, limit=limit)

        signature = inspect.signature(test)
        fixtures = [parameter for name, parameter in signature.parameters.items() if name != "world"]
        run.__signature__ = signature.replace(parameters=fixtures)  # type: ignore[attr-defined]
        del run.__wrapped__  # pytest would look at the test's own arguments
        return run

    return decorate
