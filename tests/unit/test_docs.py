"""The pages of docs/: their programs run, their fragments are Python, their commands exist, and they build."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pictures
import pytest

import adieu
from adieu.cli.app import COMMANDS, parser_of
from adieu.session.machine.receipt import StepName
from adieu.session.machine.states import STATES

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "news" not in path.parts)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(*languages: str) -> list[object]:
    """Every block of these languages, named by its page and line."""
    found: list[object] = []
    for page in PAGES:
        text = page.read_text()
        for match in BLOCK.finditer(text):
            if match[1] in languages:
                name = f"{page.relative_to(DOCS)}:{text.count(chr(10), 0, match.start()) + 1}"
                found.append(pytest.param(match[2], id=name))
    return found


def is_program(code: str) -> bool:
    return "asyncio.run(" in code and "sys.argv" not in code


@pytest.mark.parametrize("code", blocks("python", "py"))
def test_a_block_is_python(code: str) -> None:
    compile(code, "<block>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)


@pytest.mark.parametrize(
    "code",
    [block for block in blocks("python") if is_program(block.values[0]) and "tutorials/" not in str(block.id)],  # type: ignore[attr-defined]
)
def test_a_program_runs_and_says_nothing_of_an_error(code: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=100, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout or ran.stderr


TAUGHT = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.parent.name == "tutorials"], ids=lambda page: page.stem
)
def test_a_tutorial_prints_what_is_below_its_programs(page: Path) -> None:
    """All its programs are run here, at the same time: they wait for each other's goodbyes most of the time."""
    text = page.read_text()
    taught = TAUGHT.findall(text)
    assert len(taught) == len(re.findall(r"^```py", text, re.MULTILINE)) >= 3, "each program has its output below it"
    command = (sys.executable, "-W", "error", "-c")
    running = [
        subprocess.Popen([*command, code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for code, _ in taught
    ]
    try:
        for program, (_, printed) in zip(running, taught, strict=True):
            said, errors = program.communicate(timeout=100)
            assert (program.returncode, sorted(said.splitlines())) == (0, sorted(printed.splitlines())), errors
    finally:
        for program in running:
            program.kill()
            program.communicate()


def commands() -> list[object]:
    found: list[object] = []
    for block in blocks("sh"):
        text = str(block.values[0]).replace("\\\n", " ")  # type: ignore[attr-defined]
        for line in text.splitlines():
            if line.startswith("adieu "):
                words = shlex.split(line, comments=True)
                found.append(pytest.param(words[1:], id=f"{block.id} {line[:40]}"))  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("words", commands())
def test_a_command_is_one_that_adieu_has(words: list[str]) -> None:
    assert words[0] in COMMANDS or words == ["--help"]
    if words[0] in COMMANDS:
        parser_of(words[0]).read(words[1:])


@pytest.mark.parametrize("module", ["", ".session", ".signaling", ".media", ".server", ".testing", ".debug"])
def test_every_public_name_is_in_the_reference(module: str) -> None:
    page = (DOCS / "reference" / "python.md").read_text()
    names = set(importlib.import_module(f"adieu{module}").__all__) - {"__version__"}
    documented = set(re.findall(r"\badieu(?:\.[a-z]+)?\.(\w+)\b", page))
    assert names <= documented, names - documented


def test_every_error_has_its_cause_and_its_cure() -> None:
    page = (DOCS / "reference" / "errors.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert all(cell.strip() for row in rows for cell in row.strip("|").split(" | "))
    assert not [row for row in rows if row.count(" | ") != 2], "an error, when, what to do"
    for name in adieu.__all__:
        if name.endswith(("Error", "Exception")):
            assert f"`{name}`" in page, name
            bases = {"AdieuError", "DOMException", "SessionError", "SignalingError"}
            assert name in bases or any(f"`{name}`" in row for row in rows), name


@pytest.mark.parametrize("name", pictures.COMPARED)
def test_a_picture_is_drawn_from_its_table(name: str) -> None:
    assert (pictures.FOLDER / name).read_text("utf-8") == pictures.COMPARED[name](), "run python tools/pictures.py"


def test_the_picture_of_a_close_has_the_steps_that_a_close_has() -> None:
    drawn = re.findall(r">([a-z-]+), \d+ ms<", (pictures.FOLDER / "close.svg").read_text("utf-8"))
    assert drawn == 2 * list(get_args(StepName))


def test_every_state_has_a_place_in_the_picture() -> None:
    assert set(pictures.PLACES) == set(STATES)
