"""Every await ends, whatever is cancelled, cut or closed meanwhile: real engines, virtual time (closing rule S11)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import adieu
from sim.stack.pair import connected
from support.virtual import simulate

if TYPE_CHECKING:
    from support.virtual import Pair, World

SCHEDULES = 2000
SIDE = st.integers(0, 1)
NAMES = st.sampled_from(["a", "b"])
WHEN = st.floats(0.0, 0.08) | st.floats(0.0, 12.0)
ACTIONS = st.one_of(
    st.tuples(st.just("open"), SIDE, NAMES),
    st.tuples(st.just("send"), SIDE, NAMES, st.sampled_from([0, 1, 3000, 200_000]), st.integers(1, 60)),
    st.tuples(st.just("deliver"), SIDE, NAMES),
    st.tuples(st.just("receive"), SIDE, NAMES),
    st.tuples(st.just("iterate"), SIDE, NAMES),
    st.tuples(st.just("reset"), SIDE, st.sampled_from(["ice", "transport", "full"])),
    st.tuples(st.just("close"), SIDE, st.sampled_from([0.0, 0.3, 5.0])),
    st.tuples(st.just("wait"), SIDE),
    st.tuples(st.just("pc"), SIDE),
)
SCRIPT = st.lists(st.tuples(WHEN, ACTIONS, st.none() | st.floats(0.0, 0.05) | st.floats(0.0, 8.0)), max_size=14)
CUTS = st.lists(st.tuples(st.floats(0.0, 10.0), st.floats(0.01, 12.0)), max_size=2)


async def act(pair: Pair, action: tuple[Any, ...]) -> None:
    session = pair.sessions[action[1]]
    match action:
        case ("open", _, name):
            await session.open(name)
        case ("send", _, name, size, count):
            channel = await session.open(name)
            for _ in range(count):
                await channel.send(bytes(size))
        case ("deliver", _, name):
            channel = await session.open(name)
            await (await channel.send("deliver me")).delivered()
        case ("receive", _, name):
            await (await session.open(name)).receive()
        case ("iterate", _, name):
            async for _ in await session.open(name):
                pass
        case ("reset", _, level):
            await session.reset(level)
        case ("close", _, timeout):
            await session.close(timeout=timeout)
        case ("wait", _):
            await session.wait_closed()
        case ("pc", _):
            if session.pc is not None:
                session.pc.close()


async def scheduled(pair: Pair, when: float, action: tuple[Any, ...], patience: float | None) -> None:
    """An await that is cancelled after `patience` seconds, if it is not None; it must end in one of the known ways."""
    await asyncio.sleep(when)
    task = asyncio.create_task(act(pair, action))
    if patience is not None:
        await asyncio.wait({task}, timeout=patience)
        task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        assert patience is not None
    except (adieu.SessionError, adieu.InvalidStateError):
        pass


@pytest.mark.timeout(900)
@settings(max_examples=SCHEDULES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SCRIPT, CUTS, st.sampled_from([0.0, 0.02]), st.integers(0, 2**32 - 1))
def test_every_await_ends(script: list[Any], cuts: list[tuple[float, float]], loss: float, seed: int) -> None:
    async def main(world: World) -> None:
        world.link(loss=loss, delay=0.004)
        before = asyncio.all_tasks()
        async with connected(world) as pair:
            tasks = [asyncio.create_task(scheduled(pair, *entry)) for entry in script]
            for begin, length in cuts:
                loop = asyncio.get_running_loop()
                loop.call_later(begin, pair.cut)
                loop.call_later(begin + length, pair.cut, False)
            await asyncio.sleep(12.1)
            closes = [asyncio.create_task(session.close(timeout=5.0)) for session in pair.sessions]
            done, waiting = await asyncio.wait({*tasks, *closes}, timeout=40.0)
            assert not waiting, f"after {world.now:.1f} s: {waiting}"
            for task in done:
                task.result()
            for session in pair.sessions:
                assert session.receipt is not None
                check_accounts(session)
        left = asyncio.all_tasks() - before
        assert not left, left
        for session in pair.sessions:
            assert not session.ledger(), str(session.ledger())

    simulate(main, seed=seed, limit=2000.0)


def check_accounts(session: adieu.Session) -> None:
    assert session.receipt is not None
    for channel in session.receipt.channels.values():
        sent = channel.sent
        assert sent.accepted is not None and sent.unknown is not None and sent.unsent is not None
        total = sent.delivered.messages + sent.unknown.messages + sent.unsent.messages
        assert total == sent.accepted.messages
