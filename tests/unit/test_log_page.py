"""docs/topics/logging.md: its program writes what the page shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from adieu import log

PAGE = (Path(__file__).parents[2] / "docs" / "topics" / "logging.md").read_text()
[PROGRAM] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
INFO, DEBUG = (text.splitlines() for text in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL))

MAY_BE_MISSING = (
    "is nominated",  # one for each family of addresses
    "= path ",
    "candidate udp",
    "the last one",
    "! dropped",
    "! the handshake has no answer yet",
    "check again",
    "answers again",
    "> ABORT",  # only the side that closes first says it
    "close_notify",
    "x closed by the other side",
    "= connected, ",
    "by signaling",  # a word goes both ways; the way that is not needed may be spared
    "gathering complete",
)
"""What a run may have, or not: it depends on the machine, or on who is first."""


def shape(line: str) -> str:
    """A line without what is another in each run."""
    line = re.sub(r"(\[[0-9a-f:]+\]|\d+\.\d+\.\d+\.\d+):\d+", "ADDRESS", line)
    line = re.sub(r"session [0-9a-f]{8}", "session ID", line)
    return re.sub(r"(prflx|srflx) ADDRESS", "host ADDRESS", line)


def shapes(lines: list[str]) -> set[str]:
    return {shape(line) for line in lines if not any(word in line for word in MAY_BE_MISSING)}


def run(level: str) -> list[str]:
    program = PROGRAM.replace('setLevel("INFO")', f'setLevel("{level}")')
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "hello\n"
    return done.stderr.splitlines()


def test_the_example_at_info_is_what_its_program_writes() -> None:
    written = run("INFO")
    assert shapes(written) == shapes(INFO)
    for id_ in ("pc1", "pc2"):
        [connected, ended] = [line for line in written if f" {id_} " in line]
        assert re.search(r" = connected, udp host ADDRESS -> host ADDRESS$", shape(connected))
        assert re.search(r" x closed by (this side, connected until then|the other side: .*)$", ended)
    assert len(written) == len(INFO) == 10


def test_the_example_at_debug_is_what_its_program_writes() -> None:
    written = [line for line in run("DEBUG") if re.search(r" (s1|pc1) ", line)]
    assert shapes(written) == shapes(DEBUG)
    known = {shape(line) for line in DEBUG}
    for line in written:
        assert shape(line) in known or any(word in line for word in MAY_BE_MISSING)


def test_the_page_names_every_logger() -> None:
    loggers = {logger.name for logger in vars(log).values() if isinstance(logger, type(log.ICE))}
    assert set(re.findall(r"^\| `(adieu\.\w+)`", PAGE, re.MULTILINE)) == loggers


@pytest.mark.parametrize("mark", [">", "<", "=", "!", "x"])
def test_the_page_explains_every_mark(mark: str) -> None:
    assert f"| `{mark}` |" in PAGE
