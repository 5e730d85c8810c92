"""The options of a command: argparse, with help that wraps, errors in a person's words, and values from variables."""

from __future__ import annotations

import argparse
import difflib
import os
import re
import shutil
import textwrap
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

WIDEST: Final = 110
"""Characters of a line of help, also in a wider terminal."""
_PLAINER: Final = (
    (r"^argument ", ""),
    (r"^(\S+): expected (one argument|at least one argument|\d+ arguments)$", r"\1 needs a value"),
    (r"^(\S+): ignored explicit argument .*$", r"\1 takes no value"),
    (r"^(\S+): not allowed with argument (\S+)$", r"\1 and \2 exclude each other"),
    (r"^the following arguments are required: ", "missing: "),
)
"""Patterns of argparse's errors, and plainer words for each."""


def filled(text: str, indent: str = "") -> str:
    """Return a text with its paragraphs wrapped to the terminal. Lines that begin with blanks stay as they are."""
    width = min(shutil.get_terminal_size().columns, WIDEST) - 2
    paragraphs: list[str] = []
    for part in re.split(r"\n\s*\n", textwrap.dedent(text).strip("\n")):
        kept = part.startswith(" ")
        paragraphs.append(
            part if kept else textwrap.fill(" ".join(part.split()), max(width, 20), initial_indent=indent)
        )
    return "\n\n".join(paragraphs)


class _Help(argparse.HelpFormatter):
    """Help that keeps paragraphs."""

    def __init__(self, prog: str, **more: Any) -> None:
        width = min(shutil.get_terminal_size().columns, WIDEST) - 2
        super().__init__(prog, max_help_position=28, width=max(width, 20), **more)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        del width
        return filled(text, indent)


class Parser(argparse.ArgumentParser):
    """The parser of one command.

    Args:
        command: its name.
        text: a docstring: the first sentence, then paragraphs.
        examples: lines for the end of the help.
    """

    def __init__(self, command: str, text: str, examples: str = "") -> None:
        epilog = f"examples:\n\n{examples}" if examples else None
        first, blank, rest = text.partition("\n")
        description = first + blank + textwrap.dedent(rest)
        super().__init__(
            f"adieu {command}", description=description, epilog=epilog, formatter_class=_Help, allow_abbrev=False
        )
        self._variables: list[tuple[argparse.Action, str, Any]] = []

    def from_variable(self, action: argparse.Action, variable: str) -> None:
        """Let a variable of the environment give an option's value where the option is not given."""
        self._variables.append((action, variable, action.default))
        action.default = argparse.SUPPRESS
        action.help = f"{action.help} Or set {variable}."

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Return the values. Ends the program with code 2, and one line, if something is wrong with them."""
        given, unknown = self.parse_known_args(arguments)
        if unknown:
            self.error(self._unknown(unknown[0]))
        for action, variable, default in self._variables:
            if not hasattr(given, action.dest):
                setattr(given, action.dest, self._from_environment(action, variable, default))
        return given

    def _from_environment(self, action: argparse.Action, variable: str, default: Any) -> Any:
        text = os.environ.get(variable, "")
        if not text:
            return default
        if action.type is None or isinstance(action.type, str):
            return text
        try:
            return action.type(text)
        except (ArgumentTypeError, ValueError) as error:
            self.error(f"{variable}: {error}")

    def _unknown(self, text: str) -> str:
        if not text.startswith("-"):
            return f"{text!r} is one argument too many"
        name = text.partition("=")[0]
        near = difflib.get_close_matches(name, self.options(), n=1)
        return f"there is no option {name}" + (f"; did you mean {near[0]}?" if near else "")

    def actions(self) -> list[argparse.Action]:
        """Return its options and arguments that the help shows."""
        return [action for action in self._actions if action.help != argparse.SUPPRESS]

    def options(self) -> list[str]:
        """Return the names of its options."""
        return [name for action in self.actions() for name in action.option_strings]

    def error(self, message: str) -> NoReturn:
        """Print the message in one line, and end the program with code 2."""
        for pattern, instead in _PLAINER:
            message = re.sub(pattern, instead, message)
        self.exit(2, f"{self.prog}: {message} ({self.prog} --help)\n")


def one_of(*words: str) -> Callable[[str], str]:
    """Return a type for an option that takes one of these words. `choices` holds them, for completion."""

    def read(text: str) -> str:
        if text not in words:
            near = ", ".join(repr(word) for word in words)
            raise ArgumentTypeError(f"{text!r} is not one of {near}")
        return text

    read.choices = words  # type: ignore[attr-defined]
    return read


def number(text: str) -> float:
    """A type for an option that takes a number."""
    try:
        return float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a number") from None


def port(text: str) -> int:
    """A type for an option that takes a port."""
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise ArgumentTypeError(f"{text!r} is not a port: give a number from 0 (any free port) to 65535")
    return int(text)


def read_key(path: Path) -> bytes:
    """Read the key of tokens. Raises ValueError, which names the file."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"the key {path} cannot be read: {error.strerror or error}") from None
