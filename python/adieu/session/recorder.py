"""The flight recorder: the last things that happened to a session, for a person who wonders why.

`adieu explain FILE` reads what `Recorder.save` or `to_json` gives, and what a page gives: the format is one for all,
see `docs/reference/recording.md`.
"""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from adieu.protocol import control
from adieu.protocol.text import line

if TYPE_CHECKING:
    from collections.abc import Callable

FORMAT: Final = "adieu-recording"
VERSION: Final = 1
LINES: Final = 2000
"""A recording has at most so many lines. Beyond that the oldest are dropped, and counted."""
MOST: Final = 2048
"""Characters of a control message. Of a longer one only the length is kept."""
FOLDER: Final = "ADIEU_RECORD"
"""The environment variable that names a folder: each session that ends leaves its recording there."""

Mark = Literal[">", "<", "=", "!"]
"""Said to the other side, heard from it, happened here, trouble."""
Note = str | dict[str, Any]
"""The text of a control message, or a dict with a `type`."""


class Recorder:
    """The last lines of a session, each with its time. A ring: its memory has a bound.

    It keeps no payloads, descriptions, addresses, tokens or hashes. `session.recording()` returns it at any time; a
    receipt that is not clean, and the errors of a session, have it as `recording`.

    Args:
        head: returns the members `session`, `me`, `peer` and `receipt` of the recording.
    """

    def __init__(self, head: Callable[[], dict[str, Any]] = dict) -> None:
        self._head = head
        self._lines: deque[tuple[float, Mark, Note]] = deque(maxlen=LINES)
        self._dropped = 0
        self._start: float | None = None
        self._began = 0.0

    def note(self, now: float, mark: Mark, note: Note) -> None:
        """Keep a line.

        Args:
            now: the event loop's time, in seconds.
            mark: `>` said, `<` heard, `=` state, `!` trouble.
            note: the text of a control message, or members with a `type`.
        """
        if self._start is None:
            self._start, self._began = now, time.time()
        if isinstance(note, str) and len(note) > MOST:
            note = unreadable(note)
        self._dropped += len(self._lines) == LINES
        self._lines.append((now - self._start, mark, note))

    def lines(self) -> list[str]:
        """Return the lines as text, oldest first."""
        return [f"{when:9.3f} {mark} {_text(shown(note))}" for when, mark, note in self._lines]

    def recording(self) -> dict[str, Any]:
        """Return the recording: members that JSON can hold."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "program": "python",
            "began": round(self._began, 3),
            "dropped": self._dropped,
            **self._head(),
            "lines": [[round(when, 4), mark, shown(note)] for when, mark, note in self._lines],
        }

    def to_json(self) -> str:
        """Return the recording as JSON."""
        return msgspec.json.encode(self.recording()).decode()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the recording to a file, for `adieu explain`.

        Raises:
            OSError: it cannot be written.
        """
        Path(path).write_text(self.to_json(), encoding="utf-8")

    def __repr__(self) -> str:
        return f"<Recorder: {len(self._lines)} lines; save(path) writes them for `adieu explain`>"


def shown(note: Note) -> dict[str, Any]:
    """Return the members of a line that a recording shows.

    Of a control message these are the known members; texts are cleaned as those of notices are, and hashes left out.
    """
    if not isinstance(note, str):
        return note
    try:
        message = control.decode(note)
    except (ValueError, RecursionError):
        message = None
    if message is None:
        return unreadable(note)
    members: dict[str, Any] = msgspec.json.decode(control.encode(message))
    if members["type"] == "file":
        members.pop("proof", None)
        if (offer := members.get("offer")) is not None:
            for name in ("sha256", "key"):
                offer.pop(name, None)
            offer["name"] = line(offer["name"])
    return members


def unreadable(note: str | bytes) -> dict[str, Any]:
    """Return the line of a control message that is of no known type, invalid, or too long to keep."""
    return {"type": "unreadable", "characters": len(note)}


def _text(members: dict[str, Any]) -> str:
    rest = [f"{name} {value if isinstance(value, str) else msgspec.json.encode(value).decode()}"
            for name, value in members.items() if name != "type"]  # fmt: skip
    return f"{members['type']} {', '.join(rest)}".rstrip()


def keep(recorder: Recorder, session: str, me: str) -> str:
    """Save the recording of a session that has ended, if `ADIEU_RECORD` names a folder.

    Returns:
        Why it could not be written; empty if all is well.
    """
    folder = os.environ.get(FOLDER)
    if not folder:
        return ""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        recorder.save(Path(folder, f"{session[:8]}-{me[:8]}-{time.time_ns() // 1_000_000}.json"))
    except OSError as error:
        return f"the recording could not be written: {error}"
    return ""
