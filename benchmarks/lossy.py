"""Measure senders over a link that loses, into real browsers, beside the kernel's TCP: benchmarks/lossy.md.

    PYTHONPATH=tests python benchmarks/lossy.py --prepare
    PYTHONPATH=tests python tests/e2e/lab/namespace.py python benchmarks/lossy.py
    ... --seconds 5 --rounds 1 --only adieu,pion      a look; writes nothing
    ... --before FOLDER                               and the adieu that lies in this folder

Two network namespaces, joined by tun devices and `rust/links/examples/emulator.rs`: the senders are in the one, the
browsers in the other. All programs and the kernel use the same link in the same run, in turn, and see ordinary packets.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import socket
import struct
import subprocess
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from run import CONTENDERS, PEERS, ROOT, Contender, Peer, facts

from e2e.lab.browsers import chromium, firefox
from e2e.lab.pages import Pages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from e2e.lab.browsers import Browser

HERE = Path(__file__).resolve().parent
NEAR, FAR = "10.8.0.2", "10.8.0.1"
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
MESSAGE = 16_384
WARM = 2.0  # seconds from the first byte that are not counted
TCP = ("cubic", "bbr")


@dataclass(frozen=True)
class Link:
    """An emulated link.

    Attributes:
        mbit: its rate, Mbit/s.
        rtt: its round trip, ms.
        queue: its queue, in round trips at that rate.
        loss: the part that is lost behind the queue, and on the way back.
    """

    mbit: float = 100
    rtt: float = 40
    queue: float = 1
    loss: float = 0.01

    @asynccontextmanager
    async def up(self) -> AsyncIterator[list[str]]:
        """Set it up, and give the words that run a command at its far end."""
        far = await asyncio.create_subprocess_exec(
            *("unshare", "--net", "sh", "-c", "echo; exec sleep infinity"), stdout=PIPE
        )
        assert far.stdout is not None
        await far.stdout.readline()
        there = ["nsenter", f"--net=/proc/{far.pid}/ns/net"]
        ends = [_tun("far0"), _tun("near0")]
        _run("ip", "link", "set", "far0", "netns", str(far.pid))
        _run(*there, "ip", "link", "set", "lo", "up")
        for where, name, address in ((there, "far0", FAR), ([], "near0", NEAR)):
            _run(*where, "sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=1")
            _run(*where, "ip", "addr", "add", f"{address}/24", "dev", name)
            _run(*where, "ip", "link", "set", name, "up", "txqueuelen", "10000")
            _run(*where, "ip", "route", "replace", "default", "dev", name)
        _run("iptables", "-I", "OUTPUT", "-o", "near0", "-j", "ACCEPT")
        size = self.queue * self.mbit * 125 * self.rtt
        given = [f"{number:g}" for number in (self.mbit, self.rtt / 2, size, self.loss, time.time_ns() % 1000)]
        # First in its turn, so that a busy computer does not make it a link that jitters.
        words = ("chrt", "--fifo", "1", _emulator())
        emulator = await asyncio.create_subprocess_exec(*words, *given, stdin=ends[0], stdout=ends[1])
        try:
            yield there
        finally:
            for process in (emulator, far):
                process.kill()
                await process.wait()
            for end in ends:
                os.close(end)
            _run("iptables", "-D", "OUTPUT", "-o", "near0", "-j", "ACCEPT")


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def _tun(name: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


def _emulator() -> str:
    return str(Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "examples" / "emulator")


# --- one flow -----------


class Flow:
    """Bytes that arrive, and when."""

    def __init__(self) -> None:
        self._arrivals: list[tuple[float, int]] = []
        self.begun = asyncio.Event()

    def heard(self, size: int) -> None:
        self._arrivals.append((time.perf_counter(), size))
        self.begun.set()

    def rate(self, since: float, until: float) -> float:
        """Mbit/s between these times."""
        return sum(size for at, size in self._arrivals if since <= at < until) * 8e-6 / (until - since)


@asynccontextmanager
async def into_page(contender: Contender, there: list[str], pages: Pages, browser: Browser) -> AsyncIterator[Flow]:
    """Let a library at the far end send to a page as fast as it can, until the block ends."""
    flow = Flow()
    async with AsyncExitStack() as stack:
        process = await asyncio.create_subprocess_exec(
            *there, *contender.command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, limit=1 << 22
        )
        stack.push_async_callback(_stopped, process)
        sender = Peer(contender.name, process)
        page = await stack.enter_async_context(pages.peer(browser))
        contender.version = await sender.ask("version")
        await page.call("new")
        await page.call("channel", label="bench", init={"negotiated": True, "id": 0})
        await page.call("answer", sdp=await sender.ask("offer"))
        await page.expect("candidate", candidate=None)
        await sender.ask("accept", sdp=await page.call("local"))
        await sender.ask("opened")
        hear = page.hear

        def heard(event: dict[str, Any]) -> None:
            if event["event"] != "message":
                hear(event)
            elif event["kind"] == "binary":
                flow.heard(event["size"])

        page.hear = heard  # type: ignore[method-assign]
        blast = asyncio.create_task(sender.ask("blast", size=MESSAGE, seconds=3600))
        try:
            yield flow
        finally:
            blast.cancel()
            with suppress(asyncio.CancelledError, RuntimeError, TimeoutError):
                await blast


@asynccontextmanager
async def by_kernel(controller: str, there: list[str], port: int = 0) -> AsyncIterator[Flow]:
    """Let the kernel's TCP at the far end send with this controller, until the block ends."""
    flow = Flow()
    connections: list[asyncio.StreamWriter] = []

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        with suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                flow.heard(len(data))

    server = await asyncio.start_server(count, NEAR, port)
    port = server.sockets[0].getsockname()[1]
    command = [*there, sys.executable, str(Path(__file__)), "--tcp", controller, str(port)]
    process = await asyncio.create_subprocess_exec(*command)
    try:
        yield flow
    finally:
        await _stopped(process)
        for connection in connections:
            connection.transport.abort()
        server.close()
        await server.wait_closed()


def send_tcp(controller: str, port: int) -> None:
    """Send zeros until the process is killed."""
    with socket.create_connection((NEAR, port)) as sender:
        sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, controller.encode())
        data = bytes(1 << 16)
        while True:
            sender.sendall(data)


async def _stopped(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


async def rates(flows: list[Flow], seconds: float) -> list[float]:
    """Mbit/s of each, some time after the first bytes of the last one."""
    async with asyncio.timeout(60):
        for flow in flows:
            await flow.begun.wait()
    since = time.perf_counter() + WARM
    await asyncio.sleep(WARM + seconds)
    return [flow.rate(since, since + seconds) for flow in flows]


# --- the run -----------


def senders(options: argparse.Namespace) -> dict[str, Callable[[], Contender]]:
    peer = (sys.executable, str(PEERS / "adieu_peer.py"))
    own: dict[str, Callable[[], Contender]] = {
        "adieu": CONTENDERS["adieu"],
        "adieu, cubic": lambda: Contender("adieu, cubic", (*peer, "cubic")),
    }
    if options.before:
        words = ("env", f"PYTHONPATH={options.before}", *peer)
        own["adieu before"] = lambda: Contender("adieu before", words)
    others = {name: make for name, make in CONTENDERS.items() if name not in ("adieu", "baseline")}
    return own | others


@dataclass
class Run:
    """One run of everything, and what came of it."""

    options: argparse.Namespace
    present: list[Contender]
    troubles: list[str]
    lossy: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    fair: dict[tuple[float, str], list[list[float]]] = field(default_factory=dict)

    async def over_loss(self, turn: int, pages: Pages, browsers: list[Browser]) -> None:
        """Let each sender send alone, to each browser; then the kernel."""
        start = turn % len(self.present)
        async with Link().up() as there:
            for contender in self.present[start:] + self.present[:start]:
                for browser in browsers:
                    name = f"{browser.name} {browser.version}"
                    try:
                        async with into_page(contender, there, pages, browser) as flow:
                            [rate] = await rates([flow], self.options.seconds)
                    except (AssertionError, RuntimeError, TimeoutError) as error:
                        first = (str(error).splitlines() or ["no answer in time"])[0]
                        self.troubles.append(f"{contender.name} to {name}: {first}")
                        continue
                    self._note(contender.name, name, rate)
            for controller in TCP:
                async with by_kernel(controller, there) as flow:
                    [rate] = await rates([flow], self.options.seconds)
                self._note(f"TCP {controller}", "the kernel", rate)

    def _note(self, sender: str, receiver: str, rate: float) -> None:
        print(f"{sender} to {receiver}: {rate:.1f}", flush=True)
        self.lossy.setdefault(sender, {}).setdefault(receiver, []).append(rate)

    async def beside_cubic(self, queue: float, pages: Pages, browser: Browser) -> None:
        """Let each adieu, and the kernel, share a link without loss with the kernel's CUBIC."""
        own = {contender.name: contender for contender in self.present if contender.name.startswith("adieu")}
        async with replace(Link(), loss=0, queue=queue, mbit=50).up() as there:
            for name in ("TCP cubic", "TCP bbr", *own):
                async with AsyncExitStack() as stack:
                    flows = [await stack.enter_async_context(by_kernel("cubic", there))]
                    if name in own:
                        other = into_page(own[name], there, pages, browser)
                    else:
                        other = by_kernel(name.removeprefix("TCP "), there)
                    flows.append(await stack.enter_async_context(other))
                    both = await rates(flows, 2 * self.options.seconds)
                print(f"queue {queue}: TCP cubic and {name}: {both[0]:.1f} {both[1]:.1f}", flush=True)
                self.fair.setdefault((queue, name), []).append(both)


def prepare(options: argparse.Namespace) -> list[Contender]:
    """Build and install what the run needs; where there is a network, if something is missing."""
    _run("cargo", "build", "--release", "--locked", "--quiet", "-p", "adieu-links", "--example", "emulator")
    return [make() for name, make in senders(options).items() if not options.only or name in options.only]


async def main(options: argparse.Namespace) -> None:
    """Measure all of it, and write the report."""
    contenders = prepare(options)
    absent = [f"{contender.name}: not measured: {contender.absent}" for contender in contenders if contender.absent]
    run = Run(options, [contender for contender in contenders if contender.command], absent)
    async with Pages().serving() as pages, chromium() as first, firefox() as second:
        for turn in range(options.rounds):
            await run.over_loss(turn, pages, [first, second])
            for queue in (0.3, 1):
                await run.beside_cubic(queue, pages, first)
    text = report(run)
    print(text)
    if not options.only:
        (HERE / "lossy.md").write_text(text, encoding="utf-8")


def report(run: Run) -> str:
    """The report as Markdown."""
    options, lossy, fair, troubles = run.options, run.lossy, run.fair, run.troubles
    versions = {contender.name: contender.version for contender in run.present}
    receivers = list(dict.fromkeys(name for rows in lossy.values() for name in rows))
    lines = [
        "# Lossy links with real programs",
        "",
        "{date}, commit {commit}; {cores} cores, {system}, Python {python}.".format(**facts()),
        "",
        "Written by `make bench-lossy`. Between two network namespaces there is a link of 100 Mbit/s, 40 ms and 1 %",
        f"loss each way, with a queue of 40 ms. Rounds in turn: {options.rounds}; {options.seconds:g} s each after",
        f"{WARM:g} s. Median (least – greatest), Mbit/s. *TCP* is the kernel's own.",
        "",
        "| sender | " + " | ".join(receivers) + " |",
        "|---" * (len(receivers) + 1) + "|",
    ]
    for name, row in lossy.items():
        cells = [_cell(row[receiver]) if receiver in row else "" for receiver in receivers]
        lines.append(f"| {name} {versions.get(name, '')} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "## Beside the kernel's CUBIC",
        "",
        "A link of 50 Mbit/s and 40 ms without loss of its own. The queue is in round trips; adieu sends to Chromium.",
        "",
        "| queue | CUBIC has | beside | which has |",
        "|---|---|---|---|",
    ]
    for (queue, name), runs in fair.items():
        first, second = (median(run[index] for run in runs) for index in (0, 1))
        lines.append(f"| {queue:g} | {first:.1f} | {name} | {second:.1f} |")
    lines += ["", *(f"- {trouble}" for trouble in troubles)] if troubles else []
    return "\n".join(lines) + "\n"


def _cell(figures: list[float]) -> str:
    return f"**{median(figures):.1f}** ({min(figures):.1f} – {max(figures):.1f})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--only", type=lambda names: names.split(","), default=[], help="these senders, by commas")
    parser.add_argument("--before", help="a folder with an earlier adieu in it")
    parser.add_argument("--prepare", action="store_true", help="only build and install what is needed")
    parser.add_argument("--tcp", nargs=2, metavar=("CONTROLLER", "PORT"), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    options = _options()
    if options.tcp:
        send_tcp(options.tcp[0], int(options.tcp[1]))
    elif options.prepare:
        prepare(options)
    else:
        asyncio.run(main(options))
