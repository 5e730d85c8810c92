"""Servers that share a real Redis, a balancer in front of them, and pairs of clients that count every message."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import socket
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import httpx

from adieu.protocol.words import Wait
from adieu.signaling import Down, SignalingClient, Undelivered, Up
from adieu.signaling.policy import Policy

if TYPE_CHECKING:
    from asyncio.subprocess import Process

POLICY = Policy(max_retry=1.0)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


async def listening(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(OSError):
                (await asyncio.open_connection("127.0.0.1", port))[1].close()
                return
            await asyncio.sleep(0.02)


class Program:
    """A program on a port, which can be killed and started again."""

    def __init__(self, *command: str, port: int) -> None:
        self.command = command
        self.port = port
        self.process: Process | None = None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(*self.command, stdout=asyncio.subprocess.DEVNULL)
        await listening(self.port)

    async def kill(self) -> None:
        """SIGKILL, as a computer that loses its power."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.terminate()
        return await self.process.wait()


class Balancer:
    """Passes connections on to one of the servers at random, and to another if that one is gone."""

    def __init__(self, ports: list[int]) -> None:
        self.ports = ports
        self.choose = random.Random(3)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        for port in self.choose.sample(self.ports, len(self.ports)):
            try:
                there, back = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                continue
            ways = [asyncio.create_task(_pass_on(reader, back)), asyncio.create_task(_pass_on(there, writer))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                back.transport.abort()
            break
        writer.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@dataclass
class Count:
    """What became of the messages of all clients."""

    sent: int = 0
    taken: int = 0
    doubled: int = 0
    disordered: int = 0
    undelivered: list[str] = field(default_factory=list)
    new_seats: int = 0


class Person:
    """A client that sends numbered messages to its partner, and counts those that come."""

    def __init__(self, url: str, room: str, count: Count) -> None:
        self.client = SignalingClient(url, name=room, policy=POLICY)
        self.room = room
        self.count = count
        self.partner: Person | None = None
        self.next = 0
        self.last = 0
        self.seen: set[int] = set()
        self.down = asyncio.Event()
        self.up = asyncio.Event()

    async def follow(self) -> None:
        async for event in self.client.events():
            match event:
                case Up(resumed=resumed):
                    self.count.new_seats += not resumed
                    self.up.set()
                    self.down.clear()
                case Down():
                    self.down.set()
                    self.up.clear()
                case Wait(eta_ms=number):
                    self.count.taken += 1
                    self.count.doubled += number in self.seen
                    self.count.disordered += number != self.last + 1
                    self.seen.add(number)
                    self.last = number
                case Undelivered(code=code):
                    self.count.undelivered.append(code)
                case _:
                    pass

    def send(self) -> None:
        assert self.partner is not None
        self.next += 1
        self.count.sent += 1
        self.client.send(Wait(to=self.partner.client.peer, session="s", reason="x" * 200, eta_ms=self.next))


class World:
    """Redis, servers, a balancer, and pairs of clients under load.

    Args:
        servers: how many.
        pairs: of clients.
        rate: messages a second of each client.
        fsync: when Redis puts the log on disk: `always`, `everysec`; or empty: never.
    """

    def __init__(self, *, servers: int, pairs: int, rate: float, fsync: str = "always") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="adieu-cluster-"))
        port = free_port()
        options = ["--port", str(port), "--dir", str(self.folder), "--save", "", "--bind", "127.0.0.1"]
        options += ["--appendonly", "yes", "--appendfsync", fsync] if fsync else ["--appendonly", "no"]
        self.redis = Program("redis-server", *options, port=port)
        self.bus = f"redis://127.0.0.1:{port}"
        self.servers = [self._server(free_port()) for _ in range(servers)]
        self.balancer = Balancer([server.port for server in self.servers])
        self.pairs = pairs
        self.rate = rate
        self.count = Count()
        self.people: list[Person] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._sending = asyncio.Event()

    def _server(self, port: int) -> Program:
        options = ("--port", str(port), "--bus", self.bus, "--drain", "0", "--no-page")
        return Program(sys.executable, "-m", "adieu", "serve", *options, port=port)

    async def __aenter__(self) -> Self:
        try:
            return await self._begin()
        except BaseException:
            await self.__aexit__()  # Redis and servers would stay behind
            raise

    async def _begin(self) -> Self:
        await self.redis.start()
        for server in self.servers:
            await server.start()
            await self.ready(server)
        await self.balancer.__aenter__()
        for number in range(self.pairs):
            await self._pair(f"room-{number}")
        self.count.new_seats = 0
        self._sending.set()
        self._tasks += [asyncio.create_task(self._load(person)) for person in self.people]
        return self

    async def _pair(self, room: str) -> None:
        url = f"ws://127.0.0.1:{self.balancer.port}/ws"
        two = [Person(url, room, self.count) for _ in range(2)]
        for person in two:
            await person.client.__aenter__()
            await person.client.join(room)
            self._tasks.append(asyncio.create_task(person.follow()))
            await person.up.wait()
        two[0].partner, two[1].partner = two[1], two[0]
        self.people += two

    async def _load(self, person: Person) -> None:
        while True:
            await self._sending.wait()
            person.send()
            await asyncio.sleep(1 / self.rate)

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(person.client.quit() for person in self.people))
        await self.balancer.__aexit__()
        for program in (*self.servers, self.redis):
            await program.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def ready(self, server: Program) -> None:
        """Wait until this server takes clients."""
        async with asyncio.timeout(30), httpx.AsyncClient() as web:
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if (await web.get(f"http://127.0.0.1:{server.port}/readyz")).status_code == 200:
                        return
                await asyncio.sleep(0.05)

    async def all_up(self) -> None:
        async with asyncio.timeout(60):
            for person in self.people:
                await person.up.wait()

    async def all_down(self) -> None:
        async with asyncio.timeout(60):
            for person in self.people:
                await person.down.wait()

    async def all_taken(self) -> int:
        """Stop the load, and wait until everything that was sent has come. Returns how many messages have not."""
        self._sending.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(20):
                while any(person.last < person.partner.next for person in self.people):  # type: ignore[union-attr]
                    await asyncio.sleep(0.02)
        lost = sum(person.partner.next - len(person.seen) for person in self.people)  # type: ignore[union-attr]
        self._sending.set()
        return lost

    async def kill_a_server(self, index: int) -> float:
        """Kill a server under load. Returns the seconds until all clients are connected again."""
        loop = asyncio.get_running_loop()
        before = loop.time()
        await self.servers[index].kill()
        hit = [person for person in self.people if not person.client.up]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):  # the end of the sockets is seen at once; nobody may have been there
                while not hit:
                    await asyncio.sleep(0.005)
                    hit = [person for person in self.people if not person.client.up]
        for person in hit:
            person.up.clear()  # its events may not say yet that it is down
        await self.all_up()
        seconds = loop.time() - before
        await self.servers[index].start()
        await self.ready(self.servers[index])
        return seconds

    async def kill_redis(self, absent: float) -> tuple[float, float]:
        """Kill Redis for some seconds. Returns the seconds until all clients knew, and from its return until all are
        connected again."""
        loop = asyncio.get_running_loop()
        before = loop.time()
        await self.redis.kill()
        await self.all_down()
        knew = loop.time() - before
        await asyncio.sleep(absent)
        await self.redis.start()
        before = loop.time()
        await self.all_up()
        return knew, loop.time() - before
