"""The bounds of what a peer may say, each taken away: the tests with a hostile peer have to find it, in both languages.

And what is promised to a peer that keeps the protocol: those of credit, and with honest peers, have to find it.

`python -m mutations` runs them (`tests/mutations.py`).
"""

from __future__ import annotations

from support.mutations import Mutation

CLOSE = "session/machine/close.py"
RESET = "session/machine/reset.py"
MACHINE = "session/machine/machine.py"
CHANNELS = "session/machine/channels.py"
CONNECTIONS = "session/machine/connections.py"
SENDER = "session/machine/sender.py"
RECEIVER = "session/machine/receiver.py"
BUDGET = "session/machine/budget.py"
CONTROL = "protocol/control.py"
WORDS = "protocol/words.py"
TS_CLOSE = "session/machine/close.ts"
TS_RESET = "session/machine/reset.ts"
TS_MACHINE = "session/machine/machine.ts"
TS_CHANNELS = "session/machine/channels.ts"
TS_CONNECTIONS = "session/machine/connections.ts"
TS_SENDER = "session/machine/sender.ts"
TS_RECEIVER = "session/machine/receiver.ts"
TS_BUDGET = "session/machine/budget.ts"
TS_HELD = "session/machine/held.ts"
TS_CONTROL = "protocol/control.ts"
TS_CODEC = "protocol/codec.ts"
TS_MESSAGES = "protocol/messages.ts"

PYTHON_BOUNDS = {
    # --- time
    "a close keeps its own time while another runs": (
        CLOSE, "_hurry(m, m.closing, m.now + timeout)",
        "pass",
    ),
    "a deadline that is said again does not pass a close of this side": (
        CLOSE, "        deadline = min(deadline, closing.own)\n", "        pass\n",
    ),
    "an hour at most, as said": (CLOSE, "LONGEST = 3600.0", "LONGEST = 1e12"),
    "patience with a silent peer that closes": (
        CLOSE, "    if m.now >= due:\n",
        "    if m.now >= due + 60:\n",
    ),
    "the last steps end with the close's own time": (
        CLOSE, "closing.deadline + (LAST_WORD if closing.is_abrupt else 0.0)",
        "closing.deadline + 60",
    ),
    # --- acknowledgements
    "ranges of an acknowledgement rise": (
        SENDER, "if not last < start <= end:",
        "if False:",
    ),
    "no acknowledgement of what was not sent": (
        SENDER, "        if last > self.started:\n",
        "        if False:\n",
    ),
    "256 ranges": (
        WORDS, "Annotated[list[tuple[Count, Count]], Meta(max_length=MAX_RANGES)]", "list[tuple[Count, Count]]",
    ),
    "ranges are merged in one pass": (
        SENDER, "        left = iter(ranges)\n",
        "        left = iter(ranges)\n        for _ in range(2000):\n            list(self.flight)\n",
    ),
    "a window is no leave to hold without end what is under way": (
        SENDER, "min(self.window, self.most)",
        "self.window",
    ),
    "the same for a peer that counts payload alone": (
        SENDER, "self.flight_bytes < self.window and cost < self.most",
        "self.flight_bytes < self.window",
    ),
    # --- what is held
    "no more than the credit given": (
        RECEIVER, "> self.limit:\n",
        "> 10**12:\n",
    ),
    "no more than the budget": (
        RECEIVER, "(0 if self.counted else COST + size) > self.budget.size:",
        "size > 10**12:",
    ),
    "a large message starts with a large window only": (
        RECEIVER, "largest = self.budget.max_message if window > SMALL else SMALL",
        "largest = self.budget.max_message",
    ),
    "a channel that nobody took gets little": (
        BUDGET, "if receiver.claimed and min(large",
        "if min(large",
    ),
    "messages count, not only their payload": (
        RECEIVER, "self.arrived += size + (COST if self.counted else 0)",
        "self.arrived += size",
    ),
    "halves count, not only their payload": (
        RECEIVER, "        self.arrived += COST if self.counted else 0\n        return partial",
        "        return partial",
    ),
    "a flood of small messages is packed": ("session/machine/held.py", "UNPACKED = 4096", "UNPACKED = 10**9"),
    "the largest message": (
        RECEIVER, "        if size > self.budget.max_message:\n",
        "        if False:\n",
    ),
    "an unreliable channel drops its oldest": (
        RECEIVER, "while len(self.line) > 1 and (",
        "while False and (",
    ),
    "an unreliable channel keeps within the budget": (
        RECEIVER, "while self.budget.free < 0 and self.drop",
        "while False and self.drop",
    ),
    "sixteen halves of an unreliable channel": (
        RECEIVER, "MAX_PARTIALS = 16",
        "MAX_PARTIALS = 1000",
    ),
    "one half of an ordered channel": (
        RECEIVER, "            if seq != self.have + 1:\n",
        "            if fragment.first and fragment.last and seq != self.have + 1:\n",
    ),
    "numbers do not jump further than credit reaches": (
        RECEIVER, "if seq > max(self.beyond.last, self.turn) and before >= self.edge:",
        "if False:",
    ),
    "gaps of an unreliable channel": (
        RECEIVER, "elif len(self.beyond) > MAX_GAPS:",
        "elif False:",
    ),
    "what a channel needs is told to the budget": (
        RECEIVER, "self.budget.used += reserve - self.reserve",
        "pass",
    ),
    "so many channels": (
        CHANNELS, "if len(m.channels) >= m.options.max_channels or message.id in m.by_id:",
        "if message.id in m.by_id:",
    ),
    "epochs do not jump": (
        RESET, "if epoch > m.last_epoch + connections.AHEAD:",
        "if False:",
    ),
    "epochs of descriptions do not jump": (
        MACHINE, "if not self.last_epoch < epoch <= self.last_epoch + connections.AHEAD or self.smaller:",
        "if not self.last_epoch < epoch or self.smaller:",
    ),
    "the smallest engine": (
        CONNECTIONS, "if max_message < control.MIN_MESSAGE:",
        "if False:",
    ),
    "no turn that was not asked for": (
        SENDER, "min(turn, self._asked_turn)",
        "turn",
    ),
    # --- decoding
    "the length of a control message": (CONTROL, "    if len(text) > MAX_CONTROL:\n", "    if False:\n"),
    "nesting": (CONTROL, "    check_nesting(text)\n", ""),
    "numbers that both languages hold": (WORDS, "Meta(ge=0, le=MAX_COUNT)", "Meta(ge=0)"),
    "the length of a text": (WORDS, "Line = Annotated[str, Meta(max_length=MAX_LINE)]", "Line = str"),
    "the length of an id": (WORDS, "Id = Annotated[str, Meta(max_length=MAX_ID)]", "Id = str"),
    "members of a map of channels": (
        WORDS, "Counts = Annotated[dict[Name, Count], Meta(max_length=MAX_CHANNELS)]", "Counts = dict[Name, Count]",
    ),
    "numbers of messages in a header": (CONTROL, "    if value > MAX_COUNT:\n", "    if False:\n"),
    "messages under way": (
        SENDER, "MAX_FLIGHT = 16384",
        "MAX_FLIGHT = 10**9",
    ),
    "a close does not count one by one": (
        RECEIVER, "if not self.kept and self.line and",
        "if False and",
    ),
}  # fmt: skip

TYPESCRIPT_BOUNDS = {
    # --- time
    "a close keeps its own time while another runs": (
        TS_CLOSE, "  hurry(m, m.closing, deadline);",
        "",
    ),
    "a deadline that is said again does not pass a close of this side": (
        TS_CLOSE, "closing.deadline = Math.min(deadline, closing.own ?? deadline);", "closing.deadline = deadline;",
    ),
    "an hour at most, as said": (TS_CLOSE, "const LONGEST = 3600;", "const LONGEST = 1e12;"),
    "patience with a silent peer that closes": (
        TS_CLOSE, "  if (m.now >= due) {\n",
        "  if (m.now >= due + 60) {\n",
    ),
    "the last steps end with the close's own time": (
        TS_CLOSE, "closing.deadline + (closing.isAbrupt ? LAST_WORD : 0)",
        "closing.deadline + 60",
    ),
    # --- acknowledgements
    "ranges of an acknowledgement rise": (
        TS_SENDER, "if (start <= last || end < start) throw",
        "if (start < 0) throw",
    ),
    "no acknowledgement of what was not sent": (
        TS_SENDER, "if (last > this.started) throw",
        "if (last < 0) throw",
    ),
    "256 ranges": (
        TS_MESSAGES,
        "  ranges: c.optional(c.list(c.pair(c.int(0, MOST), c.int(0, MOST)), 256), []),\n  window: ",
        "  ranges: c.optional(c.list(c.pair(c.int(0, MOST), c.int(0, MOST)), 1e9), []),\n  window: ",
    ),
    "ranges are merged in one pass": (
        TS_SENDER, "    let at = 0;\n    for (let next = this.flight.first()",
        "    let at = 0;\n    for (let n = 0; n < 2e3; n++) [...this.flight];\n    for (let next = this.flight.first()",
    ),
    "a window is no leave to hold without end what is under way": (
        TS_SENDER, "cost < Math.min(this.window, this.most)",
        "cost < this.window",
    ),
    "the same for a peer that counts payload alone": (
        TS_SENDER, "this.flightBytes < this.window && cost < this.most",
        "this.flightBytes < this.window",
    ),
    "messages under way": (
        TS_SENDER, "const MAX_FLIGHT = 16384;",
        "const MAX_FLIGHT = 1e9;",
    ),
    # --- what is held
    "no more than the credit given": (
        TS_RECEIVER, "> this.limit) {",
        "> 1e12) {",
    ),
    "no more than the budget": (
        TS_RECEIVER, "(this.counted ? 0 : COST + size) > this.budget.size) {",
        "size > 1e12) {",
    ),
    "a large message starts with a large window only": (
        TS_RECEIVER, "window > SMALL ? this.budget.maxMessage : SMALL;",
        "this.budget.maxMessage;",
    ),
    "a channel that nobody took gets little": (
        TS_BUDGET, "if (receiver.claimed && Math.min(large",
        "if (Math.min(large",
    ),
    "messages count, not only their payload": (
        TS_RECEIVER, "this.arrived += size + this.#each;",
        "this.arrived += size;",
    ),
    "halves count, not only their payload": (
        TS_RECEIVER, "    this.arrived += this.#each;\n",
        "",
    ),
    "a flood of small messages is packed": (TS_HELD, "const UNPACKED = 4096;", "const UNPACKED = 1e9;"),
    "the largest message": (
        TS_RECEIVER, "if (size > maxMessage) throw",
        "if (size < 0) throw",
    ),
    "an unreliable channel drops its oldest": (
        TS_RECEIVER, "while (line.length > 1 && full())",
        "while (false && full())",
    ),
    "an unreliable channel keeps within the budget": (
        TS_RECEIVER, "while (this.budget.free < 0 && this",
        "while (this.budget.free < -1e12 && this",
    ),
    "sixteen halves of an unreliable channel": (
        TS_RECEIVER, "const MAX_PARTIALS = 16;",
        "const MAX_PARTIALS = 1000;",
    ),
    "one half of an ordered channel": (
        TS_RECEIVER, "if (seq !== this.have + 1) throw",
        "if (first && last && seq !== this.have + 1) throw",
    ),
    "numbers do not jump further than credit reaches": (
        TS_RECEIVER, "if (seq > Math.max(this.beyond.last, this.turn) && before >= this.edge) {",
        "if (before < -1e12) {",
    ),
    "gaps of an unreliable channel": (
        TS_RECEIVER, "else if (this.beyond.size > MAX_GAPS) {",
        "else if (seq < 0) {",
    ),
    "what a channel needs is told to the budget": (
        TS_RECEIVER, "this.budget.used += reserve - this.reserve;",
        "",
    ),
    "so many channels": (
        TS_CHANNELS, "if (m.channels.size >= m.options.maxChannels || m.byId.has(id)) {",
        "if (m.byId.has(id)) {",
    ),
    "epochs do not jump": (
        TS_RESET, "if (epoch > m.lastEpoch + connections.AHEAD) {",
        "if (epoch < 0) {",
    ),
    "epochs of descriptions do not jump": (
        TS_MACHINE, "epoch > this.lastEpoch + connections.AHEAD || ",
        "",
    ),
    "the smallest engine": (
        TS_CONNECTIONS, "if (maxMessage < control.MIN_MESSAGE) {",
        "if (maxMessage < -1) {",
    ),
    "a close does not count one by one": (
        TS_RECEIVER, "if (!this.kept.length && this.line.length &&",
        "if (this.line.length < 0 &&",
    ),
    "no turn that was not asked for": (
        TS_SENDER, "Math.min(turn, this.#askedTurn)",
        "turn",
    ),
    # --- decoding
    "the length of a control message": (TS_CONTROL, "if (text.length > MAX_CONTROL) {", "if (text.length < 0) {"),
    "nesting": (TS_CODEC, "if (depth(json) > MAX_NESTING)", "if (depth(json) < 0)"),
    "numbers that both languages hold": (
        TS_CODEC, "\"whole \", Number.isSafeInteger", "\"whole \", Number.isFinite",
    ),
    "the greatest number": (TS_CODEC, "&& (value as number) <= most", ""),
    "the length of a text": (
        TS_CODEC, "(value.length > most && [...value].length > most)", "(value.length < 0 && [...value].length > most)",
    ),
    "items of a list": (TS_CODEC, "!Array.isArray(value) || value.length > most", "!Array.isArray(value)"),
    "members of a map": (TS_CODEC, "if (names.length > most) wrong", "if (names.length < 0) wrong"),
    "numbers of messages in a header": (
        TS_CONTROL, "if (value > Number.MAX_SAFE_INTEGER) throw", "if (value < 0) throw",
    ),
}  # fmt: skip

PYTHON_PROMISES = {
    "credit that is used up stays so when a gap follows": (
        RECEIVER, "        if self._partials or self.beyond.firsts:\n            return\n",
        (
            "        if self._partials or self.beyond.firsts:\n"
            "            self.limit = max(self.limit, bool(self.large_edge) * "
            "(self.large_edge + self.budget.max_message))\n            return\n"
        ),
    ),
    "a part of a turn that came is not counted again": (
        RECEIVER, "        self.limit = min(self.limit, limit)\n",
        "        self.limit = limit\n",
    ),
    "a window of nothing is no credit": (
        RECEIVER, "not self.frozen and window and taken",
        "not self.frozen and taken",
    ),
    "a turn for what no window helps": (
        SENDER, "turn = None if starts or self.flight else self._next_turn()",
        "turn = None",
    ),
    "room for a turn beside all windows": (
        BUDGET, "max(self.free - self.last_room, 0)",
        "max(self.free, 0)",
    ),
    "what is unreliable makes way for a turn": (
        BUDGET, "while self.free < size and receiver.drop_one():",
        "while False:",
    ),
    "who waits for others to drain is asked for less each time": (
        CHANNELS, "most = min(m.options.stream_low, under.buffered // 2)",
        "most = m.options.stream_low",
    ),
    "a channel whose `opened` was lost is there on the next connection": (
        CONNECTIONS, "if (channel.open or (channel.mine and epoch > 1)) and not known:",
        "if channel.open and not known:",
    ),
}  # fmt: skip

TYPESCRIPT_PROMISES = {
    "credit that is used up stays so when a gap follows": (
        TS_RECEIVER, "    if (this.#partials.size || this.beyond.size) return;\n",
        (
            "    if (this.#partials.size || this.beyond.size) { this.limit = Math.max(this.limit, "
            "this.largeEdge && this.largeEdge + this.budget.maxMessage); return; }\n"
        ),
    ),
    "a part of a turn that came is not counted again": (
        TS_RECEIVER, "this.limit = Math.min(this.limit, limit + this.lent);",
        "this.limit = limit + this.lent;",
    ),
    "a window of nothing is no credit": (
        TS_RECEIVER, "!this.frozen && window && taken",
        "!this.frozen && taken",
    ),
    "a turn for what no window helps": (
        TS_SENDER, "starts || this.flight.length ? undefined : this.#nextTurn();",
        "starts || this.flight.length < 1e9 ? undefined : this.#nextTurn();",
    ),
    "room for a turn beside all windows": (
        TS_BUDGET, "Math.max(this.free - this.lastRoom, 0)",
        "Math.max(this.free, 0)",
    ),
    "what is unreliable makes way for a turn": (
        TS_BUDGET, "while (this.free < size && receiver.dropOne())",
        "while (this.free < -1e12 && receiver.dropOne())",
    ),
    "who waits for others to drain is asked for less each time": (
        TS_CHANNELS, "Math.min(m.options.streamLow, Math.floor(under.buffered / 2));",
        "m.options.streamLow;",
    ),
    "a channel whose `opened` was lost is there on the next connection": (
        TS_CONNECTIONS, "if ((channel.open || (channel.mine && epoch > 1)) && !isKnown) channels",
        "if (channel.open && !isKnown) channels",
    ),
}  # fmt: skip

HOSTILE = ("tests/unit/protocol/test_bounds.py", "tests/property/session/test_hostile.py")
TS_HOSTILE = ("flow", "bounds", "protocol", "witness", "hostile")
HONEST = ("tests/sim/session/test_machine_channels.py", "tests/property/session/test_honest.py")
TS_HONEST = ("flow", "session", "honest")

PYTHON = tuple(
    Mutation("bound", what, f"python/adieu/{path}", old, new, HOSTILE)
    for what, (path, old, new) in PYTHON_BOUNDS.items()
) + tuple(
    Mutation("promise", what, f"python/adieu/{path}", old, new, HONEST)
    for what, (path, old, new) in PYTHON_PROMISES.items()
)
TYPESCRIPT = tuple(
    Mutation("bound", what, f"js/src/{path}", old, new, TS_HOSTILE)
    for what, (path, old, new) in TYPESCRIPT_BOUNDS.items()
) + tuple(
    Mutation("promise", what, f"js/src/{path}", old, new, TS_HONEST)
    for what, (path, old, new) in TYPESCRIPT_PROMISES.items()
)
MUTATIONS = (*PYTHON, *TYPESCRIPT)
