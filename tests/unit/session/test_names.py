"""Names of files from outside: fit for any disk, whatever they are."""

from __future__ import annotations

import json
import re
import tempfile
import unicodedata
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adieu.session import names

VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "files" / "names.json").read_text())
# Any character at all, halves of surrogate pairs and what is special somewhere more often.
SPECIAL = st.sampled_from(
    [*'./\\ :~*?"<>|\0\r\n-_$', "\ud83d", "\udcf6", "\u202e", "\u200d", "\u3000", "😀", "CON", "nul", "¹"]
)
NAMES = st.lists(SPECIAL | st.characters(), max_size=300).map("".join)
DEVICES = re.compile(r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³]) *(\.|$)", re.IGNORECASE)


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: ascii(case["name"])[:30])
def test_it_is_the_name_that_every_language_makes(case: dict[str, str]) -> None:
    assert names.safe(case["name"]) == case["safe"]


@given(NAMES)
@example("😀" * 300)
@example("CON" + " " * 300 + ".txt")
@example("x" * 300 + "." + "y" * 32)
@example("." + "\u202e" * 300)
@settings(max_examples=3000, deadline=None)
def test_any_name_becomes_a_visible_one_that_every_disk_takes(name: str) -> None:
    made = names.safe(name)
    assert made and 0 < len(made.encode()) <= names.MAX_NAME
    assert not set(made) & set('/\\<>:"|?*')
    assert not {unicodedata.category(c) for c in made} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    assert made[0] not in ". ~" and made[-1] not in ". "
    assert not DEVICES.match(made)
    assert PureWindowsPath(made).parts == (made,)
    for longer in (f".{made}.0123456789abcdef.part", f".{made}.01234567-01234567.part", names.numbered(made, 99_999)):
        assert len(longer.encode()) <= names.MAX_ON_DISK


@given(NAMES)
@settings(max_examples=300, deadline=None)
def test_a_file_can_be_made_with_it(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / names.safe(name)).write_bytes(b"x")
        assert [path.name for path in Path(folder).iterdir()] == [names.safe(name)]


@given(st.text(min_size=1, max_size=300).filter(lambda name: 0 < len(name.encode()) <= 255), st.integers(1, 10**9))
@settings(max_examples=1000, deadline=None)
def test_a_numbered_name_fits_the_disk_and_keeps_its_end(name: str, number: int) -> None:
    made = names.numbered(name, number)
    assert len(made.encode()) <= names.MAX_ON_DISK
    assert f" ({number})" in made
    stem, _, suffix = name.rpartition(".")
    if stem and len(suffix.encode()) < 100:
        assert made.endswith(f").{suffix}")
    assert names.numbered(name, 0) == name
