"""The reports of measured times: runs of one commit add up, and say how often a cause was right."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from e2e.lab import figures
from e2e.lab.figures import CHANGED, Figures

if TYPE_CHECKING:
    from pathlib import Path

COMMIT = "0123456789ab"


@pytest.fixture(autouse=True)
def _reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "REPORTS", tmp_path)
    monkeypatch.setattr(figures, "slowness", lambda: 1.0)
    on_commit(monkeypatch, COMMIT)


def on_commit(monkeypatch: pytest.MonkeyPatch, commit: str) -> None:
    about = {"date": "2026-01-01", "commit": commit, "system": "x", "cores": 2, "versions": {}, "load": 0.5}
    monkeypatch.setattr(figures, "facts", lambda _: dict(about))


def run(seconds: float = 0.5, failed: str = "") -> None:
    one = Figures("matrix", "Title", failed=[failed] if failed else [])
    one.within("Ends", "Python", "killed", seconds, 1.0, "crashed", causes={"crashed"})
    one.write()


def kept(tmp_path: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((tmp_path / "matrix.json").read_text())
    return report


def test_runs_of_one_commit_add_up_also_when_they_end_at_the_same_time(tmp_path: Path) -> None:
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(run, [n / 100 for n in range(1, 21)]))
    assert kept(tmp_path)["facts"]["runs"] == 20
    page = (tmp_path / "matrix.md").read_text()
    assert "| Python | killed | 0.01 – 0.20 (20) | 1 | crashed |" in page
    assert "20 runs: 1 lines, each measured 20 times or more; 20 times in all, 0 over their bound." in page


@pytest.mark.parametrize("then", ["ba9876543210", COMMIT + CHANGED])
def test_another_commit_and_changed_files_begin_anew(tmp_path: Path, monkeypatch: Any, then: str) -> None:
    run()
    on_commit(monkeypatch, then)
    for _ in range(2 if then.endswith(CHANGED) else 1):
        run()
    assert kept(tmp_path)["facts"]["runs"] == len(kept(tmp_path)["figures"]) == 1


def test_a_wrong_cause_and_a_late_one_are_kept_and_fail(tmp_path: Path) -> None:
    run(failed="a test")
    one = Figures("matrix", "Title", failed=["a test"])
    with pytest.raises(AssertionError, match="'busy' is told"):
        one.within("Ends", "Python", "killed", 0.5, 1.0, "busy", causes={"crashed"})
    with pytest.raises(AssertionError, match="2.000 s, and 1 s is promised"):
        one.within("Ends", "Python", "killed", 2.0, 1.0, "crashed", causes={"crashed"})
    one.write()
    page = (tmp_path / "matrix.md").read_text()
    assert "| Python | killed | **0.50 – 2.00 (3)** | 1 | crashed; busy (**2 of 3 right**) |" in page
    assert "* 2 of 3 causes were among those that are accepted." in page
    assert "* Failed: a test, 2 times" in page
