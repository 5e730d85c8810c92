"""What each subtest is expected to give, and whether it did.

`expectations/` has a JSON file for each test file that does not pass as a whole: subtest → [status, reason]. What is
not in it has to pass. The subtest "" is the file itself: it has to end by itself. A pass that was not expected is as
wrong as a failure: the expectation is out of date.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.reasons import reason_for

HERE = Path(__file__).parent
EXPECTATIONS = HERE / "expectations"
FILE = ""
FINE = {"PASS", "OK"}

Result = dict[str, Any]
Expected = dict[str, tuple[str, str]]


def browsers() -> dict[str, dict[str, dict[str, str]]]:
    """File → subtest → browser → status."""
    return json.loads((HERE / "data" / "browsers.json").read_text())


def skipped() -> dict[str, str]:
    """Files that are not run → why."""
    return json.loads((HERE / "data" / "skipped.json").read_text())


def expected(file: str, root: Path = EXPECTATIONS) -> Expected:
    """Of one file."""
    path = _path(file, root)
    return (
        {name: (status, why) for name, (status, why) in json.loads(path.read_text()).items()} if path.exists() else {}
    )


def hanging(file: str) -> list[str]:
    """The subtests that do not end, as far as is known."""
    return [name for name, (status, _) in expected(file).items() if name != FILE and status in {"TIMEOUT", "NOTRUN"}]


def outcomes(result: Result, known: dict[str, Any]) -> dict[str, str]:
    """Subtest → status, also of those that were never reached. A name that stands for several has the worst."""
    reached = {name: subtest["status"] for name, subtest in result["subtests"].items()}
    return dict.fromkeys(known, "MISSING") | reached | {FILE: result["status"]}


@dataclass(frozen=True)
class Surprise:
    """Something that is not as expected.

    Attributes:
        file: where.
        subtest: which; empty when it is of the whole file.
        what: what it is.
        never: once is enough. A result may be that of a busy machine, because the tests have clocks of their own.
    """

    file: str
    subtest: str
    what: str
    never: bool = False

    def __str__(self) -> str:
        return f"{self.file}: {self.subtest}: {self.what}" if self.subtest else f"{self.file}: {self.what}"


def surprises(result: Result, known: dict[str, Any], expectation: Expected) -> list[Surprise]:
    """All of one file: outcomes, and what must never happen."""
    file = result["file"]
    outcome = outcomes(result, known)
    found: list[Surprise] = []
    for name, status in outcome.items():
        wanted, why = expectation.get(name, ("OK" if name == FILE else "PASS", ""))
        if wanted != "FLAKY" and (status in FINE) != (wanted in FINE):
            message = result["subtests"].get(name, {}).get("message") or (result["message"] if name == FILE else "")
            found.append(Surprise(file, name, f"{status}, expected {wanted} ({why or message})"))
    found += [Surprise(file, name, "is expected, and does not exist") for name in expectation if name not in outcome]
    never = [f"left behind: {left}" for left in result["left"]]
    never += [f"event inside a call, {n} times {what}" for what, n in result["events_in_calls"].items()]
    never += [f"event after close(), {n} times {what}" for what, n in result["events_after_close"].items()]
    never += [f"not an error of the W3C's: {bug}" for bug in result["bugs"]]
    found += [Surprise(file, FILE, what, never=True) for what in never]
    return found


def confirmed(found: list[Surprise], again: list[Surprise]) -> list[Surprise]:
    """Those of a first run that a second one gives too, and those of both that must never be."""
    places = {(surprise.file, surprise.subtest) for surprise in again}
    kept = [surprise for surprise in found if surprise.never or (surprise.file, surprise.subtest) in places]
    return kept + [surprise for surprise in again if surprise.never and surprise not in kept]


def rebaseline(result: Result, known: dict[str, Any], root: Path = EXPECTATIONS) -> None:
    """Write down what it gave. FLAKY stays, and a reason that is not among `reasons.py`."""
    file = result["file"]
    before = expected(file, root)
    after: Expected = {}
    for name, status in outcomes(result, known).items():
        old = before.get(name)
        if old and old[0] == "FLAKY":
            after[name] = old
        elif status not in FINE:
            subtest = result["subtests"].get(name, {"message": result["message"], "missing": []})
            after[name] = (status, reason_for(file, name, subtest, known.get(name, {}), old[1] if old else ""))
    path = _path(file, root)
    if after:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(after, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    else:
        path.unlink(missing_ok=True)


def _path(file: str, root: Path) -> Path:
    return root / f"{file.removeprefix('webrtc/')}.json"
