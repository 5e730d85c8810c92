"""Repairs texts of the caller before they become part of a message: the wire protocols are UTF-8, a `str` may not be.

Cleans texts of the peer before people read them.
"""

from __future__ import annotations

import re
from typing import Any

MOST = 1024
"""Characters of a line; a longer one is cut."""

_BREAKS = re.compile("[\t-\r\x85\u2028\u2029]+")
# Written out, not by category: both languages clean alike, whatever version of Unicode each knows.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)


def scalar(text: str) -> str:
    """Return the text with U+FFFD in place of each half of a surrogate pair, which UTF-8 cannot encode.

    Such halves come from `json`, from text that was cut by its UTF-16 length, and from file names.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def sendable(text: str, most: int) -> str:
    """Repair the text as `scalar` does, and cut it to `most` characters."""
    return scalar(text[:most])


def scalar_json(value: Any) -> Any:
    """Repair all texts in a value that JSON can hold."""
    if isinstance(value, str):
        return scalar(value)
    if isinstance(value, dict):
        members: dict[Any, Any] = value  # pyright: ignore[reportUnknownVariableType]
        return {scalar_json(key): scalar_json(member) for key, member in members.items()}
    if isinstance(value, list | tuple):
        items: list[Any] | tuple[Any, ...] = value  # pyright: ignore[reportUnknownVariableType]
        return [scalar_json(member) for member in items]
    return value


def checked(what: str, text: str, least: int, most: int) -> str:
    """Return the text, repaired.

    Args:
        what: the name of the text, for the error.
        text: the text of the caller.
        least: fewest characters.
        most: characters.

    Raises:
        TypeError: the value is not a text.
        ValueError: the text is too short or too long; the message has the value and the bound.
    """
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance] callers need not be typed
        raise TypeError(f"{what} must be text, not {type(text).__name__}: {text!r:.60}")
    if not least <= len(text) <= most:
        bound = f"{least} to {most}" if least else f"at most {most}"
        raise ValueError(f"{what} must have {bound} characters, not {len(text)}: {text[:40]!r}")
    return scalar(text)


def line(text: str, most: int = MOST) -> str:
    """Return the text on one line of at most `most` characters, without characters that control a terminal or a page.

    Line breaks and tabs become a blank. Other control characters are removed, as are invisible characters and those
    that change the direction of writing. Characters that join the letters of a script or the parts of an emoji stay.
    Half of a surrogate pair becomes U+FFFD.
    """
    if not text.isprintable():
        text = scalar(_UNSEEN.sub("", _BREAKS.sub(" ", text)))
    return text[:most]
