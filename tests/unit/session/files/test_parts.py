"""Patterns that leave files out, and the paths that a folder gets here: the vectors of both languages."""

from __future__ import annotations

import json
import time
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from adieu.errors import TransferError
from adieu.protocol import folders
from adieu.protocol.folders import Entries, FolderEntry
from adieu.session import names
from adieu.session.files.excludes import Excludes
from adieu.session.files.manifest import Manifest, pages

VECTORS = Path(__file__).parents[4] / "vectors" / "files"
EXCLUDES = json.loads((VECTORS / "excludes.json").read_text())
MANIFESTS = json.loads((VECTORS / "manifests.json").read_text())


@pytest.mark.parametrize("case", EXCLUDES, ids=lambda case: " ".join(case["patterns"]) or "none")
def test_patterns_leave_out_what_they_say(case: dict[str, list[str]]) -> None:
    excluded = Excludes(case["patterns"])
    found = {path: excluded(path.rstrip("/"), folder=path.endswith("/")) for path in case["out"] + case["in"]}
    assert found == dict.fromkeys(case["out"], True) | dict.fromkeys(case["in"], False)


def test_a_pattern_is_a_text_and_one_text_is_no_list() -> None:
    with pytest.raises(TypeError, match="a list of patterns"):
        Excludes("*.pyc")
    with pytest.raises(TypeError, match="not int"):
        Excludes([3])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="is no pattern"):
        Excludes(["[z-a]"])


def taken(entries: list[FolderEntry]) -> Manifest:
    manifest = Manifest(len(entries), sum(entry.size or 0 for entry in entries))
    for text in pages(entries, 1000):
        page = folders.decode(text)
        assert isinstance(page, Entries)
        manifest.add(text, page)
    assert len(manifest.entries) == len(entries)
    return manifest


@pytest.mark.parametrize("case", MANIFESTS["valid"], ids=lambda case: case["name"])
def test_each_entry_gets_a_path_of_its_own(case: dict[str, list[dict[str, int]]]) -> None:
    entries = [FolderEntry(**entry) for entry in case["entries"]]  # type: ignore[arg-type]
    assert taken(entries).paths == case["paths"]


@pytest.mark.parametrize("case", MANIFESTS["invalid"], ids=lambda case: case["name"])
def test_a_manifest_that_cannot_be_is_refused_and_the_path_is_named(case: dict[str, list[dict[str, int]]]) -> None:
    entries = [FolderEntry(**entry) for entry in case["entries"]]  # type: ignore[arg-type]
    with pytest.raises(TransferError, match=str(case["why"])):
        taken(entries)


@given(
    some.lists(
        some.lists(some.text(min_size=1, max_size=12), min_size=1, max_size=4).map("/".join),
        max_size=12,
    )
)
@settings(max_examples=300, deadline=None)
def test_no_path_of_the_other_side_leads_out_or_comes_twice(paths: list[str]) -> None:
    known: dict[str, FolderEntry] = {}
    for path in paths:
        parts = path.split("/")
        for end in range(1, len(parts)):
            known.setdefault("/".join(parts[:end]), FolderEntry(path="/".join(parts[:end]) or "x"))
        known.setdefault(path, FolderEntry(path=path, size=1))
    try:
        manifest = taken(list(known.values()))
    except TransferError:
        return
    assert len(set(manifest.paths)) == len(manifest.paths) == len(known)
    for path in manifest.paths:
        parts = PurePosixPath(path).parts
        assert not PurePosixPath(path).is_absolute() and ".." not in parts and "." not in parts
        assert all(len(part.encode()) <= names.MAX_ON_DISK and part == part.strip() for part in parts)


def test_more_or_less_than_was_offered_is_refused() -> None:
    def add(count: int, size: int, entries: list[FolderEntry]) -> None:
        Manifest(count, size).add("", Entries(entries=entries, last=True))

    one = FolderEntry(path="a", size=5)
    for count, size in ((0, 5), (1, 4)):
        with pytest.raises(TransferError, match=r"more than|larger"):
            add(count, size, [one])
    for count, size in ((2, 5), (1, 6)):
        with pytest.raises(TransferError, match="smaller"):
            add(count, size, [one])
    add(1, 5, [one])


def test_a_hundred_thousand_names_that_become_one_take_no_long() -> None:
    """The numbers go on from the last one: no search from the start for each."""
    characters = '<>:"|?*'
    entries = [
        FolderEntry(path="".join(characters[n // 7**place % 7] for place in range(6)), size=0) for n in range(100_000)
    ]
    began = time.process_time()
    assert len(set(taken(entries).paths)) == len(entries)
    assert time.process_time() - began < 20
