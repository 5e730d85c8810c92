"""What a page has left behind: nothing may be."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adieu.driver import Driver

if TYPE_CHECKING:
    from collections.abc import Iterable

PATIENCE = 3.0
"""Seconds in which the last packets leave and the core gives everything back."""

MEDIA_THREAD = "adieu-media"
CODEC_THREADS = "adieu-codec"

HELD_BY_CORE = ("connections", "transports", "channels", "sockets", "timers")


@dataclass(frozen=True)
class Held:
    """What the process holds.

    Attributes:
        descriptors: what the open descriptors are of.
        threads: how many.
    """

    descriptors: frozenset[str]
    threads: int

    @classmethod
    def now(cls) -> Held:
        """Begin with a driver: its descriptor and its thread are the event loop's, and stay."""
        Driver.current()
        return cls(frozenset(_descriptors()), _threads())


def connections_held() -> bool:
    """Whether a connection is there, so that something may still happen."""
    return bool(Driver.current().core.counters()["connections"])


async def released(connections: Iterable[Any]) -> list[str]:
    """Wait for the end of closed connections; those that do not end, or not cleanly."""
    return [problem for problem in await asyncio.gather(*map(_released, connections)) if problem]


async def _released(connection: Any) -> str:
    try:
        ledger = await asyncio.wait_for(connection.wait_closed(), PATIENCE)
    except TimeoutError:
        return f"{connection!r} has not ended {PATIENCE} s after its close"
    return f"{connection!r} has left {ledger!r}" if ledger else ""


async def left_since(before: Held) -> list[str]:
    """What is there now and was not before. It is given a moment."""
    end = time.monotonic() + PATIENCE
    while (left := _left(before)) and time.monotonic() < end:
        await asyncio.sleep(0.02)
    return left


def _left(before: Held) -> list[str]:
    gc.collect()
    driver = Driver.current()
    counters = driver.core.counters()
    left = [f"{counters[kind]} {kind} in the core" for kind in HELD_BY_CORE if counters[kind]]
    for kind in ("connections", "transports", "channels"):
        if held := getattr(driver.handles, kind):
            left.append(f"{len(held)} {kind} known to the driver")
    left += [f"task {task.get_name()}" for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    left += [f"descriptor {name}" for name in _descriptors() if name not in before.descriptors]
    threads = _threads() - before.threads
    if threads > 0:
        left.append(f"{threads} threads")
    objects = sum(type(item).__name__ == "RTCPeerConnection" for item in gc.get_objects())
    if objects:
        left.append(f"{objects} RTCPeerConnection objects")
    return left


def _threads() -> int:
    """All but those that are of the process: the core's media thread stays, the codecs' threads end when they idle."""
    codecs = {str(thread.native_id) for thread in threading.enumerate() if thread.name == CODEC_THREADS}
    tasks = [task for task in Path("/proc/self/task").iterdir() if task.name not in codecs]
    return sum(_name(task) not in {MEDIA_THREAD, None} for task in tasks)


def _name(task: Path) -> str | None:
    """A thread's name; None if it has just ended."""
    try:
        return (task / "comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _descriptors() -> list[str]:
    """As "3 socket:[1234]"; the one that lists them is gone by then."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        try:
            found.append(f"{path.name} {path.readlink()}")
        except OSError:
            continue
    return found
