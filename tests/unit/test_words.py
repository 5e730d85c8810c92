"""The checker of plain English (`tools/english.py`): it finds each pattern, and leaves good sentences alone."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _load() -> Any:
    spec = importlib.util.spec_from_file_location("english", ROOT / "tools" / "english.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["english"] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


english = _load()

BAD = {
    "a clause as a noun": [
        "The answer goes to who asked for it.",
        "The events go to those who listen.",
        "It is removed if who sent it is gone.",
        "It keeps a copy of what was sent.",
        "A list of that which is left.",
    ],
    "a sentence that begins with Who or What": [
        "It is closed. Who sends then gets an error.",
        "It is open. What arrives is queued.",
        "It is open. Whatever arrives is queued.",
    ],
    '"stand"': ["The connection stands.", "As long as the seat stood there.", "The names stand in a list."],
    '"no more", "any more"': [
        "It fires no more.",
        "It does not fire any more.",
        "There is no more data.",
        "Not anymore.",
    ],
    '"of ours"': ["A packet of ours.", "A candidate of the other side's.", "That error is the peer's."],
    '"none"': ["ValueError: the url is none.", "It sends none.", "None of them is open."],
    '"told"': ["The handler is told once.", "Everybody is told why."],
    "an old word": [
        "It waits for ever.",
        "It begins anew.",
        "Whoever asks gets an answer.",
        "The close has begun.",
        "It ends of its own accord.",
        "It can not be read.",
        "The fault is mended.",
        "Clients come again.",
    ],
}

GOOD = [
    "Return the number of bytes that the peer has acknowledged.",
    "Report who closed the session, and what was lost.",
    "A peer that is gone is reported within a second.",
    "Keep ten messages at most.",
    "ICE stands for Interactive Connectivity Establishment.",
    'A transceiver whose direction is "none" sends nothing.',
    "The value is `None` when nobody has set it. `whoever`, `told` and `for ever` are code here.",
    "Who closed it? Both sides agree on that.",
    "See the other side's receipt.",
    "max_retransmits: None means that a message is sent until it arrives.",
    "Decide in what order they close, and of what kind they are.",
]


@pytest.mark.parametrize(("pattern", "sentence"), [(name, bad) for name, all_ in BAD.items() for bad in all_])
def test_each_pattern_is_found(pattern: str, sentence: str) -> None:
    for path, source in (
        ("page.md", f"# Title\n\n{sentence}\n"),
        ("code.py", f'def f():\n    """Do it.\n\n    {sentence}\n    """\n'),
        ("code.rs", f"/// Do it.\n///\n/// {sentence}\nfn f() {{}}\n"),
        ("code.ts", f"/**\n * Do it.\n *\n * {sentence}\n */\nfunction f() {{}}\n"),
    ):
        assert pattern in {found.pattern for found in english.check(path, source)}, path


@pytest.mark.parametrize("sentence", GOOD)
def test_good_sentences_are_left_alone(sentence: str) -> None:
    assert english.check("page.md", sentence) == []
    assert english.check("code.py", f'"""Do it.\n\n{sentence}\n"""') == []


def test_every_pattern_has_an_example() -> None:
    assert set(BAD) == {pattern.name for pattern in english.PATTERNS}


@pytest.mark.parametrize("word", ["Who", "What", "It", "That", "Which", "But", "Of"])
def test_a_docstring_begins_with_a_verb_or_a_noun(word: str) -> None:
    for path, source in (
        ("code.py", f'def f():\n    """{word} asked."""\n'),
        ("code.py", f'x = 1\n"""{word} asked."""\n'),
        ("code.rs", f"/// {word} asked.\nfn f() {{}}\n"),
        ("code.ts", f"/** {word} asked. */\nfunction f() {{}}\n"),
    ):
        [found] = english.check(path, source)
        assert (found.words, "first word" in found.pattern) == (word, True)
    for first in ("Return", "Returns", "The", "A", "Bytes", "Whether", "True"):
        assert english.check("code.py", f'"""{first} asked."""') == []


def test_a_sentence_has_at_most_thirty_words() -> None:
    assert english.check("page.md", "word " * 30 + ".") == []
    [found] = english.check("page.md", "One.\n\n" + "word " * 31 + ".\n")
    assert (found.line, found.pattern) == (3, "a sentence of 31 words")
    assert english.check("page.md", "word " * 20 + ". " + "word " * 20 + ".") == []
    assert english.check("page.md", "| " + "word " * 20 + "| " + "word " * 20 + "|") == []
    assert english.check("page.md", "It has " + "`name`, " * 40 + "and `more`.") == []
    assert english.check("page.md", "* " + "word " * 20 + "\n* " + "word " * 20) == []
    assert english.check("code.py", '"""Do it.\n\n' + ("run this      " + "word " * 20 + "\n") * 2 + '"""') == []


def test_texts_of_the_program_are_read_and_its_code_is_not() -> None:
    [found] = english.check("a.py", "x = 1\nraise ValueError(f'the url {x} is none')\n")
    assert (found.line, found.words) == (2, "none")
    [found] = english.check("a.ts", "// it is told\nthrow new Error(`the url ${told} is none`);\n")
    assert found.line == 2
    [found] = english.check("a.rs", 'fn f() {\n    Err("the url is none")\n}\n')
    assert found.line == 2
    assert english.check("a.py", "told = 'none'\nx = {'anew': 1}\n") == []
    assert english.check("a.md", "```python\nprint('it is told anew')\n```\n") == []
    assert english.check("a.md", "See [this](whoever-told.md).\n") == []


def test_the_line_is_that_of_the_words() -> None:
    [found] = english.check("a.py", 'def f():\n    """Do it.\n\n    Then the peer\n    is told.\n    """\n')
    assert str(found).startswith("5: \"told\": 'told.'; an event is fired")
    [found] = english.check("a.md", "One.\n\n```\ncode\n```\n\nIt begins anew.\n")
    assert found.line == 7


def test_the_program_names_file_and_line_and_fails() -> None:
    run = subprocess.run(
        [sys.executable, "tools/words.py", "tests/unit/test_words.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "tests/unit/test_words.py:" in run.stdout
    assert '"told"' in run.stdout
