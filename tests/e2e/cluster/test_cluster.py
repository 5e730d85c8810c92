"""One kill of each kind under load; `kills.py` does twenty."""

from __future__ import annotations

import asyncio
import shutil

import pytest

import adieu
from adieu.server import SignalingApp
from conftest import missing
from e2e.cluster.world import Program, World, free_port
from unit.server.test_mounted import served, starlette

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


async def test_two_workers_of_an_application_share_their_rooms(tmp_path):
    port = free_port()
    options = ("--dir", str(tmp_path), "--save", "", "--bind", "127.0.0.1")
    redis = Program("redis-server", "--port", str(port), *options, port=port)
    await redis.start()
    bus = f"redis://127.0.0.1:{port}"
    try:
        one, two = (SignalingApp(open_to_all=True, bus=bus) for _ in range(2))
        async with (
            asyncio.timeout(60),
            served(starlette(one)) as here,
            served(starlette(two)) as there,
            adieu.join(f"ws://{here}/talk/ws", room="lab", name="ada") as ada,
            adieu.join(f"ws://{there}/talk/ws", room="lab", name="ben") as ben,
        ):
            assert (await ada.session("ben")).name == "ben"
            assert (await ben.session("ada")).name == "ada"
    finally:
        await redis.kill()


async def test_an_application_whose_bus_is_not_there_does_not_start(monkeypatch):
    monkeypatch.setattr("adieu.server.bus.START_TIMEOUT", 0.5)
    signaling = SignalingApp(open_to_all=True, bus=f"redis://127.0.0.1:{free_port()}")
    for _ in range(2):  # and can be tried again
        with pytest.raises(OSError, match="the bus cannot be reached"):
            async with signaling.lifespan():
                pass
