"""Build the previous version, so that tests can use it at the other end of a session.

python tools/previous.py    prints the folder that goes onto PYTHONPATH; it is built once, and kept in .cache

The messages between two versions are part of the protocol. The version is named by its commit, and built from the
history of this repository.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

COMMIT = "d2414b59a25400440840fe5b020dbcaf86b53c8b"
ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / ".cache" / f"previous-{COMMIT[:12]}"


def main() -> int:
    if not SITE.exists():
        print(f"Building adieu as it was at {COMMIT[:12]} ...", file=sys.stderr, flush=True)
        build()
    print(SITE)
    return 0


def build() -> None:
    """Unpack the commit, build a wheel of it, and unpack that."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive = folder / "source.tar"
        _run("git", "-C", str(ROOT), "archive", f"--output={archive}", COMMIT)
        source = folder / "source"
        shutil.unpack_archive(archive, source, filter="data")
        # The crates that both versions stand on are compiled already.
        environment = dict(os.environ, CARGO_TARGET_DIR=str(ROOT / "target"))
        maturin = Path(sys.executable).with_name("maturin")
        _run(str(maturin), "build", "--release", "--locked", "--quiet", f"--out={folder}", cwd=source, env=environment)
        [wheel] = folder.glob("*.whl")
        unpacked = folder / "site"
        _run(
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            f"--target={unpacked}",
            str(wheel),
        )
        SITE.parent.mkdir(exist_ok=True)
        shutil.move(unpacked, SITE)


def _run(*command: str, **options: object) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr, **options)  # type: ignore[call-overload]


if __name__ == "__main__":
    sys.exit(main())
