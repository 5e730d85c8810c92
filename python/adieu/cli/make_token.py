"""`adieu token`: a token for a server with keys."""

from __future__ import annotations

import os
import re
import sys
from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING

from adieu.cli.arguments import read_key

if TYPE_CHECKING:
    import argparse

    from adieu.cli.arguments import Parser

EXAMPLES = """\
  adieu token --key secret.txt --name ada --room lab
  ADIEU_TOKEN=$(adieu token --key secret.txt --name echo --room lab --for 1d) \\
    adieu demo --join https://signaling.example.org/#lab"""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def options(parser: Parser) -> None:
    """Add the options of the command."""
    add = parser.add_argument
    add(
        "--key",
        type=Path,
        metavar="FILE",
        help="The secret that the server has as --jwt-key, or the private key of its public key, in PEM; - reads it"
        " from stdin. Or put it into ADIEU_JWT_KEY.",
    )
    add("--name", required=True, metavar="NAME", help="The user: the claim sub.")
    text = "A room that the user may join; * for all. Repeatable."
    add("--room", action="append", required=True, metavar="ROOM", help=text)
    add("--for", dest="seconds", type=_duration, default=3600, metavar="TIME", help="Valid for: 30s, 15m, 1h (1h), 7d.")
    add("--can", action="append", default=[], metavar="RIGHT", help="A right, such as kick. Repeatable.")
    add("--audience", metavar="TEXT", help="The value of aud, if the server requires one.")


def run(given: argparse.Namespace) -> int:
    """Print a token (a JWT) for a server that was started with --jwt-key.

    Give it to `adieu.join(..., token=...)`, or to programs in the variable ADIEU_TOKEN. Everybody who has the token is
    let in until it expires.

    It needs more packages: pip install 'adieu[server]'.
    """
    try:
        key = _key(given.key)
        from adieu.server.tokens import make_token  # noqa: PLC0415 the extra may be missing

        token = make_token(
            key,
            user=given.name,
            rooms=given.room,
            seconds=given.seconds,
            can=given.can,
            audience=given.audience,
        )
    except ImportError as error:
        print(f"adieu token: tokens need more packages: pip install 'adieu[server]' ({error})", file=sys.stderr)
        return 2
    except (ValueError, OSError) as error:
        print(f"adieu token: {error}", file=sys.stderr)
        return 2
    print(token)
    return 0


def _key(path: Path | None) -> bytes:
    if path is None:
        secret = os.environ.get("ADIEU_JWT_KEY")
        if not secret:
            raise ValueError("there is no key: give --key FILE, or set ADIEU_JWT_KEY")
        return secret.encode()
    if str(path) == "-":
        return sys.stdin.buffer.read(65536)
    return read_key(path)


def _duration(text: str) -> int:
    found = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", text)
    if found is None:
        raise ArgumentTypeError(f"{text!r} is not a time: give a number with s, m, h or d, such as 15m")
    return int(found[1]) * _UNITS[found[2]]
