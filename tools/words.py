"""Checks the words of this repository: nothing from one machine in any file, and plain English in all public texts.

python tools/words.py                prints what it finds in the tracked files, file by file
python tools/words.py PATH ...       checks the English of these paths alone, also if they are in NOT_YET
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import english

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
PLAIN = (
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "RELEASING.md",
    "SECURITY.md",
    "benchmarks/",
    "docs/",
    "examples/",
    "js/README.md",
    "js/src/",
    "noxfile.py",
    "python/",
    "rust/",
    "tests/conformance/README.md",
    "tools/",
    "web/src/",
)
"""Files and folders whose texts are plain English (`english.py`)."""
NOT_YET: tuple[str, ...] = ()
"""Exceptions: texts that are still to be rewritten. The list only shrinks."""
OTHERS = (
    "python/adieu/server/static/",
    "tools/english.py",
    "web/src/words/de.ts",
    "web/src/words/es.ts",
)
"""Licences of others, the file that names the words, and texts in other languages."""
READ = (".md", ".py", ".pyi", ".rs", ".ts", ".mjs")


def main(paths: list[str]) -> int:
    command = ["git", "ls-files", "-z", *paths]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = 0
    for name in listed.split("\0"):
        path = ROOT / name
        if not name or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="ignore")
        if (
            name.endswith(READ)
            and (paths or (name.startswith(PLAIN) and not name.startswith(NOT_YET)))
            and not name.startswith(OTHERS)
        ):
            for place in english.check(name, text):
                print(f"{name}:{place}")
                found += 1
        if name in FREE or paths:
            continue
        for what, pattern in FORBIDDEN.items():
            for match in re.finditer(pattern, text):
                line = text.count("\n", 0, match.start()) + 1
                print(f"{name}:{line}: {what}: {match.group().strip()!r}")
                found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
