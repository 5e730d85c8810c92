"""The bounds and promises of files and folders, each taken away: their tests have to find it, in both languages.

`python -m mutations` runs them (`tests/mutations.py`).
"""

from __future__ import annotations

from support.mutations import Mutation

FILES = "python/adieu/session/files"
TS_FILES = "js/src/session/files"
UNIT = ("tests/unit/session/files/test_parts.py",)
SIM = ("tests/sim/stack/test_folders.py",)
NEXT = ("tests/sim/stack/test_succession.py",)
TS = ("folders",)

MUTATIONS = (
    Mutation(
        "bound", "no path leads out of a folder", f"{FILES}/manifest.py",
        'if "\\0" in path or not _NOWHERE.isdisjoint(path.split("/")):', "if False:", UNIT,
    ),
    Mutation("bound", "no path is there twice", f"{FILES}/manifest.py", "if path in self._raw:", "if False:", UNIT),
    Mutation(
        "bound", "no more entries than were offered", f"{FILES}/manifest.py",
        "if len(self.entries) >= self._count:", "if False:", UNIT,
    ),
    Mutation(
        "bound", "a folder of at most 100 000 entries", f"{FILES}/transfers.py",
        "if (offer.entries or 0) > folders.MAX_ENTRIES:", "if False:", SIM,
    ),
    Mutation(
        "bound", "a piece is what its hash says", f"{FILES}/staging.py",
        "if digest != piece.hash:", "if False:", SIM,
    ),
    Mutation(
        "bound", "the proof of a folder is the one announced", f"{FILES}/folder.py",
        "if self.proof != proof:", "if False:", SIM,
    ),
    Mutation(
        "bound", "free space is looked at first", "python/adieu/session/disk.py",
        "    if size > free:\n", "    if False:\n", SIM,
    ),
    Mutation(
        "promise", "a part with other bytes is sent again", f"{FILES}/scan.py",
        "if proof.hexdigest() != had[1]:", "if False:", SIM,
    ),
    Mutation(
        "promise", "no mode gives more than files made here have", "python/adieu/session/disk.py",
        "mode & (most | (most & 0o444) >> 2) | owner", "mode | owner", SIM,
    ),
    Mutation(
        "promise", "what is in the way is seen before a byte comes", f"{FILES}/staging.py",
        "        if merged:\n            self._check_target(manifest)\n", "", SIM,
    ),
    Mutation(
        "promise", "a silent session gives way to its successor", "python/adieu/session/succession.py",
        "        if not shell_of(session).machine.is_troubled:\n            return None\n", "        return None\n",
        NEXT,
    ),
    Mutation(
        "promise", "a file that arrived is not received a second time", f"{FILES}/transfers.py",
        "self.final.get(id_) or DONE.get(id_)", "self.final.get(id_)", NEXT,
    ),
    Mutation(
        "bound", "no path leads out of a folder", f"{TS_FILES}/manifest.ts",
        "parts.some((part) => NOWHERE.includes(part))", "false", TS,
    ),
    Mutation(
        "bound", "a piece is what its hash says", f"{TS_FILES}/folders.ts",
        "if (hex(hashes[index]!) !== hex(piece.hash))", "if (hashes.length < 0)", TS,
    ),
    Mutation(
        "bound", "a folder of at most 100 000 entries", "js/src/session/transfer.ts",
        "if (entries! > 100_000)", "if (entries! > 1e12)", TS,
    ),
)  # fmt: skip
