"""Patterns that leave files out of a folder that is sent, as in a `.gitignore`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_TOKENS = re.compile(r"/\*\*/|^\*\*/|/\*\*$|\*+|\?|\[[!^]?\]?[^\]/]*\]|\\.|.", re.DOTALL)
_WILD = {"/**/": "/(?:.*/)?", "**/": "(?:.*/)?", "/**": "/.*", "?": "[^/]"}


class Excludes:
    """Tells which files and folders are left out.

    The last pattern that matches decides. `*` and `?` match within a name, `**` over folders too, `[abc]` one
    character. A pattern with a `/` before its end is for the path from the folder that is sent; others are for the
    name, wherever it is. One that ends in `/` is for folders alone, with all that is in them. One that begins with `!`
    takes in again. An empty one, and one that begins with `#`, is for nothing. A backslash takes the next character as
    it is.

    Args:
        patterns: see above.

    Raises:
        TypeError: a pattern is no text.
        ValueError: a range of characters cannot be; the pattern is named.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        if isinstance(patterns, str):
            raise TypeError(f"exclude takes a list of patterns, not one text: [{patterns!r}]")
        self._rules = [rule for rule in map(_rule, patterns) if rule is not None]

    def __call__(self, path: str, *, folder: bool) -> bool:
        """Whether this is left out; `path` has its parts separated by `/`."""
        out = False
        for pattern, back, folders_only in self._rules:
            if out == back and (folder or not folders_only) and pattern.fullmatch(path):
                out = not back
        return out


def _rule(text: str) -> tuple[re.Pattern[str], bool, bool] | None:
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance] callers need not be typed
        raise TypeError(f"a pattern must be text, not {type(text).__name__}: {text!r:.60}")
    if not text.strip() or text.startswith("#"):
        return None
    back = text.startswith("!")
    text = text[1:] if back else text
    folders_only = text.endswith("/")
    text = text.rstrip("/")
    start = "" if "/" in text else "(?:.*/)?"
    whole = start + "".join(map(_translated, _TOKENS.findall(text.lstrip("/"))))
    try:
        return re.compile(whole, re.DOTALL), back, folders_only
    except re.error as error:
        raise ValueError(f"{text!r} is no pattern: {error}") from None


def _translated(token: str) -> str:
    if token in _WILD:
        return _WILD[token]
    if token[0] == "*":
        return "[^/]*"
    if token[0] == "[" and token[1:-1].strip("!^"):
        inside = token[1:-1].replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
        return f"(?!/)[{f'^{inside[1:]}' if inside[0] in '!^' else inside}]"
    return re.escape(token[1:] if token[0] == "\\" and len(token) == 2 else token)
