"""The reference of the SDK for browsers: docs/reference/typescript.md, made from the types that the compiler writes.

python tools/reference.py       makes the page; fails if a name has no comment

The page is not committed: it is made before each build of the documentation. Without Node it is left out.
"""

from __future__ import annotations

import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import npm

if TYPE_CHECKING:
    from collections.abc import Iterator

JS = npm.ROOT / "js"
PAGE = npm.ROOT / "docs" / "reference" / "typescript.md"
ENTRIES = {
    "adieu-rtc": "index.d.ts",
    "adieu-rtc/goodbye": "goodbye/index.d.ts",
    "adieu-rtc/testing": "testing/index.d.ts",
}
EXPORT = re.compile(r"^export (?:type )?(?:\{(?P<names>[^}]*)\}|(?P<all>\*)) from \"(?P<path>[^\"]+)\";", re.MULTILINE)
DECLARATION = re.compile(
    r"^export (?:declare )?(?:abstract )?(?P<kind>class|interface|type|const|function|let) (?P<name>\w+)"
)
PRIVATE = re.compile(r"\s+(?:private|protected|#private)\b")
HEAD = """\
# TypeScript API

Every name that `adieu-rtc` exports, with its comment and its type. Times are milliseconds. `npm install adieu-rtc`, or
the one file `adieu-rtc/bundle`; `adieu-rtc/goodbye` is a small module of its own.
"""


@dataclass(frozen=True)
class Name:
    """An exported name.

    Attributes:
        name: the name.
        kind: `class`, `interface`, `type`, `const` or `function`.
        comment: its comment, as Markdown; empty without one.
        text: its declaration.
    """

    name: str
    kind: str
    comment: str
    text: str


def main() -> int:
    """Make the page."""
    program = npm.find()
    if program is None:
        print("No npm: the reference of the SDK is left out.", file=sys.stderr)
        return 0
    npm.prepare(program, JS)
    with tempfile.TemporaryDirectory() as types:
        npm.run(program, JS, "exec", "--", "tsc", "-p", str(JS), "--emitDeclarationOnly", "--outDir", types)
        entries = {entry: exported(Path(types) / file) for entry, file in ENTRIES.items()}
    PAGE.write_text(page(entries), "utf-8")
    names = [name for found in entries.values() for name in found]
    silent = [name.name for name in names if not name.comment]
    print(f"{len(names)} names of the SDK, {len(silent)} without a comment", *silent, sep="\n  ")
    return int(bool(silent))


def exported(file: Path) -> list[Name]:
    """Return the names that a module exports, also those of other modules, in their order."""
    text = file.read_text("utf-8")
    found: dict[str, Name] = {name.name: name for name in declared(text)}
    for match in EXPORT.finditer(text):
        module = (file.parent / match["path"]).with_suffix(".d.ts")
        there = {name.name: name for name in exported(module)}
        wanted = (
            list(there) if match["all"] else [part.split()[-1] for part in match["names"].split(",") if part.strip()]
        )
        found |= {name: there[name] for name in wanted}
    return list(found.values())


def declared(text: str) -> Iterator[Name]:
    """Yield the names that a module declares itself."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if (match := DECLARATION.match(line)) is None:
            continue
        end = number
        while not _is_whole(lines[number : end + 1]):
            end += 1
        text = "\n".join(_public(lines[number : end + 1]))
        yield Name(
            match["name"], match["kind"], _comment_before(lines, number), re.sub(r"^export (?:declare )?", "", text)
        )


def page(entries: dict[str, list[Name]]) -> str:
    """Return the page."""
    parts = [HEAD]
    for entry, names in entries.items():
        parts.append(f"## {entry}\n")
        for name in names:
            comment = f"{name.comment}\n\n" if name.comment else ""
            parts.append(f"### {name.name}\n\n{comment}```ts\n{name.text}\n```\n")
    return "\n".join(parts)


def _is_whole(lines: list[str]) -> bool:
    text = "\n".join(lines)
    return text.count("{") == text.count("}") and (lines[-1].endswith((";", "}")) or lines[-1] == "}")


def _comment_before(lines: list[str], number: int) -> str:
    if not number or not lines[number - 1].rstrip().endswith("*/"):
        return ""
    start = number - 1
    while "/**" not in lines[start]:
        start -= 1
    text = "\n".join(lines[start:number])
    text = re.sub(r"^\s*/\*\*|\*/\s*$", "", text)
    return "\n".join(re.sub(r"^\s*\* ?", "", line).rstrip() for line in text.splitlines()).strip()


def _public(lines: list[str]) -> list[str]:
    """Return a declaration without its private members and their comments."""
    kept: list[str] = []
    for line in lines:
        if not PRIVATE.match(line):
            kept.append(line)
        elif kept[-1].rstrip().endswith("*/"):
            while "/**" not in kept.pop():
                pass
    return kept


if __name__ == "__main__":
    sys.exit(main())
