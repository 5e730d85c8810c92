"""The command line, `adieu --help`. Each command has a file; `app` lists them. It needs no extra.

A command imports what it uses when it runs, so that `adieu --help` and the completion of a shell stay quick.
"""

from __future__ import annotations

import sys


def main() -> None:
    """The entry point of `adieu`."""
    from adieu.cli.app import prepare_output, run  # noqa: PLC0415 quick import of the package

    prepare_output()
    sys.exit(run(sys.argv[1:]))
