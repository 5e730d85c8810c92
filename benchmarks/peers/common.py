"""The common part of every Python peer of the benchmark; a peer file brings its `Link`.

The runner speaks JSON lines over the pipes: it carries the descriptions from one process to the other and asks for
measurements. The receiving process only answers; messages for it go over the data channel, as text.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from typing import Any, Protocol

HIGH, LOW = 4 << 20, 1 << 20  # bytes buffered: stop sending above the one, go on below the other


class Link(Protocol):
    """A connection with one negotiated, reliable, ordered data channel.

    Attributes:
        on_message: called with each message that arrives.
    """

    version: str
    on_message: Any

    async def offer(self) -> str: ...
    async def answer(self, sdp: str) -> str: ...
    async def accept(self, sdp: str) -> None: ...
    async def opened(self) -> None: ...
    def send(self, data: str | bytes) -> None: ...
    async def blast(self, message: bytes, until: float) -> int:
        """Send until this time (perf_counter), in the library's own best way; how many messages."""

    async def close(self) -> None: ...


def cpu() -> float:
    """Seconds of processor time this process has used, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Receiver:
    """Counts what arrives, or sends it back."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._echo = False
        self._bytes = self._messages = 0
        self._cpu = 0.0
        link.on_message = self.heard

    def heard(self, data: str | bytes) -> None:
        if isinstance(data, bytes):
            if self._echo:
                self._link.send(data)
            else:
                self._bytes += len(data)
                self._messages += 1
        elif data == "start":
            self._bytes = self._messages = 0
            self._cpu = cpu()
        elif data == "end":
            said = {"bytes": self._bytes, "messages": self._messages, "cpu": cpu() - self._cpu}
            self._link.send(json.dumps(said))
        else:
            self._echo = data == "echo"


class Sender:
    """Sends, and waits for the answer."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._answer: asyncio.Future[Any] | None = None
        link.on_message = self.heard

    def heard(self, data: str | bytes) -> None:
        assert self._answer is not None
        self._answer.set_result(data)

    async def blast(self, size: int, seconds: float) -> dict[str, float]:
        """Rates from the first send() to the receiver's word that it has everything."""
        message = bytes(size)
        self._link.send("start")
        cpu_before, start = cpu(), time.perf_counter()
        sent = await self._link.blast(message, start + seconds)
        heard = json.loads(await self._ask("end"))
        took = time.perf_counter() - start
        assert heard["messages"] == sent, f"{sent} sent, {heard['messages']} arrived"
        used = cpu() - cpu_before + heard["cpu"]
        return {"bytes": size * sent / took, "messages": sent / took, "cpu": used / (size * sent)}

    async def round_trip(self, size: int, count: int) -> dict[str, float]:
        """Seconds from send() to the message's return, one at a time."""
        message = bytes(size)
        self._link.send("echo")
        times = []
        for _ in range(count):
            start = time.perf_counter()
            await self._ask(message)
            times.append(time.perf_counter() - start)
        self._link.send("quiet")
        times.sort()
        return {"median": times[count // 2], "p99": times[count * 99 // 100]}

    async def _ask(self, data: str | bytes) -> Any:
        self._answer = asyncio.get_running_loop().create_future()
        self._link.send(data)
        return await self._answer


async def setup(make: Any, count: int) -> dict[str, float]:
    """Seconds from the first constructor to both channels open, both ends in this process."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        a, b = make(), make()
        await a.accept(await b.answer(await a.offer()))
        await asyncio.gather(a.opened(), b.opened())
        times.append(time.perf_counter() - start)
        await asyncio.gather(a.close(), b.close())
    times.sort()
    return {"median": times[count // 2], "max": times[-1]}


async def serve(make: Any) -> None:
    """Obey the runner until it closes the pipe."""
    lines = asyncio.StreamReader(limit=1 << 22)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    link: Link | None = None
    sender: Sender | None = None
    while line := await lines.readline():
        asked = json.loads(line)
        said: Any = None
        match asked["do"]:
            case "version":
                said = make.version
            case "offer":
                link = make()
                sender = Sender(link)
                said = await link.offer()
            case "answer":
                link = make()
                Receiver(link)
                said = await link.answer(asked["sdp"])
            case "accept":
                assert link is not None
                await link.accept(asked["sdp"])
            case "opened":
                assert link is not None
                await link.opened()
            case "blast":
                assert sender is not None
                said = await sender.blast(asked["size"], asked["seconds"])
            case "round_trip":
                assert sender is not None
                said = await sender.round_trip(asked["size"], asked["count"])
            case "setup":
                said = await setup(make, asked["count"])
            case "close":
                assert link is not None
                await link.close()
        print(json.dumps(said), flush=True)


def main(make: Any) -> None:
    asyncio.run(serve(make))
