"""Known vulnerabilities of the packages that the lock files pin: Cargo, Python and npm.

python tools/advisories.py --offline     asks the committed snapshot, tools/advisories.json, and says its date
python tools/advisories.py               asks the database OSV; without a network it asks the snapshot, and says so
python tools/advisories.py --update      makes a new snapshot from OSV

`nox -s check` asks the snapshot, so that the same commit has the same result every day. The workflow `advisories.yml`
asks OSV each week, and before each release. A finding that does not concern adieu goes into `accepted` of the snapshot,
by its id with the reason.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
import urllib.error
import urllib.request
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SNAPSHOT = ROOT / "tools" / "advisories.json"
DATABASE = os.environ.get("ADIEU_OSV", "https://api.osv.dev")
PATIENCE = 20.0
AT_ONCE = 500
"""Packages in one question to OSV, which takes 1000."""
OLD = 90
"""Days after which the snapshot is called old."""
PYTHON = re.compile(r"(?m)^([A-Za-z0-9._-]+)==([^ \\;]+)")

Package = tuple[str, str, str]
"""Ecosystem, name, version."""


def main(arguments: list[str]) -> int:
    """Print each finding; return 1 if there is one that nobody has accepted."""
    packages = pinned(ROOT)
    snapshot = json.loads(SNAPSHOT.read_text("utf-8"))
    if "--update" in arguments:
        snapshot = snapshot | updated(packages)
        SNAPSHOT.write_text(json.dumps(snapshot, indent=1, sort_keys=True) + "\n", "utf-8")
    found: list[tuple[Package, str]] | None = None
    if not {"--offline", "--update"}.intersection(arguments):
        try:
            found = ask(packages)
            print(f"{len(packages)} pinned packages, by the database of today")
        except (OSError, ValueError) as error:
            print(f"the database did not answer ({error}): the snapshot has to do")
    if found is None:
        found = look_up(packages, snapshot)
        print(about(packages, snapshot))
    accepted: dict[str, str] = snapshot["accepted"]
    bad = [(package, id_) for package, id_ in found if id_ not in accepted]
    for (ecosystem, name, version), id_ in bad:
        print(f"  {ecosystem} {name} {version}: {id_} (https://osv.dev/{id_})")
    return int(bool(bad))


def pinned(root: Path) -> list[Package]:
    """Return what the lock files pin, each once."""
    found: set[Package] = set()
    for lock in _locks(root, "Cargo.lock"):
        for entry in tomllib.loads(lock.read_text("utf-8"))["package"]:
            if entry.get("source"):
                found.add(("crates.io", entry["name"], entry["version"]))
    for lock in _locks(root, "package-lock.json"):
        for place, entry in json.loads(lock.read_text("utf-8"))["packages"].items():
            if place and not entry.get("link"):
                found.add(("npm", place.rpartition("node_modules/")[2], entry["version"]))
    for lock in [*(root / "requirements").glob("*.txt"), *(root / "benchmarks").glob("*/*.txt")]:
        for name, version in PYTHON.findall(lock.read_text("utf-8")):
            found.add(("PyPI", re.sub(r"[-_.]+", "-", name).lower(), version))
    return sorted(found)


def _locks(root: Path, name: str) -> list[Path]:
    places = (root, *(root / folder for folder in ("js", "web", "examples/web", "rust/fuzz")))
    return [place / name for place in places if (place / name).exists()]


# --- the snapshot -----------


def look_up(packages: list[Package], snapshot: dict[str, Any]) -> list[tuple[Package, str]]:
    """Return what the snapshot knows of these packages."""
    known: dict[str, list[dict[str, Any]]] = snapshot["packages"]
    return [
        (package, advisory["id"])
        for package in packages
        for advisory in known.get(f"{package[0]}/{package[1]}", ())
        if any(is_in(package[2], span) for span in advisory["ranges"])
    ]


def about(packages: list[Package], snapshot: dict[str, Any]) -> str:
    """Return the sentence that says what the snapshot knows, and since when."""
    names = {f"{ecosystem}/{name}" for ecosystem, name, _ in packages}
    missing = len(names - set(snapshot["packages"]))
    days = (datetime.now(UTC).date() - date.fromisoformat(snapshot["as_of"])).days
    age = f", {days} days old: `python tools/advisories.py --update` renews it" if days > OLD else ""
    text = f"{len(names)} pinned packages, by the snapshot of {snapshot['as_of']}{age}"
    return f"{text}; it knows nothing about {missing} of them" if missing else text


def is_in(version: str, span: dict[str, str]) -> bool:
    """Whether a version is in a range: from `introduced` on, and before `fixed`, or up to `last_affected`."""
    place = order(version)
    if place < order(span.get("introduced", "0")):
        return False
    if "fixed" in span:
        return place < order(span["fixed"])
    return "last_affected" not in span or place <= order(span["last_affected"])


def order(version: str) -> tuple[list[int], int, list[tuple[int, str]]]:
    """Return a key by which versions of all three kinds are compared: a pre-release is before its release."""
    match = re.match(r"v?(\d+(?:\.\d+)*)(.*)", version)
    if match is None:
        return ([], 0, [])
    numbers = [int(part) for part in match[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    rest = match[2].partition("+")[0]
    parts = [(int(part), "") if part.isdigit() else (-1, part) for part in re.findall(r"\d+|[a-z]+", rest.lower())]
    later = not parts or parts[0][1] == "post"
    return (numbers, int(later), parts)


# --- the database -----------


def ask(packages: list[Package]) -> list[tuple[Package, str]]:
    """Return what OSV knows of these packages now.

    Raises:
        OSError: it does not answer.
        ValueError: it answers something else.
    """
    found: list[tuple[Package, str]] = []
    for start in range(0, len(packages), AT_ONCE):
        some = packages[start : start + AT_ONCE]
        results = _post("/v1/querybatch", {"queries": [_query(package) for package in some]})["results"]
        if len(results) != len(some):
            raise ValueError(f"{len(results)} answers to {len(some)} questions")
        for package, result in zip(some, results, strict=True):
            found += [(package, vulnerability["id"]) for vulnerability in result.get("vulns", ())]
    return found


def updated(packages: list[Package]) -> dict[str, Any]:
    """Return a new snapshot: for each package all advisories, also those that are fixed in its pinned version."""
    known: dict[str, list[dict[str, Any]]] = {}
    for ecosystem, name in sorted({package[:2] for package in packages}):
        answer = _post("/v1/query", {"package": {"ecosystem": ecosystem, "name": name}})
        known[f"{ecosystem}/{name}"] = [
            {"id": advisory["id"], "ranges": spans}
            for advisory in answer.get("vulns", ())
            if (spans := _spans(advisory, ecosystem, name))
        ]
    return {"as_of": datetime.now(UTC).date().isoformat(), "packages": known, "source": "OSV"}


def _spans(advisory: dict[str, Any], ecosystem: str, name: str) -> list[dict[str, str]]:
    spans: list[dict[str, str]] = []
    for affected in advisory.get("affected", ()):
        if affected.get("package", {}).get("name") != name or affected["package"]["ecosystem"] != ecosystem:
            continue
        for range_ in affected.get("ranges", ()):
            if range_["type"] == "GIT":
                continue
            span: dict[str, str] = {}
            for event in range_["events"]:
                span |= event
                if not event.keys().isdisjoint({"fixed", "last_affected"}):
                    spans.append(span)
                    span = {}
            if span:
                spans.append(span)
    return spans


def _query(package: Package) -> dict[str, Any]:
    ecosystem, name, version = package
    return {"package": {"ecosystem": ecosystem, "name": name}, "version": version}


def _post(path: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{DATABASE}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
