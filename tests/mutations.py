"""Breaks closing rules S1 to S11 and the bounds of what a peer may say, one by one in a copy of adieu.

In Python and in TypeScript; and looks whether adieu's own tests turn red each time.

    PYTHONPATH=tests python -m mutations [WORD ...]

Seen is what a test says: one that does not compile, whose text is no more, or that makes the tests run without end is
not seen. Before anything is broken the same tests have to be green. Without words it writes reports/mutations.md.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from property.session import mutations as bounds
from sim.farewell import mutations as goodbye
from sim.session import mutations as rules
from sim.stack import file_mutations as files
from sim.stack import room_mutations as rooms
from support.mutations import Mutation, StaleError, arguments, chosen, copied

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "reports" / "mutations.md"
LIMIT = 300.0
"""Seconds for the tests of one mutation: no machine is so slow."""
MUTATIONS = (*rules.MUTATIONS, *bounds.MUTATIONS, *files.MUTATIONS, *rooms.MUTATIONS, *goodbye.MUTATIONS)
TYPESCRIPT = ("js/src", "js/test", "js/package.json", "js/tsconfig.json", "js/tsconfig.test.json")
TEST = re.compile(r"^FAILED [^:]+::(.*?)(?: - .*)?$|^\s*not ok \d+ - (.*)", re.MULTILINE)
"""How pytest and Node name a test that is red."""


@dataclass(frozen=True)
class Seen:
    """What came of one mutation.

    Attributes:
        mutation: what was broken.
        test: the name of the first test that was red; empty if none was.
        otherwise: why none was, if there is more to say than that all were green.
    """

    mutation: Mutation
    test: str
    otherwise: str

    def __str__(self) -> str:
        return self.test or f"NOT SEEN{self.otherwise}"


class NoTestError(Exception):
    """Something failed, but no test said so."""


def tested(files: Sequence[str], language: str, mutation: Mutation | None) -> str:
    """The name of one of these tests that is red with this mutation, empty if all are green.

    Raises:
        NoTestError: it does not compile, or the tests do not run or do not end.
        StaleError: its text does not stand once in its source.
    """
    if language == "Python":
        with copied(mutation, ROOT, "python/adieu") as copy:
            return in_python(files, copy / "python")
    with copied(mutation, ROOT, *TYPESCRIPT, linked=("js/node_modules", "docs", "vectors")) as copy:
        return in_typescript(files, copy / "js")


def in_python(files: Sequence[str], python: Path) -> str:
    """The same for these tests with this folder's adieu."""
    command = (sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *files)
    return run(command, ROOT, PYTHONPATH=str(python), PYTHONDONTWRITEBYTECODE="1")


def in_typescript(files: Sequence[str], js: Path) -> str:
    """The same for these tests of this folder."""
    run(("node_modules/.bin/tsc", "-p", "tsconfig.test.json"), js)
    return run(
        (
            "node",
            "--test",
            "--test-reporter=tap",
            "--test-timeout=60000",
            *(f"build/test/{name}.test.js" for name in files),
        ),
        js,
    )


def run(command: Sequence[str], folder: Path, **environment: str) -> str:
    """The name of the first test of a command that is red; empty if it succeeds."""
    try:
        ran = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NoTestError(f"not done within {LIMIT:g} s") from None
    if not ran.returncode:
        return ""
    said = ran.stdout + ran.stderr
    if ran.returncode != 1 or (match := TEST.search(said)) is None:
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        raise NoTestError(f"exit code {ran.returncode}, and no test is red: {(lines or ['nothing is said'])[-1]}")
    return match[1] or match[2]


def green(wanted: Sequence[Mutation]) -> bool:
    """Whether the tests that have to see something are green while nothing is broken."""
    fine = True
    for language in sorted({mutation.language for mutation in wanted}):
        files = sorted({file for mutation in wanted if mutation.language == language for file in mutation.files})
        try:
            wrong = tested(files, language, None)
        except NoTestError as error:
            wrong = str(error)
        print(f"nothing broken, {language}: {wrong or 'green'}", flush=True)
        fine = fine and not wrong
    return fine


def look(mutation: Mutation) -> Seen:
    """Break one rule."""
    test = otherwise = ""
    try:
        test = tested(mutation.files, mutation.language, mutation)
    except (NoTestError, StaleError) as error:
        otherwise = f": {error}"
    return Seen(mutation, test, otherwise)


def report(seen: Sequence[Seen], commit: str, seconds: float) -> str:
    """The last one is tests/sim/reports/mutations.md."""
    when = (
        f"{time.strftime('%Y-%m-%d')}, commit {commit or 'unknown'}; {os.cpu_count()} cores, "
        f"Python {platform.python_version()}; {seconds / 60:.0f} minutes."
    )
    lines = [
        "# Rules and bounds, broken one by one",
        when,
        "",
        f"{_figure(seen)}. The last column is the first test that was red.",
        "",
        "| | broken | in | seen by |",
        "|---|---|---|---|",
    ]
    for one in seen:
        cells = (one.mutation.rule, one.mutation.what, one.mutation.language, one)
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _figure(seen: Sequence[Seen]) -> str:
    return f"{sum(bool(one.test) for one in seen)} of {len(seen)} broken rules and bounds turn adieu's own tests red"


def main() -> int:
    """See the module."""
    wanted = chosen(MUTATIONS, arguments(__doc__).words)
    asked = ("git", "rev-parse", "--short=12", "HEAD")
    commit = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    began = time.monotonic()
    if not green(wanted):
        return 1
    seen: list[Seen] = []
    with ThreadPoolExecutor(2) as pool:
        for one in pool.map(look, wanted):
            seen.append(one)
            print(f"{len(seen)}/{len(wanted)} {one.mutation}: {one}", flush=True)
    if len(wanted) == len(MUTATIONS):
        REPORT.parent.mkdir(exist_ok=True)
        REPORT.write_text(report(seen, commit, time.monotonic() - began), encoding="utf-8")
    print(_figure(seen))
    return 0 if all(one.test for one in seen) else 1


if __name__ == "__main__":
    sys.exit(main())
