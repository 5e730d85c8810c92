"""Texts of a caller, before they become part of a message: both wire protocols are UTF-8, a `str` need not be.

And texts of the other side, before people read them.
"""

from __future__ import annotations

import re
from typing import Any

MOST = 1024
"""Characters of a line; what is longer is cut."""

_BREAKS = re.compile("[\t-\r\x85\u2028\u2029]+")
# Written out, not by category: both languages clean alike, whatever version of Unicode each knows.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)


def scalar(text: str) -> str:
    """The text with U+FFFD in the place of each half of a surrogate pair, which UTF-8 cannot say.

    Such halves come from `json`, from text that was cut by its UTF-16 length, and from names of files.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def sendable(text: str, most: int) -> str:
    """The same, of at most `most` characters."""
    return scalar(text[:most])


def scalar_json(value: Any) -> Any:
    """The same for all texts in a value that JSON can hold."""
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
    """The text, repaired.

    Args:
        what: it is, for the message.
        text: the caller's.
        least: characters.
        most: characters.

    Raises:
        TypeError: it is no text.
        ValueError: too short or too long; says the value and the bound.
    """
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance] callers need not be typed
        raise TypeError(f"{what} is text, not {type(text).__name__}: {text!r:.60}")
    if not least <= len(text) <= most:
        bound = f"{least} to {most}" if least else f"at most {most}"
        raise ValueError(f"{what} has {bound} characters, not {len(text)}: {text[:40]!r}")
    return scalar(text)


def line(text: str, most: int = MOST) -> str:
    """The text on one line, at most `most` characters, without what a terminal, a log or a page would obey.

    Line breaks and tabs become a blank. Other control characters, and those that turn the direction of writing or
    cannot be seen, are left out; what joins the letters of a script or the parts of an emoji stays. Half of a
    surrogate pair becomes U+FFFD.
    """
    if not text.isprintable():
        text = scalar(_UNSEEN.sub("", _BREAKS.sub(" ", text)))
    return text[:most]
