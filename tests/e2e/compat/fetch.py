"""Fetches aiortc's source with its examples. Run it where there is a network, with PYTHONPATH=tests:

    python -m e2e.compat.fetch            the examples
    python -m e2e.compat.fetch --needs    and the packages that some of them import: aiohttp, OpenCV; and pipecat

The version is the one that the tests install, and pip checks the hashes. It is 3-clause BSD, kept in `.cache/`, and not
committed here.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
CACHE = ROOT / ".cache" / "aiortc"
NEEDS = CACHE / "needs"
FROM = re.compile(r"^(\s*)from aiortc\b", re.MULTILINE)


def pinned() -> str:
    """The line of requirements/dev.txt that pins aiortc, with its hashes."""
    found = re.search(r"^aiortc==(?:.*\\\n)+.*", (ROOT / "requirements" / "dev.txt").read_text(), re.MULTILINE)
    assert found is not None
    return found[0].rstrip(" \\") + "\n"


def version() -> str:
    return pinned().partition("==")[2].split()[0]


def examples() -> Path:
    """The folder of the examples; it may not be there."""
    return CACHE / f"aiortc-{version()}" / "examples"


def fetch_examples() -> None:
    if examples().exists():
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        (Path(scratch) / "aiortc.txt").write_text(pinned())
        download = ("download", "--quiet", "--no-deps", "--no-binary=:all:", "--require-hashes", "--dest", scratch)
        _pip(*download, "-r", str(Path(scratch) / "aiortc.txt"))
        [archive] = Path(scratch).glob("*.tar.gz")
        with tarfile.open(archive) as source:
            source.extractall(scratch, filter="data")
        unpacked = Path(scratch) / examples().parent.name
        shutil.rmtree(examples().parent, ignore_errors=True)
        unpacked.rename(examples().parent)


def fetch_needs() -> None:
    pinned = [HERE / "examples.txt", HERE / "pipecat.txt"]
    stamp, wanted = NEEDS / "pinned.txt", "".join(path.read_text() for path in pinned)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(NEEDS, ignore_errors=True)
    files = [word for path in pinned for word in ("-r", str(path))]
    _pip("install", "--quiet", "--require-hashes", "--no-deps", "--target", str(NEEDS), *files)
    stamp.write_text(wanted)


def _pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", *arguments], check=True)


def changed(name: str, target: Path) -> Path:
    """Copy the folder of an example into `target`, with `from aiortc` made `from adieu.compat.aiortc`: nothing else."""
    folder = target / name
    shutil.copytree(examples() / name, folder)
    for path in folder.glob("*.py"):
        text = path.read_text()
        new = FROM.sub(r"\1from adieu.compat.aiortc", text)
        assert new != text
        different = [line for line in set(text.splitlines()) ^ set(new.splitlines()) if "import" not in line]
        assert not different, "only import lines may differ"
        path.write_text(new)
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--needs", action="store_true")
    fetch_examples()
    if parser.parse_args().needs:
        fetch_needs()
