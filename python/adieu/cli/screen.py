"""Text for a person at a terminal, with colors and bars. Elsewhere, plain lines without either.

Several bars at once need rich. Without it one line shows the bar that moved last.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TextIO, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

Style = Literal["bold", "dim", "good", "bad", "warning"]
Part: TypeAlias = str | tuple[Style, str]
"""A text, or a text in a style. Nothing in a text is markup."""

_CODES: Final[dict[Style, str]] = {"bold": "1", "dim": "2", "good": "32", "bad": "31", "warning": "33"}
_CLEAR: Final = "\r\x1b[K"


class _Bars(Protocol):
    def show(self, what: str, done: int, total: int) -> None: ...
    def write(self, text: str) -> None: ...
    def hide(self) -> None: ...


class Screen:
    """The output of a command.

    Args:
        stream: where it goes.
        plain: no colors and no bars, also in a terminal.
    """

    def __init__(self, stream: TextIO | None = None, *, plain: bool = False) -> None:
        self._stream = stream or sys.stdout
        self._terminal = not plain and self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._colors = self._terminal and not os.environ.get("NO_COLOR")
        self._bars: _Bars | None = None
        self._status = False

    @property
    def is_terminal(self) -> bool:
        """Whether a person looks at it."""
        return self._terminal

    def line(self, *parts: Part) -> None:
        """Print a line."""
        text = "".join(part if isinstance(part, str) else self._styled(*part) for part in parts)
        self.hide_status()
        if self._bars is not None:
            self._bars.write(text)
        else:
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def _styled(self, style: Style, text: str) -> str:
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self._colors else text

    def bar(self, what: str, done: int, total: int) -> None:
        """Show how far something is; in a terminal only. At its end the bar disappears."""
        if not self._terminal:
            return
        if self._bars is None:
            self._bars = _bars(self._stream)
        self._bars.show(what, done, total)

    def status(self, text: str) -> None:
        """Show a line that the next one takes the place of; in a terminal only."""
        if self._terminal:
            self._status = True
            self._stream.write(_CLEAR + text[: shutil.get_terminal_size().columns - 1])
            self._stream.flush()

    def hide_status(self) -> None:
        """Remove this line."""
        if self._status:
            self._status = False
            self._stream.write(_CLEAR)
            self._stream.flush()

    def hide_bars(self) -> None:
        """Remove all bars. Call it at the end: the cursor is visible again."""
        if self._bars is not None:
            self._bars.hide()
            self._bars = None

    def table(self, rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
        """Print rows, the first of which is the head, with aligned columns; those in `right` to the right."""
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = [
                cell.rjust(width) if number in right else cell.ljust(width)
                for number, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            self.line("  ".join(cells).rstrip())


def _bars(stream: TextIO) -> _Bars:
    try:
        return _RichBars(stream)
    except ImportError:
        return _OneBar(stream)


class _OneBar:
    """One line that shows the bar that moved last."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, what: str, done: int, total: int) -> None:
        """Write it over the one before."""
        width = shutil.get_terminal_size().columns - 1
        text = f"   {what}  {100 * done // max(total, 1):3d} %"
        self._stream.write(_CLEAR + ("" if done >= total else text[:width]))
        self._stream.flush()

    def write(self, text: str) -> None:
        """Write a line in its place."""
        self._stream.write(f"{_CLEAR}{text}\n")
        self._stream.flush()

    def hide(self) -> None:
        """Remove it."""
        self._stream.write(_CLEAR)
        self._stream.flush()


class _RichBars:
    """A bar for each thing that moves, below the lines. Raises ImportError where rich is not installed."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console  # noqa: PLC0415 it may be missing
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

        columns: Any = (
            TextColumn("   {task.description:<22}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=Console(file=stream, highlight=False), transient=True)
        self._tasks: dict[str, Any] = {}
        self._progress.start()

    def show(self, what: str, done: int, total: int) -> None:
        """Move a bar."""
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done)
        if done >= total:
            self._progress.remove_task(self._tasks.pop(what))

    def write(self, text: str) -> None:
        """Write a line above the bars."""
        from rich.text import Text  # noqa: PLC0415

        self._progress.console.print(Text.from_ansi(text), soft_wrap=True)

    def hide(self) -> None:
        """Remove them."""
        self._progress.stop()
