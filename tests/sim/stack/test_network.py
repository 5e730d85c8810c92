"""A machine whose network changes under a session: another address, a hint of the program, sleep."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import pytest

from sim.stack.pair import connected, fill
from support.virtual import simulated

if TYPE_CHECKING:
    from adieu import ResetEvent, Session
    from adieu.session.channel import Channel
    from support.virtual import Pair, World

HOSTS = {"first": "10.0.0.1", "second": "10.0.0.2"}
NEW = "10.0.0.9"


class Watch:
    """What the two sessions say, and when messages arrive."""

    def __init__(self, pair: Pair) -> None:
        self.loop = asyncio.get_running_loop()
        self.resets: dict[str, list[ResetEvent]] = {"first": [], "second": []}
        self.states: list[str] = []
        self.arrived: list[float] = []
        for name, session in zip(self.resets, pair.sessions, strict=True):
            session.on("reset", self.resets[name].append)
            session.on("state", lambda event: self.states.append(event.state))

    async def read(self, channel: Channel, count: int) -> list[int]:
        numbers = []
        for _ in range(count):
            data = await channel.receive()
            self.arrived.append(self.loop.time())
            numbers.append(int.from_bytes(bytes(data)[:4]))
        return numbers

    def gap(self) -> float:
        """The longest time without a message."""
        return max(b - a for a, b in itertools.pairwise(self.arrived))


def move(world: World, session: Session, *addresses: str) -> None:
    pc: Any = session.pc
    world.network.move_host(pc._internals.driver.core, *addresses)


async def transfer(pair: Pair, watch: Watch, change: Any, count: int = 3000) -> list[int]:
    """Send numbered messages from the first to the second while `change` happens."""
    channel, other = await asyncio.gather(pair.first.open("chat"), pair.second.open("chat"))
    reading = asyncio.ensure_future(watch.read(other, count))
    sending = asyncio.ensure_future(fill(channel, count, 1000))
    while len(watch.arrived) < count // 4:
        await asyncio.sleep(0.005)
    await change()
    numbers = await reading
    await sending
    return numbers


@pytest.mark.parametrize("mover", HOSTS)
@pytest.mark.parametrize("between", [0.0, 1.5])
@simulated()
async def test_another_address_during_a_transfer(world: World, mover: str, between: float) -> None:
    """The address goes, and another comes, at once or later: the transfer goes on, and nothing is lost."""
    world.network.link(delay=0.01, rate=1_000_000, queue=1 << 24)
    async with connected(world) as pair:
        watch = Watch(pair)
        session = pair.sessions[list(HOSTS).index(mover)]
        came = 0.0

        async def change() -> None:
            nonlocal came
            if between:
                move(world, session)
                await asyncio.sleep(between)
            came = watch.loop.time()
            move(world, session, NEW)

        assert await transfer(pair, watch, change) == list(range(1, 3001))
        after = min(time for time in watch.arrived if time > came + 0.03)
        assert after - came < 1.0
        assert watch.gap() < between + 1.0
        *_, done = watch.resets[mover]
        # The side that offers may still be making a path to nowhere: then a connection goes beside it.
        level = "transport" if between and mover == "second" else "ice"
        assert (done.level, done.cause, done.error) == (level, "network-changed", None)
        assert done.report is not None
        assert NEW in done.report.path
        assert session.state == "open"
        for one in pair.sessions:
            assert one.pc is not None
            assert one.pc.iceConnectionState in {"connected", "completed"}


@simulated()
async def test_a_session_that_moves_again_and_again_keeps_only_the_socket_it_uses(world: World) -> None:
    async with connected(world) as pair:
        pc: Any = pair.first.pc
        core = pc._internals.driver.core
        for number in range(3):
            move(world, pair.first, f"10.7.0.{number + 1}")
            await asyncio.sleep(15)
            assert pair.first.state == "open"
            assert core.counters()["sockets"] == 1, number


@simulated()
async def test_a_connection_without_a_session_is_disconnected_at_once(world: World) -> None:
    """The program restarts ICE: the W3C has no other way."""
    one, two = world.hosts()
    a, b = world.connection(one), world.connection(two)
    await world.connect(a, b)
    heard: list[Any] = []
    a.onnetworkchange = heard.append
    start = asyncio.get_running_loop().time()
    world.network.move_host(one.core, "10.0.0.1", NEW)
    await asyncio.sleep(1)
    assert a.iceConnectionState in {"connected", "completed"}
    world.network.move_host(one.core, NEW)
    await asyncio.sleep(0.01)
    assert a.iceConnectionState == "disconnected"
    assert [(event.gone, event.came, event.slept) for event in heard] == [((), (NEW,), 0.0), (("10.0.0.1",), (), 0.0)]
    a.restartIce()
    await asyncio.sleep(1)
    assert a.iceConnectionState in {"connected", "completed"}
    assert asyncio.get_running_loop().time() - start < 2.5
    a.close()
    b.close()


@simulated()
async def test_a_hint_renews_the_path_while_it_works(world: World) -> None:
    """Nothing stops meanwhile."""
    world.network.link(delay=0.01, rate=1_000_000, queue=1 << 24)
    async with connected(world) as pair:
        watch = Watch(pair)

        async def change() -> None:
            pair.second.hint("network-changed")

        assert await transfer(pair, watch, change) == list(range(1, 3001))
        assert watch.gap() < 0.2
        for name in HOSTS:
            assert [(one.level, one.error) for one in watch.resets[name]] == [("ice", None), ("ice", None)]
        assert [one.cause for one in watch.resets["second"]] == ["network-changed", "network-changed"]
        assert [one.cause for one in watch.resets["first"]] == ["", ""]
        assert watch.states == ["resetting", "open"], "of the side that was asked"
        with pytest.raises(ValueError, match="'network-changed'"):
            pair.second.hint("rain")  # type: ignore[arg-type]
    pair.second.hint("network-changed")  # after the end it does nothing


@simulated()
async def test_an_address_that_comes_changes_nothing_while_the_path_works(world: World) -> None:
    """On a server they come and go with each container."""
    async with connected(world) as pair:
        watch = Watch(pair)
        for addresses in ([HOSTS["first"], "172.17.0.1"], [HOSTS["first"]]):
            move(world, pair.first, *addresses)
            await asyncio.sleep(5)
        assert watch.resets == {"first": [], "second": []}
        assert watch.states == []


@simulated()
async def test_a_path_that_is_dead_after_sleep_is_renewed_after_a_second(world: World) -> None:
    async with connected(world) as pair:
        watch = Watch(pair)
        pc: Any = pair.first.pc
        world.network.wake_host(pc._internals.driver.core, 3600)
        await asyncio.sleep(3)
        assert watch.resets["first"] == [], "it answers"
        pair.cut()
        world.network.wake_host(pc._internals.driver.core, 3600)
        await asyncio.sleep(1.2)
        assert [(one.level, one.cause) for one in watch.resets["first"]] == [("ice", "network-changed")]
        pair.cut(False)
        await pair.both("open")
        await asyncio.sleep(3)
        assert watch.resets["first"][-1].report is not None


@simulated()
async def test_without_signaling_the_path_is_renewed_as_soon_as_that_is_back(world: World) -> None:
    async with connected(world) as pair:
        watch = Watch(pair)
        pair.signaling.cut()
        await asyncio.sleep(0.1)
        move(world, pair.first, NEW)
        await asyncio.sleep(2.5)
        pair.signaling.heal()
        back = watch.loop.time()
        while not watch.resets["first"] or watch.resets["first"][-1].report is None:
            await asyncio.sleep(0.01)
        assert watch.loop.time() - back < 1.5
