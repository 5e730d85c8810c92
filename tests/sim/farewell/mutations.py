"""The promises of goodbye and its bounds on words, each taken away: its tests have to find it, in both languages.

`python -m mutations` runs them (`tests/mutations.py`).
"""

from __future__ import annotations

from support.mutations import Mutation

CLOSING, CONNECTION = "python/adieu/farewell/closing.py", "python/adieu/farewell/connection.py"
END, WORDS = "python/adieu/farewell/end.py", "python/adieu/farewell/words.py"
TS_CLOSING, TS_CONNECTION = "js/src/goodbye/closing.ts", "js/src/goodbye/connection.ts"
TS_WORDS = "js/src/goodbye/words.ts"
TESTS = ("tests/sim/farewell/test_goodbye.py", "tests/sim/farewell/test_counts.py")
TS_TESTS = ("goodbye", "goodbye-knock")

PYTHON = {
    # --- time
    "of two closers the later deadline counts": (CLOSING, "if deadline < self.deadline:", "if True:"),
    "a peer's deadline has no bound": (CLOSING, "min(timeout, MAX_DEADLINE)", "timeout"),
    "the drain takes the time of the steps after it": (
        CLOSING, "deadline - min(max(timeout / 10, 0.2), timeout / 2)", "deadline",
    ),
    "an application that ignores its cancellation holds the close": (
        CLOSING, "await asyncio.wait({flushed}, timeout=LOOK)", "await asyncio.wait({flushed})",
    ),
    "a close may take endlessly long": (END, "if not 0 <= timeout < inf:", "if not 0 <= timeout <= inf:"),
    # --- both sides have it
    "a close is not announced": (
        CLOSING, "self._announced = self._host.say(encode(self._begin))", "self._announced = True",
    ),
    "the other side's last words are cut off": (
        CLOSING, "return self.final is not None and all(", "return self.final is not None or all(",
    ),
    "the other side does not learn what arrived": (
        CLOSING, "        self._told = self._host.say(taken)\n", "        self._told = True\n",
    ),
    "two closers hold two receipts": (CLOSING, "if begin.receipt < self._begin.receipt:", "if False:"),
    "the application gets no moment for its last words": (
        CONNECTION,
        'GoodbyeEvent("closing", reason=word.reason, reset=word.reset, deadline=closing.deadline)',
        'GoodbyeEvent("closed", reason=word.reason, reset=word.reset, deadline=closing.deadline)',
    ),
    "an async handler's last words are cut off": (
        END, "            await asyncio.wait({self._running, self._asked}, return_when=asyncio.FIRST_COMPLETED)\n",
        "            pass\n",
    ),
    "a handler that awaits the end is waited for": (
        END, "            self._asked.set_result(None)\n", "            pass\n",
    ),
    # --- this side alone
    "what waits in our own queue is cut off": (
        CLOSING, "        if any(each.buffered for each in given):\n            self._quiet_since = now\n", "",
    ),
    "a peer that pauses because its packets were lost is cut off": (CLOSING, "PAUSE = 2.5", "PAUSE = 0.0"),
    "a peer that has been silent for long is waited for": (
        CLOSING, "host.message_at + PAUSE", "self._quiet_since + PAUSE",
    ),
    "a side without goodbye is sent words that it does not know": (
        CONNECTION, "if knock in self._reset and self._is_alive():", "if self._is_alive():",
    ),
    "a knock that nobody answers counts as answered": (
        CONNECTION, "if self._is_alive() and not failed:", "if self._is_alive():",
    ),
    # --- the receipt
    "more was delivered than was sent": (CLOSING, "min(count, seen.sent)", "count"),
    "a silence after the drain is an end as it should be": (CLOSING, " and self.cause != SILENT", ""),
    "what is sent after the count is in no receipt": (CLOSING, "            await self._count_late()\n", ""),
    "a close that ran out of time is clean": (
        CLOSING, "clean=not self._late and cause is None", "clean=cause is None",
    ),
    "a side without goodbye is said to know why": (
        CLOSING, "confirmed=mutual and self._told and self.taken is not None and", "confirmed=True or",
    ),
    "a side that has not heard the last word is said to know why": (
        CLOSING, "self.taken is not None and self._host.is_heard()", "self.taken is not None",
    ),
    "a channel that nobody counted is left out": (CONNECTION, "return self._lost(opened, seen) | seen", "return seen"),
    "a channel that nobody counted is no fault": (
        CLOSING, "is_end = self._closing and is_counted and", "is_end = self._closing and",
    ),
    "a channel that ended by itself is named": (CONNECTION, " and not is_own_end:", ":"),
    "who left with a part of the messages ended well": (
        CLOSING, "(self._is_taken() or not mutual)", "(self.taken is not None or not mutual)",
    ),
    "a side that ran out of time hears no last word": (
        CLOSING, "talk=self._told and self.taken is not None", "talk=True",
    ),
    "an end that nobody expects takes all counts": (CONNECTION, "self._counts[channel] = seen[id_]", "pass"),
    # --- signs of life
    "leaving without a close is not noticed": (
        CONNECTION, "            self._loop.call_later(WORDS, self._ended, code)\n", "            pass\n",
    ),
    "silence is not noticed": (CONNECTION, "            self._left(SILENT)\n", "            pass\n"),
    "a side that comes back stays gone": (
        CONNECTION, '            self._gone = ""\n            self._owner.fire(GoodbyeEvent("back"))\n',
        "            pass\n",
    ),
    "a side that has nothing to say is missed": (
        CONNECTION, "if fresh != self._fresh or (fresh is None and not answers):", "if False:",
    ),
    "a connection of a session gets a second end": (
        END, "    if any(each.protocol == PROTOCOL for each in data_channels_of(pc)):\n", "    if False:\n",
    ),
    "a transport that is no longer used counts as the other side": (
        CONNECTION, 'or states == {"closed"})', 'or bool(self.pc.getSenders()))',
    ),
    "a channel that has ended is kept": (
        CONNECTION, "                self._loop.call_later(SETTLED, self._forget, channel)\n", "                pass\n",
    ),
    "an event of a connection that is closed is awaited for ever": (
        END, "            end_events(self, CLOSED)\n\n    def _failed", "            pass\n\n    def _failed",
    ),
    # --- a reset
    "a close() during a reset leaves the next connection": (END, "        self._goes_on &= reset\n", ""),
    # --- words
    "a word may be of any length": (WORDS, "len(text) > MAX_WORD", "len(text) > 2**40"),
    "a word may be nested without end": (WORDS, "except (ValueError, RecursionError):", "except ValueError:"),
    "counts may be negative": (WORDS, "Meta(ge=0, le=2**53 - 1)", "Meta(le=2**53 - 1)"),
    "counts of any number of channels": (WORDS, "Meta(max_length=1024)", "Meta(max_length=2**40)"),
    "a reason may be of any length": (WORDS, "Meta(max_length=MAX_REASON)", "Meta(max_length=2**40)"),
    "a receipt may have any name": (WORDS, r'Meta(pattern=r"^\w{16,64}$")', "Meta(max_length=2**40)"),
    "a peer may claim any cause": (
        WORDS, 'cause: Literal["left", "tab-closed", "reloaded", "navigated"]', "cause: str",
    ),
    "counts that were said once may be said otherwise later": (
        CONNECTION, "case Closed(taken=taken) if closing is not None and closing.taken is None:",
        "case Closed(taken=taken) if closing is not None:",
    ),
}  # fmt: skip
TYPESCRIPT = {
    # --- time
    "of two closers the later deadline counts": (TS_CLOSING, "    if (deadline >= this.deadline) return;\n", ""),
    "a peer's deadline has no bound": (
        TS_CLOSING, "Math.min(timeout, MAX_DEADLINE)", "timeout * (MAX_DEADLINE / 60_000)",
    ),
    "the drain takes the time of the steps after it": (
        TS_CLOSING, "deadline - Math.min(Math.max(timeout / 10, 200), timeout / 2)", "deadline",
    ),
    # --- both sides have it
    "a close is not announced": (
        TS_CLOSING, 'this.#host.say({ type: "closing", ...this.#begin, deadlineMs })', "!!deadlineMs",
    ),
    "a side that shows late that it has goodbye is not told": (
        TS_CLOSING, '      this.by === "remote" || (',
        '      this.by === "remote" || this.#drainUntil - this.#host.now() < 4000 || (',
    ),
    "the other side's last words are cut off": (
        TS_CLOSING, "received >= (this.final?.[id] ?? 0)", "received >= (this.final?.[id] ?? 0) * 0",
    ),
    "the other side does not learn what arrived": (
        TS_CLOSING, '      this.#host.say({ type: "closed", taken: this.#counts("received") });\n', "",
    ),
    "two closers hold two receipts": (TS_CLOSING, "if (receipt < this.#begin.receipt)", 'if (receipt < "")'),
    "a channel that loses messages on purpose is waited for": (TS_CLOSING, "=>\n          !given?.reliable || ", "=> "),
    "a side that ran out of time hears no last word": (TS_CLOSING, "closeChannels(this.taken)", "closeChannels(true)"),
    "what cannot be said is taken as said": (TS_CLOSING, "this.final && said && [", "this.final && ["),
    # --- this side alone
    "what waits in our own queue is cut off": (
        TS_CLOSING, "      if (all.some(({ given }) => given?.buffered)) quietSince = now;\n", "",
    ),
    "a peer that pauses because its packets were lost is cut off": (
        TS_CLOSING, "const PAUSE = 2500;", "const PAUSE = 0;",
    ),
    "a peer that has been silent for long is waited for": (
        TS_CLOSING, "this.#host.messageAt + PAUSE", "quietSince + PAUSE",
    ),
    "a side without goodbye is sent words that it does not know": (
        TS_CONNECTION, 'this.#isAlive() && knock.readyState === "closed" && this.#greet()', "this.#greet()",
    ),
    "the knock stays open": (TS_CONNECTION, "        knock.close();\n", ""),
    # --- the receipt
    "more was delivered than was sent": (TS_CLOSING, "Math.min(count, sent)", "count"),
    "a close that ran out of time is clean": (
        TS_CLOSING, "clean: !this.#late && !cause", "clean: (!this.#late || !!id) && !cause",
    ),
    "a side that has not said what arrived is said to know why": (
        TS_CLOSING, "confirmed: mutual && !!this.taken && (", "confirmed: mutual && (",
    ),
    "a silence after the drain is an end as it should be": (TS_CLOSING, " && this.cause !== SILENT", ""),
    # --- the end of the connection
    "statistics that never come hold up a close": (
        TS_CONNECTION, "[this.sleep(LOOK).then(none), ", "[",
    ),
    "a connection that may come back is given up": (
        TS_CONNECTION, "/connected/.test(this.pc.connectionState)", '/^connected/.test(this.pc.connectionState)',
    ),
    "a say() that throws stops the close": (TS_CONNECTION, "(async () => say(text))();", "say(text);"),
    "a transport that is no longer used counts as the other side": (
        TS_CONNECTION, 'every(({ state }) => state !== "closed")', 'every(({ state }) => state === "connected")',
    ),
    # --- words
    "a word may be of any length": (TS_WORDS, "text.length > MAX_WORD", "text.length > 2 ** 40"),
    "counts may be negative": (
        TS_WORDS, "Number.isSafeInteger(value) && (value as number) >= 0", "Number.isSafeInteger(value)",
    ),
    "counts of any number of channels": (
        TS_WORDS, "entries.length <= MAX_STREAMS", "entries.length <= MAX_STREAMS ** 2",
    ),
    "a reason may be of any length": (TS_WORDS, "matches(/^.{0,1024}$/s)", "matches(/^.*$/s)"),
    "a receipt may have any name": (TS_WORDS, r"matches(/^\w{16,64}$/)", "matches(/^/)"),
    "a peer may claim any cause": (TS_WORDS, "matches(/^(left|tab-closed|reloaded|navigated)$/)", "matches(/^/)"),
}  # fmt: skip

MUTATIONS = (
    *(Mutation("goodbye", what, *change, TESTS) for what, change in PYTHON.items()),
    *(Mutation("goodbye", what, *change, TS_TESTS) for what, change in TYPESCRIPT.items()),
)
