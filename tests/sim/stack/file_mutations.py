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
ONE = ("tests/sim/stack/test_files.py",)
DISK, TS_TRANSFER = "python/adieu/session/disk.py", "js/src/session/transfer.ts"
ON_DISK = ("tests/unit/session/test_disk.py",)
TS = ("folders",)
TS_ONE = ("files",)

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
        "bound", "an offer that is withdrawn counts until its turn", f"{FILES}/transfers.py",
        "len(self._in) + len(self._missed) >= MAX_OFFERS", "len(self._in) >= MAX_OFFERS", ONE,
    ),
    Mutation(
        "promise", "no handler sees an offer that is over", f"{FILES}/incoming.py",
        "            self._forget()\n        return self.over\n",
        "            self._forget()\n        return False\n", ONE,
    ),
    Mutation(
        "promise", "a transfer that was cancelled is not offered later", "python/adieu/session/succession.py",
        "if self._finished.done() or self._room.successor", "if self._room.successor", NEXT,
    ),
    Mutation(
        "bound", "the proof of a folder is the one announced", f"{FILES}/folder.py",
        "if self.proof != proof:", "if False:", SIM,
    ),
    Mutation(
        "bound", "a piece of a folder comes once", f"{FILES}/staging.py", "piece.at != self._at or ", "", SIM,
    ),
    Mutation(
        "bound", "a file has a channel of its own kind", f"{FILES}/transfers.py",
        "if not self.owns(offer.channel):", "if False:", ONE,
    ),
    Mutation(
        "bound", "a channel carries one file at a time", f"{FILES}/transfers.py",
        "if any(each.channel == offer.channel and not each.over for each in self._in.values()):", "if False:", ONE,
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
    # --- one file
    Mutation(
        "bound", "a chunk is what its hash says", DISK,
        "if len(data) != size or digest != message[-HASH:]:", "if len(data) != size:", ON_DISK,
    ),
    Mutation(
        "bound", "no more of a file than was offered", DISK, "if len(data) != size or digest", "if digest", ONE,
    ),
    Mutation(
        "bound", "what arrived is what the sender has proved", f"{FILES}/file.py",
        "            if part.proof != wanted:\n", "            if False:\n", ONE,
    ),
    Mutation(
        "bound", "a receiver goes on at a chunk of the file", f"{FILES}/file.py",
        "return at <= self.size and (self._chunk is None or not at % self._chunk or at == self.size)",
        "return True", ONE,
    ),
    Mutation(
        "promise", "a sender that dies of anything ends both who wait", f"{FILES}/transfer.py",
        "        except Exception as error:  # noqa: BLE001 who waits for the transfer is told, whatever it died of\n",
        "        except OSError as error:\n", ONE,
    ),
    Mutation(
        "promise", "two that receive the same file have a part each", DISK,
        "            if not _locked(file):\n", "            if not _locked(file) and path.name == \"\":\n", ON_DISK,
    ),
    Mutation(
        "promise", "what somebody else has touched is not given out", DISK,
        "if mine.st_size != self.size or not _is(self.path, mine):", "if mine.st_size != self.size:", ON_DISK,
    ),
    Mutation(
        "promise", "a file that changes while it is sent is not sent", DISK,
        "        if found.st_size == self._stat.st_size:\n", "        if False:\n", ON_DISK,
    ),
    Mutation(
        "promise", "each chunk is hashed once for all who get the file", DISK,
        "            known = self._hashes.get((index, size))\n            if known is None:\n",
        "            known = None\n            if known is None:\n", ON_DISK,
    ),
    Mutation(
        "promise", "no bytes change before they are delivered", f"{FILES}/file.py",
        "AHEAD // BATCH + 2]", "AHEAD // BATCH + 1]", ONE,
    ),
    Mutation(
        "promise", "a file gets its name without a wait for the disk", DISK,
        "            os.link(self.path, path)\n", "            raise OSError\n", ON_DISK,
    ),
    Mutation(
        "promise", "an offer waits for a handler", f"{FILES}/transfers.py",
        "            incoming = self._in[id_] = kind(self, id_, offer, self._forget)\n            incoming.tell()\n",
        "            incoming = self._in[id_] = kind(self, id_, offer, self._forget)\n            incoming.tell()\n"
        "            if not incoming.answered:\n                incoming.refuse()\n", ONE,
    ),
    Mutation(
        "promise", "a last word is said again on another connection", f"{FILES}/transfers.py",
        "        for final in list(self.final.values()):\n            self.say(final)\n", "", ONE,
    ),
    Mutation(
        "bound", "a receiver that reports another hash is not believed", TS_TRANSFER,
        "if (!this.proof || (chunk && proof !== this.proof)) {", "if (!this.proof) {", TS_ONE,
    ),
    Mutation(
        "bound", "a receiver goes on at a chunk of the file", TS_TRANSFER,
        "if (at > this.size || (chunk && at % chunk && at !== this.size)) {", "if (at < 0) {", (*TS_ONE, *TS),
    ),
    Mutation(
        "promise", "an offer waits for a handler", TS_TRANSFER,
        "    if (!session.takesFiles(kind) || this.#told || this.answered) return;\n",
        "    if (!session.takesFiles(kind)) this.refuse();\n    if (this.#told || this.answered) return;\n", TS_ONE,
    ),
    Mutation(
        "promise", "each chunk is hashed once for all who get the file", f"{TS_FILES}/parts.ts",
        "const hash = this.#chunks.get(chunk) ?? ", "const hash = ", TS_ONE,
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
        "bound", "a piece of a folder comes once", f"{TS_FILES}/folders.ts", "now.at !== at || ", "", TS,
    ),
    Mutation(
        "bound", "the proof of a folder is the one announced", f"{TS_FILES}/folders.ts",
        "if (this.proof !== proof) damaged", "if (!this.proof) damaged", TS,
    ),
    Mutation(
        "bound", "a chunk is what its hash says", f"{TS_FILES}/folders.ts",
        "if (!fits || hex(await from.digest(data)) !== hex(hash)) damaged", "if (!fits) damaged", TS_ONE,
    ),
    Mutation(
        "bound", "what arrived is what the sender has proved", f"{TS_FILES}/folders.ts",
        "if (hex(message) !== proof) damaged", "if (!proof) damaged", TS_ONE,
    ),
    Mutation(
        "bound", "a file of the first version is what its hash says", f"{TS_FILES}/first.ts",
        "if ((await whole(file)) !== sha256) throw", "if (!(await whole(file))) throw", TS_ONE,
    ),
    Mutation(
        "bound", "a file has a channel of its own kind", TS_TRANSFER,
        "if (!this.owns(channel)) return", "if (!channel) return", TS_ONE,
    ),
    Mutation(
        "bound", "an offer that is withdrawn counts until its turn", TS_TRANSFER,
        "if (this.#told === this.#handled) this.#transfers.forget", "this.#transfers.forget", TS_ONE,
    ),
    Mutation(
        "promise", "no handler sees an offer that is over", "js/src/session/session.ts",
        "event as never, false, event)", "event as never, false)", TS_ONE,
    ),
    Mutation(
        "bound", "a channel carries one file at a time", TS_TRANSFER,
        ".some((each) => each.channel === channel && !each.over)", ".some((each) => !each.channel)", TS_ONE,
    ),
    Mutation(
        "bound", "a folder of at most 100 000 entries", "js/src/session/transfer.ts",
        "if (entries! > 100_000)", "if (entries! > 1e12)", TS,
    ),
)  # fmt: skip
