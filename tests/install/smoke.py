"""Does the adieu that is installed work? Two sessions over real UDP, as docs/start/programs.md prints them.

python tests/install/smoke.py
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from first_minute import FIRST_PROGRAM, ROOT, printed


def main() -> int:
    """Run the program, and look at what it says."""
    where = "import adieu._core as core; print(core.__file__)"
    found = subprocess.run([sys.executable, "-c", where], capture_output=True, text=True, check=True).stdout.strip()
    if Path(found).is_relative_to(ROOT / "python"):
        print(f"this would try the checkout ({found}), not what is installed", file=sys.stderr)
        return 1
    program = printed(FIRST_PROGRAM)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    print(found, ran.stdout, ran.stderr, sep="\n")
    return 0 if ran.returncode == 0 and "Ben holds the same receipt: True" in ran.stdout else 1


if __name__ == "__main__":
    sys.exit(main())
