"""Measure the signaling server: memory of idle clients, joins and relayed messages for each second of CPU.

python benchmarks/server.py [--clients 10000] [--quick]

One server, and the same with a bus (a Redis 7 that this program starts). The clients are two processes. CPU seconds are
those of the server's process, so other work on the computer changes them little. It writes `benchmarks/server.md`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

if TYPE_CHECKING:
    from collections.abc import Callable

REPORT = Path(__file__).with_suffix(".md")
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
AT_ONCE = 16
WINDOW = 32
"""Messages of a client that its partner has not answered, when messages are relayed."""


# --- the clients: a process with this program and `--play` -------------------------------------------------------


class Client(asyncio.Protocol):
    """A WebSocket client that costs little: it reads what servers send (no masks, no fragments)."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.data = b""
        self.upgraded = False
        self.arrived: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.peer = ""
        self.partner = ""
        self.seq = self.last = self.taken = 0
        self.left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        key = "dGhlIHNhbXBsZSBub25jZQ=="
        lines = ("GET /ws HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade")
        more = ("Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Protocol: adieu.v1+json")
        self.transport.write("\r\n".join([*lines, *more, "", ""]).encode())

    def data_received(self, data: bytes) -> None:
        self.data += data
        if not self.upgraded:
            head, end, rest = self.data.partition(b"\r\n\r\n")
            if not end:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self.upgraded, self.data = True, rest
            self.say({"type": "hello", "version": 1})
        while len(self.data) >= 2:
            code, length, start = self.data[0] & 15, self.data[1], 2
            if length == 126:
                length, start = int.from_bytes(self.data[2:4]), 4
            if length == 127:
                length, start = int.from_bytes(self.data[2:10]), 10
            if len(self.data) < start + length:
                return
            payload, self.data = self.data[start : start + length], self.data[start + length :]
            if code == 9:
                self.frame(0x8A, payload)
            elif code == 1:
                self.heard(json.loads(payload))
            elif code == 8:
                print(f"closed by the server: {payload!r}", file=sys.stderr)

    def heard(self, message: dict) -> None:
        self.last = max(self.last, message.get("seq", 0))
        match message["type"]:
            case "welcome":
                self.peer = message["peer"]
                self.say({"type": "join", "room": f"room-{self.number // 2}"})
            case "joined":
                for other in message["peers"]:
                    self.partner = other["peer"]
                self.arrived.set_result(None)
            case "peerJoined":
                self.partner = message["peer"]["peer"]
            case "error":
                print(f"the server says: {message}", file=sys.stderr)
            case "wait":
                self.taken += 1
                self.more()

    def more(self) -> None:
        """Send another message to the partner, with the acknowledgement of its messages."""
        if self.left:
            self.left -= 1
            self.seq += 1
            word = {"type": "wait", "to": self.partner, "session": "s", "reason": "x" * 150, "etaMs": self.seq}
            self.say({**word, "seq": self.seq, "ack": self.last})

    def say(self, message: dict) -> None:
        self.frame(0x81, json.dumps(message).encode())

    def frame(self, code: int, data: bytes) -> None:
        size = len(data)
        length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2)
        self.transport.write(bytes((code,)) + length + b"\0\0\0\0" + data)


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 an event for each message would cost more
        await asyncio.sleep(0.02)


async def play(port: int, first: int, count: int) -> None:
    """Obey the lines on stdin: `join`, `relay N`; answer each with a line when it is done."""
    loop = asyncio.get_running_loop()
    clients: list[Client] = []
    gate = asyncio.Semaphore(AT_ONCE)

    async def enter(number: int) -> None:
        async with gate:
            _, client = await loop.create_connection(lambda: Client(number), "127.0.0.1", port)
            await client.arrived
            clients.append(client)

    while line := await loop.run_in_executor(None, sys.stdin.readline):
        match line.split():
            case ["join"]:
                await asyncio.gather(*(enter(first + number) for number in range(count)))
                await until(lambda: all(client.partner for client in clients))
            case ["relay", text]:
                goal = [client.taken + int(text) for client in clients]
                for client in clients:
                    client.left += int(text)
                for client in clients:
                    for _ in range(WINDOW):
                        client.more()
                pairs = list(zip(clients, goal, strict=True))
                await until(lambda pairs=pairs: all(client.taken >= wanted for client, wanted in pairs))
        print("done", flush=True)


# --- the measure --------------------------------------------------------------------------------------------------


class Running:
    """A server with its clients."""

    def __init__(self, clients: int, bus: str | None) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        names, most = ("connections", "seats", "messages_per_second", "burst"), 17_000
        limits = ["--limit", "hello_timeout=60", *(part for name in names for part in ("--limit", f"{name}={most}"))]
        options = [*("--port", str(self.port), "--drain", "0", "--no-page"), *limits, *(["--bus", bus] if bus else [])]
        command = [sys.executable, "-m", "adieu", "serve", *options]
        self.server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for(self.port)
        self.players = [self.player(first, clients // 2) for first in (0, clients // 2)]

    def player(self, first: int, count: int) -> subprocess.Popen:
        command = [sys.executable, __file__, "--play", str(self.port), str(first), str(count)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def all(self, line: str) -> tuple[float, float]:
        """Let both do something. Returns the seconds, and the server's CPU seconds."""
        before, used = time.perf_counter(), self.cpu()
        for player in self.players:
            player.stdin.write(line + "\n")
            player.stdin.flush()
        for player in self.players:
            assert player.stdout.readline() == "done\n"
        return time.perf_counter() - before, self.cpu() - used

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.server.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self) -> int:
        return int(Path(f"/proc/{self.server.pid}/statm").read_text().split()[1]) * PAGE

    def stop(self) -> None:
        for process in (*self.players, self.server):
            process.kill()
            process.wait()


def wait_for(port: int) -> None:
    for _ in range(500):
        with contextlib.suppress(OSError):
            with socket.create_connection(("127.0.0.1", port), 1):
                pass
            with contextlib.suppress(OSError), urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1):
                return
        time.sleep(0.05)
    raise SystemExit("the server does not start")


def measure(clients: int, messages: int, bus: str | None) -> dict[str, float]:
    running = Running(clients, bus)
    try:
        empty = running.memory()
        seconds, cpu = running.all("join")
        time.sleep(3)
        full = running.memory()
        figures = {"joins": clients / cpu, "joins_wall": clients / seconds, "kb": (full - empty) / clients / 1000}
        used = running.cpu()
        time.sleep(10)  # a ping of each client
        figures["idle"] = (running.cpu() - used) / 10
    finally:
        running.stop()
    running = Running(200, bus)
    try:
        running.all("join")
        running.all("relay 100")
        seconds, cpu = running.all(f"relay {messages}")
        figures |= {"relay": 200 * messages / cpu, "relay_wall": 200 * messages / seconds}
    finally:
        running.stop()
    return figures


@contextlib.contextmanager
def redis():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tempfile.mkdtemp()
    command = ["redis-server", "--port", str(port), "--dir", folder, "--save", "", "--appendonly", "yes"]
    server = subprocess.Popen([*command, "--bind", "127.0.0.1"], stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--play", nargs=3, type=int)
    given = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if given.play:
        asyncio.run(play(*given.play))
        return
    clients, messages = (400, 100) if given.quick else (given.clients, given.messages)
    alone = measure(clients, messages, None)
    print("one server", alone, flush=True)
    with redis() as bus:
        shared = measure(clients, messages, bus)
    print("with a bus", shared, flush=True)
    rows = [
        ("memory of an idle client, kB", "kb", ".1f"),
        ("joins for a CPU second", "joins", ".0f"),
        ("joins a second, as the two client processes saw it", "joins_wall", ".0f"),
        ("relayed messages for a CPU second", "relay", ".0f"),
        ("relayed messages a second, as seen", "relay_wall", ".0f"),
        ("CPU of all idle clients, of one core", "idle", ".1%"),
    ]
    lines = [
        f"| {name} | {alone[key]:{form}} | {shared[key]:{form}} | {shared[key] / alone[key]:.2f} |"
        for name, key, form in rows
    ]
    load = os.getloadavg()[0]
    text = f"""# The signaling server in numbers

{clients} clients in {clients // 2} rooms, from two processes, at one server; then 200 clients in pairs, each of which
relays {messages} messages of 220 bytes. A join is a WebSocket, `hello` and `join`, with their answers. CPU seconds are
those of the server's process, without those of Redis. Python {platform.python_version()}, {os.cpu_count()} cores;
the load was {load:.1f} at the end.
`python benchmarks/server.py` writes this page.

| | one server | with a bus | ratio |
|---|---|---|---|
{chr(10).join(lines)}
"""
    if not given.quick:
        REPORT.write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
