"""The mutations of `nox -s mutations` follow the source: a text that stands there no more would break nothing."""

from __future__ import annotations

from collections import Counter

import pytest

from conformance import mutations as w3c
from sim.session import mutations
from support.mutations import Mutation, StaleError, broken, chosen


def test_the_text_of_each_mutation_stands_once_in_its_source() -> None:
    for mutation in mutations.MUTATIONS:
        assert broken(mutation, mutations.ROOT)
    for mutation in w3c.MUTATIONS:
        assert broken(mutation, w3c.SOURCE)


def test_a_text_that_stands_twice_or_not_at_all_is_stale() -> None:
    for old in ("    return\n", "nowhere in this file"):
        with pytest.raises(StaleError, match="its text stands"):
            broken(Mutation("S1", "", mutations.P_CLOSE, old, "", ()), mutations.ROOT)


def test_each_rule_is_broken_in_both_languages() -> None:
    rules = {f"S{number}" for number in range(1, 12)} | {"bound"}
    for language in (mutations.PYTHON, mutations.TYPESCRIPT):
        assert Counter(mutation.rule for mutation in language).keys() == rules
        assert len(language) >= 20


def test_the_tests_that_have_to_see_it_are_there() -> None:
    for mutation in mutations.PYTHON:
        assert all((mutations.ROOT / file).is_file() for file in mutation.files), mutation
    for mutation in mutations.TYPESCRIPT:
        assert all((mutations.ROOT / f"js/test/{file}.test.ts").is_file() for file in mutation.files), mutation


def test_words_choose_by_rule_and_by_what_is_broken() -> None:
    whats = [mutation.what for mutation in chosen(mutations.MUTATIONS, ["S4", "older acknowledgement"])]
    assert "of two closers the larger deadline counts" in whats
    assert "an older acknowledgement is not ignored (TypeScript)" in whats
    assert len(whats) == 8
