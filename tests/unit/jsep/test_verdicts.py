"""Thousands of descriptions and candidates, each a little odd: adieu takes what both Chromium and Firefox take.

What they did was recorded (`tests/interop/sdp_corpus.py`); what they do now a sample asks them (`tests/interop`).
"""

from __future__ import annotations

from collections import Counter

import pytest

from interop.peers.adieu_peer import adieu_peer
from support import sdp_cases as corpus


@pytest.fixture(scope="module")
async def found(anyio_backend):
    """What adieu does with each, and where it stands alone."""
    candidates = corpus.candidates()
    async with adieu_peer() as peer:
        texts = [case.text for case in candidates]
        said = await peer.call("judge_candidates", offer=corpus.CANDIDATE_BASE, texts=texts)
    ours = corpus.ours() | {case.name: corpus.outcome(verdict) for case, verdict in zip(candidates, said, strict=True)}
    return ours, corpus.differences(ours)


def test_the_verdicts_are_about_these_cases():
    cases = corpus.all_cases()
    assert len({case.name for case in cases}) == len(cases) > 6000
    assert corpus.digest(cases) == corpus.read_verdicts().digest, "run tests/interop/sdp_corpus.py again"


async def test_what_both_browsers_take_is_taken(found):
    _, differences = found
    refused = [one for one in differences if corpus.takes(one.browsers[0])]
    unknown = [(one.case.name, one.ours) for one in refused if one.case.change not in corpus.REFUSED_HERE]
    assert not unknown, unknown[:20]
    assert {one.case.change for one in refused} == set(corpus.REFUSED_HERE), "a reason for nothing"


async def test_what_neither_takes_is_refused_or_has_a_reason(found):
    _, differences = found
    taken = [one for one in differences if not corpus.takes(one.browsers[0])]
    unknown = [(one.case.name, one.ours) for one in taken if one.case.change[0] not in corpus.TAKEN_HERE]
    assert not unknown, unknown[:20]
    assert {one.case.change[0] for one in taken} == set(corpus.TAKEN_HERE), "a reason for nothing"


async def test_the_cases_say_something(found):
    """Neither always taken nor always refused, by any of the three."""
    ours, _ = found
    verdicts = corpus.read_verdicts()
    for kind in ("offer", "answer", "candidate"):
        names = [name for name in ours if name.startswith(f"{kind}/")]
        for which in range(2):
            outcomes = Counter(corpus.takes(verdicts.of(name, ours[name])[which]) for name in names)
            assert min(outcomes[True], outcomes[False]) >= 4, (kind, which, outcomes)
        outcomes = Counter(corpus.takes(ours[name]) for name in names)
        assert min(outcomes[True], outcomes[False]) >= 4, (kind, outcomes)
