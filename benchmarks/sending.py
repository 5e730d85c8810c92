"""Measure `adieu send` beside croc, and send through kills and a cut: benchmarks/sending.md.

    python benchmarks/sending.py --prepare
    PYTHONPATH=tests python tests/e2e/lab/namespace.py python benchmarks/sending.py
    ... --sizes 200 --rounds 1 --only loopback       a look; without --write the report is only printed

Both programs send the same random file, in turn, from tmpfs to tmpfs. croc runs with a relay of its own on the sender's
side, as it does in a local network: nothing leaves this machine. `--prepare` builds it from the Go module proxy.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from lossy import FAR, Link
from run import ROOT, facts

from e2e.lab.cuts import cut
from e2e.lab.processes import running

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

CROC = ROOT / ".cache" / "croc" / "croc"
CROC_MODULE = "github.com/schollz/croc/v10@v10.7.0"
SECRET = "1234-alpha-bravo-charlie"
ADIEU = (sys.executable, "-c", "import sys; from adieu.cli import main; sys.argv[0] = 'adieu'; main()")
PATIENCE = 900.0
MANY, SMALL = 1000, 4096  # small files, and the bytes of each
REPORT = Path(__file__).with_suffix(".md")


@dataclass
class Figures:
    """One transfer: seconds from the start of the sender, and whether the file is the same."""

    code: float
    first: float
    over: float
    size: int

    @property
    def rate(self) -> float:
        """Bytes a second, from the first byte on."""
        return self.size / (self.over - self.first)


@dataclass
class Place:
    """Where the sender runs: words before its command, and its address."""

    words: list[str] = field(default_factory=list)
    address: str = "127.0.0.1"


async def first_byte(folder: Path) -> float:
    """The time at which the first byte is in the folder, whatever the file is called until it is whole."""
    while not has_bytes(folder):  # noqa: ASYNC110 a folder that is looked at from outside tells nobody
        await asyncio.sleep(0.002)
    return time.perf_counter()


def has_bytes(folder: Path) -> bool:
    files = [path.stat() for path in folder.rglob("*") if path.is_file()]
    return any(each.st_blocks and each.st_size >= SMALL for each in files)


async def transfer(
    start: float, code: float, receiver: Process, sender: Process, folder: Path, source: Path
) -> Figures:
    watching = asyncio.create_task(first_byte(folder))
    async with asyncio.timeout(PATIENCE):
        codes = [await receiver.wait()]
        over = time.perf_counter()
        codes.append(await sender.wait())
        first = await watching
    assert codes == [0, 0], codes
    assert same(folder / source.name, source)
    return Figures(code - start, first - start, over - start, size_of(source))


def size_of(path: Path) -> int:
    return sum(each.stat().st_size for each in path.rglob("*")) if path.is_dir() else path.stat().st_size


def same(one: Path, other: Path) -> bool:
    if not other.is_dir():
        return digest(one) == digest(other)
    return all((one / each.name).read_bytes() == each.read_bytes() for each in other.iterdir())


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def adieu(source: Path, folder: Path, place: Place) -> Figures:
    start = time.perf_counter()
    command = (*ADIEU, "send", str(source), "--json", "--host", place.address)
    async with running(*place.words, *command, stdout=PIPE, stderr=DEVNULL, limit=1 << 20) as sender:
        told = await said(sender, "code")
        code = time.perf_counter()
        draining = asyncio.create_task(drained(sender))
        env = {"ADIEU_CODE": told["code"]}
        async with running(*ADIEU, "receive", "--to", str(folder), env=env, stdout=DEVNULL, stderr=DEVNULL) as receiver:
            result = await transfer(start, code, receiver, sender, folder, source)
        await draining
    return result


async def said(process: Process, event: str) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        async for line in process.stdout:
            told: dict[str, Any] = json.loads(line)
            if told["event"] == event:
                return told
    raise RuntimeError(f"it never said {event}")


async def drained(process: Process) -> None:
    assert process.stdout is not None
    while await process.stdout.read(1 << 16):
        pass


async def croc(source: Path, folder: Path, place: Place) -> Figures:
    relay = ("--relay", f"{place.address}:9009", "--relay6", "", "--ignore-stdin", "--yes", "--overwrite")
    home = {"CROC_SECRET": SECRET, "HOME": str(folder.parent), "CROC_CONFIG_DIR": str(folder.parent)}
    async with running(*place.words, str(CROC), "relay", stdout=DEVNULL, stderr=DEVNULL):
        await listens(place)
        start = time.perf_counter()
        command = (*place.words, str(CROC), *relay, "send", "--no-local", str(source))
        async with running(*command, env=home, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT) as sender:
            assert sender.stdout is not None
            shown = b""
            while b"Code is" not in shown and SECRET.encode() not in shown:
                shown += await asyncio.wait_for(sender.stdout.read(4096), 120)
            code = time.perf_counter()
            draining = asyncio.create_task(drained(sender))
            command = (str(CROC), *relay, "--out", str(folder))
            async with running(*command, env=home, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL) as receiver:
                result = await transfer(start, code, receiver, sender, folder, source)
            await draining
    return result


async def listens(place: Place) -> None:
    """Wait until the relay does."""
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection(place.address, 9013)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


PROGRAMS = {"adieu": adieu, "croc": croc}


@asynccontextmanager
async def at(name: str) -> AsyncIterator[Place]:
    """The two links: loopback, and one of 100 Mbit/s that loses."""
    if name == "loopback":
        yield Place()
    else:
        async with Link(mbit=100, rtt=40, loss=0.01).up() as there:
            yield Place(there, FAR)


async def side_by_side(name: str, megabytes: int, rounds: int, work: Path) -> dict[str, list[Figures]]:
    source = made(work, megabytes) if megabytes else many(work)
    found: dict[str, list[Figures]] = {program: [] for program in PROGRAMS}
    async with at(name) as place:
        for turn in range(rounds):
            order = list(PROGRAMS) if turn % 2 == 0 else list(reversed(PROGRAMS))
            for program in order:
                with tempfile.TemporaryDirectory(dir=work) as scratch:
                    folder = Path(scratch) / "to"
                    folder.mkdir()
                    figures = await PROGRAMS[program](source, folder, place)
                found[program].append(figures)
                rate = figures.rate / 1e6
                print(
                    f"{name}: {program}: code {figures.code:.2f} s, first byte {figures.first:.2f} s, {rate:.1f} MB/s"
                )
    shutil.rmtree(source) if source.is_dir() else source.unlink()
    return found


def made(work: Path, megabytes: int) -> Path:
    path = work / "random.bin"
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1_000_000))
    return path


def many(work: Path) -> Path:
    folder = work / "many"
    folder.mkdir()
    for number in range(MANY):
        (folder / f"{number}.bin").write_bytes(os.urandom(SMALL))
    return folder


# --- kills and a cut ----------


async def troubled(megabytes: int, work: Path) -> dict[str, Any]:
    """Send with the receiver killed twice, and the network cut once; both go on by themselves."""
    source = made(work, megabytes)
    size = source.stat().st_size
    folder = work / "to"
    folder.mkdir()
    receipts = work / "sender.json", work / "receiver.json"
    events: list[str] = []
    start = time.perf_counter()

    def note(text: str) -> None:
        events.append(f"{time.perf_counter() - start:.1f} s: {text}")
        print(events[-1])

    command = (*ADIEU, "send", str(source), "--json", "--receipt", str(receipts[0]))
    async with AsyncExitStack() as stack:
        sender = await stack.enter_async_context(running(*command, stdout=PIPE, stderr=DEVNULL, limit=1 << 20))
        env = {"ADIEU_CODE": (await said(sender, "code"))["code"]}
        draining = asyncio.create_task(drained(sender))
        words = (*ADIEU, "receive", "--to", str(folder), "--json", "--receipt", str(receipts[1]))

        async def until(process: Process, part: float) -> None:
            while (told := await said(process, "progress"))["done"] < part * size:
                pass
            note(f"{100 * told['done'] // size} % are there")

        for part in (0.2, 0.5):
            async with running(*words, env=env, stdout=PIPE, stderr=DEVNULL, limit=1 << 20) as receiver:
                await until(receiver, part)
            note("the receiver is killed, and started again")
        async with running(*words, env=env, stdout=PIPE, stderr=DEVNULL, limit=1 << 20) as receiver:
            await until(receiver, 0.5)
            await until(receiver, 0.7)
            with cut("-i", "lo"):
                note("the network is cut")
                await asyncio.sleep(10)
            note("the network is back")
            await until(receiver, 0.75)
            await said(receiver, "done")
            note("the receiver has everything")
            codes = [await receiver.wait(), await sender.wait()]
        await draining
    same = receipts[0].read_bytes() == receipts[1].read_bytes()
    right = digest(folder / source.name) == digest(source)
    source.unlink()
    return {"codes": codes, "receipts equal": same, "hash right": right, "events": events, "size": size}


# --- the report ----------


def report(known: dict[str, Any], side: dict[str, dict[str, list[Figures]]], trouble: dict[str, Any] | None) -> str:
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    controller = Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    lines = [
        "# adieu send beside croc",
        "",
        f"{known['date']}, commit {known['commit']}; {known['cores']} cores, {known['system']}.",
        f"Load of the machine at the end: {load}. The kernel's TCP, which croc uses, has the controller {controller}.",
        "",
        "Written by `nox -s bench_sending`. One random file, from tmpfs to tmpfs; both in turn, croc 10.7.0 with its",
        "relay on the sender's side. Median (least to greatest). *Code* and *first byte* are seconds from the start of",
        "the sender; the receiver starts when the code is there. The rate counts from the first byte.",
        "",
        "| link | file | program | code, s | first byte, s | MB/s |",
        "|---|---|---|---|---|---|",
    ]
    for name, programs in side.items():
        for program, figures in programs.items():
            place, _, what = name.partition("; ")
            what = f"{figures[0].size // 1_000_000} MB" if what != "0" else f"{MANY} files of {SMALL} bytes"
            cells = [spread([getattr(each, what) / unit for each in figures])
                     for what, unit in (("code", 1), ("first", 1), ("rate", 1e6))]  # fmt: skip
            lines.append(f"| {place} | {what} | {program} | {' | '.join(cells)} |")
    if trouble is not None:
        lines += [
            "",
            f"## {trouble['size'] / 1e9:.1f} GB with the receiver killed twice and the network cut once",
            "",
            *(f"- {event}" for event in trouble["events"]),
            f"- exit codes: {trouble['codes']}",
            f"- hash right: {trouble['hash right']}; receipts equal byte for byte: {trouble['receipts equal']}",
        ]
    return "\n".join(lines) + "\n"


def spread(values: list[float]) -> str:
    return f"**{median(values):.2f}** ({min(values):.2f} to {max(values):.2f})"


def prepare() -> None:
    CROC.parent.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "GOBIN": str(CROC.parent), "GOFLAGS": "-mod=mod"}
    subprocess.run([shutil.which("go") or "/usr/local/go/bin/go", "install", CROC_MODULE], env=env, check=True)


async def measure(options: argparse.Namespace) -> None:
    side: dict[str, dict[str, list[Figures]]] = {}
    trouble = None
    known = facts()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        work = Path(scratch)
        if "loopback" in options.only:
            for size in options.sizes:
                side[f"loopback; {size}"] = await side_by_side("loopback", size, options.rounds, work)
        if "lossy" in options.only:
            name = "100 Mbit/s, 40 ms, 1 % loss"
            side[name] = await side_by_side(name, options.lossy_size, options.lossy_rounds, work)
        if "trouble" in options.only:
            trouble = await troubled(options.trouble_size, work)
    text = report(known, side, trouble)
    print(text)
    if options.write:
        REPORT.write_text(text, "utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--sizes", type=lambda text: [int(each) for each in text.split(",")], default=[20, 1000, 0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lossy-size", type=int, default=50)
    parser.add_argument("--lossy-rounds", type=int, default=2)
    parser.add_argument("--trouble-size", type=int, default=2000)
    parser.add_argument("--only", type=lambda text: text.split(","), default=["loopback", "lossy", "trouble"])
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    if given.prepare:
        prepare()
    else:
        asyncio.run(measure(given))
