"""Build the core and install adieu, editable, into the virtual environment this runs in."""

import os
import subprocess
import sys
from pathlib import Path


def main() -> int:
    root = Path(__file__).resolve().parent.parent
    venv = Path(sys.prefix)
    environment = dict(os.environ, VIRTUAL_ENV=str(venv), PATH=f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}")
    environment.pop("PYTHONHOME", None)
    first = not (root / "target" / "release").exists()
    if first:
        print("Building the core (about two minutes the first time) ...", flush=True)
    command = [str(venv / "bin" / "maturin"), "develop", "--release", "--locked", "--quiet"]
    return subprocess.run(command, cwd=root, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
