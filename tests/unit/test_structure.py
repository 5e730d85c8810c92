"""The checker of sizes and circles finds what it is there for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structure

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structure, "ROOT", tmp_path)


def write(root: Path, files: dict[str, str]) -> list[Path]:
    paths = [root / name for name in files]
    for path, text in zip(paths, files.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return paths


def test_a_circle_of_two_files_is_found(tmp_path: Path) -> None:
    files = {
        "x/src/lib.rs": "mod a; mod b;",
        "x/src/a.rs": "use crate::b::B;",
        "x/src/b.rs": "fn f(a: &super::a::A) {}",
    }
    [found] = structure.rust_circles(write(tmp_path, files))
    assert found.startswith("x/src: a circle of ")


def test_a_circle_behind_a_name_that_the_folder_hands_on_is_found(tmp_path: Path) -> None:
    files = {
        "x/src/lib.rs": "mod ice;",
        "x/src/ice/mod.rs": "mod a;\nmod b;\npub use self::b::{B, other::C};\nuse a::{A};",
        "x/src/ice/a.rs": "use super::{B};",
        "x/src/ice/b.rs": "use crate::{ice::{A as Other}};",
    }
    [found] = structure.rust_circles(write(tmp_path, files))
    assert found.startswith("x/src/ice: a circle of ")


def test_a_file_and_its_folder_are_no_circle(tmp_path: Path) -> None:
    files = {
        "x/src/lib.rs": "mod a; mod b;\nuse a::A;\npub struct Own;",
        "x/src/a.rs": "use crate::Own; // use crate::b::B",
        "x/src/b.rs": "use crate::{a::A, Own};",
    }
    assert list(structure.rust_circles(write(tmp_path, files))) == []


def test_a_long_function_is_named_but_for_its_docstring(tmp_path: Path) -> None:
    long = "def f():\n" + "    x = 1\n" * structure.MAX_FUNCTION
    fits = f'def f():\n    """{"a" * 9}\n\n    b\n    """\n' + "    x = 1\n" * (structure.MAX_FUNCTION - 1)
    found = list(structure.long_functions(write(tmp_path, {"long.py": long, "fits.py": fits})))
    assert found[0] == f"long.py: f: {structure.MAX_FUNCTION + 1} lines; {structure.MAX_FUNCTION} at most"
    assert not any(each.startswith("fits.py") for each in found)


def test_an_exception_that_nothing_needs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structure, "LONG", {"a.py: f": "a list"})
    assert list(structure.long_functions(write(tmp_path, {"a.py": "def f(): ..."}))) == [
        "a.py: f: no exception is needed"
    ]


def test_a_large_file_is_named(tmp_path: Path) -> None:
    paths = write(tmp_path, {"a.rs": "\n" * 801, "b.rs": "\n" * 800, "js/src/protocol/messages.ts": "\n" * 900})
    assert list(structure.large_files(paths)) == ["a.rs: 801 lines; 800 at most"]
