"""The flight recorder: the last things that happened to a session, for a person who wonders why."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec


class Recorder:
    """A ring of lines with times. Payloads, descriptions and addresses are not kept."""

    def __init__(self, size: int = 2000) -> None:
        self._lines: deque[tuple[float, str, str]] = deque(maxlen=size)
        self._start: float | None = None

    def note(self, now: float, direction: str, text: str) -> None:
        """Keep a line. `direction`: `>` said, `<` heard, `=` state, `!` trouble."""
        if self._start is None:
            self._start = now
        self._lines.append((now - self._start, direction, text))

    def lines(self) -> list[str]:
        """As text, oldest first."""
        return [f"{when:9.3f} {direction} {text}" for when, direction, text in self._lines]

    def to_json(self) -> str:
        """As JSON: a list of [seconds, direction, text]."""
        lines: list[Any] = [[round(when, 4), direction, text] for when, direction, text in self._lines]
        return msgspec.json.encode(lines).decode()
