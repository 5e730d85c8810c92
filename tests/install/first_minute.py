"""A new user's first minute: from `pip install` of the wheel to two programs that talk, without a compiler.

    python tests/install/first_minute.py dist/adieu-*.whl

It makes an environment for each Python that is here (3.11 to 3.13), installs the wheel with `[server]` as
docs/start/install.md says, starts `adieu serve`, and runs the two programs of docs/start/programs.md as they are
printed. It writes the times into tests/install/reports/first-minute.md, and fails after 60 seconds.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REPORT = Path(__file__).parent / "reports" / "first-minute.md"
PYTHONS = ("3.11", "3.12", "3.13")
LIMIT = 60.0
COMPILERS = ("cc", "gcc", "g++", "clang", "cargo", "rustc", "cmake", "make")
SECOND_PROGRAM = re.compile(r"## Two programs and a server.*?```py\n(.*?)```", re.DOTALL)
FIRST_PROGRAM = re.compile(r"## In one program.*?```python\n(.*?)```", re.DOTALL)


@dataclass
class Minute:
    """Seconds since the start at which each thing was done.

    Attributes:
        installed: pip has ended.
        first: the program with two sessions has ended.
        talking: both programs have read the other's message, and ended.
        said: the lines of both programs.
    """

    installed: float
    first: float
    talking: float
    said: list[str]


def python_of(version: str) -> str | None:
    """Return a Python of this version that runs, or None."""
    found = [shutil.which(f"python{version}")]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found += [str(path) for path in sorted(pyenv.glob(f"{version}.*/bin/python{version}"))]
    for program in found:
        if (
            program is not None
            and subprocess.run([program, "-c", ""], capture_output=True, check=False).returncode == 0
        ):
            return program
    return None


def printed(pattern: re.Pattern[str]) -> str:
    """Return a program as docs/start/programs.md prints it."""
    match = pattern.search((ROOT / "docs" / "start" / "programs.md").read_text("utf-8"))
    if match is None:
        raise ValueError(f"docs/start/programs.md has no program like {pattern.pattern!r}")
    return match[1]


def without_compilers(folder: Path, tools: Path) -> str:
    """Return a PATH with the tools of an environment and of the system, but no compiler."""
    folder.mkdir()
    for place in ("/usr/bin", "/bin"):
        for program in Path(place).iterdir():
            link = folder / program.name
            if program.name.startswith(COMPILERS) or link.is_symlink():
                continue
            link.symlink_to(program)
    path = os.pathsep.join([str(tools), str(folder)])
    assert all(shutil.which(name, path=path) is None for name in COMPILERS)
    return path


def minute(python: str, wheel: Path) -> Minute:
    """Do it once.

    Raises:
        RuntimeError: a step failed; the error has what it said.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([python, "-m", "venv", str(folder / "env")], check=True)
        tools = folder / "env" / "bin"
        kept = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "VIRTUAL_ENV"}}
        environment = kept | {"PATH": without_compilers(folder / "bin", tools)}
        start = time.monotonic()
        _run(environment, str(tools / "pip"), "install", "--quiet", "--only-binary=adieu", f"{wheel}[server]")
        installed = time.monotonic() - start
        environment["PYTHONWARNINGS"] = "error"  # not for pip, which has warnings of its own
        _run(environment, str(tools / "python"), "-c", printed(FIRST_PROGRAM))
        first = time.monotonic() - start
        said = _two_programs(environment, tools)
        return Minute(installed, first, time.monotonic() - start, said)


def _two_programs(environment: dict[str, str], tools: Path) -> list[str]:
    serve = [str(tools / "adieu"), "serve", "--port", "0"]
    server = subprocess.Popen(serve, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert server.stdout is not None
        url = None
        lines: list[str] = []
        while url is None and (line := server.stdout.readline()):
            lines.append(line)
            url = re.search(r"ws://[\w.:]+/ws", line)
        if url is None:
            raise RuntimeError(f"adieu serve ended: {''.join(lines)}")
        program = printed(SECOND_PROGRAM).replace("ws://127.0.0.1:8080/ws", url[0])
        pair = [
            subprocess.Popen(
                [str(tools / "python"), "-c", program, person],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for person in ("ada", "ben")
        ]
        said = [process.communicate(timeout=LIMIT)[0].strip() for process in pair]
        if any(process.returncode for process in pair):
            raise RuntimeError("\n".join(said))
        return said
    finally:
        server.terminate()
        server.wait()


def _run(environment: dict[str, str], *command: str) -> None:
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    if ran.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")


def main(arguments: list[str]) -> int:
    """Measure with each Python, and write the report."""
    wheel = Path(arguments[0]).resolve()
    rows: list[str] = []
    slow = False
    for version in PYTHONS:
        python = python_of(version)
        if python is None:
            rows.append(f"| {version} | not here | | | |")
            continue
        took = minute(python, wheel)
        slow = slow or took.talking > LIMIT
        said = "; ".join(took.said)
        rows.append(f"| {version} | {took.installed:.1f} | {took.first:.1f} | {took.talking:.1f} | {said} |")
        print(rows[-1], flush=True)
    head = (
        "# The first minute\n\n"
        "`python tests/install/first_minute.py WHEEL` wrote this: seconds from the start of `pip install` until each\n"
        "step was done, in a fresh environment, with no compiler on the path.\n\n"
        f"{time.strftime('%Y-%m-%d')}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores,"
        f" load {os.getloadavg()[0]:.1f}, `{wheel.name}`\n\n"
        "| Python | installed | first program done | two programs have talked | they said |\n|---|---|---|---|---|\n"
    )
    REPORT.write_text(head + "\n".join(rows) + "\n", "utf-8")
    return int(slow)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
