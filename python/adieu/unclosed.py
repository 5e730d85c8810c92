"""ResourceWarnings about things that a program forgot to close, with the line that made them."""

from __future__ import annotations

import sys
import warnings

_BETWEEN = frozenset({__name__.partition(".")[0], "asyncio", "contextlib"})


def where_made() -> str:
    """Return the line of the program that is running, as `file.py:12`. Lines of adieu and of asyncio are skipped."""
    frame = sys._getframe(1)  # noqa: SLF001 documented # pyright: ignore[reportPrivateUsage]
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        frame = frame.f_back
    return f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"


def warn_unclosed(what: object, where: str, how: str) -> None:
    """Give a ResourceWarning. If warnings are errors it is printed, as from a finalizer, and the clean-up continues.

    Args:
        what: the object.
        where: the line that made it.
        how: the forgotten call, such as "call close()".
    """
    _Warning(f"unclosed {what!r}, made at {where}: {how}")


class _Warning:
    """Warns when it is collected, which is at once. An exception in a finalizer goes no further."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __del__(self) -> None:
        warnings.warn(self._text, ResourceWarning, stacklevel=3)
