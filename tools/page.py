"""The page: `web/` and the SDK in `js/`, built into python/adieu/server/static.

python tools/page.py            build it (needs Node), and stamp it
python tools/page.py --stamp    fail when what is built is not of these sources
python tools/page.py --check    the same; with Node also lint, types and tests of the page

The built files are committed, so that neither a checkout nor `pip install` needs Node. `web/built.json` holds the
digests of the sources and of the result: whether they belong together is seen without Node, too.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import TYPE_CHECKING

import npm
from npm import ROOT

if TYPE_CHECKING:
    from pathlib import Path

WEB = ROOT / "web"
STATIC = ROOT / "python" / "adieu" / "server" / "static"
STAMP = WEB / "built.json"
SOURCES = ("web/index.html", "web/vite.config.ts", "web/package-lock.json", "web/public", "web/src", "js/src")


def main(arguments: list[str]) -> int:
    if arguments and json.loads(STAMP.read_text()) != _digests():
        print("The built page is stale: run `python tools/page.py`, and commit what it builds.", file=sys.stderr)
        return 1
    if arguments == ["--stamp"]:
        return 0
    program = npm.find()
    if program is None:
        print("No npm: building the page, and its own checks, need Node 20 or newer.", file=sys.stderr)
        return 0 if arguments else 1
    npm.prepare(program, WEB)
    if arguments:
        npm.run(program, WEB, "run", "--silent", "check")
        npm.run(program, WEB, "run", "--silent", "test")
    else:
        npm.run(program, WEB, "run", "--silent", "build")
        STAMP.write_text(json.dumps(_digests(), indent=2) + "\n")
    return 0


def _digests() -> dict[str, str]:
    sources = [file for name in SOURCES for file in _files(ROOT / name)]
    return {"sources": _digest(sources), "built": _digest(_files(STATIC))}


def _files(place: Path) -> list[Path]:
    return [place] if place.is_file() else [file for file in place.rglob("*") if file.is_file()]


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(
            f"{file.relative_to(ROOT).as_posix()}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode()
        )
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
