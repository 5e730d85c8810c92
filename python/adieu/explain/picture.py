"""The story as a picture: an SVG with a lane for each side, what took time, and the words between the two."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from adieu.explain.recording import text_of
from adieu.explain.story import KINDS
from adieu.protocol.text import line

if TYPE_CHECKING:
    from adieu.explain.episode import Episode
    from adieu.explain.story import Side, Story

WIDE: Final = 1100
LEFT: Final = 40
RIGHT: Final = 20
TOP: Final = 70
LANE: Final = 26
_NOT_IN_XML: Final = re.compile("[\ufffe\uffff]")
BAR: Final = 18
ARROWS: Final = 200
"""The most words between the two sides that are drawn."""
WORDS: Final = frozenset(
    {"hello", "closing", "wait", "done", "closed", "reset", "resetOk", "switch", "switched", "cancel", "moved"}
)
COLORS: Final = {
    "connecting": "#b9c6d6", "open": "#7fb77e", "suspect": "#f2c14e", "recovering": "#e58c39",
    "resetting": "#7d8fc9", "closing": "#c08fb8", "closed": "#9a9a9a",
}  # fmt: skip
TINTS: Final = {
    "connect": "#b9c6d6", "silence": "#e58c39", "reset": "#7d8fc9", "server": "#d9a7a0", "stop": "#d1495b",
    "close": "#c08fb8",
}  # fmt: skip


def draw(story: Story) -> str:
    """Return the text of an SVG file."""
    picture = _Picture(story)
    return picture.text()


def _escaped(text: str, most: int) -> str:
    return escape(_NOT_IN_XML.sub("", line(text, most)))


class _Picture:
    def __init__(self, story: Story) -> None:
        self._story = story
        self._end = max(story.end, 0.001)
        self._parts: list[str] = []
        self._lanes = {side.name: TOP + number * 90 for number, side in enumerate(story.sides)}
        self._below = TOP + 90 * len(story.sides) + 10

    def text(self) -> str:
        rows = [(side, each) for side in self._story.sides for each in side.episodes]
        rows.sort(key=lambda row: row[1].start)
        high = self._below + len(rows) * (BAR + 8) + 40
        self._axis(high)
        for side in self._story.sides:
            self._states(side)
        self._arrows()
        for number, (side, each) in enumerate(rows):
            self._episode(self._below + number * (BAR + 8), side, each)
        title = self._label(LEFT, 24, self._story.lines()[0], 'font-size="15" font-weight="bold"')
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {high}" width="{WIDE}" height="{high}" '
            'font-family="sans-serif" font-size="12">\n'
            f'<rect width="{WIDE}" height="{high}" fill="#ffffff"/>\n'
            f"{title}\n" + "\n".join(self._parts) + "\n</svg>\n"
        )

    def _x(self, when: float) -> float:
        return round(LEFT + (WIDE - LEFT - RIGHT) * min(max(when / self._end, 0.0), 1.0), 1)

    @staticmethod
    def _label(x: float, y: float, text: str, more: str = "") -> str:
        return f'<text x="{x}" y="{y}" {more}>{_escaped(text, 300)}</text>'

    def _box(self, start: float, end: float, y: float, high: float, color: str, title: str) -> None:
        left, right = self._x(start), self._x(end)
        self._parts.append(
            f'<rect x="{left}" y="{y}" width="{max(right - left, 1.5):.1f}" height="{high}" fill="{color}">'
            f"<title>{_escaped(title, 2000)}</title></rect>"
        )

    def _axis(self, high: int) -> None:
        step = next((s for s in (0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800, 7200) if self._end / s <= 12), self._end / 12)
        for number in range(int(self._end / step) + 1):
            x = self._x(number * step)
            self._parts.append(f'<line x1="{x}" y1="44" x2="{x}" y2="{high - 20}" stroke="#e3e3e3"/>')
            self._parts.append(self._label(x, 40, f"{number * step:g} s", 'fill="#666666" text-anchor="middle"'))

    def _states(self, side: Side) -> None:
        y = self._lanes[side.name]
        self._parts.append(self._label(12, y + 18, side.name, 'font-weight="bold"'))
        state, since = "connecting", side.shift
        for when, _, members in side.recording.lines:
            if members.get("type") == "StateChanged":
                self._box(since, when + side.shift, y, LANE, COLORS.get(state, "#cccccc"), state)
                state, since = text_of(members, "state"), when + side.shift
        last = side.recording.lines[-1][0] + side.shift if side.recording.lines else since
        self._box(since, last, y, LANE, COLORS.get(state, "#cccccc"), state)
        for when, mark, members in side.recording.lines:
            if mark == "!":
                title = f"{text_of(members, 'type')} {text_of(members, 'text')}"
                self._box(when + side.shift, when + side.shift, y - 6, 6, "#d1495b", title)

    def _arrows(self) -> None:
        clocks = self._story.clocks
        if clocks is None:
            return
        top, bottom = self._lanes["A"] + LANE, self._lanes["B"]
        first, second = self._story.sides
        drawn = [each for each in clocks.passages if each.type in WORDS][:ARROWS]
        for each in drawn:
            shifts = (first.shift, second.shift) if each.by_first else (second.shift, first.shift)
            start, end = self._x(each.said + shifts[0]), self._x(each.heard + shifts[1])
            ends = (top, bottom) if each.by_first else (bottom, top)
            self._parts.append(
                f'<line x1="{start}" y1="{ends[0]}" x2="{end}" y2="{ends[1]}" stroke="#555555" stroke-width="0.7">'
                f"<title>{escape(each.type)}</title></line>"
            )

    def _episode(self, y: int, side: Side, each: Episode) -> None:
        text = f"{side.name}: {KINDS[each.kind]} {each.end - each.start:.2f} s: {each.step}"
        if each.cause:
            text += f" - {each.cause}"
        self._box(each.start, each.end, y, BAR, TINTS[each.kind], "\n".join(each.sentences))
        x = self._x(each.start)
        right = self._x(each.end) > WIDE * 0.65
        anchor = 'text-anchor="end"' if right else ""
        self._parts.append(self._label(x - 6 if right else max(x, self._x(each.end)) + 6, y + 13, text, anchor))
