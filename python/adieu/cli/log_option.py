"""The option `--log`: write adieu's log to stderr."""

from __future__ import annotations

import logging
import os
from enum import StrEnum
from typing import Annotated, Final

import typer

VARIABLE: Final = "ADIEU_LOG"
"""The option as a variable of the environment, which programs that a command starts inherit."""


class Level(StrEnum):
    """How much is written."""

    INFO = "info"
    DEBUG = "debug"


LogOption = Annotated[
    Level | None,
    typer.Option(
        "--log",
        envvar=VARIABLE,
        help="Write the log to stderr. info: how each session and connection began and ended; debug: each step of it.",
        show_default=False,
    ),
]


def write_log(level: str | None) -> None:
    """Write the log of this process to stderr, and that of the processes which it starts."""
    if level is None:
        return
    os.environ[VARIABLE] = level
    logging.basicConfig(format="%(asctime)s %(levelname)-5s %(name)s %(message)s")
    logging.getLogger("adieu").setLevel(level.upper())
