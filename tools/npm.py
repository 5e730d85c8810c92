"""Helpers for the tools that build and check TypeScript."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def find() -> str | None:
    """Return the program npm, if it is installed; with CI=true it must be."""
    npm = shutil.which("npm")
    if npm is None and os.environ.get("CI") == "true":
        sys.exit("Node 20 or newer, with npm, is needed.")
    return npm


def prepare(npm: str, folder: Path) -> None:
    """Install the packages of the lock file, unless they are installed."""
    lock, installed = folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        run(npm, folder, "ci", "--silent", "--no-audit", "--no-fund")


def run(npm: str, folder: Path, *arguments: str) -> None:
    """Run one command of npm; end this program if it fails."""
    done = subprocess.run([npm, *arguments], cwd=folder)
    if done.returncode:
        sys.exit(done.returncode)
