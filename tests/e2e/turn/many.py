"""Many relayed connections, opened and closed; and the cost of a relayed byte. Writes tests/e2e/reports/turn.md.

    python tests/e2e/lab/namespace.py python tests/e2e/turn/many.py

It needs coturn, and for the losses a namespace.
"""

from __future__ import annotations

import asyncio
import os
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


def main() -> None:
    """Measure, and write the report."""
    count = int(os.environ.get("ADIEU_CONNECTIONS", "1000"))
    lines = ["# Relayed connections over coturn", ""]
    lines += [
        (
            f"{count} each, {AT_ONCE} at a time, opened and closed. The allocations left are those "
            "of the server's own log. "
            "`tests/e2e/turn/many.py` writes this page."
        ),
        "",
        "| path | allocations | left | not confirmed (ledger) | slowest batch | pairs without data |",
        "|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for transport in ("udp", "tcp", "tls"):
            place = Path(folder, transport)
            place.mkdir()
            with turn_server(place, HOST) as turn:
                lines.append(asyncio.run(connections(turn, transport, count)).line(transport, 2))
                print(lines[-1], flush=True)
        for name in ("gathered", "udp", "tcp", "tls"):
            place = Path(folder, f"loss-{name}")
            place.mkdir()
            with turn_server(place, HOST) as turn, losses(turn, 0.1):
                if name == "gathered":
                    result, shown = asyncio.run(allocations(turn, count, 3)), "udp, gathered alone"
                else:
                    result, shown = asyncio.run(connections(turn, name, count, 3)), name
                lines.append(result.line(f"{shown}, 10 % lost each way", 3))
                print(lines[-1], flush=True)
        place = Path(folder, "cost")
        place.mkdir()
        size = int(os.environ.get("ADIEU_BYTES", str(64 << 20)))
        lines += ["", f"CPU seconds of both ends per GB ({size >> 20} MiB in one direction; bound 1.67):", ""]
        lines += ["| path | s/GB | of the direct path |", "|---|---|---|"]
        with turn_server(place, HOST) as turn:
            direct = min(asyncio.run(cost(None, "", size)) for _ in range(3))
            lines.append(f"| direct | {direct:.2f} | 1 |")
            for transport in ("udp", "tcp", "tls"):
                relay = min(asyncio.run(cost(turn, transport, size)) for _ in range(3))
                lines.append(f"| {transport} | {relay:.2f} | {relay / direct:.2f} |")
                print(lines[-1], flush=True)
    REPORT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
