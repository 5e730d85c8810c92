"""docs/reference/commands: a page for each command, which holds its help.

`python tests/unit/cli/test_pages.py` writes the help into the pages.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from adieu.cli.app import COMMANDS, parser_of

PAGES = Path(__file__).parents[3] / "docs" / "reference" / "commands"
BLOCK = re.compile(r"(?<=\n```text\n)(.*?)(?=```\n)", re.DOTALL)


def shown(name: str) -> str:
    """The help, as it is on a page."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "102"
    try:
        return parser_of(name).format_help()
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_of_a_command_shows_its_help(name: str) -> None:
    """Words are compared: line breaks differ between versions of Python."""
    *_, block = BLOCK.findall((PAGES / f"{name}.md").read_text("utf-8"))
    remedy = "run: python tests/unit/cli/test_pages.py"
    assert block.split() == shown(name).split(), remedy


def test_every_page_is_linked_and_has_its_command() -> None:
    index = (PAGES.parents[1] / "README.md").read_text("utf-8")
    assert {path.stem for path in PAGES.glob("*.md")} - {"index"} == set(COMMANDS)
    for name in COMMANDS:
        assert f"reference/commands/{name}.md" in index


if __name__ == "__main__":
    for each in COMMANDS:
        page = PAGES / f"{each}.md"
        before, mark, _ = page.read_text("utf-8").rpartition("\n```text\n")
        page.write_text(f"{before}{mark}{shown(each)}```\n", "utf-8")
