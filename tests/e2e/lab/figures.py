"""What a run has measured, beside its bounds: reports/NAME.json, and reports/NAME.md for readers.

A bound is what is promised on a machine that has nothing else to do. Tests wait longer than it, and then judge the time
that was measured. On a machine that is busy with other things a bound is as much longer as plain work was found to be
at that moment (`slowness`), and the report says so beside the figure.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
REPORTS = ROOT / "reports"
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

    @property
    def kept(self) -> bool:
        return self.seconds <= self.bound * self.slowness


@dataclass
class Figures:
    """Those of a run. `before` is taken at the beginning of each test."""

    name: str
    title: str
    versions: dict[str, str] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    before: float = 1.0

    def within(self, proof: str, who: str, how: str, seconds: float, bound: float, note: str = "") -> None:
        """Keep a figure, and fail if it is over its bound."""
        slow = max(self.before, slowness())
        slow = slow if slow > IDLE else 1.0
        figure = Figure(proof, who, how, seconds, bound, note, slow, os.getloadavg()[0])
        self.figures.append(figure)
        print(f"{proof}, {who}, {how}: {seconds:.3f} s of {bound:g} {note} (slowness {slow:.2f})")
        assert figure.kept, f"{how}: {seconds:.3f} s, and {bound:g} s is promised (slowness {slow:.2f}) {note}"

    def write(self, **more: Any) -> None:
        """Write the report; with nothing to say, nothing."""
        if not self.figures and not more:
            return
        REPORTS.mkdir(exist_ok=True)
        report = {"facts": facts(self.versions), "figures": [asdict(figure) for figure in self.figures], **more}
        (REPORTS / f"{self.name}.json").write_text(json.dumps(report, indent=1) + "\n")
        (REPORTS / f"{self.name}.md").write_text(self.page(report["facts"]))

    def page(self, about: dict[str, Any]) -> str:
        """The report as Markdown."""
        lines = [f"# {self.title}", heading(about), ""]
        busy = sum(figure.slowness > 1 for figure in self.figures)
        over = sum(not figure.kept for figure in self.figures)
        lines += [
            f"{len(self.figures)} times, {over} over their bound. Seconds; least – greatest where there are several.",
            f"* {busy} were measured while the machine was busy with other things." if busy else "",
            "",
        ]
        for proof in dict.fromkeys(figure.proof for figure in self.figures):
            lines += [f"## {proof}", "| who | what | time | bound | |", "|---|---|---|---|---|"]
            for who, how in dict.fromkeys((f.who, f.how) for f in self.figures if f.proof == proof):
                some = [f for f in self.figures if (f.proof, f.who, f.how) == (proof, who, how)]
                lines.append(f"| {who} | {how} | {_times(some)} | {some[0].bound:g} | {_notes(some)} |")
            lines.append("")
        return "\n".join(lines)


def _times(some: list[Figure]) -> str:
    times = sorted(figure.seconds for figure in some)
    text = f"{times[0]:.2f}" if len(times) == 1 else f"{times[0]:.2f} – {times[-1]:.2f} ({len(times)})"
    text += "*" if any(figure.slowness > 1 for figure in some) else ""
    return f"**{text}**" if not all(figure.kept for figure in some) else text


def _notes(some: list[Figure]) -> str:
    return "; ".join(dict.fromkeys(figure.note for figure in some if figure.note))


def facts(versions: dict[str, str]) -> dict[str, Any]:
    """What somebody needs to compare this run with another; nothing that names the machine."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    changed = " with changes" if git("status", "--porcelain", "--untracked-files=no") else ""
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
