"""The option `--log`: write adieu's log to stderr."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from adieu.cli.arguments import one_of

if TYPE_CHECKING:
    from adieu.cli.arguments import Parser

VARIABLE: Final = "ADIEU_LOG"
"""The option as a variable of the environment, which programs that a command starts inherit."""


def log_option(parser: Parser) -> None:
    """Add the option."""
    action = parser.add_argument(
        "--log",
        type=one_of("info", "debug"),
        metavar="LEVEL",
        help="Write the log to stderr. info: how each session and connection began and ended; debug: each step of it.",
    )
    parser.from_variable(action, VARIABLE)


def write_log(level: str | None) -> None:
    """Write the log of this process to stderr, and that of the processes which it starts."""
    if level is None:
        return
    import logging  # noqa: PLC0415 quick help

    os.environ[VARIABLE] = level
    logging.basicConfig(format="%(asctime)s %(levelname)-5s %(name)s %(message)s")
    logging.getLogger("adieu").setLevel(level.upper())
