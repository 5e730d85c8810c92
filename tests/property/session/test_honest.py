"""Two that keep the protocol: none ends the other for it, and all that was sent on reliable channels arrives.

Whatever the mixture of channels, sizes, options, slow readers and connections that go and come. `ADIEU_WALKS` makes it
longer; the walks are the same in every run.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from adieu.session.machine.options import Options
from property.session.honest import BrokenPromiseError, Walk

WALKS = int(os.environ.get("ADIEU_WALKS", "40"))
FIRST = int(os.environ.get("ADIEU_FIRST_WALK", "0"))


def walk(seed: int, **kind: object) -> Walk:
    made = Walk(seed, **kind)  # type: ignore[arg-type]
    try:
        made.run()
    except BrokenPromiseError as error:
        raise AssertionError(f"walk {seed}, {made.options}: {error}") from error
    except Exception as error:
        error.add_note(f"in walk {seed}")
        raise
    return made


def test_between_honest_peers_all_arrives_and_none_is_ended() -> None:
    seen: Counter[str] = Counter()
    for seed in range(FIRST, FIRST + WALKS):
        seen.update(walk(seed).seen)
    for what in ("hungry", "turns", "gaps", "new connections", "closed"):
        assert seen[what] > 5 * WALKS, f"walks that try {what} too seldom: {seen}"


def test_also_with_the_version_before() -> None:
    for seed in range(FIRST, FIRST + WALKS // 4):
        walk(seed, before=True)


@pytest.mark.parametrize("before", [False, True], ids=["both can", "one is of the version before"])
def test_also_with_largest_messages_and_the_options_that_nobody_sets(before: bool) -> None:
    for seed in range(FIRST, FIRST + 1 + WALKS // 40):
        walk(seed, before=before, options=Options(), much=200 << 20)
