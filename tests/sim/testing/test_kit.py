"""The kit for users' tests: each fault is what it says, and a run in virtual time ends."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from adieu.testing import HangError, World, simulate, simulated


async def opened(pair: Any) -> tuple[Any, Any]:
    return await asyncio.gather(pair.first.open("chat"), pair.second.open("chat"))


@simulated()
async def test_time_is_virtual_for_all_that_waits(world: World) -> None:
    began = time.perf_counter()
    await asyncio.sleep(500.0)
    assert world.now == asyncio.get_running_loop().time() == 500.0
    assert time.perf_counter() - began < 5.0


def test_a_run_is_the_same_each_time() -> None:
    async def run(world: World) -> list[float]:
        world.link(delay=0.01, loss=0.1, jitter=0.005)
        times: list[float] = []
        async with world.sessions() as pair:
            here, there = await opened(pair)
            for number in range(20):
                await here.send(str(number))
                await there.receive()
                times.append(round(world.now, 2))
        return times

    first, second, other = (simulate(run, seed=seed) for seed in (5, 5, 6))
    assert len(first) == len(second) == len(other) == 20
    assert first[-1] > 0.2


@simulated()
async def test_the_link_delays_and_loses(world: World) -> None:
    a, b = world.pair()
    world.link(delay=0.1, jitter=0.05)
    here, there = await world.open_channel(a, b, ordered=False)
    heard: list[tuple[float, str]] = []
    there.onmessage = lambda event: heard.append((world.now, event.data))
    began = world.now
    for number in range(50):
        here.send(str(number))
        await asyncio.sleep(0.001)
    await asyncio.sleep(1.0)
    assert {int(text) for _, text in heard} == {*range(50)}
    assert all(when - began >= 0.1 for when, _ in heard)
    world.link(loss=1.0)
    here.send("lost")
    await asyncio.sleep(1.0)
    assert len(heard) == 50


@pytest.mark.parametrize(("way", "arrive"), [("in", [True, False]), ("out", [False, True]), ("both", [False, False])])
@simulated()
async def test_a_cut_drops_what_comes_in_what_goes_out_or_both(world: World, way: Any, arrive: list[bool]) -> None:
    ada, ben = world.peer(), world.peer()
    a, b = ada.connection(), ben.connection()
    channels = await world.open_channel(a, b, maxRetransmits=0)
    heard: list[list[str]] = [[], []]
    for channel, texts in zip(reversed(channels), heard, strict=True):
        channel.onmessage = lambda event, texts=texts: texts.append(event.data)
    ada.cut(way)
    for channel in channels:
        channel.send("x")
    await asyncio.sleep(1.0)
    assert [bool(texts) for texts in heard] == arrive
    ada.heal()
    await asyncio.sleep(5.0)
    for channel in channels:
        channel.send("healed")
    await asyncio.sleep(1.0)
    assert all("healed" in texts for texts in heard)


def test_no_such_way_is_refused_by_name() -> None:
    async def cut(world: World) -> None:
        world.peer().cut("sideways")  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="sideways"):
        simulate(cut)


@simulated()
async def test_a_frozen_program_stops_whole_and_goes_on_late(world: World) -> None:
    async with world.sessions() as pair:
        here, there = await opened(pair)
        ticks: list[float] = []

        async def tick() -> None:
            while True:
                ticks.append(world.now)
                await asyncio.sleep(1.0)

        with pair.ben.use():
            task = asyncio.ensure_future(tick())
        await asyncio.sleep(2.5)
        pair.ben.freeze()
        assert pair.ben.is_stopped
        count, frozen = len(ticks), world.now
        sent = await here.send("are you there?")
        await asyncio.sleep(20.0)
        assert len(ticks) == count, "nothing of it ran"
        assert pair.first.state == "recovering"
        assert pair.second.state == "open", "it does not know"
        pair.ben.thaw()
        await there.receive()
        await sent.delivered()
        assert ticks[count] - frozen >= 20.0, "its timers are late"
        task.cancel()
        lines = [members for _, _, members in pair.second.recording().recording()["lines"]]
        assert any("this program was suspended for" in str(members) for members in lines)


@simulated()
async def test_a_dead_program_says_nothing_and_its_socket_ends(world: World) -> None:
    async with world.sessions() as pair:
        await opened(pair)
        died = world.now
        told: list[tuple[float, str, str]] = []
        pair.first.on("state", lambda event: told.append((world.now - died, event.state, event.cause)))
        pair.ben.die()
        receipt = await pair.first.wait_closed()
        assert told[0][0] <= 1.0 and told[0][1:] == ("suspect", "crashed")
        assert receipt.cause == "crashed" and receipt.confidence == "likely" and not receipt.confirmed
        assert pair.second.state == "open"


@simulated()
async def test_a_liar_says_what_the_test_wants(world: World) -> None:
    """It lies about what it has taken; the receipt does not believe it."""

    def lie(message: dict[str, Any]) -> dict[str, Any] | None:
        if message["type"] == "pong":
            return None
        if message["type"] == "closed":
            message["channels"]["chat"]["taken"] = {"messages": 1000, "bytes": 1}
        return message

    here, there = world.peer(), world.peer()
    there.lie(lie)
    async with world.sessions(peers=(here, there)) as pair:
        chat, other = await opened(pair)
        await chat.send("one")
        await other.receive()
        pair.signaling.cut()  # it lies on its connections alone
        receipt = await pair.first.close(timeout=3.0)
        assert receipt.channels["chat"].sent.delivered.messages == 1
        assert not receipt.confirmed
        assert any("an account that cannot be" in line for line in receipt.evidence)


def test_what_waits_for_ever_is_named() -> None:
    async def wait(world: World) -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(HangError, match="wait"):
        simulate(wait)


def test_what_takes_longer_than_the_limit_is_named() -> None:
    async def wait(world: World) -> None:
        await asyncio.sleep(1000.0)

    with pytest.raises(HangError, match=r"1000\.000 s"):
        simulate(wait, limit=900.0)


def test_a_failure_that_nobody_sees_fails_the_test() -> None:
    async def fail(world: World) -> None:
        async def task() -> None:
            raise ValueError("unseen")

        world.task(task())
        await world.settle()

    with pytest.raises(AssertionError, match="unseen"):
        simulate(fail)
