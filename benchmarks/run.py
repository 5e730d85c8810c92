"""Measure adieu and other libraries in turn: two processes on this computer, over real UDP.

python benchmarks/run.py            five rounds, under ten minutes: benchmarks/report.md and report.json
python benchmarks/run.py --quick    one short round, to see that everything works; writes nothing
python benchmarks/run.py --only adieu,pion --rounds 3    writes nothing either

Each round measures every library once, starting with another one each time. So a busy minute of the computer spoils
one round of all libraries, not all rounds of one. Figures are medians with the least and the greatest. A ratio is the
median of those of each round.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import os
import platform
import shutil
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PEERS = HERE / "peers"
CACHE = ROOT / ".cache" / "bench"
PATIENCE = 120.0  # seconds for one answer

THROUGHPUT = {"16 KiB": 16384, "64 KiB": 65536, "256 KiB": 262144}
SMALL = 100  # bytes


@dataclass
class Contender:
    """A library, how its peer is started, or why it is not measured."""

    name: str
    command: tuple[str, ...] = ()
    absent: str = ""
    version: str = ""
    figures: dict[str, list[float]] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    """Rounds that ended early, and with what."""


@dataclass(frozen=True)
class Measure:
    """One line of the report."""

    title: str
    unit: str
    factor: float
    digits: int = 0
    more_is_better: bool = True


MEASURES = {
    **{f"bytes {size}": Measure(f"Throughput, {size} messages", "Mbit/s", 8e-6) for size in THROUGHPUT},
    "messages": Measure(f"Messages of {SMALL} B", "1000/s", 1e-3, 1),
    "round trip": Measure(f"Round trip, {SMALL} B, median", "µs", 1e6, 0, more_is_better=False),
    "round trip p99": Measure(f"Round trip, {SMALL} B, 99th percentile", "µs", 1e6, 0, more_is_better=False),
    "setup": Measure("Set-up, two ends in one process, median", "ms", 1e3, 1, more_is_better=False),
    "cpu": Measure("Processor time of both ends, 64 KiB messages", "s/GB", 1e9, 2, more_is_better=False),
}


async def main() -> int:
    options = _options()
    contenders = [make() for name, make in CONTENDERS.items() if not options.only or name in options.only]
    present = [contender for contender in contenders if contender.command]
    for contender in contenders:
        if contender.absent:
            print(f"{contender.name}: not measured: {contender.absent}")
    for turn in range(options.rounds):
        start = turn % len(present)
        for contender in present[start:] + present[:start]:
            print(f"round {turn + 1}/{options.rounds}: {contender.name}", flush=True)
            try:
                await _measure(contender, options)
            except (RuntimeError, TimeoutError) as error:
                if contender.name == "adieu":
                    raise
                contender.troubles.append(f"round {turn + 1}: {str(error) or 'no answer in time'}")
    engine, is_within = ([], True) if options.only else engine_costs(quick=options.quick)
    report = {
        "facts": facts(),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "libraries": {c.name: _told(c) for c in contenders},
        "engine": engine,
    }
    text = table(report)
    print(text)
    if not options.quick and not options.only:
        (HERE / "report.json").write_text(json.dumps(report, indent=1) + "\n")
        (HERE / "report.md").write_text(text)
    return 0 if is_within else 1


def _told(contender: Contender) -> dict[str, Any]:
    members = ("version", "absent", "figures", "troubles")
    return {member: getattr(contender, member) for member in members}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round, nothing is written")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each throughput test sends")
    parser.add_argument("--only", type=lambda names: names.split(","), default=[], help="these libraries, by commas")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 0.2
    return options


# --- one library, once -----------


async def _measure(contender: Contender, options: argparse.Namespace) -> None:
    trips, setups = (200, 5) if options.quick else (2000, 30)
    keep = contender.figures.setdefault
    async with _peer(contender) as sender, _peer(contender) as receiver:
        contender.version = await sender.ask("version")
        await sender.ask("accept", sdp=await receiver.ask("answer", sdp=await sender.ask("offer")))
        await asyncio.gather(sender.ask("opened"), receiver.ask("opened"))
        await sender.ask("blast", size=65536, seconds=0.3)  # warm
        for name, size in THROUGHPUT.items():
            heard = await sender.ask("blast", size=size, seconds=options.seconds)
            keep(f"bytes {name}", []).append(heard["bytes"])
            if size == THROUGHPUT["64 KiB"]:
                keep("cpu", []).append(heard["cpu"])
        heard = await sender.ask("blast", size=SMALL, seconds=options.seconds)
        keep("messages", []).append(heard["messages"])
        heard = await sender.ask("round_trip", size=SMALL, count=trips)
        keep("round trip", []).append(heard["median"])
        keep("round trip p99", []).append(heard["p99"])
        await sender.ask("close")
    async with _peer(contender) as both:
        await both.ask("setup", count=3)
        keep("setup", []).append((await both.ask("setup", count=setups))["median"])


class Peer:
    """A process that answers each line with a line."""

    def __init__(self, name: str, process: Process) -> None:
        self._name = name
        self._process = process

    async def ask(self, do: str, **arguments: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        async with asyncio.timeout(PATIENCE):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._name} ended while asked to {do}")
        return json.loads(line)


@asynccontextmanager
async def _peer(contender: Contender) -> AsyncIterator[Peer]:
    process = await asyncio.create_subprocess_exec(*contender.command, stdin=PIPE, stdout=PIPE, limit=1 << 22)
    try:
        yield Peer(contender.name, process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


# --- the libraries -----------


def adieu() -> Contender:
    return Contender("adieu", (sys.executable, str(PEERS / "adieu_peer.py")))


def baseline() -> Contender:
    """The same protocol crates in one thread of Rust: what is left of their speed is the measure of adieu."""
    if shutil.which("cargo") is None:
        return Contender("baseline", absent="Rust is not installed")
    build = ["cargo", "build", "--quiet", "--release"]
    subprocess.run(build, cwd=HERE / "baseline", check=True)
    return Contender("baseline", (str(HERE / "baseline" / "target" / "release" / "baseline"),))


def aiortc() -> Contender:
    return Contender("aiortc", (sys.executable, str(PEERS / "aiortc_peer.py")))


def pion() -> Contender:
    go = shutil.which("go")
    if go is None:
        return Contender("pion", absent="Go is not installed")
    subprocess.run([go, "build", "-o", "pion-peer", "."], cwd=PEERS / "pion", check=True)
    return Contender("pion", (str(PEERS / "pion" / "pion-peer"),))


def libdatachannel() -> Contender:
    """In an environment of its own: its wheels begin with Python 3.12."""
    python = _newer_python()
    if python is None:
        return Contender("libdatachannel", absent="needs Python 3.12 or newer, which is not here")
    where = CACHE / "libdatachannel"
    own = where / "bin" / "python"
    wanted = PEERS / "libdatachannel.txt"
    marker = where / "installed.txt"
    if not marker.exists() or marker.read_text() != wanted.read_text():
        subprocess.run([python, "-m", "venv", "--clear", where], check=True)
        install = [
            str(own),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--require-hashes",
            "-r",
            str(wanted),
        ]
        if subprocess.run(install, check=False).returncode:
            return Contender("libdatachannel", absent="aiolibdatachannel could not be installed")
        marker.write_text(wanted.read_text())
    return Contender("libdatachannel", (str(own), str(PEERS / "libdatachannel_peer.py")))


def _newer_python() -> str | None:
    names = ["python3.12", "python3.13"]
    found = [path for name in names if (path := shutil.which(name)) and "shims" not in path]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found += [str(path) for name in names for path in sorted(pyenv.glob(f"*/bin/{name}"))]
    return next(iter(found), None)


CONTENDERS: dict[str, Callable[[], Contender]] = {
    "adieu": adieu,
    "baseline": baseline,
    "pion": pion,
    "libdatachannel": libdatachannel,
    "aiortc": aiortc,
}


def engine_costs(*, quick: bool) -> tuple[list[str], bool]:
    """Instructions and allocations of the engine beside its baseline, and whether they are within the bound."""
    if shutil.which("valgrind") is None or shutil.which("cargo") is None:
        return ["not measured: valgrind or Rust is not installed"], True
    print("engine: counting instructions", flush=True)
    counts = ["200", "10000"] if quick else ["1000", "50000"]
    done = subprocess.run(["sh", str(HERE / "engine" / "run.sh"), *counts], capture_output=True, text=True, check=False)
    if not done.stdout:
        return [f"not measured: {done.stderr.strip().splitlines()[-1]}"], False
    return [" ".join(line.split()) for line in done.stdout.splitlines()], done.returncode == 0


# --- the report -----------


def facts() -> dict[str, Any]:
    """Return the facts that are needed to compare this run with another; nothing that names the computer."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    changed = " with changes" if git("status", "--porcelain", "--untracked-files=no") else ""
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "commit": (git("rev-parse", "--short=12", "HEAD") or "unknown") + changed,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def table(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    facts, libraries = report["facts"], report["libraries"]
    measured = {name: library for name, library in libraries.items() if library["figures"]}
    lines = [
        "# Benchmark",
        "{date}, commit {commit}; {processor}, {cores} cores, {system}, Python {python}.".format(**facts),
        "",
        f"Two processes on loopback (set-up: two ends in one process), {report['rounds']} rounds in turn.",
        "Median (least – greatest). `make bench` makes this page.",
        "",
        "| | " + " | ".join(f"{name} {library['version']}" for name, library in measured.items()) + " |",
        "|---" * (len(measured) + 1) + "|",
    ]
    for key, measure in MEASURES.items():
        cells = [_cell(measure, library["figures"].get(key, [])) for library in measured.values()]
        lines.append(f"| {measure.title} ({measure.unit}) | " + " | ".join(cells) + " |")
    lines += ["", *_ratios(measured)]
    lines += [f"- {name}: not measured: {it['absent']}" for name, it in libraries.items() if it["absent"]]
    lines += [f"- {name}: {trouble}" for name, it in libraries.items() for trouble in it["troubles"]]
    if report["engine"]:
        lines += [
            "",
            "The engine alone, both ends in memory, beside the leanest use of the same crates (bound 1.10):",
            "",
        ]
        lines += [f"- {line}" for line in report["engine"]]
    return "\n".join(lines).rstrip() + "\n"


def _cell(measure: Measure, figures: list[float]) -> str:
    if not figures:
        return "not measured"
    shown = [
        f"{figure * measure.factor:.{measure.digits}f}" for figure in (median(figures), min(figures), max(figures))
    ]
    return f"**{shown[0]}** ({shown[1]} – {shown[2]})"


def _ratios(measured: dict[str, Any]) -> list[str]:
    """How many times better adieu is; below 1 it is worse."""
    others = [name for name in measured if name != "adieu"]
    if "adieu" not in measured or not others:
        return []
    lines = ["adieu against the others, the median of each round's ratio; above 1 adieu is better:", ""]
    lines += ["| | " + " | ".join(others) + " |", "|---" * (len(others) + 1) + "|"]
    for key, measure in MEASURES.items():
        ours = measured["adieu"]["figures"][key]
        cells = [f"{_ratio(measure, ours, measured[name]['figures'][key]):.2f}" for name in others]
        lines.append(f"| {measure.title} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _ratio(measure: Measure, ours: list[float], theirs: list[float]) -> float:
    """Return the median of each round's ratio. After a round without a figure it is no longer known which is whose."""
    pairs = list(zip(ours, theirs, strict=True)) if len(ours) == len(theirs) else [(median(ours), median(theirs))]
    return median(mine / other if measure.more_is_better else other / mine for mine, other in pairs)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
