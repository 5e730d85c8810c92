"""A program that opens and closes sessions for ever does not grow."""

from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path

import pytest

import adieu
from adieu.driver import Driver

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]
MIB = 1 << 20


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def threads() -> int:
    """Of the whole process, those of the core among them."""
    return len(list(Path("/proc/self/task").iterdir()))


def resident() -> int:
    """Bytes of memory that are in use by this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def use_and_close() -> None:
    async with adieu.memory_pair() as (first, second):
        here, there = await asyncio.gather(first.open("data"), second.open("data"))
        await asyncio.gather(here.send(bytes(100_000)), there.send("hello"))
        assert len(await there.receive()) == 100_000
        assert await here.receive() == "hello"
    for session in (first, second):
        assert session.receipt is not None and session.receipt.clean
        assert not session.ledger(), str(session.ledger())


async def two_hundred() -> tuple[int, tuple[int, ...]]:
    for _ in range(200):
        await use_and_close()
    await asyncio.sleep(0.1)
    gc.collect()
    return resident(), (descriptors(), threads(), len(asyncio.all_tasks()))


async def test_two_hundred_more_sessions_add_nothing() -> None:
    memory, counts = await two_hundred()
    more_memory, more_counts = await two_hundred()
    print(f"resident {memory / MIB:.2f}, then {more_memory / MIB:.2f} MiB; descriptors, threads, tasks {more_counts}")
    assert more_memory - memory < 1_000_000
    assert more_counts == counts


async def test_nothing_waits_for_events_of_what_has_ended() -> None:
    handles = Driver.current().handles
    for _ in range(3):
        await use_and_close()
        assert (handles.connections, handles.transports, handles.channels) == ({}, {}, {})
