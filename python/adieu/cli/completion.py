"""`adieu completion`: scripts for shells, made from the options themselves. A script starts no program at Tab."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from adieu.cli.arguments import one_of

if TYPE_CHECKING:
    from adieu.cli.arguments import Parser

EXAMPLES = """\
  eval "$(adieu completion bash)"           in ~/.bashrc
  eval "$(adieu completion zsh)"            in ~/.zshrc, after compinit
  adieu completion fish | source            in ~/.config/fish/config.fish"""

_FILES: Final = {"FILE", "FOLDER", "PATH"}


@dataclass(frozen=True, slots=True)
class Option:
    """An option or an argument of a command, as a shell completes it.

    Attributes:
        names: such as `-v` and `--verbose`; empty for an argument.
        text: the first sentence of its help.
        value: `none`, `file`, `word` (of `words`) or `any`.
        words: the values to choose from.
        several: whether it can be given more than once.
    """

    names: tuple[str, ...]
    text: str
    value: str
    words: tuple[str, ...]
    several: bool


def options(parser: Parser) -> None:
    """Add the options of the command."""
    shell = parser.add_argument("shell", type=one_of(*SCRIPTS), metavar="SHELL", help="bash, zsh or fish.")
    shell.help = "bash, zsh or fish"


def run(given: argparse.Namespace) -> int:
    """Print a script with which your shell completes the commands of adieu, their options and values."""
    from adieu.cli.app import COMMANDS, parser_of  # noqa: PLC0415 that module chooses this one

    commands = {name: (command.summary, _options(parser_of(name))) for name, command in COMMANDS.items()}
    print(SCRIPTS[given.shell](commands), end="")
    return 0


def _options(parser: Parser) -> list[Option]:
    found: list[Option] = []
    for action in parser.actions():
        words: tuple[str, ...] = tuple(getattr(action.type, "choices", ()))
        if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
            value = "none"
        elif words:
            value = "word"
        else:
            value = "file" if action.metavar in _FILES else "any"
        several = action.nargs in {"*", "+"} or type(action).__name__ == "_AppendAction"
        text = (action.help or "").partition(". ")[0].rstrip(".")
        found.append(Option(tuple(action.option_strings), text, value, words, several))
    return found


Commands = dict[str, tuple[str, list[Option]]]

# --- bash -------------------------------------------------------------------------------------------------------------


def bash(commands: Commands) -> str:
    """Return the script for bash."""
    cases: list[str] = []
    for name, (_, found) in commands.items():
        lines = [f"    {name})", "      case $before in"]
        lines += [
            f"        {'|'.join(option.names)}) {_bash_value(option)} ;;"
            for option in found
            if option.names and option.value != "none"
        ]
        lines.append("      esac")
        names = " ".join(each for option in found for each in option.names)
        lines.append(f"      if [[ $word == -* ]]; then COMPREPLY=($(compgen -W '{names}' -- \"$word\")); return; fi")
        lines += [f"      {_bash_value(option)}" for option in found if not option.names][:1]
        cases.append("\n".join([*lines, "      ;;"]))
    every = "\n".join(cases)
    return f"""\
_adieu() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
  local IFS=$' \\t\\n'
  COMPREPLY=()
  if (( COMP_CWORD == 1 )); then
    COMPREPLY=($(compgen -W '{" ".join(commands)} --help --version' -- "$word"))
    return
  fi
  case ${{COMP_WORDS[1]}} in
{every}
  esac
}}
complete -F _adieu adieu
"""


def _bash_value(option: Option) -> str:
    match option.value:
        case "file":
            return "compopt -o filenames; IFS=$'\\n'; COMPREPLY=($(compgen -f -- \"$word\")); return"
        case "word":
            return f"COMPREPLY=($(compgen -W '{' '.join(option.words)}' -- \"$word\")); return"
        case _:
            return "return"


# --- zsh --------------------------------------------------------------------------------------------------------------


def zsh(commands: Commands) -> str:
    """Return the script for zsh."""
    named = "\n".join(f"      {_quoted(f'{name}:{summary}')}" for name, (summary, _) in commands.items())
    cases: list[str] = []
    for name, (_, found) in commands.items():
        lines = " \\\n".join(f"        {line}" for option in found for line in _zsh_lines(option))
        cases.append(f"    {name})\n      _arguments \\\n{lines}\n      ;;")
    every = "\n".join(cases)
    return f"""\
#compdef adieu
_adieu() {{
  if (( CURRENT == 2 )); then
    local -a commands=(
{named}
    )
    _describe command commands
    _arguments '--help[show the help]' '--version[show the version]'
    return
  fi
  local name=$words[2]
  shift words
  (( CURRENT-- ))
  case $name in
{every}
  esac
}}
compdef _adieu adieu
"""


def _zsh_lines(option: Option) -> list[str]:
    value = {"none": "", "file": ":file:_files", "word": f":value:({' '.join(option.words)})", "any": ":value: "}
    if not option.names:
        return [_quoted(("*" if option.several else "") + value[option.value])]
    text = re.sub(r"([\\\[\]:$`])", r"\\\1", option.text)
    star = "*" if option.several else ""
    return [_quoted(f"{star}{name}[{text}]{value[option.value]}") for name in option.names]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# --- fish -------------------------------------------------------------------------------------------------------------


def fish(commands: Commands) -> str:
    """Return the script for fish."""
    lines = ["complete -c adieu -f"]
    for name, (summary, _) in commands.items():
        lines.append(f"complete -c adieu -n __fish_use_subcommand -a {name} -d {_fish_quoted(summary)}")
    lines += [
        f"complete -c adieu -n '__fish_seen_subcommand_from {name}'{_fish_option(option)}"
        for name, (_, found) in commands.items()
        for option in found
    ]
    return "\n".join(lines) + "\n"


def _fish_option(option: Option) -> str:
    text = ""
    for name in option.names:
        text += f" -l {name[2:]}" if name.startswith("--") else f" -s {name[1:]}"
    match option.value:
        case "file":
            text += " -r -F" if option.names else " -F"
        case "word":
            text += f" {'-x ' if option.names else ''}-a {_fish_quoted(' '.join(option.words))}"
        case "any":
            text += " -x" if option.names else ""
        case _:
            pass
    return f"{text} -d {_fish_quoted(option.text)}"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SCRIPTS: Final = {"bash": bash, "zsh": zsh, "fish": fish}
