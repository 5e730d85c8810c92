"""What a program has forgotten to close is named, with the line that made it: a ResourceWarning, as for a file."""

from __future__ import annotations

import sys
import warnings

_BETWEEN = frozenset({__name__.partition(".")[0], "asyncio", "contextlib"})


def where_made() -> str:
    """The line outside of adieu, and of what calls it for a program, that is being executed, as `file.py:12`."""
    frame = sys._getframe(1)  # noqa: SLF001 documented # pyright: ignore[reportPrivateUsage]
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        frame = frame.f_back
    return f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"


def warn_unclosed(what: object, where: str, how: str) -> None:
    """Say it. Where warnings are errors it is printed, as from a finalizer: what is being cleaned up goes on.

    Args:
        what: the object.
        where: the line that made it.
        how: what was forgotten, as "call close()".
    """
    _Warning(f"unclosed {what!r}, made at {where}: {how}")


class _Warning:
    """Speaks when it is collected, which is at once: there nothing that is raised gets further."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __del__(self) -> None:
        warnings.warn(self._text, ResourceWarning, stacklevel=3)
