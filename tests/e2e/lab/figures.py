"""What has been measured, beside its bounds: reports/NAME.json, and reports/NAME.md for readers.

Runs of the same commit add up, also runs that end at the same time; the first run of another commit begins anew.

A bound is what is promised on a machine that has nothing else to do. Tests wait longer than it, and then judge the time
that was measured. On a machine that is busy with other things a bound is as much longer as plain work was found to be
at that moment (`slowness`), and the report says so beside the figure.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
import platform
import subprocess
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container

ROOT = Path(__file__).resolve().parents[3]
REPORTS = ROOT / "reports"
CHANGED = " with changes"  # to files of the commit: then no other run has measured the same
IDLE = 1.25  # a machine on which work takes no longer than this times its processor time counts as idle


def slowness() -> float:
    """How many times longer than its own processor time work takes here at this moment; 1.0 when nobody else works.

    It spins for 30 ms of processor time and looks how long that took: nothing of what is tested has a part in it.
    """
    wall, cpu = time.perf_counter(), time.thread_time()
    while (used := time.thread_time() - cpu) < 0.03:
        pass
    return max(1.0, (time.perf_counter() - wall) / used)


@dataclass(frozen=True)
class Figure:
    """One measured time.

    Attributes:
        proof: what is shown, a heading of the report.
        who: the pairing or the browser.
        how: what was done.
        seconds, bound: measured, and promised.
        note: what else was seen, as the cause that was told.
        right: whether that cause is one of those that are accepted, where causes are looked at.
        slowness: what the bound was multiplied by, 1.0 on an idle machine.
        load: of the machine, its average over a minute.
    """

    proof: str
    who: str
    how: str
    seconds: float
    bound: float
    note: str
    slowness: float
    load: float
    right: bool | None = None

    @property
    def kept(self) -> bool:
        return self.seconds <= self.bound * self.slowness


@dataclass
class Figures:
    """Those of a run. `before` is taken at the beginning of each test, and `failed` has a line for each that failed."""

    name: str
    title: str
    versions: dict[str, str] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    before: float = 1.0

    def within(
        self,
        proof: str,
        who: str,
        how: str,
        seconds: float,
        bound: float,
        note: str = "",
        *,
        causes: Container[str] | None = None,
    ) -> None:
        """Keep a figure, and fail if it is over its bound, or if the note is a cause that is not accepted."""
        slow = max(self.before, slowness())
        slow = slow if slow > IDLE else 1.0
        right = None if causes is None else note in causes
        figure = Figure(proof, who, how, seconds, bound, note, slow, os.getloadavg()[0], right)
        self.figures.append(figure)
        print(f"{proof}, {who}, {how}: {seconds:.3f} s of {bound:g} {note} (slowness {slow:.2f})")
        assert figure.kept, f"{how}: {seconds:.3f} s, and {bound:g} s is promised (slowness {slow:.2f}) {note}"
        assert right is not False, f"{who}, {how}: {note!r} is told, and {causes} is accepted"

    def write(self) -> None:
        """Add to the report of this commit; with nothing to say, nothing."""
        if not self.figures and not self.failed:
            return
        REPORTS.mkdir(exist_ok=True)
        report = REPORTS / f"{self.name}.json"
        with (REPORTS / f"{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            about = facts(self.versions)
            before = _earlier(report, about["commit"])
            self.figures = [Figure(**figure) for figure in before["figures"]] + self.figures
            self.failed = before["failed"] + self.failed
            about["runs"] = before["facts"]["runs"] + 1
            kept = {"facts": about, "figures": [asdict(figure) for figure in self.figures], "failed": self.failed}
            report.write_text(json.dumps(kept, indent=1) + "\n")
            report.with_suffix(".md").write_text(self.page(about))

    def page(self, about: dict[str, Any]) -> str:
        """The report as Markdown."""
        cells = Counter((figure.proof, figure.who, figure.how) for figure in self.figures)
        busy = sum(figure.slowness > 1 for figure in self.figures)
        over = sum(not figure.kept for figure in self.figures)
        judged = [figure.right for figure in self.figures if figure.right is not None]
        often = f"{len(cells)} lines, each measured {min(cells.values(), default=0)} times or more"
        lines = [f"# {self.title}", heading(about), ""]
        lines.append(f"{about['runs']} runs: {often}; {len(self.figures)} times in all, {over} over their bound.")
        lines.append("Seconds; least – greatest (how many) where there are several.")
        if judged:
            lines.append(f"* {_share(judged)} causes were among those that are accepted.")
        if busy:
            lines.append(f"* {busy} were measured while the machine was busy with other things.")
        lines += [f"* Failed: {name}{_times(self.failed.count(name))}" for name in dict.fromkeys(self.failed)]
        lines.append("")
        for proof in dict.fromkeys(figure.proof for figure in self.figures):
            lines += [f"## {proof}", "| who | what | time | bound | |", "|---|---|---|---|---|"]
            for who, how in dict.fromkeys((f.who, f.how) for f in self.figures if f.proof == proof):
                some = [f for f in self.figures if (f.proof, f.who, f.how) == (proof, who, how)]
                lines.append(f"| {who} | {how} | {_seconds(some)} | {some[0].bound:g} | {_notes(some)} |")
            lines.append("")
        return "\n".join(lines)


def _earlier(report: Path, commit: str) -> dict[str, Any]:
    """What earlier runs of this commit have left."""
    kept: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {}
    if kept and kept["facts"]["commit"] == commit and not commit.endswith(CHANGED):
        return kept
    return {"facts": {"runs": 0}, "figures": [], "failed": []}


def _seconds(some: list[Figure]) -> str:
    times = sorted(figure.seconds for figure in some)
    text = f"{times[0]:.2f}" if len(times) == 1 else f"{times[0]:.2f} – {times[-1]:.2f} ({len(times)})"
    text += "*" if any(figure.slowness > 1 for figure in some) else ""
    return f"**{text}**" if not all(figure.kept for figure in some) else text


def _notes(some: list[Figure]) -> str:
    """What was told; of causes, how often it was right, if it was not always."""
    notes = "; ".join(dict.fromkeys(figure.note for figure in some if figure.note))
    judged = [figure.right for figure in some if figure.right is not None]
    return notes if all(judged) else f"{notes} (**{_share(judged)} right**)"


def _share(judged: list[bool]) -> str:
    return f"{sum(judged)} of {len(judged)}"


def _times(count: int) -> str:
    return f", {count} times" if count > 1 else ""


def facts(versions: dict[str, str]) -> dict[str, Any]:
    """What somebody needs to compare this run with another; nothing that names the machine."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    changed = CHANGED if git("status", "--porcelain", "--untracked-files=no") else ""
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "commit": (git("rev-parse", "--short=12", "HEAD") or "unknown") + changed,
        "system": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
        "cores": os.cpu_count(),
        "versions": {"Python": platform.python_version(), **versions},
        "load": round(os.getloadavg()[0], 1),
    }


def heading(about: dict[str, Any]) -> str:
    """The facts in a line."""
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return (
        "{date}, commit {commit}; {cores} cores, {system}, ".format(**about)
        + f"{versions}; load at the end {about['load']}."
    )
