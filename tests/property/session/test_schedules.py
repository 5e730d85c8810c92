"""Random schedules of two sessions: their promises hold, and the machine in TypeScript does the same.

`ADIEU_SCHEDULES` makes it longer; the schedules are the same in every run. The report of many is
tests/property/reports/schedules.md.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from conftest import missing
from property.session.schedules import Replay, played

COUNT = int(os.environ.get("ADIEU_SCHEDULES", "500"))


@pytest.fixture
def replay() -> Replay:
    try:
        return Replay()
    except FileNotFoundError as error:
        missing("the tests of the SDK", str(error))
        raise


@pytest.mark.timeout(400)
def test_every_promise_holds_and_typescript_does_the_same(replay: Replay) -> None:
    seen: Counter[str] = Counter()
    for seed in range(COUNT):
        seen.update(played(seed, replay).seen)
    result = replay.end()
    assert result == {"followed": 2 * COUNT, "differing": []}
    for what in (
        "reset", "cut", "hang", "break", "cancel", "healed: open", "both confirmed", "kill", "abort",
        "close channel", "opened again", "channel graceful", "channel deadline", "progress",
    ):  # fmt: skip
        assert seen[what] > COUNT / 20, f"schedules that try {what} too seldom: {seen}"
