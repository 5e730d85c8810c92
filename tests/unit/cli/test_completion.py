"""The scripts for shells. bash runs its own here; those for the others are compared with the parsers."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest

from adieu.cli.app import COMMANDS, parser_of
from adieu.cli.arguments import Parser
from adieu.cli.completion import SCRIPTS, _options

COMMANDS_WITH_OPTIONS = {name: (command.summary, _options(parser_of(name))) for name, command in COMMANDS.items()}


def completed(*words: str, folder: str = "/") -> list[str]:
    """What bash offers for the last word."""
    script = SCRIPTS["bash"](COMMANDS_WITH_OPTIONS)
    line = " ".join(map(shlex.quote, words))
    program = f"""
set -u
{script}
compopt() {{ :; }}  # it works only while bash itself completes
COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}
_adieu
printf '%s\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True, cwd=folder)
    assert not done.stderr
    return done.stdout.rstrip("\n").split("\n")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["adieu", "de"], "demo"),
        (["adieu", "--v"], "--version"),
        (["adieu", "serve", "--jwt"], "--jwt-key"),
        (["adieu", "serve", "--no-pa"], "--no-page"),
        (["adieu", "demo", "--log", "i"], "info"),
        (["adieu", "completion", "f"], "fish"),
        (["adieu", "serve", "--host", ""], ""),
        (["adieu", "nothing", "x"], ""),
    ],
)
def test_bash_completes(words, offered):
    assert completed(*words) == [offered]


def test_bash_completes_files_also_with_blanks_in_their_names(tmp_path):
    (tmp_path / "my key.pem").touch()
    (tmp_path / "other").touch()
    assert completed("adieu", "serve", "--port", "1", "--cert", "my", folder=str(tmp_path)) == ["my key.pem"]


@pytest.mark.parametrize("shell", SCRIPTS)
def test_every_command_and_option_is_in_every_script(shell):
    script = SCRIPTS[shell](COMMANDS_WITH_OPTIONS)
    for name in COMMANDS:
        part = "\n".join(line for line in script.splitlines() if f"subcommand_from {name}'" in line)
        if shell != "fish":
            _, _, part = script.partition(f"\n    {name})\n")
            part, _, _ = part.partition("\n      ;;\n")
        for option in parser_of(name).options():
            long = f"-l {option[2:]} " if option.startswith("--") else f"-s {option[1:]} "
            assert (long if shell == "fish" else option) in part, f"{name} {option}"


def test_texts_cannot_leave_their_quotes():
    """Every line of a script is whole words for a shell, whatever a help says."""
    parser = Parser("odd", "Do it.")
    parser.add_argument("--it", metavar="X", help=r"It's [odd]: $HOME, `date` and \. More.")
    commands = {"odd": ("it's odd", _options(parser))}
    fish_word = re.compile(r"'(?:[^'\\]|\\.)*'")
    for line in SCRIPTS["fish"](commands).splitlines():
        assert not set(fish_word.sub("", line)) & set("'$`")
    [quoted] = [line for line in SCRIPTS["zsh"](commands).splitlines() if "--it" in line]
    assert shlex.split(quoted) == [r"--it[It's \[odd\]\: \$HOME, \`date\` and \\]:value: "]
