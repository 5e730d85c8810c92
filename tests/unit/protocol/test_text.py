"""Texts of a caller, before they become part of a message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adieu.protocol.ids import receipt_id, session_id
from adieu.protocol.text import checked, scalar, scalar_json, sendable
from adieu.protocol.words import reason

IDS = json.loads((Path(__file__).resolve().parents[3] / "vectors" / "protocol" / "ids.json").read_text("utf-8"))["ids"]


def test_half_of_a_surrogate_pair_becomes_the_replacement_character():
    assert scalar("see you \ud83d") == "see you \ufffd"
    assert scalar("\udc4b\ud83d") == "\ufffd\ufffd"
    assert scalar("\ud83d\udc4b") == "\U0001f44b"
    assert scalar("caf\u00e9 \U0001f44b") == "caf\u00e9 \U0001f44b"


def test_what_is_cut_can_be_said():
    assert sendable("a\ud83d" * 10, 4) == "a\ufffda\ufffd"
    assert reason("left\ud83d", "\ud83d" * 2000).text == "\ufffd" * 1024


def test_a_whole_value_is_repaired_and_otherwise_as_it_was():
    value = {"a\ud83d": ["\ud83d", 1, None, {"b": ("\udc4b", True)}], "c": 1.5}
    assert scalar_json(value) == {"a\ufffd": ["\ufffd", 1, None, {"b": ["\ufffd", True]}], "c": 1.5}


@pytest.mark.parametrize(
    ("text", "error", "what"),
    [
        ("", ValueError, "the name has 1 to 3 characters, not 0: ''"),
        ("abcd", ValueError, "the name has 1 to 3 characters, not 4: 'abcd'"),
        (b"ab", TypeError, "the name is text, not bytes: b'ab'"),
        (None, TypeError, "the name is text, not NoneType: None"),
    ],
)
def test_what_is_beyond_the_bounds_is_named_with_them(text, error, what):
    with pytest.raises(error) as caught:
        checked("the name", text, 1, 3)
    assert str(caught.value) == what


@pytest.mark.parametrize("case", IDS, ids=lambda case: f"{case['one']}{case['other']}{case['n']}")
def test_both_sides_and_both_languages_compute_the_same_names(case):
    session = session_id(case["room"], case["one"], case["other"], case["n"])
    assert session == session_id(case["room"], case["other"], case["one"], case["n"]) == case["session"]
    assert receipt_id(session) == case["receipt"]
