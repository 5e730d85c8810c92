"""How fast files are beside a plain channel of the same session: two programs, the two in turn.

python benchmarks/files.py [--size MiB] [--rounds N]    writes benchmarks/files.md, but for another size

For each: MiB/s by the clock, and seconds of CPU on both sides together. For files also: the part of it in the threads
that read, hash and write, and how often work was handed to one. The channel carries messages of 256 KiB, which its
receiver drops.

The host of a virtual machine may take back memory that is not used: the first write to it costs a multiple then. So the
rounds come twice: with memory as it is found, and with memory that a file has had just before.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import secrets
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from run import facts

import adieu
from adieu.server import serve

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Path(__file__).with_name("files.md")
SIZE = 512
MIB = 1024 * 1024
MESSAGE = 256 * 1024
CHUNK = MIB


class Spent:
    """Counts the costs of this program.

    Attributes:
        hops: how often it has handed work to a thread.
        worked: seconds of CPU of that work.
    """

    def __init__(self) -> None:
        self.hops = 0
        self.worked = 0.0
        self._to_thread = asyncio.to_thread
        asyncio.to_thread = self._counted

    async def _counted(self, *arguments: Any) -> Any:
        self.hops += 1
        return await self._to_thread(self._timed, *arguments)

    def _timed(self, work: Callable[..., Any], *arguments: Any) -> Any:
        began = time.thread_time()
        try:
            return work(*arguments)
        finally:
            self.worked += time.thread_time() - began

    def now(self) -> dict[str, float]:
        """All of it."""
        return {"cpu": time.process_time(), "hops": self.hops, "worked": self.worked}


async def receive(url: str, room: str, folder: str) -> None:
    """The other program: takes what comes, and tells what it cost."""
    spent = Spent()
    async with adieu.join(url, room=room, name="receiver") as place:
        session = await place.session()

        @session.on("file")
        async def _(file: adieu.IncomingFile) -> None:
            (await file.accept(folder)).unlink()

        orders = await session.open("orders")
        stream = await session.open("stream")
        async for order in orders:
            for _ in range(int(order) // MESSAGE):
                await stream.receive()
            await orders.send(json.dumps(spent.now()))


class Sender:
    """This program."""

    def __init__(self, session: adieu.Session, orders: adieu.Channel, stream: adieu.Channel, file: Path) -> None:
        self.session, self.orders, self.stream, self.file = session, orders, stream, file
        self.size = file.stat().st_size
        self._spent = Spent()

    async def _other(self, count: int = 0) -> dict[str, float]:
        await self.orders.send(str(count))
        return json.loads(await self.orders.receive())

    async def _both(self) -> dict[str, float]:
        """Return what both programs have spent so far."""
        return _sum(await self._other(), self._spent.now())

    async def by_channel(self) -> dict[str, float]:
        """All of it, as messages."""
        message = os.urandom(MESSAGE)
        before, began = await self._both(), time.perf_counter()
        told = asyncio.create_task(self._other(self.size))
        for _ in range(self.size // MESSAGE):
            await self.stream.send(message)
        after = _sum(await told, self._spent.now())
        return self._figures(time.perf_counter() - began, before, after)

    async def by_file(self) -> dict[str, float]:
        """The same as a file."""
        os.utime(self.file)  # else its chunks might have their hashes from the round before
        before, began = await self._both(), time.perf_counter()
        transfer = await self.session.send_file(self.file)
        offered = time.perf_counter() - began
        await transfer.wait()
        seconds = time.perf_counter() - began  # the other side removes it now
        return {**self._figures(seconds, before, await self._both()), "offered": offered}

    def _figures(self, seconds: float, before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
        mib = self.size / MIB
        spent = {each: after[each] - before[each] for each in after}
        return {**spent, "rate": mib / seconds, "hops": spent["hops"] / mib}


def _sum(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    return {each: one[each] + other[each] for each in one}


def write(path: Path, size: int) -> float:
    """Write so many MiB to a new file; the seconds of CPU. The file is removed."""
    data = os.urandom(CHUNK)
    with path.open("xb", buffering=0) as file:
        began = time.thread_time()
        for _ in range(size):
            file.write(data)
        spent = time.thread_time() - began
    path.unlink()
    return spent


def least(source: Path, path: Path, size: int) -> float:
    """Read a file, hash its chunks twice and write it, and nothing else; the seconds of CPU."""
    room = bytearray(CHUNK)
    with source.open("rb", buffering=0) as file:
        began = time.thread_time()
        while file.readinto(room):
            hashlib.sha256(room).digest()
            hashlib.sha256(room).digest()
        spent = time.thread_time() - began
    return spent + write(path, size)


async def measure(size: int, rounds: int) -> dict[str, Any]:
    """The figures of all rounds.

    Args:
        size: MiB.
        rounds: how often each of the two is done, of either kind.
    """
    room = secrets.token_hex(16)
    with tempfile.TemporaryDirectory() as folder:
        source, other_file = Path(folder) / "source.bin", Path(folder) / "other.bin"
        with source.open("wb") as file:
            for _ in range(size):
                file.write(os.urandom(MIB))
        inbox = Path(folder) / "inbox"
        inbox.mkdir()
        async with serve() as server:
            program = (sys.executable, __file__, "--receive", server.url, room, str(inbox))
            other = await asyncio.create_subprocess_exec(*program)
            async with adieu.join(server.url, room=room, name="sender") as place:
                session = await place.session()
                orders, stream = await session.open("orders"), await session.open("stream")
                sender = Sender(session, orders, stream, source)
                found = [(await sender.by_channel(), await sender.by_file()) for _ in range(rounds)]
                at_hand: list[tuple[dict[str, float], dict[str, float]]] = []
                wrote: list[float] = []
                for _ in range(rounds):
                    plain = await sender.by_channel()
                    wrote.append(await asyncio.to_thread(write, other_file, 2 * size))
                    at_hand.append((plain, await sender.by_file()))
                wrote.append(await asyncio.to_thread(write, other_file, 2 * size))
                floor = await asyncio.to_thread(least, source, other_file, size)
                await session.close()
            other.terminate()
            await other.wait()
    return {"size": size, "found": found, "at hand": at_hand, "wrote": [each / 2 for each in wrote], "least": floor}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--receive", nargs=3)
    given = parser.parse_args()
    if given.receive:
        asyncio.run(receive(*given.receive))
        return
    text = page(asyncio.run(measure(given.size, given.rounds)))
    print(text)
    if given.size == SIZE:
        PAGE.write_text(text, encoding="utf-8")


def page(result: dict[str, Any]) -> str:
    """The figures, for readers."""
    size, wrote = result["size"], result["wrote"]
    kinds = ("found", "at hand")
    ratio = {kind: statistics.median(file["rate"] / plain["rate"] for plain, file in result[kind]) for kind in kinds}
    worked = statistics.median(file["worked"] for _, file in result["at hand"])
    lines = [
        "# Files beside a channel",
        "{date}, commit {commit}; {processor}, {cores} cores, {system}, Python {python}.".format(**facts()),
        "",
        f"{size} MiB between two programs on loopback, in turn as messages of 256 KiB and as a file.",
        "`python benchmarks/files.py` makes this page.",
        "",
        "| memory | channel, MiB/s | file, MiB/s | ratio | channel, s of CPU | file, s of CPU | threads | hops/MiB |",
        "|:--|--:|--:|--:|--:|--:|--:|--:|",
        *(_row(kind, plain, file) for kind in kinds for plain, file in result[kind]),
        "",
        f"**A file has {ratio['at hand']:.2f} of the rate of a channel where memory is at hand,",
        f"{ratio['found']:.2f} with memory as it was found**: medians of {len(result['found'])} rounds each.",
        *_seconds(result["at hand"], "memory at hand"),
        *_seconds(result["found"], "memory as found"),
        "",
        f"A file was offered in {max(file['offered'] for kind in kinds for _, file in result[kind]):.2f} s at most.",
        "Threads read it, hash it on both sides and write it; a hop hands work to one.",
        f"A loop that does only this takes {result['least']:.2f} s of CPU, the threads {worked:.2f} s.",
        f"Alone, {size} MiB written to a new file took from {min(wrote):.2f} to {max(wrote):.2f} s of CPU.",
        "The host of a virtual machine may take back unused memory: to get it again is the difference.",
        f"It is at hand where a file of {2 * size} MiB was written and removed just before.",
        f"The load of the computer was {os.getloadavg()[0]:.0f} at the end.",
    ]
    return "\n".join(lines) + "\n"


def _row(kind: str, plain: dict[str, float], file: dict[str, float]) -> str:
    return (
        f"| {kind} | {plain['rate']:.1f} | {file['rate']:.1f} | {file['rate'] / plain['rate']:.2f}"
        f" | {plain['cpu']:.1f} | {file['cpu']:.1f} | {file['worked']:.2f} | {file['hops']:.1f} |"
    )


def _seconds(rounds: list[tuple[dict[str, float], dict[str, float]]], where: str) -> list[str]:
    plain, file = (statistics.median(each["cpu"] for each in kind) for kind in zip(*rounds, strict=True))
    return [f"Processor time of both, medians, {where}: {plain:.1f} s for the channel, {file:.1f} s for the file."]


if __name__ == "__main__":
    main()
