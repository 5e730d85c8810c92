"""Many relayed connections, opened and closed; and the cost of a relayed byte. Writes tests/e2e/reports/turn.md.

    python tests/e2e/lab/namespace.py python tests/e2e/turn/many.py [closed] [losses] [cost]

It needs coturn, and for the losses a namespace.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

TESTS = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TESTS))

import adieu  # noqa: E402
from e2e.lab.turn import TurnServer, turn_server  # noqa: E402
from e2e.turn.pairs import HOST, Relayed, relayed  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.webrtc import RTCPeerConnection

REPORT = TESTS / "e2e" / "reports" / "turn.md"
AT_ONCE = 50
MESSAGE = 262144
PATIENCE = 60.0  # seconds for one step of a batch: every wait ends


@dataclass
class Result:
    """Figures of all batches, as the server's log has them."""

    made: int = 0
    left: int = 0
    unconfirmed: int = 0
    slowest: float = 0.0
    silent: int = 0
    """Pairs that did not connect or did not exchange their data in time."""

    def line(self, name: str, within: float) -> str:
        """Return a row of the report."""
        gone = 100 * (1 - self.left / max(self.made, 1))
        return (
            f"| {name} | {self.made} | {self.left} ({gone:.2f} % gone within {within:.0f} s) | {self.unconfirmed} "
            f"| {self.slowest:.2f} s | {self.silent} |"
        )


async def connections(turn: TurnServer, transport: str, count: int, within: float = 2.0) -> Result:
    """Open and close so many relayed connections, 50 at a time, each with data."""
    result = Result()
    for _ in _batches(result, count):
        pairs = [Relayed(turn.server(transport), trusted=turn.trusted) for _ in range(AT_ONCE // 2)]
        outcomes = await asyncio.gather(*(_talk(pair) for pair in pairs))
        result.silent += outcomes.count(False)
        for pair in pairs:
            pair.a.close()
            pair.b.close()
        await _account(turn, result, [pc for pair in pairs for pc in (pair.a, pair.b)], within)
    return result


def _batches(result: Result, count: int) -> Iterator[int]:
    """Yield until so many allocations were made. After twice the batches it gives up: the server makes too few."""
    for number in range(2 * count // AT_ONCE + 1):
        if result.made >= count:
            return
        yield number
    raise RuntimeError(f"only {result.made} of {count} allocations were made: is the server still there?")


async def _talk(pair: Relayed) -> bool:
    """Connect and send a message each way. Return whether that was done in time."""
    try:
        async with asyncio.timeout(PATIENCE):
            await pair.open()
            await pair.exchange(1000)
    except TimeoutError:
        return False
    return True


async def allocations(turn: TurnServer, count: int, within: float) -> Result:
    """Have so many addresses relayed, 50 at a time, and close."""
    result = Result()
    for _ in _batches(result, count):
        connections = [relayed(turn.server()) for _ in range(AT_ONCE)]
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(_gathered(pc) for pc in connections))
        for pc in connections:
            pc.close()
        await _account(turn, result, connections, within)
    return result


async def _gathered(pc: RTCPeerConnection) -> None:
    complete = asyncio.Event()
    pc.onicecandidate = lambda event: event.candidate is None and complete.set()
    pc.createDataChannel("x")
    await pc.setLocalDescription()
    await asyncio.wait_for(complete.wait(), 20)


async def _account(turn: TurnServer, result: Result, connections: list[RTCPeerConnection], within: float) -> None:
    start = time.monotonic()
    before = result.left
    while True:
        made, live = turn.allocations()
        if len(live) == before or time.monotonic() > start + within:
            break
        await asyncio.sleep(0.02)  # its log is a file
    result.made, result.left = len(made), len(live)
    result.slowest = max(result.slowest, time.monotonic() - start)
    async with asyncio.timeout(PATIENCE):
        ledgers = await asyncio.gather(*(pc.wait_closed() for pc in connections))
    result.unconfirmed += sum(ledger.get("allocations", 0) for ledger in ledgers)


@contextmanager
def losses(turn: TurnServer, probability: float) -> Iterator[None]:
    """Lose this part of all packets from and to the server's ports."""
    chance = ["-m", "statistic", "--mode", "random", "--probability", str(probability), "-j", "DROP"]
    ports = [("udp", turn.port), ("tcp", turn.port), ("tcp", turn.tls_port)]
    ends = [(protocol, side, str(port)) for protocol, port in ports for side in ("--sport", "--dport")]
    rules = [["INPUT", "-p", protocol, side, port, *chance] for protocol, side, port in ends]
    for rule in rules:
        subprocess.run(["iptables", "-I", *rule], check=True)
    try:
        yield
    finally:
        for rule in rules:
            subprocess.run(["iptables", "-D", *rule], check=True)


def costs(turn: TurnServer, size: int, rounds: int = 5) -> Iterator[str]:
    """Yield the rows of the table. The paths take turns: what else the computer does meets all of them."""
    spent: dict[str, list[float]] = {path: [] for path in ("direct", "udp", "tcp", "tls")}
    for _ in range(rounds):
        for path, seconds in spent.items():
            seconds.append(asyncio.run(cost(None if path == "direct" else turn, path, size)))
    direct = min(spent["direct"])
    for path, seconds in spent.items():
        least, middle = min(seconds), statistics.median(seconds)
        times = f"{least / direct:.2f} | {middle / statistics.median(spent['direct']):.2f}"
        yield f"| {path} | {least:.2f} | {middle:.2f} | {times} |"


def _commit() -> str:
    """Return the commit that was measured, as far as git knows it."""
    command = ["git", "-C", str(Path(adieu.__file__).parent), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


async def cost(turn: TurnServer | None, transport: str, size: int) -> float:
    """Return the CPU seconds of both ends per GB, of this many bytes in one direction."""
    if turn is None:
        pair = Relayed()
        for pc in (pair.a, pair.b):
            pc.setConfiguration({"iceTransportPolicy": "all"})
    else:
        pair = Relayed(turn.server(transport), trusted=turn.trusted)
    await pair.open()
    sender, receiver = pair.channels
    got, done = 0, asyncio.Event()

    def message(event: Any) -> None:
        nonlocal got
        got += len(event.data)
        if got >= size:
            done.set()

    receiver.onmessage = message
    sender.bufferedAmountLowThreshold = 4 * MESSAGE
    low = asyncio.Event()
    sender.onbufferedamountlow = lambda _: low.set()
    data, start = bytes(MESSAGE), time.process_time()
    for _ in range(size // MESSAGE):
        sender.send(data)
        if sender.bufferedAmount > 16 * MESSAGE:
            low.clear()
            await asyncio.wait_for(low.wait(), 60)
    await asyncio.wait_for(done.wait(), 60)
    spent = time.process_time() - start
    await asyncio.wait_for(pair.close(), PATIENCE)
    return spent / size * 1e9


HEAD = (
    "| path | allocations | left | not confirmed (ledger) | slowest batch | pairs without data |\n"
    "|---|---|---|---|---|---|"
)
TITLES = {"closed": "Opened and closed", "losses": "With one packet in ten lost each way", "cost": "The cost of a byte"}


def closed(folder: Path, count: int) -> Iterator[str]:
    """Yield the section about connections that are opened and closed."""
    yield f"{count} each, {AT_ONCE} at a time. The allocations left are those of the server's own log.\n\n{HEAD}"
    for transport in ("udp", "tcp", "tls"):
        place = folder / transport
        place.mkdir()
        with turn_server(place, HOST) as turn:
            yield asyncio.run(connections(turn, transport, count)).line(transport, 2)


def lossy(folder: Path, count: int) -> Iterator[str]:
    """Yield the section about the same with losses."""
    yield f"{count} each, {AT_ONCE} at a time.\n\n{HEAD}"
    for name in ("gathered", "udp", "tcp", "tls"):
        place = folder / f"loss-{name}"
        place.mkdir()
        with turn_server(place, HOST) as turn, losses(turn, 0.1):
            if name == "gathered":
                yield asyncio.run(allocations(turn, count, 3)).line("udp, gathered alone", 3)
            else:
                yield asyncio.run(connections(turn, name, count, 3)).line(name, 3)


def cheap(folder: Path, size: int) -> Iterator[str]:
    """Yield the section about processor time."""
    yield f"CPU seconds of both ends per GB, {size >> 20} MiB in one direction, five times in turn; bound 1.67.\n"
    yield "| path | least | median | least, of direct | median, of direct |\n|---|---|---|---|---|"
    place = folder / "cost"
    place.mkdir()
    with turn_server(place, HOST) as turn:
        yield from costs(turn, size)


def main(parts: list[str]) -> None:
    """Measure these parts, or all, and write their sections of the report."""
    count = int(os.environ.get("ADIEU_CONNECTIONS", "1000"))
    size = int(os.environ.get("ADIEU_BYTES", str(64 << 20)))
    text = REPORT.read_text() if REPORT.exists() else ""
    kept = {part.partition("\n")[0]: part.partition("\n")[2].rstrip() for part in text.split("\n## ")[1:]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = {"closed": closed(folder, count), "losses": lossy(folder, count), "cost": cheap(folder, size)}
        for part in parts or TITLES:
            lines = ["", f"Commit {_commit()}, {os.cpu_count()} processors.", ""]
            for line in made[part]:
                lines.append(line)
                print(line, flush=True)
            kept[TITLES[part]] = "\n".join(lines)
    sections = [f"## {title}\n{kept[title]}\n" for title in TITLES.values() if title in kept]
    head = "# Relayed connections over coturn\n\n`tests/e2e/turn/many.py` writes this page, section by section.\n"
    REPORT.write_text("\n".join([head, *sections]))


if __name__ == "__main__":
    main(sys.argv[1:])
