"""What came out, as JSON and as a page to read, with the browsers' results beside it."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from conformance import expectations

if TYPE_CHECKING:
    from pathlib import Path

CHROMIUM, FIREFOX = "chromium156", "firefox153"

CATEGORIES = {
    "pure_api_no_network": "API alone",
    "pure_api_connected": "data connections",
    "idlharness": "interfaces (idlharness)",
    "fake_device_signaling_only": "media, signaling only",
    "fake_device_connected": "media, connected",
    "dom_media_sink_only": "with a video element",
    "dom_media_pixels_or_clock": "with pixels",
    "iframe_postmessage": "with iframes",
    "worker_transfer": "with workers",
    "page_lifecycle_bfcache": "with pages that come back",
}

Results = dict[str, dict[str, Any]]


def write(directory: Path, results: Results, nul: dict[str, list[str]], found: list[str], unequal: list[str]) -> None:
    """`conformance.json` and `conformance.md`."""
    whole = {"files": results, "nul": nul, "unexpected": found, "not twice the same": unequal}
    (directory / "conformance.json").write_text(json.dumps(whole, indent=1, ensure_ascii=False))
    (directory / "conformance.md").write_text(_page(results, nul, found, unequal))


def summary(results: Results, nul: dict[str, list[str]]) -> str:
    """The table of the categories, and what must be nothing."""
    own = _own(results)
    bare = _bare(nul)
    lines = [
        "| category | subtests | adieu | adieu minus nul | Chromium 156 | Firefox 153 | in at least one |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    categories = json.loads((expectations.HERE / "data" / "categories.json").read_text())
    for key, name in CATEGORIES.items():
        entry = categories[key]
        cells = (_range(own, key, categories), _range(own, key, categories, without=bare) if nul else "–")
        browsers = (entry["pass_chromium156"], entry["pass_firefox153"], entry["pass_in_at_least_one"])
        lines.append(f"| {name} | {entry['subtests']} | {' | '.join(map(str, (*cells, *browsers)))} |")
    total, either = len(_known()), sum(_either(statuses) for statuses in _known().values())
    passed, minus = len(own), len(own - bare) if nul else "–"
    browser = [sum(s.get(b) == "PASS" for s in _known().values()) for b in (CHROMIUM, FIREFOX)]
    lines.append(f"| **all** | {total} | **{passed}** | {minus} | {browser[0]} | {browser[1]} | {either} |")
    left = sum(bool(result["left"]) for result in results.values())
    inside = sum(sum(result["events_in_calls"].values()) for result in results.values())
    after = sum(sum(result["events_after_close"].values()) for result in results.values())
    calls = sum(subtest["calls"] > 0 for result in results.values() for subtest in result["subtests"].values())
    lines += [
        "",
        f"Of {len(results)} files {left} left something behind.",
        f"{inside} events were fired inside a call, {after} after close().",
        f"{calls} subtests called Python.",
        "Where a file has subtests of several categories the range says how many can be of this one.",
    ]
    return "\n".join(lines)


def _page(results: Results, nul: dict[str, list[str]], found: list[str], unequal: list[str]) -> str:
    parts = ["# The W3C's tests of WebRTC", summary(results, nul)]
    if found:
        parts.append("## Not as expected\n" + "\n".join(f"- {line}" for line in found))
    if unequal:
        parts.append("## Not twice the same\n" + "\n".join(f"- {line}" for line in unequal))
    parts.append("## What does not pass, by its reason\n" + _reasons(results))
    parts.append("## Files\n" + _files(results, nul))
    return "\n\n".join(parts) + "\n"


def _reasons(results: Results) -> str:
    counts: dict[str, int] = defaultdict(int)
    for file, result in results.items():
        reasons = expectations.expected(file)
        for name, status in expectations.outcomes(result, expectations.browsers()[file]).items():
            if status not in expectations.FINE and name != expectations.FILE:
                counts[reasons.get(name, ("", "not expected"))[1]] += 1
    rows = sorted(counts.items(), key=lambda item: -item[1])
    return "| subtests | reason |\n|--:|---|\n" + "\n".join(f"| {n} | {_cell(reason)} |" for reason, n in rows)


def _files(results: Results, nul: dict[str, list[str]]) -> str:
    lines: list[str] = []
    browsers = expectations.browsers()
    for file, result in results.items():
        outcome = expectations.outcomes(result, browsers[file])
        names = [name for name in outcome if name != expectations.FILE]
        passed = sum(outcome[name] == "PASS" for name in names)
        count = f"{passed}/{len(names)}, nul {len(nul.get(file, ()))}"
        lines += [
            f"<details><summary>{file}: {count}, {result['seconds']} s, {result['status']}</summary>\n",
            "| subtest | adieu | Chromium | Firefox | calls | |",
            "|---|---|---|---|--:|---|",
        ]
        for name in names:
            subtest = result["subtests"].get(name, {"message": "", "calls": 0})
            beside = browsers[file].get(name, {})
            cells = (name, outcome[name], beside.get(CHROMIUM, ""), beside.get(FIREFOX, ""), subtest["calls"])
            lines.append(f"| {' | '.join(_cell(str(cell)) for cell in cells)} | {_cell(subtest['message'][:200])} |")
        lines.append("\n</details>\n")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


# --- counting: a subtest is (file, name) -----------

Subtest = tuple[str, str]


def _known() -> dict[Subtest, dict[str, str]]:
    return {(file, name): s for file, subtests in expectations.browsers().items() for name, s in subtests.items()}


def _either(statuses: dict[str, str]) -> bool:
    return "PASS" in statuses.values()


def _own(results: Results) -> set[Subtest]:
    known = _known()
    passed = {(f, n) for f, r in results.items() for n, s in r["subtests"].items() if s["status"] == "PASS"}
    return {subtest for subtest in passed if subtest in known}


def _bare(nul: dict[str, list[str]]) -> set[Subtest]:
    return {(file, name) for file, names in nul.items() for name in names}


def _range(own: set[Subtest], key: str, categories: dict[str, Any], without: set[Subtest] = frozenset()) -> str:  # type: ignore[assignment]
    """How many of a category pass: exactly, or from so many to so many, because of files with several categories."""
    by_file: dict[str, int] = defaultdict(int)
    for file, _ in own - without:
        by_file[file] += 1
    low = high = 0
    for file, count in categories[key].get("files", {}).items():
        total = sum(categories[k].get("files", {}).get(file, 0) for k in CATEGORIES)
        low += max(0, by_file[file] - (total - count))
        high += min(by_file[file], count)
    return str(low) if low == high else f"{low}–{high}"
