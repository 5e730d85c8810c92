"""The output of a sending, for a person or by `--json` for a program: lines, and how far it is."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from adieu.cli.screen import Screen
from adieu.log import text as one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adieu.session import Session

OVER = 4.0
"""Seconds over which the rate is measured."""
EVERY, EVERY_JSON = 0.2, 1.0
"""Seconds between two reports of progress."""


class Display:
    """The output of `adieu send`, `adieu share` and `adieu receive`.

    Args:
        as_json: one object of JSON in each line of stdout, instead of text.
        to_stderr: text goes there: stdout is for the data.
        number: of one of several receivers, which is said in each line.
        screen: where text goes, instead.
    """

    def __init__(
        self, *, as_json: bool, to_stderr: bool = False, number: int | None = None, screen: Screen | None = None
    ) -> None:
        self._as_json = as_json
        self._screen = screen or Screen(sys.stderr if to_stderr else sys.stdout)
        self._seen: deque[tuple[float, int]] = deque()
        self._told = 0.0
        self._head = "" if number is None else f"[{number}] "
        self._figures: dict[str, Any] = {} if number is None else {"receiver": number}

    @property
    def for_a_person(self) -> bool:
        """Whether a person reads it in a terminal."""
        return not self._as_json and self._screen.is_terminal

    def of(self, number: int) -> Display:
        """Return a display for one of several receivers, with its number before each line."""
        return Display(as_json=self._as_json, number=number, screen=self._screen)

    def say(self, what: str, text: str, **figures: Any) -> None:
        """Tell an event. For a person, its lines have nothing that controls a terminal, also if a file's name has."""
        if self._as_json:
            print(json.dumps({"event": what, "text": text, **self._figures, **figures}), flush=True)
        else:
            seen = (one if one.isprintable() or one == "\n" else "\N{REPLACEMENT CHARACTER}" for one in text)
            self._screen.line(self._head + "".join(seen))

    def draw(self, lines: Sequence[str]) -> None:
        """Show a picture to a person: lines with colors."""
        for line in lines:
            self._screen.line(line)

    @property
    def is_due(self) -> bool:
        """Whether progress is reported now. With many files, ask before the bytes are summed."""
        return time.monotonic() - self._told >= (EVERY_JSON if self._as_json else EVERY)

    def progress(self, done: int, total: int) -> None:
        """Tell how far it is, with the rate and the time that is left; not too often."""
        now = time.monotonic()
        self._seen.append((now, done))
        while now - self._seen[0][0] > OVER and len(self._seen) > 2:
            self._seen.popleft()
        if not self.is_due and done < total:
            return
        self._told = now
        began, before = self._seen[0]
        rate = (done - before) / (now - began) if now > began else 0.0
        left = (total - done) / rate if rate > 0 else None
        if self._as_json:
            print(json.dumps({"event": "progress", **self._figures, "done": done, "total": total, "rate": round(rate),
                              "left_s": None if left is None else round(left, 1)}), flush=True)  # fmt: skip
        elif done >= total:
            self._screen.hide_status()
        else:
            percent = 100 * done // max(total, 1)
            end = "" if left is None else f", {duration(left)} left"
            text = f"{percent:3d} %  {amount(done)} of {amount(total)}, {amount(rate)}/s{end}"
            self._screen.status(f"{self._head}   {text}")

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Show rows to a person; for a program the events say it."""
        if not self._as_json:
            self._screen.table(rows)

    def end(self) -> None:
        """Remove the line of progress."""
        self._screen.hide_status()


def amount(count: float) -> str:
    """A number of bytes in words: `512 B`, `1.4 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """A time in words: `40 s`, `3 min`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    if whole < 6000:
        return f"{whole / 60:.0f} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def files_in_words(count: int, size: int) -> str:
    """Files in words: `3 files, 1.4 GB`."""
    return f"{count} file{'s' * (count != 1)}, {amount(size)}"


def under_its_name(error: Exception, number: int, path: str) -> str:
    """The text of an error of a transfer, which goes by its number, with the path that people know."""
    return one_line(str(error).replace(repr(str(number)), shown(path), 1))


def shown(name: str) -> str:
    """Return a name that the other side chose, without characters that move a terminal's cursor."""
    return one_line(name)


def path_in_words(session: Session) -> str:
    """Return over which path the data goes: `direct, IPv6`, `by a relay`."""
    sctp = session.pc.sctp if session.pc is not None else None
    pair = sctp.transport.iceTransport.getSelectedCandidatePair() if sctp is not None else None
    if pair is None:
        return "unknown"
    kinds = {pair.local.type, pair.remote.type}
    version = "IPv6" if ":" in (pair.local.address or "") else "IPv4"
    if "relay" in kinds:
        return f"by a relay, {version}"
    return f"direct, {version}" + (", in the same network" if kinds <= {"host"} else "")
