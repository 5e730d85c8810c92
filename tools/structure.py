"""The size of files and functions, and circles between the files of Rust.

python tools/structure.py        prints what is too large, and each circle

The length of functions in Rust and TypeScript is checked by clippy and biome, circles in TypeScript by biome, circles
in Python by import-linter.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
MAX_FILE = 800
MAX_FUNCTION = 60
GENERATED = {"js/src/protocol/messages.ts"}
LONG = {
    "python/adieu/server/serving.py: run": "a list of parameters",
}
"""Python functions that may be longer, each with the reason."""
SOURCES = (".py", ".pyi", ".rs", ".ts", ".mjs", ".go")


def main() -> int:
    """Print each finding; return 1 if there is one."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [ROOT / name for name in listed.split("\0") if name.endswith(SOURCES) and (ROOT / name).is_file()]
    found = [*large_files(paths), *long_functions(paths), *rust_circles(paths)]
    print(*found, sep="\n", end="\n" if found else "")
    return bool(found)


def large_files(paths: list[Path]) -> Iterator[str]:
    """Yield the files with too many lines."""
    for path in paths:
        lines = path.read_text("utf-8").count("\n")
        if lines > MAX_FILE and _name(path) not in GENERATED:
            yield f"{_name(path)}: {lines} lines; {MAX_FILE} at most"


def long_functions(paths: list[Path]) -> Iterator[str]:
    """Yield the Python functions with too many lines, docstrings apart; and exceptions that nothing needs."""
    long = dict(found for path in paths if path.suffix == ".py" for found in _functions(path))
    for name, lines in long.items():
        if name not in LONG:
            yield f"{name}: {lines} lines; {MAX_FUNCTION} at most"
    yield from (f"{name}: no exception is needed" for name in LONG if name not in long)


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            lines = node.end_lineno - node.lineno + 1
            if (docstring := ast.get_docstring(node, clean=False)) is not None:
                lines -= docstring.count("\n") + 1
            if lines > MAX_FUNCTION:
                yield f"{_name(path)}: {node.name}", lines


def rust_circles(paths: list[Path]) -> Iterator[str]:
    """Yield a circle of files, or folders, that lie in one folder and use each other; one for each folder."""
    files = {path for path in paths if path.suffix == ".rs" and "src" in path.parts}
    for folder in sorted({parent for path in files for parent in path.parents if "src" in parent.parts}):
        inside = {path for path in files if folder in path.parents}
        uses: dict[str, set[str]] = {}
        for path in inside:
            if (room := _room(path, folder)) is not None:
                used = {name for each in _paths(path, files) if (name := _room(each, folder)) is not None}
                uses.setdefault(room, set()).update(used - {room})
        try:
            TopologicalSorter(uses).prepare()
        except CycleError as error:
            yield f"{_name(folder)}: a circle of {' < '.join(error.args[1])}"


def _room(path: Path, folder: Path) -> str | None:
    """Return the file or folder directly in `folder` that `path` is, or is in; None if it is the folder's own file."""
    if folder not in path.parents or (path.parent == folder and path.stem in {"mod", "lib"}):
        return None
    return path.relative_to(folder).parts[0].removesuffix(".rs")


def _paths(path: Path, files: set[Path]) -> Iterator[Path]:
    """Yield the files that a Rust file uses, as far as their paths in it say."""
    text = re.sub(r"//.*", "", path.read_text("utf-8"))
    source = next(parent for parent in path.parents if parent.name == "src")
    here = path.parent if path.stem in {"mod", "lib"} else path.with_suffix("")
    for tree in re.findall(r"\b((?:crate|super)(?:::(?:\w+|\{[^;]*?\}(?=\s*;)|\*))+)", text):
        for names in _expanded(tree):
            place = source if names[0] == "crate" else here
            while names and names[0] in {"crate", "super", "self"}:
                place = place.parent if names.pop(0) == "super" else place
            found = _resolved(place, names, files)
            if found is not None:
                yield found


def _expanded(tree: str) -> Iterator[list[str]]:
    """Yield the paths of a tree: `a::{b, c::D}` is `a::b` and `a::c::D`."""
    head, brace, rest = tree.partition("{")
    if not brace:
        yield tree.split(" as ", maxsplit=1)[0].strip().split("::")
        return
    depth, part = 0, ""
    for letter in rest[: rest.rindex("}")] + ",":
        depth += (letter == "{") - (letter == "}")
        if letter == "," and depth == 0:
            if part.strip():
                yield from _expanded(head + part.strip())
            part = ""
        else:
            part += letter


def _resolved(place: Path, names: list[str], files: set[Path]) -> Path | None:
    """Return the file of a path below `place`: its deepest module, or the file that a name handed on comes from."""
    own = next((path for path in (place / "mod.rs", place / "lib.rs", place.with_suffix(".rs")) if path in files), None)
    if not names:
        return own
    if place / f"{names[0]}.rs" in files or place / names[0] / "mod.rs" in files:
        return _resolved(place / names[0], names[1:], files)
    if own is not None and own.stem in {"mod", "lib"}:
        for tree in re.findall(r"\buse\s+((?:self::)?[a-z_]\w*::[^;]+);", own.read_text("utf-8")):
            for path in _expanded(tree):
                if path[-1] == names[0] and path[0] not in {"super", "crate"}:
                    return _resolved(place, [name for name in path if name != "self"][:-1], files)
    return own


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


if __name__ == "__main__":
    sys.exit(main())
