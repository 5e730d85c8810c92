"""One version in all manifests.

python tools/versions.py          prints what differs
python tools/versions.py 0.2.0    writes this version into all of them
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VERSION = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")
FIRST_VERSION = r'(?m)^version = "[^"]*"'
FIRST_JSON_VERSION = r'"version": "[^"]*"'


def main(arguments: list[str]) -> int:
    """Check, or write a version."""
    if arguments:
        if not VERSION.fullmatch(arguments[0]):
            print(f"{arguments[0]!r} is not a version: give one such as 0.2.0 or 0.2.0rc1", file=sys.stderr)
            return 1
        write(ROOT, arguments[0])
    found = versions(ROOT)
    if len(set(found.values())) > 1:
        print("The versions differ: write one with `python tools/versions.py VERSION`.", file=sys.stderr)
        for place, version in found.items():
            print(f"  {version:12} {place}", file=sys.stderr)
        return 1
    return 0


def versions(root: Path) -> dict[str, str]:
    """Return the version that each manifest and each lock gives for adieu, by the place."""
    found = {
        "pyproject.toml": _toml(root / "pyproject.toml")["project"]["version"],
        "Cargo.toml": python_form(_toml(root / "Cargo.toml")["workspace"]["package"]["version"]),
    }
    for entry in _toml(root / "Cargo.lock")["package"]:
        if entry["name"].startswith("adieu-"):
            found[f"Cargo.lock: {entry['name']}"] = python_form(entry["version"])
    for folder in ("js", "web"):
        found[f"{folder}/package.json"] = python_form(_json(root / folder / "package.json")["version"])
        lock = _json(root / folder / "package-lock.json")
        found[f"{folder}/package-lock.json"] = python_form(lock["version"])
        found[f"{folder}/package-lock.json: packages"] = python_form(lock["packages"][""]["version"])
    return found


def write(root: Path, version: str) -> None:
    """Write a version into all manifests and locks."""
    dashed = re.sub(r"(a|b|rc)(\d+)$", r"-\1.\2", version)
    _replace(root / "pyproject.toml", FIRST_VERSION, f'version = "{version}"', 1)
    _replace(root / "Cargo.toml", FIRST_VERSION, f'version = "{dashed}"', 1)
    own = r'(?m)^(name = "adieu-[a-z]+"\nversion = )"[^"]*"'
    _replace(root / "Cargo.lock", own, rf'\g<1>"{dashed}"', 0)
    for folder in ("js", "web"):
        _replace(root / folder / "package.json", FIRST_JSON_VERSION, f'"version": "{dashed}"', 1)
        _replace(root / folder / "package-lock.json", FIRST_JSON_VERSION, f'"version": "{dashed}"', 2)


def python_form(version: str) -> str:
    """Return a version of Cargo or npm in the form of Python: 0.2.0-rc.1 is 0.2.0rc1."""
    return re.sub(r"-(a|b|rc)\.(\d+)$", r"\1\2", version)


def _toml(path: Path) -> Any:
    return tomllib.loads(path.read_text("utf-8"))


def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def _replace(path: Path, pattern: str, by: str, count: int) -> None:
    text, found = re.subn(pattern, by, path.read_text("utf-8"), count=count)
    if not found:
        raise ValueError(f"{path.name} has no version")
    path.write_text(text, "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
