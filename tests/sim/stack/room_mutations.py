"""What a room promises and what it believes, each taken away: its tests have to find it, in both languages.

`python -m mutations` runs them (`tests/mutations.py`).
"""

from __future__ import annotations

from support.mutations import Mutation

ROOM, PAIR = "python/adieu/session/room.py", "python/adieu/session/pair.py"
TS_ROOM, TS_PAIR = "js/src/session/room.ts", "js/src/session/pair.ts"
TESTS, TS_TESTS = ("tests/sim/stack/test_rooms.py",), ("room",)

PYTHON = {
    "an end that nobody wanted is the last": (
        ROOM, "            pair.attempts += 1\n            self._plan(pair)\n", "            pair.attempts += 1\n",
    ),
    "an end that somebody wanted is undone": (PAIR, "    return code not in UNWANTED\n", "    return False\n"),
    "tries come ever more often": (PAIR, "2.0 ** min(self.attempts - 1, 10)", "0.5 ** min(self.attempts - 1, 10)"),
    "somebody who is away gets a session": (
        ROOM, "return peer is not None and not peer.away and not self._closing and self._over is None",
        "return peer is not None and not self._closing and self._over is None",
    ),
    "accept that raises is a yes": (
        ROOM, "is refused\", error)\n            return False", "is refused\", error)\n            return True",
    ),
    "a new id needs no word by signaling": (
        ROOM, "if new not in self._spoken.get(shell.id, ()) or old in self._peers or new not in self._peers:",
        "if old in self._peers or new not in self._peers:",
    ),
    "somebody is in two places": (
        ROOM, "or old in self._peers or new not in self._peers:", "or new not in self._peers:",
    ),
    "a new id takes the place of somebody who is considered": (
        ROOM, 'if there.standing != "new" or self._pairs.get(old) is None:', "if self._pairs.get(old) is None:",
    ),
    "the word of another ends a session that answers": (
        ROOM, "elif live is not None and _is_well(live):", "elif False:",
    ),
    "the other side begins sessions without a pause": (ROOM, "elif now - pair.began >= PACE:", "else:"),
    "a session that does not answer stays beside the next": (ROOM, "shell_of(live).superseded()", "pass"),
}  # fmt: skip
TYPESCRIPT = {
    "an end that nobody wanted is the last": (
        TS_ROOM, "      pair.attempts++;\n      this.#plan(pair);\n", "      pair.attempts++;\n",
    ),
    "an end that somebody wanted is undone": (TS_PAIR, "return !UNWANTED.includes(reason.code);", "return false;"),
    "accept that raises is a yes": (
        TS_ROOM, "      report(error);\n      return false;", "      report(error);\n      return true;",
    ),
    "a new id needs no word by signaling": (
        TS_ROOM, "if (!this.#spoken.get(shell.id)?.has(now) || this.#peers.has(old)", "if (this.#peers.has(old)",
    ),
    "somebody who is away gets a session": (
        TS_ROOM, "return !!peer && !peer.away && this.over === undefined;", "return !!peer && this.over === undefined;",
    ),
    "somebody is in two places": (
        TS_ROOM, "|| this.#peers.has(old) || !this.#peers.has(now)) return;", "|| !this.#peers.has(now)) return;",
    ),
    "a new id takes the place of somebody who is considered": (
        TS_ROOM, 'if (there.standing !== "new" || !pair) return;', "if (!pair) return;",
    ),
    "the word of another ends a session that answers": (
        TS_ROOM, "} else if (live && isWell(live)) {", "} else if (live && !live.id) {",
    ),
    "the other side begins sessions without a pause": (
        TS_ROOM, "} else if (this.#platform.now() - pair.began >= PACE) {", "} else {",
    ),
    "a session that does not answer stays beside the next": (
        TS_ROOM, "      if (live) shellOf(live).superseded();\n", "",
    ),
}  # fmt: skip

MUTATIONS = (
    *(Mutation("room", what, *change, TESTS) for what, change in PYTHON.items()),
    *(Mutation("room", what, *change, TS_TESTS) for what, change in TYPESCRIPT.items()),
)
