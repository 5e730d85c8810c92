"""Make the virtual environment, or say in one line what is missing. Runs on a bare Python."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

NEEDED = {
    "cargo": "Rust 1.89 or newer, from https://rustup.rs",
    "cc": "a C compiler (Debian: apt install gcc)",
    "cmake": "CMake (Debian: apt install cmake)",
}


def main() -> int:
    if sys.version_info < (3, 11):
        print(f"adieu needs Python 3.11 or newer; this is {sys.version.split()[0]}. Try: make PYTHON=python3.12 demo")
        return 1
    missing = [f"  {tool}: {remedy}" for tool, remedy in NEEDED.items() if shutil.which(tool) is None]
    if missing:
        print("adieu is built from source here and needs:", *missing, sep="\n")
        return 1
    target = Path(sys.argv[1])
    python = target / "bin" / "python"
    if python.exists() and subprocess.run([python, "-c", "import pip"], capture_output=True).returncode == 0:
        return 0
    print(f"Making {target} with Python {sys.version.split()[0]} ...", flush=True)
    venv.create(target, with_pip=True, clear=target.exists())
    return 0


if __name__ == "__main__":
    sys.exit(main())
