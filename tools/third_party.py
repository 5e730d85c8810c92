"""The crates that are linked into the core: their licence texts in one file, and the list of them (an SBOM).

python tools/third_party.py FOLDER     writes LICENSES.txt and adieu.cdx.json into it
python tools/third_party.py            only checks that each crate has a licence that may be linked, and a text for it

Both are made from Cargo.lock and the sources of the crates, so a new crate is in them by itself. It fails if a crate
has no licence of `ALLOWED`, or no text: then there is something to decide.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parent.parent
TARGETS = (
    "x86_64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu",
    "x86_64-unknown-linux-musl",
    "aarch64-unknown-linux-musl",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
    "x86_64-pc-windows-msvc",
)
"""Targets of the wheels: some crates are linked on one of them only."""
ALLOWED = {
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
}
"""Licences that may be linked: they ask for nothing but their text."""
TEXTS = re.compile(r"(?i)(licen[cs]e|copying|notice|copyright|unlicense|authors$|patents$)[\w.-]*")
NOT_TEXTS = (".rs", ".py", ".c", ".h", ".go", ".pl", ".sh", ".json", ".toml", ".yml", ".yaml", ".cmake")
NOT_LINKED = {"test", "tests", "testing", "benches", "examples", "fuzz", "docs", "doc", "util"}
"""Folders inside a crate whose licences do not concern the core."""


@dataclass(frozen=True)
class Crate:
    """A crate that is linked.

    Attributes:
        name: its name.
        version: its version.
        license: its licence, as an SPDX expression.
        source: whether it comes from the registry of crates; the others are adieu's own.
        checksum: SHA-256 of its archive, if it has one.
        texts: its licence texts, by their path in the crate.
    """

    name: str
    version: str
    license: str
    source: bool
    checksum: str | None
    texts: dict[str, str]


class ProblemError(Exception):
    """A crate that must not be linked as it is."""


def main(arguments: list[str]) -> int:
    """Write the files, or only check."""
    try:
        crates = linked(ROOT)
        texts = licenses(crates, (ROOT / "LICENSE").read_text("utf-8"))
    except ProblemError as problem:
        print(problem, file=sys.stderr)
        return 1
    if arguments:
        folder = Path(arguments[0])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "LICENSES.txt").write_text(texts, "utf-8")
        (folder / "adieu.cdx.json").write_text(json.dumps(bill(crates), indent=1) + "\n", "utf-8")
    print(f"{sum(crate.source for crate in crates)} crates are linked, each with its licence")
    return 0


def linked(root: Path) -> list[Crate]:
    """Return the crates that any target's core is linked from, in the order of their names."""
    named: set[tuple[str, str]] = set()
    for target in TARGETS:
        # # `tree` knows which features and crates a target really has; `metadata` knows where they are.
        listed = _cargo(
            root,
            *("tree", "--locked", "--package=adieu-py", "--edges=normal,no-proc-macro"),
            *(f"--target={target}", "--prefix=none", "--format={p}"),
        )
        for line in listed.splitlines():
            name, version = line.split()[:2]
            named.add((name, version.removeprefix("v")))
    packages = json.loads(_cargo(root, "metadata", "--locked", "--format-version=1"))["packages"]
    lock = tomllib.loads((root / "Cargo.lock").read_text("utf-8"))["package"]
    checksums = {(entry["name"], entry["version"]): entry.get("checksum") for entry in lock}
    found = {(package["name"], package["version"]): package for package in packages}
    return [_crate(found[key], checksums.get(key)) for key in sorted(named)]


def licenses(crates: Iterable[Crate], apache: str) -> str:
    """Return the licence texts of all crates in one text; equal texts are there once.

    Raises:
        ProblemError: a crate has no licence that may be linked, or no text of one.
    """
    users: dict[str, list[str]] = {}
    for crate in crates:
        if not crate.source and not crate.texts:
            continue  # adieu's own: its licence is beside this file
        _choice(crate)
        texts = list(crate.texts.values())
        if not texts:
            if not may_use(crate.license, {"Apache-2.0"}):
                raise ProblemError(
                    f"{crate.name} {crate.version} ({crate.license}) has no licence text in its archive: put the text"
                    f" that its authors publish into rust/py/licenses/{crate.name}.txt"
                )
            texts = [apache]
        for text in texts:
            users.setdefault(text.strip(), []).append(f"{crate.name} {crate.version} ({crate.license})")
    head = "adieu's compiled core is linked from adieu's own sources and from the crates below, under these licences.\n"
    parts = [head]
    for text, names in sorted(users.items(), key=lambda item: (item[1], item[0])):
        parts.append("\n".join(["=" * 100, *sorted(set(names)), "-" * 100, "", text, ""]))
    return "\n".join(parts)


def bill(crates: Iterable[Crate]) -> dict[str, Any]:
    """Return the list of crates as CycloneDX 1.5. It has no paths, no times and no random numbers."""
    components: list[dict[str, Any]] = []
    for crate in crates:
        name = crate.name.removesuffix("-patched")
        if not crate.source and name == crate.name:
            continue  # adieu's own
        purl = f"pkg:cargo/{name}@{crate.version}"
        component: dict[str, Any] = {
            "type": "library",
            "bom-ref": purl,
            "name": name,
            "version": crate.version,
            "scope": "required",
            "licenses": [{"expression": crate.license}],
            "purl": purl,
        }
        if crate.checksum:
            component["hashes"] = [{"alg": "SHA-256", "content": crate.checksum}]
        if name != crate.name:
            component["pedigree"] = {"notes": f"with the changes that rust/{crate.name}/NOTICE lists"}
        components.append(component)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    own = f"pkg:pypi/adieu@{version}"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {"type": "library", "bom-ref": own, "name": "adieu", "version": version, "purl": own},
        },
        "components": components,
        "dependencies": [{"ref": own, "dependsOn": [component["bom-ref"] for component in components]}],
    }


def may_use(expression: str, allowed: set[str]) -> bool:
    """Whether one of the choices of an SPDX expression consists of allowed licences only."""
    words = re.findall(r"\(|\)|[\w.+-]+", expression.replace("/", " OR "))
    place = 0

    def choice() -> bool:
        nonlocal place
        good = all_of()
        while place < len(words) and words[place] == "OR":
            place += 1
            good = all_of() or good
        return good

    def all_of() -> bool:
        nonlocal place
        good = one()
        while place < len(words) and words[place] == "AND":
            place += 1
            good = one() and good
        return good

    def one() -> bool:
        nonlocal place
        word = words[place]
        place += 1
        if word == "(":
            good = choice()
            place += 1
            return good
        if place < len(words) and words[place] == "WITH":
            place += 2  # an exception only permits more
        return word in allowed

    return bool(words) and choice()


def _choice(crate: Crate) -> None:
    if not may_use(crate.license, ALLOWED):
        raise ProblemError(
            f"{crate.name} {crate.version} is under {crate.license!r}, which is not among the licences that may be"
            f" linked ({', '.join(sorted(ALLOWED))}): use another crate, or decide that it may be"
        )


def _crate(package: dict[str, Any], checksum: str | None) -> Crate:
    place = Path(package["manifest_path"]).parent
    texts = dict(_texts(place)) if package["source"] or (place / "NOTICE").exists() else {}
    by_hand = ROOT / "rust" / "py" / "licenses" / f"{package['name']}.txt"
    if by_hand.exists():
        texts[by_hand.name] = by_hand.read_text("utf-8")
    license_ = package["license"] or ""
    return Crate(package["name"], package["version"], license_, bool(package["source"]), checksum, texts)


def _texts(place: Path) -> Iterable[tuple[str, str]]:
    """Yield the licence texts of a crate, and those of the C sources in it."""
    seen: set[str] = set()
    for path in sorted(place.rglob("*"), key=lambda path: (len(path.parts), path)):
        inside = path.relative_to(place)
        if len(inside.parts) > 4 or NOT_LINKED.intersection(inside.parts[:-1]) or inside.parts[0] == "target":
            continue
        if not TEXTS.fullmatch(path.name) or path.suffix in NOT_TEXTS or not path.is_file():
            continue
        text = path.read_text("utf-8", "replace")
        digest = hashlib.sha256(text.strip().encode()).hexdigest()
        if digest not in seen and text.strip():
            seen.add(digest)
            yield inside.as_posix(), text


def _cargo(root: Path, *arguments: str) -> str:
    done = subprocess.run(["cargo", *arguments], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProblemError(f"cargo {' '.join(arguments)}:\n{done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
