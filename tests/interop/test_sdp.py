"""A sample of the odd descriptions and candidates, asked of the browsers that are here and of adieu as it runs.

All of them, against what was recorded: `tests/unit/jsep/test_verdicts.py`.
"""

from __future__ import annotations

import random

import pytest

from interop import judge
from interop.support import MARKS
from support import sdp_cases as corpus

OFFERS, ANSWERS, CANDIDATES = 80, 50, 40


def sample(cases, count):
    return random.Random(7).sample(cases, count)


async def verdicts_of(lab, name):
    verdicts = await judge.offers(lab, name, sample(corpus.offers(), OFFERS))
    for what in corpus.KINDS:
        names = {case.name for case in sample(corpus.answers(what, corpus.our_offer(what)[1]), ANSWERS)}
        # Of two answers a page of Firefox dies: another test than this one's.
        names = {name for name in names if corpus.DIED not in corpus.read_verdicts().of(name, corpus.TAKEN)}
        verdicts |= await judge.answers(lab, name, what, names)
    return verdicts | await judge.candidates(lab, name, sample(corpus.candidates(), CANDIDATES))


@pytest.mark.parametrize("name", [pytest.param(name, marks=MARKS[name]) for name in corpus.BROWSERS])
async def test_browsers_do_what_was_recorded(lab, name):
    recorded = corpus.read_verdicts()
    place = corpus.BROWSERS.index(name)
    verdicts = await verdicts_of(lab, name)
    assert len(verdicts) > 200
    changed = {
        case: (recorded.of(case, said)[place], said)
        for case, said in verdicts.items()
        if recorded.of(case, said)[place] != said
    }
    assert not changed, f"{name} has changed: run tests/interop/sdp_corpus.py, and read what it finds"


async def test_adieu_does_what_its_pure_half_says(lab):
    """With its transports, its candidates and its certificates."""
    verdicts = await verdicts_of(lab, "adieu")
    ours = corpus.ours()
    assert {case: said for case, said in verdicts.items() if ours.get(case, said) != said} == {}
