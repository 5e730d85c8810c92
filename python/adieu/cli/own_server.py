"""The options of a command that sends, and may be its own server."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

from adieu.cli.arguments import port

if TYPE_CHECKING:
    from adieu.cli.arguments import Parser

_UNITS = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}


def own_options(parser: Parser) -> None:
    """Add the options about the files, the server in this program, and the rate."""
    add = parser.add_argument
    text = "Leave out what this pattern of a .gitignore names in folders, such as '*.pyc' or build/. May be repeated."
    add("--exclude", action="append", default=[], metavar="PATTERN", help=text)
    text = "Without --server: port on which this program itself answers; 0 takes a free one."
    add("--port", type=port, default=0, metavar="NUMBER", help=text)
    text = "Without --server: address on which this program itself answers; by default all of this computer."
    add("--host", type=_host, metavar="ADDRESS", help=text)
    text = "Bytes a second at most, such as 500k, 20M; for all receivers together."
    add("--limit-rate", type=_rate, metavar="RATE", help=text)


def _rate(text: str) -> float:
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]+)?)([kMG]?)", text)
    if found is None or float(found[1]) <= 0:
        raise ArgumentTypeError(f"{text!r} is not a rate: give bytes a second, such as 500k or 20M")
    return float(found[1]) * _UNITS[found[2]]


def _host(text: str) -> str | None:
    import ipaddress  # noqa: PLC0415 quick help

    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not an address of this computer, such as 192.0.2.7") from None
    return None if address.is_unspecified else text
