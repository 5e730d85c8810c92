"""What a command prints: on a terminal with colors and bars, elsewhere plain lines."""

from __future__ import annotations

import io

import pytest

from adieu.cli import screen
from adieu.cli.screen import Screen


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def colors(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


def show(where: Screen) -> None:
    where.line("a ", ("bold", "b"), " c")
    where.bar("film.mp4", 1, 4)
    where.line(("good", "yes"), "  [not markup]")
    where.bar("film.mp4", 4, 4)
    where.hide_bars()


def test_no_terminal_no_escapes_no_bars():
    out = io.StringIO()
    show(Screen(out))
    assert out.getvalue() == "a b c\nyes  [not markup]\n"


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colors_are_not_wanted_everywhere(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    out = Terminal()
    Screen(out).line(("bad", "NO"))
    assert out.getvalue() == "NO\n"


def test_plain_has_neither():
    out = Terminal()
    show(Screen(out, plain=True))
    assert "\x1b" not in out.getvalue()


def test_without_rich_one_line_moves(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rich.console", None)
    out = Terminal()
    show(Screen(out))
    first, second, rest = out.getvalue().split("\n", 2)
    assert first == "a \x1b[1mb\x1b[0m c"
    assert second == "\r\x1b[K   film.mp4   25 %\r\x1b[K\x1b[32myes\x1b[0m  [not markup]"
    assert "film.mp4" not in rest


def test_with_rich_a_line_is_the_same_text():
    pytest.importorskip("rich", reason="elsewhere: rich is an extra")
    out = Terminal()
    show(Screen(out))
    assert isinstance(screen._bars(out), screen._RichBars)
    assert "yes\x1b[0m  [not markup]" in out.getvalue()
    assert "film.mp4" in out.getvalue()
    assert out.getvalue().rstrip().endswith("\x1b[?25h") or "\x1b[?25h" in out.getvalue(), "the cursor is back"


def test_columns_are_aligned_and_never_cut():
    out = io.StringIO()
    Screen(out).table([["step", "for", "outcome"], ["announce", "1 ms", "ok"], ["x", "100 ms", "late"]], right=(1,))
    assert out.getvalue() == "step         for  outcome\nannounce    1 ms  ok\nx         100 ms  late\n"
