"""Connects two programs through every pair of NATs, and writes a report: `nox -s nat`."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2e.nat.world import KINDS, SERVER, World, direct_by_the_rfcs, world

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

HERE = Path(__file__).parent
PATIENCE = 40.0
SETTLES = 5.0  # seconds until a pair of the relay has given way to a direct one
RELAY_PORT = 3479
USER, PASSWORD = "user", "password"
COTURN = (
    "turnserver", "-n", "--no-cli", "--no-tls", "--no-dtls", "--log-file=stdout", "--no-stdout-log", "--lt-cred-mech",
    "--realm=adieu.test", f"--user={USER}:{PASSWORD}", f"--listening-ip={SERVER}", f"--relay-ip={SERVER}",
    f"--listening-port={RELAY_PORT}",
)  # fmt: skip
REPORT = HERE.parent / "reports" / "nat.md"


@dataclass(frozen=True)
class Outcome:
    """Of one pair of NATs.

    Attributes:
        path: the types of the candidates of both sides, as the offerer sees them; None without a connection.
        seconds: from the answer to "connected" at the offerer.
    """

    path: tuple[str, str] | None
    seconds: float

    @property
    def is_direct(self) -> bool:
        return self.path is not None and "relay" not in self.path


async def attempt(kinds: tuple[str, str], relay: str | None = None) -> Outcome:
    """Connect the two computers of a new world; with `relay`, "udp" or "tcp", there is a TURN server too."""
    with world(kinds) as made:
        async with AsyncExitStack() as stack, asyncio.timeout(PATIENCE):
            return await _meet(made, stack, relay)


async def silence() -> tuple[float, float, str]:
    """Stop the answerer's process and listen at the offerer's interface for 40 s.

    Returns the seconds from the last packet that came in to the last one that went out, how long was listened after
    that one, and the state that the offerer is in.
    """
    with world(("full cone", "full cone")) as made:
        async with AsyncExitStack() as stack, asyncio.timeout(PATIENCE + 60):
            sides, first = await _connect(made, stack)
            assert first["state"] == "connected", first
            command = made.one.command("tcpdump", "-n", "-tt", "-l", "-i", "eth", "udp")
            tcpdump = await stack.enter_async_context(_process(command))
            await asyncio.sleep(3)  # a few checks, for the capture to have both directions
            os.kill(sides[1].pid, signal.SIGSTOP)
            await asyncio.sleep(40)
            ended = time.time()
            tcpdump.terminate()
            assert tcpdump.stdout is not None
            lines = (await tcpdump.stdout.read()).decode().splitlines()
            _say(sides[0], look=True)
            assert sides[0].stdout is not None
            states = [json.loads(line) async for line in sides[0].stdout]
    packets = [(float(line.split()[0]), line.split()[2].startswith("10.1.0.2.")) for line in lines if " IP " in line]
    last_in = max(at for at, is_ours in packets if not is_ours)
    last_out = max(at for at, is_ours in packets if is_ours)
    return last_out - last_in, ended - last_out, states[-1]["state"]


async def _meet(made: World, stack: AsyncExitStack, relay: str | None) -> Outcome:
    sides, first = await _connect(made, stack, relay)
    if first["state"] != "connected":
        return Outcome(None, first["seconds"])
    path = await _path(sides[0])
    # ICE begins with the first pair that works, which may be one of the relay, and changes to the best.
    until = time.monotonic() + SETTLES
    while "relay" in path and direct_by_the_rfcs(*made.kinds) and time.monotonic() < until:
        await asyncio.sleep(0.05)
        path = await _path(sides[0])
    return Outcome(path, first["seconds"])


async def _path(side: Process) -> tuple[str, str]:
    """Ask a side for the types of the candidates of the pair that it uses."""
    _say(side, path=True)
    assert side.stdout is not None
    while "path" not in (words := json.loads(await side.stdout.readline())):
        pass
    local, remote = words["path"]
    return local, remote


async def _connect(
    made: World, stack: AsyncExitStack, relay: str | None = None
) -> tuple[list[Process], dict[str, Any]]:
    """Start the servers and both programs, and carry their words; what the offerer says of its state."""
    command = made.internet.command(sys.executable, str(HERE / "stun_server.py"), SERVER, "3478")
    server = await stack.enter_async_context(_process(command))
    assert server.stdout is not None
    assert await server.stdout.readline() == b"ready\n"
    servers = [{"urls": f"stun:{SERVER}:3478"}]
    if relay is not None:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        files = (f"--pidfile={folder}/pid", f"--userdb={folder}/db")
        await stack.enter_async_context(_process(made.internet.command(*COTURN, *files), DEVNULL))
        await _listens(made, f"{SERVER}:{RELAY_PORT}")
        url = f"turn:{SERVER}:{RELAY_PORT}?transport={relay}"
        servers.append({"urls": url, "username": USER, "credential": PASSWORD})
    configuration = json.dumps({"iceServers": servers})
    sides: list[Process] = []
    for space, role in ((made.one, "offer"), (made.other, "answer")):
        command = space.command(sys.executable, str(HERE / "side.py"), role, configuration)
        sides.append(await stack.enter_async_context(_process(command)))
    ends = [asyncio.create_task(_carry(sides[at], sides[1 - at])) for at in range(2)]
    try:
        first, _ = await asyncio.gather(*ends)
    finally:
        for end in ends:
            end.cancel()
    return sides, first


async def _carry(source: Process, target: Process) -> dict[str, Any]:
    """Carry the words of one side to the other, until it has a state that lasts."""
    assert source.stdout is not None
    async for line in source.stdout:
        words: dict[str, Any] = json.loads(line)
        if "state" in words:
            return words
        _say(target, **words)
    raise AssertionError("a side has ended")


def _say(side: Process, **words: Any) -> None:
    assert side.stdin is not None
    side.stdin.write(json.dumps(words).encode() + b"\n")


async def _listens(made: World, address: str) -> None:
    """Wait until the TURN server has its sockets: it says so nowhere."""
    script = f"until ss -ltn | grep -q '{address}' && ss -lun | grep -q '{address}'; do sleep 0.05; done"
    async with _process(made.internet.command("sh", "-c", script)) as waiting:
        await waiting.wait()


@asynccontextmanager
async def _process(command: list[str], stdout: int = PIPE) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=stdout)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def report() -> str:
    """Return the table of all pairs."""
    lines = [
        "# Through two NATs",
        "",
        "Two programs, each behind a NAT of its own, with a STUN server and without a relay. Made by `nox -s nat`, in",
        "network namespaces on one computer. *Set up*: from the answer to `connected`, at the side that offers.",
        "",
        "| NAT of the offerer | NAT of the answerer | direct, by the RFCs | adieu | candidates | set up |",
        "|---|---|---|---|---|---|",
    ]
    pairs = list(itertools.product(KINDS, repeat=2))
    for kinds in pairs:
        outcome = await attempt(kinds)
        wanted = "yes" if direct_by_the_rfcs(*kinds) else "no, by a relay only"
        lines.append(_row(kinds, wanted, outcome))
        assert outcome.is_direct == direct_by_the_rfcs(*kinds), kinds
    lines += [
        "",
        "## With a TURN server",
        "",
        "The same with coturn beside the STUN server. A pair that can be direct is, and the others use the relay.",
        "",
        "| NAT of the offerer | NAT of the answerer | relay over | adieu | candidates | set up |",
        "|---|---|---|---|---|---|",
    ]
    for relay, kinds in itertools.product(("udp", "tcp"), pairs):
        outcome = await attempt(kinds, relay)
        lines.append(_row(kinds, relay.upper(), outcome))
        assert outcome.path is not None, (kinds, relay)
        assert outcome.is_direct == direct_by_the_rfcs(*kinds), (kinds, relay, outcome)
    late, listened, state = await silence()
    assert late <= 30.0, late
    lines += [
        "",
        "## A peer that is silent",
        "",
        f"The answerer's process was stopped (SIGSTOP). The offerer's last packet left {late:.1f} s after the last one",
        f"from the answerer, as `tcpdump` saw it, and none in the {listened:.0f} s after it. Its state was `{state}`.",
    ]
    return "\n".join([*lines, ""])


def _row(kinds: tuple[str, str], third: str, outcome: Outcome) -> str:
    got = "failed" if outcome.path is None else "direct" if outcome.is_direct else "by the relay"
    path = " - ".join(outcome.path) if outcome.path else ""
    set_up = f"{outcome.seconds * 1000:.0f} ms" if outcome.path else f"(`failed` after {outcome.seconds:.1f} s)"
    row = f"| {kinds[0]} | {kinds[1]} | {third} | {got} | {path} | {set_up} |"
    print(row, flush=True)
    return row


if __name__ == "__main__":
    text = asyncio.run(report())
    REPORT.write_text(text)
