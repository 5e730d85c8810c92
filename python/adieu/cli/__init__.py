"""The command line, `adieu --help`. It needs the extra `adieu[cli]`. Each command has a file; see `app`."""

from __future__ import annotations

import sys


def main() -> None:
    """The entry point of `adieu`."""
    try:
        from adieu.cli.app import app  # noqa: PLC0415 the extra may be missing
    except ImportError as error:
        print(f"adieu: the command line needs more packages: pip install 'adieu[cli]' ({error})", file=sys.stderr)
        raise SystemExit(1) from None
    app()
