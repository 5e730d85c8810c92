"""The plugin of pytest, and the example of the docs, run as a user runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PLUGIN = ("-p", "adieu.testing.plugin", "-p", "no:cacheprovider", "-p", "no:anyio", "-q")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment.pop("PYTEST_ADDOPTS", None)
    command = (sys.executable, "-m", "pytest", *PLUGIN, *arguments)
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
    )


def test_the_example_passes(tmp_path: Path) -> None:
    (tmp_path / "test_example.py").write_text((ROOT / "examples" / "test_my_program.py").read_text())
    result = run(tmp_path, "-W", "error")
    assert result.returncode == 0 and "3 passed" in result.stdout, result.stdout + result.stderr


def test_the_page_shows_tests_that_pass(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "topics" / "testing.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 3
    (tmp_path / "test_page.py").write_text("\n\n".join(blocks))
    result = run(tmp_path, "-W", "error")
    assert result.returncode == 0 and "passed" in result.stdout, result.stdout + result.stderr


def test_what_fails_in_the_world_fails_and_the_mark_sets_its_numbers(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import asyncio\n"
        "import pytest\n"
        "async def test_fails(virtual_world):\n"
        "    assert virtual_world.now > 1\n"
        "@pytest.mark.virtual_world(limit=5000.0)\n"
        "async def test_long(virtual_world, tmp_path):\n"
        "    await asyncio.sleep(4000)\n"
        "    assert tmp_path.exists()\n"
        "def test_plain(virtual_world):\n"
        "    pass\n"
    )
    result = run(tmp_path)
    assert "1 passed" in result.stdout and "1 failed, " in result.stdout, result.stdout
    assert "must be an async function" in result.stdout


@pytest.mark.parametrize("module", ["adieu.testing", "adieu.testing.plugin"])
def test_importing_it_loads_nothing_of_adieu(module: str) -> None:
    """Each run of pytest loads the plugin where adieu is installed: it must cost nothing."""
    code = f"import sys, {module}; print([name for name in sys.modules if name.startswith('adieu._core')])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
