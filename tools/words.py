"""The words of a public repository: nothing of one machine in any file, and plain English in what people read.

python tools/words.py                prints what it finds in the tracked files, file by file
python tools/words.py PATH ...       the English of these paths alone, whether they are in PLAIN or not
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
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "docs/README.md",
    "docs/news/",
    "docs/reference/",
    "docs/topics/",
    "js/README.md",
    "python/adieu/__init__.py",
    "js/src/goodbye/",
    "js/src/bytes.ts",
    "js/src/deque.ts",
    "js/src/errors.ts",
    "js/src/hashing.ts",
    "js/src/index.ts",
    "js/src/platform.ts",
    "js/src/promises.ts",
    "js/src/sha256.ts",
    "js/src/protocol/",
    "js/src/session/bundle.ts",
    "js/src/session/channel.ts",
    "js/src/session/connect.ts",
    "js/src/session/connection-budget.ts",
    "js/src/session/connection.ts",
    "js/src/session/direct-route.ts",
    "js/src/session/emitter.ts",
    "js/src/session/events.ts",
    "js/src/session/join.ts",
    "js/src/session/ledger.ts",
    "js/src/session/media.ts",
    "js/src/session/memory.ts",
    "js/src/session/names.ts",
    "js/src/session/notice.ts",
    "js/src/session/page.ts",
    "js/src/session/pair.ts",
    "js/src/session/receipt.ts",
    "js/src/session/recorder.ts",
    "js/src/session/room-route.ts",
    "js/src/session/room.ts",
    "js/src/session/session.ts",
    "js/src/session/shell.ts",
    "js/src/session/signaling-route.ts",
    "js/src/session/transfer.ts",
    "js/src/signaling/",
    "python/adieu/cli/",
    "python/adieu/errors.py",
    "python/adieu/jsep/",
    "python/adieu/lazy.py",
    "python/adieu/protocol/",
    "python/adieu/sdp/",
    "python/adieu/server/",
    "python/adieu/session/__init__.py",
    "python/adieu/session/channel.py",
    "python/adieu/session/connect.py",
    "python/adieu/session/connection.py",
    "python/adieu/session/direct_route.py",
    "python/adieu/session/disk.py",
    "python/adieu/session/emitter.py",
    "python/adieu/session/entering.py",
    "python/adieu/session/events.py",
    "python/adieu/session/ledger.py",
    "python/adieu/session/memory.py",
    "python/adieu/session/names.py",
    "python/adieu/session/notice.py",
    "python/adieu/session/pair.py",
    "python/adieu/session/receipt.py",
    "python/adieu/session/recorder.py",
    "python/adieu/session/room.py",
    "python/adieu/session/room_route.py",
    "python/adieu/session/session.py",
    "python/adieu/session/session_log.py",
    "python/adieu/session/shell.py",
    "python/adieu/session/signaling_route.py",
    "python/adieu/session/tasks.py",
    "python/adieu/session/transfer.py",
    "python/adieu/signaling/",
    "python/adieu/unclosed.py",
    "web/src/",
)
"""Files and folders whose texts are plain English (`english.py`). The list only grows."""
BUILT = "python/adieu/server/static/"
"""Files of others, and files that a program writes."""
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
        if name.endswith(READ) and (paths or name.startswith(PLAIN)) and not name.startswith(BUILT):
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
