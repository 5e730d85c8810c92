"""Pictures for the documentation, drawn from the code's own tables.

python tools/pictures.py            draws docs/pictures/states.svg, layers.svg and close.svg
python tools/pictures.py --check    fails when the first two are not those of the tables

states.svg is the table of a session's states, layers.svg the contract of imports in pyproject.toml. close.svg is the
receipts of a real close over a network in memory; its times change with the code, so they are not compared.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tomllib
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adieu.session.machine.states import STATES
from adieu.testing.world import simulate

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "pictures"
BOX, WIDE = 36, 118
PLACES = {
    "connecting": (20, 150),
    "open": (210, 150),
    "suspect": (400, 40),
    "recovering": (590, 40),
    "resetting": (495, 150),
    "closing": (400, 270),
    "closed": (590, 270),
}
"""Places of the states in the picture."""
ABOVE = 30
"""Pixels by which an arrow bends away from a straight line, so that two that go to and fro do not cover each other."""


def main(arguments: list[str]) -> int:
    """Draw, or compare."""
    if arguments == ["--check"]:
        stale = [name for name, draw in COMPARED.items() if (FOLDER / name).read_text("utf-8") != draw()]
        if stale:
            print(f"{', '.join(stale)}: not drawn from these tables; run `python tools/pictures.py`", file=sys.stderr)
        return int(bool(stale))
    FOLDER.mkdir(exist_ok=True)
    for name, draw in (COMPARED | {"close.svg": close}).items():
        (FOLDER / name).write_text(draw(), "utf-8")
    return 0


def states() -> str:
    """Return the states of a session and the ways between them."""
    parts: list[str] = []
    for name, row in STATES.items():
        parts += [
            _arrow(PLACES[name], PLACES[other], f"{name} to {other}: {why}") for other, why in row.leads_to.items()
        ]
    for name, (x, y) in PLACES.items():
        parts.append(_box(x, y, WIDE, name, STATES[name].means, strong=name == "open"))
    return _svg(730, 330, "States of a session, and the ways between them", parts)


def layers() -> str:
    """Return the layers of the Python package: each imports only those below it."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    rows: list[list[str]] = [
        [part.strip(" ()").removeprefix("adieu.") for part in row.split("|")] for row in contracts[0]["layers"]
    ]
    rows.append(["_core (Rust)"])
    parts: list[str] = []
    width = 700
    for number, row in enumerate(rows):
        each = (width - 8 * (len(row) - 1)) / len(row)
        for place, name in enumerate(row):
            y = 20 + number * (BOX + 14)
            parts.append(_box(20 + place * (each + 8), y, each, name, f"adieu.{name}", strong=name == "session"))
    return _svg(width + 40, 20 + len(rows) * (BOX + 14) + 10, "Layers of adieu, from the top to the core", parts)


def close() -> str:
    """Return the five steps of a close on both sides, as their receipts have them."""
    receipts: list[tuple[str, Any]] = []

    async def run(world: Any) -> None:
        world.network.link(delay=0.05, rate=2_000_000)
        async with world.sessions() as pair:
            here, there = await asyncio.gather(pair.first.open("data"), pair.second.open("data"))
            reader = asyncio.create_task(_read(there))
            for _ in range(40):
                await here.send(bytes(16384))
            receipts.append(("closes", await pair.first.close("done")))
            receipts.append(("is told", await pair.second.wait_closed()))
            await reader

    simulate(run)
    end = max(step.start + step.duration for _, receipt in receipts for step in receipt.steps)
    scale, left = 560 / end, 120
    parts: list[str] = []
    for number, (who, receipt) in enumerate(receipts):
        top = 30 + number * 130
        parts.append(f'<text x="14" y="{top + 60}" class="name">{who}</text>')
        for row, step in enumerate(receipt.steps):
            x, y = left + step.start * scale, top + row * 20
            long = max(step.duration * scale, 3)
            parts.append(f'<rect x="{x:.0f}" y="{y}" width="{long:.0f}" height="14" rx="3" class="step"/>')
            label = f"{step.name}, {step.duration * 1000:.0f} ms"
            outside = x + long + 120 > left + 590
            anchor, at = ("end", x - 6) if outside else ("start", x + long + 6)
            parts.append(f'<text x="{at:.0f}" y="{y + 12}" text-anchor="{anchor}">{label}</text>')
    title = f"A close with 40 messages of 16 KiB queued, 50 ms one way: {end * 1000:.0f} ms in all, on both sides"
    parts.append(f'<text x="14" y="290" class="small">{escape(title)}</text>')
    return _svg(720, 300, title, parts)


async def _read(channel: Any) -> None:
    async for _ in channel:
        pass


def _svg(width: float, height: float, title: str, parts: list[str]) -> str:
    style = (
        "text{font:13px system-ui,sans-serif;fill:#1f2937}.name{font-weight:600}.small{font-size:12px}"
        ".box{fill:#f8fafc;stroke:#64748b}.strong{fill:#dbeafe;stroke:#1d4ed8}.step{fill:#2563eb}"
        ".way{fill:transparent;stroke:#64748b;stroke-width:1.3;marker-end:url(#tip)}"
    )
    tip = (
        '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#64748b"/></marker>'
    )
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    back = f'<rect width="{width:.0f}" height="{height:.0f}" rx="8" fill="#ffffff"/>'
    lines = [head, f"<title>{escape(title)}</title>", f"<style>{style}</style>", f"<defs>{tip}</defs>", back, *parts]
    return "\n".join(lines) + "\n</svg>\n"


def _box(x: float, y: float, width: float, name: str, text: str, *, strong: bool) -> str:
    kind = "box strong" if strong else "box"
    return (
        f'<g><title>{escape(text)}</title><rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{BOX}" rx="6"'
        f' class="{kind}"/><text x="{x + width / 2:.0f}" y="{y + 23:.0f}" text-anchor="middle" class="name">'
        f"{escape(name)}</text></g>"
    )


def _arrow(start: tuple[int, int], end: tuple[int, int], text: str) -> str:
    """Return an arrow from the border of one box to that of another, bent to its right."""
    from_, to = (start[0] + WIDE / 2, start[1] + BOX / 2), (end[0] + WIDE / 2, end[1] + BOX / 2)
    long = ((to[0] - from_[0]) ** 2 + (to[1] - from_[1]) ** 2) ** 0.5
    across = ((from_[1] - to[1]) / long * ABOVE, (to[0] - from_[0]) / long * ABOVE)
    middle = ((from_[0] + to[0]) / 2 + across[0], (from_[1] + to[1]) / 2 + across[1])
    a, b = _border(from_, middle), _border(to, middle)
    path = f"M{a[0]:.0f} {a[1]:.0f}Q{middle[0]:.0f} {middle[1]:.0f} {b[0]:.0f} {b[1]:.0f}"
    return f'<path d="{path}" class="way"><title>{escape(re.sub("`", "", text))}</title></path>'


def _border(center: tuple[float, float], toward: tuple[float, float]) -> tuple[float, float]:
    x, y = toward[0] - center[0], toward[1] - center[1]
    shrink = min(WIDE / 2 / abs(x) if x else 9.0, BOX / 2 / abs(y) if y else 9.0)
    return center[0] + x * shrink, center[1] + y * shrink


COMPARED: dict[str, Callable[[], str]] = {"states.svg": states, "layers.svg": layers}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
