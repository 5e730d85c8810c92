"""The program `adieu`: `--help`, `--version`, and the choice of a command.

To add a command, write a module next to this file and add a line to `COMMANDS`. Its `options(parser)`
adds its options. Its `run(given)` returns the exit code: 0 if all went well, 1 if it did not, 2 for wrong use, 130 if
it was interrupted. The module is imported when its command is chosen.
"""

from __future__ import annotations

import difflib
import os
import sys
from dataclasses import dataclass
from importlib import import_module
from io import TextIOWrapper
from typing import TYPE_CHECKING, Final

from adieu.cli.arguments import Parser, filled

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        module: its module in this package.
        summary: its line in `adieu --help`.
    """

    module: str
    summary: str


COMMANDS: Final = {
    "demo": Command("demo", "two programs meet here, talk, close, reset, and one is killed"),
    "send": Command("send", "send files and folders, by a code or a link"),
    "receive": Command("receive", "receive what `adieu send` sends"),
    "share": Command("share", "stay up, and serve a folder to all who have a code or a link"),
    "serve": Command("serve", "a signaling server, and a page for people"),
    "doctor": Command("doctor", "say what works from here: UDP, NAT, IPv6, servers, and what to do if not"),
    "explain": Command("explain", "say why a close, a reset or a recovery took its time, from its recording"),
    "token": Command("make_token", "make a token for a server that asks for one"),
    "completion": Command("completion", "print a script with which your shell completes commands and options"),
}

EXAMPLES: Final = """\
  adieu demo                      see what adieu does, in this terminal
  adieu send film.mp4             send a file; shows the command for the other side
  adieu serve                     a server and a page at http://127.0.0.1:8080/
  adieu doctor                    say what works from this computer
  adieu serve --help              every option of a command
  eval "$(adieu completion bash)" complete with the Tab key"""


def parser_of(name: str) -> Parser:
    """Return the parser of a command with its options."""
    module = import_module(f"adieu.cli.{COMMANDS[name].module}")
    parser = Parser(name, module.run.__doc__ or "", getattr(module, "EXAMPLES", ""))
    module.options(parser)
    return parser


def run(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name. Return its exit code."""
    name, *rest = arguments or ["--help"]
    match name:
        case "-h" | "--help" | "help":
            if rest and rest[0] in COMMANDS:
                return run([rest[0], "--help"])
            print(_help())
            return 0 if arguments else 2  # nothing was asked for: the help, but not a success
        case "-V" | "--version":
            from adieu import __version__  # noqa: PLC0415 it loads the core

            print(f"adieu {__version__}")
            return 0
        case _ if name in COMMANDS:
            return _run(name, rest)
        case _:
            print(f"adieu: {_unknown(name)} (adieu --help)", file=sys.stderr)
            return 2


def prepare_output() -> None:
    """Have all text printed: a character that the output's encoding does not have is `?`, as in a pipe of Windows."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")
    if os.name == "nt":
        os.system("")  # noqa: S605, S607 its older consoles read colors after a command alone


def _run(name: str, arguments: Sequence[str]) -> int:
    parser = parser_of(name)
    module = import_module(f"adieu.cli.{COMMANDS[name].module}")
    try:
        code: int = module.run(parser.read(arguments))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of this output, such as `head`, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter complains at its end
        return 1
    return code


def _help() -> str:
    width = max(map(len, COMMANDS)) + 2
    rows = "\n".join(f"  {name:<{width}}{command.summary}" for name, command in COMMANDS.items())
    intro = filled("WebRTC for Python that knows how to say goodbye.")
    options = "  -h, --help     show this help\n  -V, --version  show the version"
    return (
        f"usage: adieu COMMAND [OPTION ...]\n\n{intro}\n\ncommands:\n{rows}\n\noptions:\n{options}\n\n"
        f"examples:\n{EXAMPLES}"
    )


def _unknown(name: str) -> str:
    if name.startswith("-"):
        return f"there is no option {name}"
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    meant = f"did you mean {near[0]!r}?" if near else f"the commands are {', '.join(COMMANDS)}"
    return f"there is no command {name!r}; {meant}"
