"""Words that must not be in a public repository: somebody's own directories, hosts and lists of work.

python tools/words.py        looks at all tracked files; prints what it finds, file by file
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OWN = [str(place) for place in (ROOT.parent, Path.home(), Path(tempfile.gettempdir())) if len(place.parts) > 1]
HERE = "|".join(map(re.escape, [*OWN, "/home", "/Users"]))
INDEXES = r"artifactory|nexus|/simple/|index\.crates\.io|files\.pythonhosted|registry\.npmjs|registry\.yarnpkg"
FORBIDDEN = {
    "a path of one machine": rf"(?<![\w.~$}}/-])(?:{HERE})/\w[\w./-]*",
    "an index of packages": rf"--(?:extra-)?index-url|--find-links|--trusted-host|https?://[^\s\"']*(?:{INDEXES})",
    "a private address": r"https?://[\w.-]+\.(?:internal|corp|lan)\b",
    "a number on a list of work": r"(?i)\b(?:issue|task|ticket)s? +#?\d+\b(?! of\b)",
    "a conflict of a merge": r"(?m)^(?:<{7} |>{7} )",
}
FREE = {"tools/words.py"}  # it names them


def main() -> int:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = 0
    for name in listed.split("\0"):
        path = ROOT / name
        if not name or name in FREE or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="ignore")
        for what, pattern in FORBIDDEN.items():
            for match in re.finditer(pattern, text):
                line = text.count("\n", 0, match.start()) + 1
                print(f"{name}:{line}: {what}: {match.group().strip()!r}")
                found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
