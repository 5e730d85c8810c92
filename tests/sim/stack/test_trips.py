"""The way of a session's message, as counts: from the core to its reader, and how often it enters the machine.

The counts are bounds. A call is an entry of a function of adieu in Python; entries before the core hands the message
out, and after its reader has it, do not count.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import adieu
from sim.stack.pair import connected
from support.virtual import simulated

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from support.virtual import World

PACKAGE = str(Path(adieu.__file__).parent)
KIT = "/adieu/testing/"
HANDS_OUT = {"drain", "deliver"}
"""The functions of the core that begin a batch."""
MOST = 22
"""Calls from the core to a handler."""
MOST_TO_RECEIVE = 25
"""Calls from the core to the end of a `receive` that waits: it has to wake up, and the machine learns that it left."""


class Trip:
    """What is called on the way of the last message."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.arrived = False

    def note(self, frame: FrameType, event: str, function: Any) -> None:
        if self.arrived:
            return
        if event == "c_call" and function.__name__ in HANDS_OUT:
            self.calls.clear()
        elif event == "call" and frame.f_code.co_filename.startswith(PACKAGE) and KIT not in frame.f_code.co_filename:
            place = Path(frame.f_code.co_filename).relative_to(PACKAGE).as_posix()
            self.calls.append(f"{place}:{frame.f_code.co_qualname}")

    def begin(self) -> None:
        self.calls, self.arrived = [], False
        sys.setprofile(self.note)

    def end(self) -> None:
        self.arrived = True
        sys.setprofile(None)

    def count(self, *names: str) -> int:
        return sum(call.endswith(names) for call in self.calls)

    def check(self, most: int) -> None:
        shown = "\n".join(self.calls)
        assert len(self.calls) <= most, f"{len(self.calls)} calls:\n{shown}"
        assert self.count("SessionMachine.data_received") == 1, shown
        assert self.count("SessionMachine.take", "Tasks.spawn") == 0, shown


async def send_while(world: World, trip: Trip, send: Callable[[], Any]) -> None:
    await world.settle(0.3)  # nothing else is on its way: a `ping` follows a whole second of silence
    await send()
    trip.begin()
    while not trip.arrived:
        await asyncio.sleep(0.0005)


@simulated()
async def test_a_message_reaches_a_plain_handler_in_few_calls(world: World) -> None:
    async with connected(world) as pair:
        here, there = await asyncio.gather(pair.first.open("data"), pair.second.open("data"))
        trip, got = Trip(), []

        def handler(message: bytes) -> None:
            trip.end()
            got.append(message)

        there.on("message", handler)
        for number in (1, 2, 100, 1000):
            for _ in range(number - len(got)):
                await here.send(b"before")
            while len(got) < number:
                await world.settle(0.1)
            await send_while(world, trip, lambda: here.send(b"x" * 100))
            trip.check(MOST)


@simulated()
async def test_a_message_reaches_a_receive_that_waits_in_few_calls(world: World) -> None:
    async with connected(world) as pair:
        here, there = await asyncio.gather(pair.first.open("data"), pair.second.open("data"))
        trip = Trip()

        async def read() -> None:
            await there.receive()
            trip.end()

        for _ in range(3):
            reading = asyncio.create_task(read())
            await send_while(world, trip, lambda: here.send("text"))
            trip.check(MOST_TO_RECEIVE)
            await reading


@simulated()
async def test_an_async_handler_is_one_task_and_nothing_else(world: World) -> None:
    async with connected(world) as pair:
        here, there = await asyncio.gather(pair.first.open("data"), pair.second.open("data"))
        trip = Trip()

        async def handler(_: bytes) -> None:
            trip.end()

        there.on("message", handler)
        for _ in range(2):
            await send_while(world, trip, lambda: here.send(b"x"))
            assert trip.count("Tasks.spawn") == 1 and trip.count("SessionMachine.take") == 0
