"""The steps of a close or a reset, in words for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.protocol.text import line

if TYPE_CHECKING:
    from adieu.session import PartialFile, ProgressEvent

_STEPS = {
    "drain": "closing: what was sent arrives",
    "channels": "closing: the channels end",
    "connection": "closing: the connection ends",
    "clean-up": "closing: the last word of the other side comes",
    "asked": "reset: both sides agree",
    "building": "reset: the new connection is made",
    "switching": "reset: the new connection takes over",
}


def in_words(event: ProgressEvent) -> str:
    """Return a step in words: `closing: what was sent arrives; 3 messages and film.mp4 (30 %) under way, 4 s left`."""
    going = [f"{event.messages} message{'s' * (event.messages != 1)}"] if event.messages else []
    going += [_file(file) for file in event.files[:2]]
    if len(event.files) > 2:
        going.append(f"{len(event.files) - 2} more files")
    coming = f"{event.incoming} still to come" if event.incoming else ""
    under_way = f"{_list(going)} under way" if going else ""
    left = f"{event.seconds:.0f} s left" if going or coming else ""
    details = ", ".join(part for part in (under_way, coming, left) if part)
    return _STEPS[event.step] + (f"; {details}" if details else "")


def _file(file: PartialFile) -> str:
    if file.done > file.size:  # a stream
        return f"{line(file.name)} ({file.done} bytes)"
    return f"{line(file.name)} ({100 * file.done // max(file.size, 1)} %)"


def _list(parts: list[str]) -> str:
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last
