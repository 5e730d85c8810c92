"""Texts of a caller, before they become part of a message; and of the other side, when they are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_type_hints

import msgspec
import pytest

from adieu.protocol.ids import receipt_id, session_id
from adieu.protocol.signaling import (
    FromClient,
    FromServer,
    Leaving,
    Relayed,
    decode_client,
    decode_server,
    encode,
)
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


LINES = json.loads((Path(__file__).resolve().parents[3] / "vectors" / "protocol" / "lines.json").read_text("utf-8"))


@pytest.mark.parametrize("case", LINES["messages"], ids=lambda case: f"{case['from']} {case['message']['type']}")
def test_a_text_that_comes_by_signaling_is_a_line_without_control_characters(case):
    decode = decode_client if case["from"] == "client" else decode_server
    for said, read in LINES["texts"]:
        _, message = decode(json.dumps(case["message"] | {case["member"]: said}))
        assert getattr(message, case["member"]) == read
        sent = json.loads(encode(message))
        assert sent.get(case["member"], "") == read
    _, message = decode(json.dumps(case["message"] | {case["member"]: "é" * 3000}))
    assert getattr(message, case["member"]) == "é" * 1024


def test_what_a_page_says_when_it_goes_away_is_a_line_too():
    for said, read in LINES["texts"]:
        assert msgspec.json.decode(json.dumps({"resumeToken": "x", "reason": said}), type=Leaving).reason == read


def test_all_texts_that_people_read_are_tried():
    structs = {*FromClient.__args__, *FromServer.__args__} - {*Relayed.__args__}
    tried = {(case["message"]["type"], case["member"]) for case in LINES["messages"]}
    there = {
        (struct.__struct_config__.tag, name)
        for struct in structs
        for name in ("reason", "message", "text")
        if get_type_hints(struct).get(name) is str
    }
    assert tried == there


@pytest.mark.parametrize(
    ("text", "error", "what"),
    [
        ("", ValueError, "the name must have 1 to 3 characters, not 0: ''"),
        ("abcd", ValueError, "the name must have 1 to 3 characters, not 4: 'abcd'"),
        (b"ab", TypeError, "the name must be text, not bytes: b'ab'"),
        (None, TypeError, "the name must be text, not NoneType: None"),
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
