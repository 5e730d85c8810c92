"""The mutations of `make mutations` follow the source: a text that stands there no more would break nothing."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

import mutations
from conformance import mutations as w3c
from property.session import mutations as bounds
from sim.session import mutations as rules
from sim.session.mutations_python import P_CLOSE
from support.mutations import Mutation, StaleError, broken, chosen

if TYPE_CHECKING:
    from pathlib import Path


def test_the_text_of_each_mutation_stands_once_in_its_source() -> None:
    for mutation in mutations.MUTATIONS:
        assert broken(mutation, mutations.ROOT) != (mutations.ROOT / mutation.path).read_text(encoding="utf-8")
    for mutation in w3c.MUTATIONS:
        assert broken(mutation, w3c.SOURCE) != (w3c.SOURCE / mutation.path).read_text(encoding="utf-8")


def test_a_text_that_stands_twice_or_not_at_all_is_stale() -> None:
    for old in ("    return\n", "nowhere in this file"):
        with pytest.raises(StaleError, match="its text stands"):
            broken(Mutation("S1", "", P_CLOSE, old, "", ()), mutations.ROOT)


def test_no_mutation_is_there_twice() -> None:
    made = Counter((mutation.path, broken(mutation, mutations.ROOT)) for mutation in mutations.MUTATIONS)
    assert max(made.values()) == 1
    described = Counter(str(mutation) for mutation in mutations.MUTATIONS)
    assert max(described.values()) == 1


def test_each_rule_is_broken_in_both_languages() -> None:
    for language in (rules.PYTHON, rules.TYPESCRIPT):
        assert {mutation.rule for mutation in language} == {f"S{number}" for number in range(1, 12)} | {"bound"}
        assert len(language) >= 40
    for language in (bounds.PYTHON, bounds.TYPESCRIPT):
        assert {mutation.rule for mutation in language} == {"bound", "promise"}


def test_the_tests_that_have_to_see_it_are_there() -> None:
    for mutation in mutations.MUTATIONS:
        for file in mutation.files:
            path = file if mutation.language == "Python" else f"js/test/{file}.test.ts"
            assert (mutations.ROOT / path).is_file(), mutation


def test_words_choose_by_rule_by_what_is_broken_and_by_language() -> None:
    whats = [str(mutation) for mutation in chosen(mutations.MUTATIONS, ["S4", "older acknowledgement"])]
    assert "   S4: of two closers the larger deadline counts (Python)" in whats
    assert "   S5: an older acknowledgement is not ignored (TypeScript)" in whats
    assert len(whats) == 8


def test_what_fails_without_a_red_test_is_not_seen() -> None:
    with pytest.raises(mutations.NoTestError, match="no test is red: wrong"):
        mutations.run((sys.executable, "-c", "raise SystemExit('wrong')"), mutations.ROOT)
    with pytest.raises(mutations.NoTestError, match="exit code 2"):
        mutations.run((sys.executable, "-c", "print('FAILED a.py::test_b'); raise SystemExit(2)"), mutations.ROOT)
    assert mutations.run((sys.executable, "-c", "print('FAILED a.py::test_b'); raise SystemExit(1)"), mutations.ROOT)
    assert not mutations.run((sys.executable, "-c", "print('FAILED a.py::test_b')"), mutations.ROOT)


NODE = """TAP version 13
# Subtest: one
not ok 1 - {first}
  ---
  duration_ms: 1003.3
  failureType: '{kind}'
  ...
"""


def test_a_test_that_is_not_done_in_time_is_not_red() -> None:
    late = "FAILED a.py::test_a[x-1] - Failed: Timeout (>1.0s) from pytest-timeout.\n"
    with pytest.raises(mutations.LateError, match=r"test_a\[x-1\] is not done within 240 s"):
        mutations.judged(1, late, 2)
    assert mutations.judged(1, late + "FAILED b/c.py::test_b - assert 0\n1 failed", 1) == "test_b"
    slow = NODE.format(first="/some/where/a.test.js", kind="testTimeoutFailure")
    with pytest.raises(mutations.LateError, match=r"a\.test\.js is not done within 120 s"):
        mutations.judged(1, slow, 1)
    red = NODE.format(first="what waits without end is red", kind="cancelledByParent")
    assert mutations.judged(1, slow + red, 1) == "what waits without end is red"


def test_a_command_that_does_not_end_is_late_and_gone_with_all_that_it_started() -> None:
    sleeps = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    with pytest.raises(mutations.LateError, match=r"not done within 0\.3 s"):
        mutations.run((sys.executable, "-c", sleeps), mutations.ROOT, 0.001)


def test_a_mutation_whose_tests_are_late_is_looked_at_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = mutations.MUTATIONS[:2]

    def tested(_files: object, _language: object, mutation: Mutation, patience: float) -> str:
        if mutation is one and patience == 1:
            raise mutations.LateError("not done")
        return f"red with {patience:g}"

    monkeypatch.setattr(mutations, "tested", tested)
    nothing = mutations.Known("")
    assert [seen.test for seen in mutations.look_at_all([one, other], nothing)] == ["red with 3", "red with 1"]
    monkeypatch.setattr(mutations, "PATIENCE", 1.0)
    assert [str(seen) for seen in mutations.look_at_all([one], mutations.Known(""))] == ["NOT SEEN: not done"]


def test_a_run_that_was_stopped_goes_on_with_what_was_not_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one, other = mutations.MUTATIONS[:2]
    asked: list[Mutation] = []
    result = ""

    def tested(_files: object, _language: object, mutation: Mutation, _patience: float) -> str:
        asked.append(mutation)
        return "red" if mutation is one else result

    monkeypatch.setattr(mutations, "tested", tested)
    path = tmp_path / "known.json"
    assert [seen.test for seen in mutations.look_at_all([one, other], mutations.Known("abc", path))] == ["red", ""]
    result = "red at last"
    asked.clear()
    again = mutations.look_at_all([one, other], mutations.Known("abc", path))
    assert [seen.test for seen in again] == ["red", "red at last"] and asked == [other]
    assert not mutations.Known("another commit", path).red
