"""`adieu explain`: why a close, a reset or a recovery took its time, from flight recordings."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from adieu.cli.arguments import Parser
    from adieu.explain import Recording

EXAMPLES = """\
  ADIEU_RECORD=recordings python program.py   each session leaves a recording there
  adieu explain recordings/1f3a.json          as one side saw it
  adieu explain ada.json ben.json             both sides, by one clock
  adieu explain ada.json --svg ada.svg        with a picture of it"""


def options(parser: Parser) -> None:
    """Add the options of the command."""
    add = parser.add_argument
    add("files", nargs="+", type=Path, metavar="FILE", help="Recording of one side, or those of both sides.")
    add("--svg", type=Path, metavar="FILE", help="Draw a timeline into this file.")
    add("--json", action="store_true", help="Print one object of JSON instead of lines.")


def run(given: argparse.Namespace) -> int:
    """Say why a close, a reset or a recovery took its time: the step, and the cause.

    A recording comes from `session.recording().save(file)`, from an error's or a receipt's `recording`, from a page, or
    from a folder that ADIEU_RECORD names. With those of both sides the clocks are compared by the messages that both
    have, and the causes are surer.
    """
    from adieu.explain import RecordingError, draw, read, tell  # noqa: PLC0415 quick help
    from adieu.explain.recording import MAX_BYTES  # noqa: PLC0415

    if len(given.files) > 2:
        print(f"adieu explain: {len(given.files)} files; give one side's recording, or both sides'", file=sys.stderr)
        return 2
    path = given.files[0]
    try:
        recordings: list[Recording] = []
        for path in given.files:
            with path.open("rb") as file:
                recordings += [read(file.read(MAX_BYTES + 1))]
        story = tell(recordings)
        if given.svg is not None:
            path = given.svg
            path.write_text(draw(story), encoding="utf-8")
    except RecordingError as error:
        print(f"adieu explain: {path}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"adieu explain: {path}: {error.strerror or error}", file=sys.stderr)
        return 1
    print(json.dumps(story.to_json()) if given.json else "\n".join(story.lines()))
    return 0
