"""The steps of a close or a reset in words."""

from __future__ import annotations

from typing import Any

import pytest

from adieu import ProgressEvent
from adieu.cli.steps import in_words
from adieu.session import PartialFile

FILM = PartialFile("film\x1b[2J.mp4", 1000, 309, sent=True)


def event(step: str = "drain", **members: Any) -> ProgressEvent:
    nothing = {"level": None, "messages": 0, "bytes": 0, "incoming": 0, "files": (), "seconds": 4.2}
    return ProgressEvent(work="close", step=step, **{**nothing, **members})


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (event(), "closing: what was sent arrives"),
        (event("clean-up"), "closing: the last word of the other side comes"),
        (event(messages=1), "closing: what was sent arrives; 1 message under way, 4 s left"),
        (
            event(messages=3, files=(FILM,)),
            "closing: what was sent arrives; 3 messages and film[2J.mp4 (30 %) under way, 4 s left",
        ),
        (event(incoming=7), "closing: what was sent arrives; 7 still to come, 4 s left"),
        (
            event("building", files=(PartialFile("a", 0, 0, sent=False),) * 4),
            "reset: the new connection is made; a (0 %), a (0 %) and 2 more files under way, 4 s left",
        ),
    ],
)
def test_a_step_says_what_is_under_way_and_its_limit(told: ProgressEvent, words: str) -> None:
    assert in_words(told) == words


@pytest.mark.parametrize("step", ["drain", "channels", "connection", "clean-up", "asked", "building", "switching"])
def test_each_step_has_words(step: str) -> None:
    assert in_words(event(step))
