"""How fast files are beside a plain channel of the same session: two programs, the two in turn.

python benchmarks/files.py [--size MiB] [--rounds N]    writes benchmarks/files.md, but for another size

For each: MiB/s by the clock, seconds of CPU on both sides together, and for files how long the offer took and how often
work was handed to a thread. The channel carries messages of 256 KiB, which its receiver drops.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from run import facts

import adieu
from adieu.server import serve

PAGE = Path(__file__).with_name("files.md")
SIZE = 512
MIB = 1024 * 1024
MESSAGE = 256 * 1024
hops = 0


def count_hops() -> None:
    """Count in `hops` how often this program hands work to a thread."""
    plain = asyncio.to_thread

    async def counted(*arguments: Any) -> Any:
        global hops  # noqa: PLW0603
        hops += 1
        return await plain(*arguments)

    asyncio.to_thread = counted


async def receive(url: str, room: str, folder: str) -> None:
    """The other program: takes what comes, and tells what it cost."""
    count_hops()
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
            await orders.send(json.dumps({"cpu": time.process_time(), "hops": hops}))


class Sender:
    """This program."""

    def __init__(self, session: adieu.Session, orders: adieu.Channel, stream: adieu.Channel, file: Path) -> None:
        self.session, self.orders, self.stream, self.file = session, orders, stream, file
        self.size = file.stat().st_size

    async def _other(self, count: int = 0) -> dict[str, Any]:
        await self.orders.send(str(count))
        return json.loads(await self.orders.receive())

    async def by_channel(self) -> dict[str, float]:
        """All of it, as messages."""
        message = os.urandom(MESSAGE)
        before, cpu, began = await self._other(), time.process_time(), time.perf_counter()
        told = asyncio.create_task(self._other(self.size))
        for _ in range(self.size // MESSAGE):
            await self.stream.send(message)
        after = await told
        return self._figures(time.perf_counter() - began, cpu, before, after)

    async def by_file(self) -> dict[str, float]:
        """The same as a file."""
        before, cpu, began, mine = await self._other(), time.process_time(), time.perf_counter(), hops
        transfer = await self.session.send_file(self.file)
        offered = time.perf_counter() - began
        await transfer.wait()
        seconds = time.perf_counter() - began  # the other side removes it now
        figures = self._figures(seconds, cpu, before, await self._other())
        mine = hops - mine
        return {**figures, "offered": offered, "hops": (mine + figures["hops"]) / (self.size / MIB)}

    def _figures(
        self, seconds: float, cpu: float, before: dict[str, float], after: dict[str, float]
    ) -> dict[str, float]:
        spent = time.process_time() - cpu + after["cpu"] - before["cpu"]
        return {"rate": self.size / MIB / seconds, "cpu": spent, "hops": after["hops"] - before["hops"]}


async def measure(size: int, rounds: int) -> dict[str, Any]:
    """The figures of all rounds.

    Args:
        size: MiB.
        rounds: how often each of the two is done.
    """
    count_hops()
    room = secrets.token_hex(16)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.bin"
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
                await session.close()
            other.terminate()
            await other.wait()
    channel, files = (list(each) for each in zip(*found, strict=True))
    ratio = statistics.median(file["rate"] / plain["rate"] for plain, file in found)
    return {"size": size, "channel": channel, "file": files, "ratio": ratio}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--rounds", type=int, default=3)
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
    rounds = list(zip(result["channel"], result["file"], strict=True))
    seconds = [statistics.median(each["cpu"] for each in result[kind]) for kind in ("channel", "file")]
    lines = [
        "# Files beside a channel",
        "{date}, commit {commit}; {processor}, {cores} cores, {system}, Python {python}.".format(**facts()),
        "",
        f"{result['size']} MiB between two programs on loopback, in turn as messages of 256 KiB and as a file.",
        "`python benchmarks/files.py` makes this page.",
        "",
        "| channel, MiB/s | file, MiB/s | file / channel | channel, s of CPU | file, s of CPU | s to offer |",
        "|--:|--:|--:|--:|--:|--:|",
        *(
            f"| {plain['rate']:.1f} | {file['rate']:.1f} | {file['rate'] / plain['rate']:.2f}"
            f" | {plain['cpu']:.1f} | {file['cpu']:.1f} | {file['offered']:.2f} |"
            for plain, file in rounds
        ),
        "",
        f"**A file has {result['ratio']:.2f} of the rate of a channel**, the median of {len(rounds)} rounds.",
        f"Processor time of both, medians: {seconds[0]:.1f} s for the channel, {seconds[1]:.1f} s for the file.",
        "A file is read, hashed on both sides and written too.",
        f"The load of the computer was {os.getloadavg()[0]:.0f} at the end.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
