"""Breaks closing rules S1 to S11 and the bounds of what a peer may say, one by one in a copy of adieu.

In Python and in TypeScript; and looks whether adieu's own tests turn red each time.

    PYTHONPATH=tests python -m mutations [WORD ...] [--minutes N]

Seen is what a test says: one that does not compile, whose text is no more, or that makes the tests run without end is
not seen. A test that is not done in time says nothing, as the computer may be busy: that mutation is looked at once
more at the end, alone, with three times the time. Before anything is broken the same tests have to be green. Without
words it writes reports/mutations.md. A run that was stopped goes on where it was, as long as nothing is changed; with
`--minutes` it stops by itself.
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
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
KNOWN = REPORT.with_suffix(".json")
"""What earlier runs on the same commit have shown."""
LIMIT = 300.0
"""Seconds for all tests of one mutation."""
TEST_LIMIT = 120.0
"""Seconds for one test of pytest, and for one file of Node."""
PATIENCE = 3.0
"""So many times longer are both limits when a mutation is looked at once more."""
MUTATIONS = (*rules.MUTATIONS, *bounds.MUTATIONS, *files.MUTATIONS, *rooms.MUTATIONS, *goodbye.MUTATIONS)
GREEN = "nothing is broken"
TYPESCRIPT = ("js/src", "js/test", "js/package.json", "js/tsconfig.json", "js/tsconfig.test.json")
RED = re.compile(
    r"^FAILED [^:\n]+::(?P<python>[^\n]*?)(?: - (?P<why>[^\n]*))?$"
    r"|^\s*not ok \d+ - (?P<node>[^\n]*)\n(?:.*?^\s*failureType: '(?P<kind>\w+)')?",
    re.MULTILINE | re.DOTALL,
)
"""How pytest and Node name a test that is red, and why it is."""


@dataclass(frozen=True)
class Seen:
    """What came of one mutation.

    Attributes:
        mutation: what was broken.
        test: the name of the first test that was red; empty if none was.
        otherwise: why none was, if there is more to say than that all were green.
        late: whether the tests were not done in time.
    """

    mutation: Mutation
    test: str
    otherwise: str
    late: bool = False

    def __str__(self) -> str:
        return self.test or f"NOT SEEN{self.otherwise}"


class NoTestError(Exception):
    """Something failed, but no test said so."""


class LateError(NoTestError):
    """The tests were not done in time: nobody knows whether one would be red."""


def tested(files: Sequence[str], language: str, mutation: Mutation | None, patience: float) -> str:
    """The name of one of these tests that is red with this mutation, empty if all are green.

    Raises:
        LateError: the tests are not done in time.
        NoTestError: it does not compile, or the tests do not run.
        StaleError: its text does not stand once in its source.
    """
    if language == "Python":
        with copied(mutation, ROOT, "python/adieu") as copy:
            return in_python(files, copy / "python", patience)
    with copied(mutation, ROOT, *TYPESCRIPT, linked=("js/node_modules", "docs", "vectors")) as copy:
        return in_typescript(files, copy / "js", patience)


def in_python(files: Sequence[str], python: Path, patience: float) -> str:
    """The same for these tests with this folder's adieu."""
    limit = f"--timeout={TEST_LIMIT * patience:.0f}"
    command = (sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", limit, *files)
    return run(command, ROOT, patience, PYTHONPATH=str(python), PYTHONDONTWRITEBYTECODE="1")


def in_typescript(files: Sequence[str], js: Path, patience: float) -> str:
    """The same for these tests of this folder."""
    run(("node_modules/.bin/tsc", "-p", "tsconfig.test.json"), js, patience)
    limit = f"--test-timeout={TEST_LIMIT * patience * 1000:.0f}"
    tests = [f"build/test/{name}.test.js" for name in files]
    return run(("node", "--test", "--test-reporter=tap", limit, *tests), js, patience)


def run(command: Sequence[str], folder: Path, patience: float = 1.0, **environment: str) -> str:
    """The name of the first test of a command that is red; empty if it succeeds."""
    ran = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with ran:
        try:
            said, _ = ran.communicate(timeout=LIMIT * patience)
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.killpg(ran.pid, signal.SIGKILL)  # and what it has started
            if isinstance(error, subprocess.TimeoutExpired):
                raise LateError(f"not done within {LIMIT * patience:g} s") from None
            raise
    return judged(ran.returncode, said, patience) if ran.returncode else ""


def judged(code: int, said: str, patience: float) -> str:
    """The name of the first test that is red, by what a command said that failed."""
    red = list(RED.finditer(said))
    if code != 1 or not red:
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        raise NoTestError(f"exit code {code}, and no test is red: {(lines or ['nothing is said'])[-1]}")
    for one in red:
        if one["kind"] != "testTimeoutFailure" and not (one["why"] or "").startswith("Failed: Timeout"):
            return one["python"] or one["node"]
    name = red[0]["python"] or Path(red[0]["node"]).name
    raise LateError(f"{name} is not done within {TEST_LIMIT * patience:g} s")


def green(wanted: Sequence[Mutation]) -> bool:
    """Whether the tests that have to see something are green while nothing is broken."""
    fine = True
    for language in sorted({mutation.language for mutation in wanted}):
        files = sorted({file for mutation in wanted if mutation.language == language for file in mutation.files})
        try:
            wrong = tested(files, language, None, PATIENCE * 4)  # the tests of all mutations
        except NoTestError as error:
            wrong = str(error)
        print(f"nothing broken, {language}: {wrong or 'green'}", flush=True)
        fine = fine and not wrong
    return fine


def look(mutation: Mutation, patience: float = 1.0) -> Seen:
    """Break one rule."""
    test = otherwise = ""
    late = False
    try:
        test = tested(mutation.files, mutation.language, mutation, patience)
    except (NoTestError, StaleError) as error:
        otherwise = f": {error}"
        late = isinstance(error, LateError)
    return Seen(mutation, test, otherwise, late)


class Known:
    """What was shown for a commit, in this run and in those before it.

    Attributes:
        seconds: all of them took.
    """

    def __init__(self, commit: str, path: Path = KNOWN) -> None:
        """Take what earlier runs have left, if it is of this commit; an empty one has nothing to keep."""
        self._commit = commit
        self._path = path
        found = json.loads(path.read_text(encoding="utf-8")) if commit and path.is_file() else {}
        found = found if found.get("commit") == commit else {}
        self.red: dict[str, str] = found.get("red", {})
        self.seconds: float = found.get("seconds", 0.0)
        self._last = time.monotonic()

    def __contains__(self, what: str) -> bool:
        return what in self.red

    def note(self, what: str, test: str) -> None:
        """Keep the test that was red when this was broken."""
        self.red[what] = test
        now = time.monotonic()
        self.seconds += now - self._last
        self._last = now
        if self._commit:
            self._path.parent.mkdir(exist_ok=True)
            kept = {"commit": self._commit, "seconds": self.seconds, "red": self.red}
            self._path.write_text(json.dumps(kept, indent=1), encoding="utf-8")


def look_at_all(wanted: Sequence[Mutation], known: Known, until: float = math.inf) -> list[Seen]:
    """Break them one by one, two at a time; then those whose tests were not done in time once more, alone.

    None is begun after `until`: those are not in the answer.
    """
    seen = {what: Seen(one, known.red[what], "") for one in wanted if (what := str(one)) in known}

    def in_time(mutation: Mutation) -> Seen | None:
        return None if time.monotonic() > until else look(mutation)

    with ThreadPoolExecutor(2) as pool:
        for one in pool.map(in_time, [mutation for mutation in wanted if str(mutation) not in known]):
            if one is not None:
                _note(one, seen, known)
                print(f"{len(seen)}/{len(wanted)} {one.mutation}: {one}", flush=True)
    for late in [one.mutation for one in seen.values() if one.late and time.monotonic() <= until]:
        _note(look(late, PATIENCE), seen, known)
        print(f"once more, {late}: {seen[str(late)]}", flush=True)
    return [seen[str(mutation)] for mutation in wanted if str(mutation) in seen]


def _note(one: Seen, seen: dict[str, Seen], known: Known) -> None:
    seen[str(one.mutation)] = one
    if one.test:
        known.note(str(one.mutation), one.test)


def unchanged() -> str:
    """The commit that is here; empty if something is changed."""
    said = [
        subprocess.run(("git", *command), cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
        for command in (("rev-parse", "--short=12", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
    ]
    return "" if said[1] else said[0]


def report(seen: Sequence[Seen], commit: str, seconds: float) -> str:
    """The last one is tests/sim/reports/mutations.md."""
    when = (
        f"{time.strftime('%Y-%m-%d')}, {f'commit {commit}' if commit else 'with changes'}; {os.cpu_count()} cores, "
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
    given = arguments(__doc__, minutes=math.inf)
    until = time.monotonic() + given.minutes * 60
    wanted = chosen(MUTATIONS, given.words)
    known = Known(unchanged())
    if GREEN not in known:
        if not green(wanted):
            return 1
        if len(wanted) == len(MUTATIONS):
            known.note(GREEN, "")
    seen = look_at_all(wanted, known, until)
    if len(seen) == len(MUTATIONS):
        REPORT.parent.mkdir(exist_ok=True)
        REPORT.write_text(report(seen, unchanged(), known.seconds), encoding="utf-8")
    print(_figure(seen))
    return 0 if all(one.test for one in seen) and len(seen) == len(wanted) else 1


if __name__ == "__main__":
    sys.exit(main())
