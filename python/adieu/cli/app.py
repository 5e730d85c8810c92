"""The program `adieu`: `--version`, and the commands.

To add a command, write a module next to this file with a function `register(app)` that decorates its own function with
`app.command(…)`, and add its name to `COMMANDS`. A command imports packages beyond the standard library, typer and rich
only when it runs, so that `adieu --help` stays quick.
"""

from __future__ import annotations

from importlib import metadata
from typing import Annotated, Final

import typer

from adieu.cli import demo, serve

COMMANDS = (serve, demo)

app: Final = typer.Typer(
    name="adieu",
    help="WebRTC for Python that knows how to say goodbye.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # they would show tokens and keys
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"adieu {metadata.version('adieu')}")
        raise typer.Exit


@app.callback()
def _frame(  # pyright: ignore[reportUnusedFunction] typer calls it
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


for _command in COMMANDS:
    _command.register(app)
