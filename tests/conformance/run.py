"""The W3C's tests against adieu: all of them, or those whose names contain one of the words.

    PYTHONPATH=tests python tests/e2e/lab/namespace.py python -m conformance.run [WORD ...] [--help]

One process for each file, longest first. It exits with 1 when anything is not as `expectations/` says, and writes
`reports/conformance.json` and `reports/conformance.md`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance import expectations, fetch, report
from conformance.page import Result, Source

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.expectations import Surprise

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CACHE = ROOT / ".cache" / "conformance"
REPORTS = ROOT / "reports"
GRACE = 60.0
"""Seconds beyond its own clock before a file is killed: for its start on a busy machine, its last packets, its end."""

ROUNDS = 4
"""How often a file is begun anew because of subtests that hang."""

WAITING = 8
"""How many subtests that are expected to hang are run at a time, each in a page of its own: they only wait."""

PATIENCE = 10.0
"""Seconds that are given to each of them."""

NUL = ("--backend", "nul", "--clock", "3")
"""How a file is run with nothing behind the bindings: nothing will happen to it in more seconds either."""

FAST = ("RTCDataChannel", "RTCSctpTransport", "RTCDtlsTransport", "RTCError", "RTCConfiguration", "operations")

Results = dict[str, dict[str, Any]]


class Runner:
    """Runs files, so many at a time.

    Args:
        wpt: where the tests are.
        shards: how many at a time.
        arguments: what each process is given besides.
        hanging: the subtests of a file that are expected to hang.
        grace: see GRACE.
        python: where another adieu is.
    """

    def __init__(
        self,
        wpt: Path,
        shards: int,
        *arguments: str,
        hanging: Callable[[str], list[str]] = lambda _file: [],
        grace: float = GRACE,
        python: Path | None = None,
    ) -> None:
        self._wpt = wpt
        self._slots = asyncio.Semaphore(shards)
        self._waiting = asyncio.Semaphore(WAITING)
        self._arguments = arguments
        self._hanging = hanging
        self._grace = grace
        paths = [*([str(python)] if python else []), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        self._done = 0

    async def run(self, files: list[str], *, quiet: bool = False) -> Results:
        """All of these; the longest first, as far as the last run knows."""
        seconds = _seconds()
        self._done = 0
        ordered = sorted(files, key=lambda file: -seconds.get(file, 60.0))
        results = await asyncio.gather(*(self._one(file, len(files), quiet) for file in ordered))
        _seconds({result["file"]: result["seconds"] for result in results})
        return {result["file"]: result for result in sorted(results, key=lambda result: result["file"])}

    async def _one(self, file: str, total: int, quiet: bool) -> dict[str, Any]:
        hanging = self._hanging(file)
        async with self._slots:
            began = time.monotonic()
            result = await self._process(file, "--without", json.dumps(hanging))
            await self._run_behind(result, hanging)
            took = time.monotonic() - began
        await asyncio.gather(*(self._run_alone(result, name) for name in hanging if name not in result["subtests"]))
        self._done += 1
        passed = sum(subtest["status"] == "PASS" for subtest in result["subtests"].values())
        if not quiet:
            count = f"{passed}/{len(result['subtests'])}"
            print(f"{self._done:3}/{total} {took:5.1f} s {count:>9} {result['status']:<8} {file}", flush=True)
        return result

    async def _run_behind(self, result: dict[str, Any], without: list[str]) -> None:
        """What stands behind a subtest that hangs is run in a page without it, so that one does not hide the others."""
        for _ in range(ROUNDS):
            subtests = result["subtests"]
            hanging = [name for name, subtest in subtests.items() if subtest["status"] == "TIMEOUT"]
            behind = [name for name, subtest in subtests.items() if subtest["status"] == "NOTRUN"]
            if not hanging or not behind:
                return
            again = await self._process(result["file"], "--without", json.dumps(without + hanging))
            _add(result, again, behind)

    async def _run_alone(self, result: dict[str, Any], name: str) -> None:
        async with self._waiting:
            again = await self._process(result["file"], "--only", name, "--clock", str(PATIENCE))
        _add(result, again, [name])
        if again["status"] != "OK":
            result["status"], result["message"] = again["status"], again["message"]

    async def _process(self, file: str, *arguments: str) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "result.json"
            command = (sys.executable, "-m", "conformance.page", file, str(path), "--wpt", str(self._wpt))
            process = await asyncio.create_subprocess_exec(
                *(*command, *self._arguments, *arguments),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=self._environment,
            )
            limit = Source(file, (self._wpt / file).read_text()).timeout + self._grace
            try:
                output, _ = await asyncio.wait_for(process.communicate(), limit)
            except TimeoutError:
                process.kill()
                await process.wait()
                return asdict(Result(file, "CRASH", f"killed after {limit} s", seconds=limit))
            text = output.decode(errors="replace")
            if process.returncode or not path.exists():
                return asdict(Result(file, "CRASH", f"exit status {process.returncode}: {text[-1500:]}"))
            result = json.loads(path.read_text())
            result["log"] += text.splitlines()
            return result


def _add(result: dict[str, Any], again: dict[str, Any], names: list[str]) -> None:
    """What another page of the same file gave for these subtests."""
    result["subtests"] |= {name: again["subtests"][name] for name in names if name in again["subtests"]}
    result["seconds"] += again["seconds"]
    for name in ("left", "bugs", "log"):
        result[name] += again[name]
    for name in ("events_in_calls", "events_after_close"):
        result[name] |= again[name]


def _seconds(new: dict[str, float] | None = None) -> dict[str, float]:
    path = CACHE / "seconds.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    if new:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(known | new))
    return known


async def nul_passes(runner: Runner, files: list[str], wpt: Path) -> dict[str, list[str]]:
    """What passes without any adieu: file → subtests. Kept until the bindings or the tests change."""
    sources = [*sorted(HERE.glob("*.py")), *sorted((HERE / "page").glob("*.js"))]
    key = sha256(b"".join(path.read_bytes() for path in sources) + str(fetch.COMMIT).encode()).hexdigest()[:16]
    path = CACHE / f"nul-{key}.json"
    known: dict[str, list[str]] = json.loads(path.read_text()) if path.exists() else {}
    if wanted := [file for file in files if file not in known]:
        print(f"what passes with nothing behind the bindings: {len(wanted)} files", flush=True)
        results = await runner.run(wanted, quiet=True)
        known |= {
            file: [name for name, subtest in result["subtests"].items() if subtest["status"] == "PASS"]
            for file, result in results.items()
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(known))
    return known


def chosen(words: list[str], *, fast: bool) -> list[str]:
    """The files to run."""
    words = [*words, *(FAST if fast else ())]
    skipped = expectations.skipped()
    files = [file for file in expectations.browsers() if file not in skipped]
    return [file for file in files if not words or any(word in file for word in words)]


def differences(first: Results, second: Results) -> list[str]:
    """Subtests that pass in one of two runs only."""
    found: list[str] = []
    for file, result in first.items():
        for name, status in expectations.outcomes(result, {}).items():
            again = expectations.outcomes(second[file], {}).get(name, "MISSING")
            if (status in expectations.FINE) != (again in expectations.FINE):
                found.append(f"{file}: {name}: {status}, then {again}")
    return found


async def main() -> int:
    """See the module."""
    options = _options()
    wpt = fetch.tests()
    files = chosen(options.words, fast=options.fast)
    extra = ["--lenient"] if options.lenient else []
    runs = [
        await Runner(wpt, options.shards, *extra, hanging=expectations.hanging).run(files)
        for _ in range(options.repeat)
    ]
    results = runs[0]
    nul = {} if options.no_nul else await nul_passes(Runner(wpt, options.shards, *NUL), files, wpt)
    browsers = expectations.browsers()
    if options.rebaseline:
        for file, result in results.items():
            expectations.rebaseline(result, browsers[file])
    found = _surprises(results)
    unequal = [line for again in runs[1:] for line in differences(results, again)]
    if found and options.repeat == 1 and not options.rebaseline:
        found, unequal = await _once_more(found, Runner(wpt, 1, *extra, hanging=expectations.hanging))
    REPORTS.mkdir(exist_ok=True)
    report.write(REPORTS, results, nul, [str(surprise) for surprise in found], unequal)
    for line in (*map(str, found), *(f"not twice the same: {line}" for line in unequal)):
        print(line)
    print(report.summary(results, nul))
    return 1 if found or (unequal and options.repeat > 1) else 0


def _surprises(results: Results) -> list[Surprise]:
    browsers = expectations.browsers()
    return [
        surprise
        for file, result in results.items()
        for surprise in expectations.surprises(result, browsers[file], expectations.expected(file))
    ]


async def _once_more(found: list[Surprise], runner: Runner) -> tuple[list[Surprise], list[str]]:
    """Run these files alone: (what stays, what came only once). What came once is said, and is red with --repeat."""
    files = sorted({surprise.file for surprise in found})
    print(f"not as expected, so once more and alone: {', '.join(files)}", flush=True)
    stays = expectations.confirmed(found, _surprises(await runner.run(files)))
    return stays, [str(surprise) for surprise in found if surprise not in stays]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--fast", action="store_true", help="data channels, transports, configuration, operations")
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=1, help="run everything so often, and say what differs")
    parser.add_argument("--rebaseline", action="store_true", help="write down as expected what came out")
    parser.add_argument("--lenient", action="store_true", help="leave checks of values to Python")
    parser.add_argument("--no-nul", action="store_true", help="do not measure what the bindings pass alone")
    options = parser.parse_args()
    if options.rebaseline and os.environ.get("CI") == "true":
        parser.error("--rebaseline is for people: it would make everything expected")
    return options


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(asyncio.run(main()))
