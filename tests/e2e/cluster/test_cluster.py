"""One kill of each kind under load; `kills.py` does twenty."""

from __future__ import annotations

import shutil

import pytest

from conftest import missing
from e2e.cluster.world import World

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def redis():
    if shutil.which("redis-server") is None:
        missing("redis-server", "install the package redis-server")
    pytest.importorskip("redis")


async def test_a_server_and_then_redis_are_killed_and_nothing_is_lost_or_doubled():
    async with World(servers=2, pairs=6, rate=20) as world:
        await world.kill_a_server(0)
        assert await world.all_taken() == 0
        assert world.count.new_seats == 0  # each took its seat back at the other server, within its grace
        knew, _ = await world.kill_redis(0.3)
        assert knew < 3
        assert await world.all_taken() == 0
        assert (world.count.doubled, world.count.disordered, world.count.undelivered) == (0, 0, [])
        assert world.count.new_seats == 0
        assert await world.servers[1].stop() == 0
        await world.all_up()
        assert await world.all_taken() == 0


async def test_a_redis_that_forgets_everything_gives_new_seats_and_signaling_goes_on():
    async with World(servers=2, pairs=3, rate=10, fsync="") as world:
        await world.kill_redis(0.3)
        assert world.count.new_seats == len(world.people)
