"""An interface is taken away and another one given while data flows, with real sockets and the system's own news."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.signaling import memory_signaling

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif("ADIEU_LAB" not in os.environ, reason="it changes addresses: in a namespace of its own only"),
]
OLD, NEW, OTHER = "10.8.0.1", "10.8.1.1", "10.9.0.1"
BLOCK = 16384
BLOCKS = 3000


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@asynccontextmanager
async def sessions(**settings: Any) -> AsyncIterator[tuple[adieu.Session, adieu.Session]]:
    """Two sessions over this machine's interfaces: the first on 10.8.0.0/16, the second on the other one."""
    ends = memory_signaling(delay=0.02)
    made = []
    for role, end, network in zip(("first", "second"), ends, ("10.8.0.0/16", OTHER), strict=True):

        def connect(network: str = network) -> adieu.RTCPeerConnection:
            return adieu.RTCPeerConnection(settings={"interfaces": [network], **settings})

        made.append(adieu.Session(connect=connect, signaling=end, role=role))  # type: ignore[arg-type]
    async with made[0], made[1]:
        await asyncio.gather(*(session.wait_open() for session in made))
        yield made[0], made[1]


def give(name: str, address: str) -> None:
    """An interface with its peer, both in this namespace."""
    ip("link", "add", name, "type", "veth", "peer", "name", f"{name}p")
    ip("addr", "add", f"{address}/24", "dev", name)
    ip("link", "set", name, "up")
    ip("link", "set", f"{name}p", "up")


@pytest.fixture
def interface() -> Any:
    give("e0", OLD)
    yield
    for name in ("e0", "e1"):
        subprocess.run(["ip", "link", "del", name], check=False, capture_output=True)


@pytest.mark.parametrize("sender", ["mover", "other"])
@pytest.mark.parametrize("apart", [0.0, 1.0])
async def test_a_transfer_goes_on_over_the_new_interface(interface: None, sender: str, apart: float) -> None:
    """Within three seconds, with nothing lost; the events name the cause and the new path."""
    async with sessions() as (mover, other):
        told: list[adieu.ResetEvent] = []
        mover.on("reset", told.append)
        here, there = await asyncio.gather(mover.open("data"), other.open("data"))
        source, sink = (here, there) if sender == "mover" else (there, here)
        arrived: list[float] = []
        numbers: list[int] = []

        async def read() -> None:
            while len(numbers) < BLOCKS:
                numbers.append(int.from_bytes(bytes(await sink.receive())[:4]))  # type: ignore[arg-type]
                arrived.append(time.monotonic())

        async def write() -> None:
            for number in range(BLOCKS):
                await source.send(number.to_bytes(4) + bytes(BLOCK - 4))

        reading, writing = asyncio.create_task(read()), asyncio.create_task(write())
        while len(numbers) < BLOCKS // 5:
            await asyncio.sleep(0.001)
        ip("link", "del", "e0")
        await asyncio.sleep(apart)
        give("e1", NEW)
        given = time.monotonic()
        await asyncio.wait_for(asyncio.gather(reading, writing), 60)
        assert numbers == list(range(BLOCKS))
        back = min((at for at in arrived if at > given + 0.05), default=given)
        gap = max(b - a for a, b in itertools.pairwise(arrived))
        print(f"sender {sender}: on again {back - given:.2f} s after the new interface, gap {gap:.2f} s")
        assert back - given < 3.0
        done = [event for event in told if event.report is not None]
        assert done
        assert done[-1].cause == "network-changed"
        assert NEW in done[-1].report.path  # type: ignore[union-attr]
        receipt = await mover.close()
        assert receipt.clean


async def test_a_plain_connection_is_disconnected_at_once(interface: None) -> None:
    async with sessions() as (mover, _):
        pc = mover.pc
        assert pc is not None
        heard: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        pc.addEventListener("networkchange", heard.set_result)
        ip("link", "del", "e0")
        event = await asyncio.wait_for(heard, 3)
        assert OLD in event.gone
        while pc.iceConnectionState != "disconnected":
            await adieu.once(pc, "iceconnectionstatechange")
