"""What is pending when a connection is closed ends with AbortError, at whatever turn of the loop (closing rule 35)."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from adieu.errors import AbortError, DOMException
from support.virtual import simulated

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu import RTCPeerConnection
    from support.virtual import World

TURNS = 31
CANDIDATE = {"candidate": "candidate:1 1 udp 1 10.9.9.9 9 typ host", "sdpMid": "0"}
OPERATIONS: dict[str, Callable[[RTCPeerConnection, str], Any]] = {
    "createOffer": lambda pc, _: pc.createOffer(),
    "createAnswer": lambda pc, _: pc.createAnswer(),
    "setLocalDescription": lambda pc, _: pc.setLocalDescription(),
    "rollback": lambda pc, _: pc.setLocalDescription(type="rollback"),
    "setRemoteDescription": lambda pc, offer: pc.setRemoteDescription(type="offer", sdp=offer),
    "no description": lambda pc, _: pc.setRemoteDescription(type="offer", sdp="v=?"),
    "addIceCandidate": lambda pc, _: pc.addIceCandidate(CANDIDATE),
    "end of candidates": lambda pc, _: pc.addIceCandidate(),
    "replaceTrack": lambda pc, _: pc.getSenders()[0].replaceTrack(None),
    "setParameters": lambda pc, _: _set_parameters(pc),
}


def _set_parameters(pc: RTCPeerConnection) -> Any:
    sender = pc.getSenders()[0]
    return sender.setParameters(sender.getParameters())


async def pending_at(world: World, names: list[str], turns: int) -> tuple[list[Any], set[Any]]:
    """What became of these operations, begun in one turn, and which were pending when it was closed so much later."""
    a, b = world.pair()
    for pc in (a, b):
        pc.addTransceiver("audio")
        pc.createDataChannel("x")
    offer = (await b.createOffer()).sdp
    tasks = [asyncio.ensure_future(OPERATIONS[name](a, offer)) for name in names]
    for _ in range(turns):
        await asyncio.sleep(0)
    pending = {task for task in tasks if not task.done()}
    a.close()
    await asyncio.wait(tasks, timeout=10)
    assert all(task.done() for task in tasks), "nothing waits for ever"
    for task in tasks:
        error = task.exception()
        if task in pending:
            assert type(error) is AbortError, (names[tasks.index(task)], turns, error)
        else:
            assert error is None or isinstance(error, DOMException)
    b.close()
    return tasks, pending


@pytest.mark.parametrize("name", OPERATIONS)
@simulated()
async def test_each_operation_three_times(world: World, name: str) -> None:
    counts = set()
    for turns in range(TURNS):
        _, pending = await pending_at(world, [name] * 3, turns)
        counts.add(len(pending))
    assert {0, 3} <= counts, "the closes came before, and after all of them"


@pytest.mark.parametrize("seed", range(8))
@simulated()
async def test_several_operations_in_any_order(world: World, seed: int) -> None:
    chance = random.Random(seed)
    seen = 0
    for turns in range(TURNS):
        names = chance.choices(list(OPERATIONS), k=chance.randint(2, 7))
        seen += len((await pending_at(world, names, turns))[1])
    assert seen > 10
