"""Breaks closing rules S1 to S11 and the bounds of what a peer may say, one by one in a copy of adieu.

In Python and in TypeScript; and looks whether adieu's own tests turn red each time.

    PYTHONPATH=tests python -m sim.session.mutations [WORD ...]

Each mutation runs only the smallest test files that have to see it. One that does not compile, or whose text is no
more, counts as not seen.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from support.mutations import Mutation, StaleError, arguments, chosen, copied

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[3]
LIMIT = 120.0
"""Seconds: a test that goes on for so long has seen it."""

# --- Python: the machine, its shell, and the tests --------------------------------------------------------------------

MACHINE = "python/adieu/session/machine/"
P_CLOSE, P_RESET, P_FLOW = f"{MACHINE}close.py", f"{MACHINE}reset.py", f"{MACHINE}flow.py"
P_LIVE, P_CAUSE, P_OPTIONS = f"{MACHINE}liveness.py", f"{MACHINE}cause.py", f"{MACHINE}options.py"
P_MACHINE, P_SESSION = f"{MACHINE}machine.py", "python/adieu/session/session.py"
PROTOCOL = "python/adieu/protocol/"

SIM = "tests/sim/session/test_"
VECTORS, P_CLOSING, P_ACCOUNT = (f"{SIM}vectors.py",), (f"{SIM}machine_close.py",), (f"{SIM}machine_receipt.py",)
P_RESETS, P_CHANNELS = (f"{SIM}machine_reset.py",), (f"{SIM}machine_channels.py",)
P_CANCEL = ("tests/sim/stack/test_cancel.py",)
P_SAFE = ("tests/unit/protocol/test_bounds.py",)

PYTHON = (
    # --- S1
    Mutation(
        "S1",
        "the drain does not end at its deadline",
        P_CLOSE,
        "    elif now >= closing.drain_until or _stalled(m, closing, now):\n",
        "    elif _stalled(m, closing, now):\n",
        P_CLOSING,
    ),
    Mutation(
        "S1",
        "no time is kept for the steps after the drain",
        P_CLOSE,
        "    return deadline - min(max(0.1 * total, 0.2), total / 2)\n",
        "    return deadline - 0 * total\n",
        VECTORS,
    ),
    Mutation(
        "S1",
        "the channels are not closed",
        P_CLOSE,
        "    if closing.abrupt or m.active is None:\n",
        "    if True:\n",
        VECTORS,
    ),
    Mutation(
        "S1",
        "a step is missing in the account",
        P_CLOSE,
        '    _next_step(m, "clean-up", "ok")\n    m.outcome',
        "    m.outcome",
        P_CLOSING,
    ),
    Mutation(
        "S1",
        "of two close() the longer time counts",
        P_CLOSE,
        "min(closing.own, own)",
        "max(closing.own, own)",
        P_CLOSING,
    ),
    # --- S2
    Mutation(
        "S2",
        "two ends are told",
        P_CLOSE,
        "    m.tell(actions.Ended())\n",
        "    m.tell(actions.Ended())\n    m.tell(actions.Ended())\n",
        P_CLOSING,
    ),
    Mutation(
        "S2",
        "what left counts as delivered",
        P_CLOSE,
        "account(my.accepted, my.unsent, channel.sender.delivered.total())",
        "account(my.accepted, my.unsent, left(my.accepted, my.unsent))",
        P_CLOSING,
    ),
    Mutation(
        "S2",
        "what was not read is not counted",
        P_FLOW,
        "        self.left_unread = Total(len(self.kept), self.kept.bytes)\n",
        "",
        P_ACCOUNT,
    ),
    Mutation(
        "S2",
        "who says that it closed is not believed",
        P_CLOSE,
        '        return own[0], views[own[0]].reason  # who says "I did" is believed\n',
        "        pass\n",
        P_CLOSING,
    ),
    Mutation(
        "S2",
        "a side that has not heard the last word is confirmed",
        P_CLOSE,
        "        confirmed=closing.heard_closed is not None,\n",
        "        confirmed=True,\n",
        P_CLOSING,
    ),
    # --- S3
    Mutation(
        "S3",
        "there are no last words",
        P_CLOSE,
        "closing.final, closing.may_send = word.final, True",
        "closing.final, closing.may_send = word.final, False",
        P_CLOSING,
    ),
    Mutation(
        "S3",
        "the other side's done is not waited for",
        P_CLOSE,
        "    if closing.said_done and closing.heard_done:\n",
        "    if closing.said_done:\n",
        VECTORS,
    ),
    Mutation(
        "S3",
        "channels are reset before the other side said its last word",
        P_CLOSE,
        "        if closing.heard_closed is None and now < wait_until:\n",
        "        if closing.heard_closed is None and now < 0:\n",
        VECTORS,
    ),
    Mutation(
        "S3",
        "last words may be said when their handlers have settled",
        P_CLOSE,
        "    if m.closing is not None:\n        m.closing.may_send = False\n\n\n# --- the steps",
        "    return\n\n\n# --- the steps",
        P_CLOSING,
    ),
    # --- S4
    Mutation(
        "S4",
        "of two closers the larger deadline counts",
        P_CLOSE,
        "_move_deadline(m, min(closing.deadline, deadline), now)",
        "_move_deadline(m, max(closing.deadline, deadline), now)",
        P_CLOSING,
    ),
    Mutation(
        "S4",
        "the larger peer id's reason counts",
        P_CLOSE,
        "        if not m.smaller:\n            closing.reason",
        "        if m.smaller:\n            closing.reason",
        P_CLOSING,
    ),
    Mutation(
        "S4",
        "of two closers each is the only one",
        P_CLOSE,
        '        closing.by = "both"\n',
        "",
        P_CLOSING,
    ),
    # --- S5
    Mutation(
        "S5",
        "what has arrived counts as taken",
        P_FLOW,
        "                self.line.push(message)\n        self._bound()",
        "                self.line.push(message)\n                self._count(message)\n        self._bound()",
        P_CLOSING,
    ),
    Mutation(
        "S5",
        "an older acknowledgement is not ignored",
        P_FLOW,
        "        if ack.up_to < self.acked:\n",
        "        if ack.up_to < 0:\n",
        P_CHANNELS,
    ),
    Mutation(
        "S5",
        "what waits for the application does not count as taken while closing",
        P_CLOSE,
        "        room -= channel.receiver.keep(room)\n",
        "",
        P_CLOSING,
    ),
    Mutation(
        "S5",
        "more counts as taken than the closing bound",
        P_CLOSE,
        "        room -= channel.receiver.keep(room)\n",
        "        channel.receiver.keep(1 << 40)\n",
        P_CLOSING,
    ),
    Mutation(
        "S5",
        "acknowledgements wait while closing",
        P_MACHINE,
        "        if self.closing is not None or receiver.ack_due(",
        "        if receiver.ack_due(",
        VECTORS,
    ),
    Mutation(
        "S5",
        "what was acknowledged by ranges comes again",
        P_FLOW,
        "                if message.seq >= start:\n",
        "                if message.seq > start:\n",
        P_CHANNELS,
    ),
    # --- S6
    Mutation(
        "S6",
        "the control channel is closed before the others",
        P_CLOSE,
        "    if not closing.streams:\n",
        "    if None not in closing.streams:\n",
        VECTORS,
    ),
    Mutation(
        "S6",
        "something is sent after the last word",
        P_MACHINE,
        " or (self.closing is not None and self.closing.said_closed):\n            return\n        link",
        ":\n            return\n        link",
        P_CLOSING,
    ),
    # --- S7
    Mutation(
        "S7",
        "trouble is suspected after 6 s",
        P_OPTIONS,
        "    suspect_after: float = 3.0\n",
        "    suspect_after: float = 6.0\n",
        P_RESETS,
    ),
    Mutation(
        "S7",
        "a socket that ended makes nobody look",
        P_LIVE,
        '    m.timers["suspect"] = min(m.timers.get("suspect", now + m.options.burst), now + m.options.burst)\n',
        "",
        P_RESETS,
    ),
    Mutation(
        "S7",
        "a crash has no name",
        P_CAUSE,
        '            return "crashed"\n',
        "            pass\n",
        P_RESETS,
    ),
    Mutation(
        "S7",
        "of frozen and cut off one is named",
        P_CAUSE,
        '        return "frozen, network-lost"\n',
        '        return "frozen"\n',
        P_RESETS,
    ),
    Mutation(
        "S7",
        "the ICE state alone is believed",
        P_MACHINE,
        '            self.witness.note(now, f"ICE {state}")\n            liveness.ask(self, now)\n',
        "            liveness.broken(self, now)\n",
        P_RESETS,
    ),
    # --- S8
    Mutation(
        "S8",
        "a reset sends again what the other side has",
        P_FLOW,
        "        while self.flight and self.flight[-1].seq > have:\n",
        "        while self.flight and self.flight[-1].seq >= have:\n",
        P_RESETS,
    ),
    Mutation(
        "S8",
        "a reset repeats nothing",
        P_FLOW,
        "        while self.flight and self.flight[-1].seq > have:\n",
        "        while self.flight and self.flight[-1].seq < 0:\n",
        P_RESETS,
    ),
    Mutation(
        "S8",
        "a second reset does not join",
        P_RESET,
        "    if m.reset is not None and RANK[level] <= RANK[m.reset.level]:\n",
        "    if m.reset is not None and RANK[level] < 0:\n",
        P_RESETS,
    ),
    Mutation(
        "S8",
        "a higher level does not lift it",
        P_RESET,
        "    if RANK[level] > RANK[reset.level]:\n        reset.level = level\n",
        "",
        P_RESETS,
    ),
    Mutation(
        "S8",
        "a full reset keeps the old connection beside the new",
        P_RESET,
        "        m.release(m.active)\n    if not m.smaller",
        "        pass\n    if not m.smaller",
        P_RESETS,
    ),
    Mutation(
        "S8",
        "the old connection is kept after the switch",
        P_RESET,
        "    for epoch in [epoch for epoch in m.links if epoch != m.active]:\n        m.release(epoch)\n",
        "",
        P_RESETS,
    ),
    Mutation(
        "S8",
        "the ladder takes up a reset whose switch is said",
        P_RESET,
        'not m.reset.recovery or m.reset.phase == "switching" or',
        "not m.reset.recovery or",
        P_RESETS,
    ),
    Mutation(
        "S8",
        "the new connection of a failed reset stays",
        P_RESET,
        "        if reset.epoch != m.active:\n            m.release(reset.epoch)\n    duration",
        "    duration",
        P_RESETS,
    ),
    # --- S9
    Mutation(
        "S9",
        "the end is told before the connections are gone",
        P_CLOSE,
        "    if not m.releasing:\n",
        "    if True:\n",
        P_CLOSING,
    ),
    Mutation(
        "S9",
        "timers run after the end",
        P_CLOSE,
        "    m.timers.clear()\n",
        '    m.timers["ping"] = now + 1\n',
        P_CLOSING,
    ),
    # --- S10
    Mutation(
        "S10",
        "ICE is restarted after 8 s",
        P_OPTIONS,
        "    ice_restart: float = 5.0\n",
        "    ice_restart: float = 8.0\n",
        P_RESETS,
    ),
    Mutation(
        "S10",
        "there is no new connection beside the old one",
        P_OPTIONS,
        "    new_connection: float = 8.0\n",
        "    new_connection: float = 50.0\n",
        P_RESETS,
    ),
    Mutation(
        "S10",
        "it gives up after 90 s",
        P_OPTIONS,
        "    give_up: float = 60.0\n",
        "    give_up: float = 90.0\n",
        P_RESETS,
    ),
    Mutation(
        "S10",
        "a link that healed stays suspect",
        P_LIVE,
        '        m.enter("open")\n        reset.healed(m, now)\n',
        "        reset.healed(m, now)\n",
        P_RESETS,
    ),
    Mutation(
        "S10",
        "the ladder goes on after the healing",
        P_LIVE,
        '    for timer in ("suspect", "ladder", "fresh"):\n        m.timers.pop(timer, None)\n',
        "",
        P_RESETS,
    ),
    Mutation(
        "S10",
        "a reset of the ladder goes on after the healing",
        P_RESET,
        '        _give_up(m, now, "the old connection healed")\n',
        "        pass\n",
        VECTORS,
    ),
    Mutation(
        "S10",
        "signaling that is back makes nobody try",
        P_MACHINE,
        '        if up and self.state in {"suspect", "recovering"}:\n',
        "        if up and self.state in set():\n",
        P_RESETS,
    ),
    # --- S11
    Mutation(
        "S11",
        "an abort waits for the drain",
        P_CLOSE,
        "    closing.abrupt = True\n    closing.deadline = closing.drain_until = closing.own = now\n",
        "",
        P_CLOSING,
    ),
    Mutation(
        "S11",
        "a close that nobody awaits any more is not abrupt",
        P_SESSION,
        "            if self._closers == 1:\n                self._abort()\n",
        "",
        P_CANCEL,
    ),
    Mutation(
        "S11",
        "a close is abrupt when one of two who await it is cancelled",
        P_SESSION,
        "            if self._closers == 1:\n                self._abort()\n",
        "            self._abort()\n",
        P_CANCEL,
    ),
    Mutation(
        "S11",
        "who waits for a reset that failed hears nothing of it",
        P_SESSION,
        "                waiter.set_exception(ResetFailedError(",
        "                str(ResetFailedError(",
        P_CANCEL,
    ),
    Mutation(
        "S11",
        "a reset ends with the wait for it",
        P_SESSION,
        "        return await asyncio.shield(done)\n",
        "        return await done\n",
        P_CANCEL,
    ),
    # --- bounds
    Mutation(
        "bound",
        "the other side's deadline is believed for more than an hour",
        P_CLOSE,
        "LONGEST = 3600.0\n",
        "LONGEST = 1e12\n",
        VECTORS,
    ),
    Mutation(
        "bound",
        "the other side's deadline moves a close of this side",
        P_CLOSE,
        "        deadline = min(deadline, closing.own)\n",
        "        pass\n",
        P_CLOSING,
    ),
    Mutation(
        "bound",
        "a closing side that says nothing new is waited for",
        P_CLOSE,
        "    if now >= due:\n",
        "    if now >= due + 60:\n",
        P_CLOSING,
    ),
    Mutation(
        "bound",
        "ranges of an acknowledgement do not have to rise",
        P_FLOW,
        "            if not last < start <= end:\n",
        "            if not last <= start:\n",
        P_CHANNELS,
    ),
    Mutation(
        "bound",
        "what was never sent is acknowledged",
        P_FLOW,
        "        if last > self.started:\n",
        "        if last > 2**60:\n",
        P_CHANNELS,
    ),
    Mutation(
        "bound",
        "an acknowledgement has any number of ranges",
        f"{PROTOCOL}control.py",
        "Annotated[list[tuple[Count, Count]], Meta(max_length=MAX_RANGES)]",
        "list[tuple[Count, Count]]",
        P_SAFE,
    ),
    Mutation(
        "bound",
        "the other side has what was never sent",
        P_FLOW,
        "        if have > self.started:\n",
        "        if have > 2**60:\n",
        P_RESETS,
    ),
    Mutation(
        "bound",
        "more than the credit given is taken",
        P_FLOW,
        " > self.limit:\n",
        " > 10**12:\n",
        P_CHANNELS,
    ),
    Mutation(
        "bound",
        "more than the budget is held",
        P_FLOW,
        "(0 if self.counted else size) > self.budget.size:",
        "(0 if self.counted else size) > 10**12:",
        P_CHANNELS,
    ),
    Mutation(
        "bound",
        "empty messages cost nothing",
        P_FLOW,
        "            self.arrived += size + (COST if self.counted else 0)\n",
        "            self.arrived += size\n",
        P_CHANNELS,
    ),
    Mutation(
        "bound",
        "a message of any size is taken",
        P_FLOW,
        "        if size > self.budget.max_message:\n",
        "        if size > 10**12:\n",
        P_CHANNELS,
    ),
    Mutation(
        "bound",
        "any number of unfinished messages of an unreliable channel is kept",
        P_FLOW,
        "MAX_PARTIALS = 16\n",
        "MAX_PARTIALS = 1000\n",
        P_CHANNELS,
    ),
    Mutation(
        "bound",
        "a queue of an unreliable channel drops nothing",
        P_FLOW,
        "        while len(self.line) > 1 and (",
        "        while len(self.line) > 1000 and (",
        P_CHANNELS,
    ),
    Mutation(
        "bound",
        "an account that cannot be is believed",
        P_CLOSE,
        "        if not _may_be(their, channel):\n",
        "        if not their:\n",
        P_ACCOUNT,
    ),
    Mutation(
        "bound",
        "a peer may claim any cause",
        P_CLOSE,
        '    return reason.code if reason.code in CLAIMS else "left"\n',
        "    return reason.code\n",
        P_ACCOUNT,
    ),
    Mutation(
        "bound",
        "texts keep their control characters",
        f"{PROTOCOL}text.py",
        'scalar(_UNSEEN.sub("", _BREAKS.sub(" ", text)))',
        "scalar(text)",
        P_ACCOUNT,
    ),
    Mutation(
        "bound",
        "numbers of connections jump",
        P_RESET,
        "    if word.epoch > m.last_epoch + AHEAD:\n",
        "    if word.epoch > 2**60:\n",
        P_RESETS,
    ),
    Mutation(
        "bound",
        "a peer asks for any number of resets",
        P_RESET,
        "        if self.tokens < 1:\n",
        "        if self.tokens < -1000:\n",
        P_RESETS,
    ),
    Mutation(
        "bound",
        "a peer opens any number of channels",
        P_MACHINE,
        "            if len(self.channels) >= self.options.max_channels or message.id in self.by_id:\n",
        "            if message.id in self.by_id:\n",
        P_CHANNELS,
    ),
    Mutation(
        "bound",
        "JSON is nested as deep as it likes",
        f"{PROTOCOL}nesting.py",
        "MAX_NESTING = 16\n",
        "MAX_NESTING = 17\n",
        P_SAFE,
    ),
)

# --- TypeScript: the same machine, its shell, and the tests -----------------------------------------------------------

T_MACHINES = "js/src/session/machine/"
T_CLOSE, T_RESET, T_FLOW = f"{T_MACHINES}close.ts", f"{T_MACHINES}reset.ts", f"{T_MACHINES}flow.ts"
T_LIVE, T_CAUSE, T_OPTIONS = f"{T_MACHINES}liveness.ts", f"{T_MACHINES}cause.ts", f"{T_MACHINES}options.ts"
T_MACHINE, T_SESSION, T_PROTOCOL = f"{T_MACHINES}machine.ts", "js/src/session/session.ts", "js/src/protocol/"

T_VECTORS, T_SESSIONS, T_WITNESS = ("machine",), ("session",), ("witness",)
T_SAFE, T_ROOMS = ("bounds",), ("room",)

TYPESCRIPT = (
    # --- S1
    Mutation(
        "S1",
        "the drain does not end at its deadline (TypeScript)",
        T_CLOSE,
        "  } else if (now >= closing.drainUntil || stalled(m, closing, now)) {\n",
        "  } else if (stalled(m, closing, now)) {\n",
        T_VECTORS,
    ),
    Mutation(
        "S1",
        "no time is kept for the steps after the drain (TypeScript)",
        T_CLOSE,
        "  return deadline - Math.min(Math.max(0.1 * total, 0.2), total / 2);\n",
        "  return deadline - 0 * total;\n",
        T_VECTORS,
    ),
    Mutation(
        "S1",
        "the channels are not closed (TypeScript)",
        T_CLOSE,
        "  if (closing.abrupt || m.active === undefined) {\n",
        "  if (closing.abrupt || m.active === undefined || m.now >= 0) {\n",
        T_VECTORS,
    ),
    Mutation(
        "S1",
        "of two close() the longer time counts (TypeScript)",
        T_CLOSE,
        "  closing.own = Math.min(closing.own ?? own, own);\n",
        "  closing.own = Math.max(closing.own ?? own, own);\n",
        T_WITNESS,
    ),
    # --- S2
    Mutation(
        "S2",
        "two ends are told (TypeScript)",
        T_CLOSE,
        '  m.tell({ type: "Ended" });\n',
        '  m.tell({ type: "Ended" });\n  m.tell({ type: "Ended" });\n',
        T_VECTORS,
    ),
    Mutation(
        "S2",
        "what left counts as delivered (TypeScript)",
        T_CLOSE,
        "sent = account(filled(my.accepted), filled(my.unsent), sender.delivered.total());",
        "sent = account(filled(my.accepted), filled(my.unsent), minus(filled(my.accepted), filled(my.unsent)));",
        T_SESSIONS,
    ),
    Mutation(
        "S2",
        "what was not read is not counted (TypeScript)",
        T_FLOW,
        "    this.leftUnread = { messages: this.kept.length, bytes: this.kept.bytes };\n",
        "",
        T_VECTORS,
    ),
    Mutation(
        "S2",
        "who says that it closed is not believed (TypeScript)",
        T_CLOSE,
        "  if (own[0]) return [own[0][0], own[0][1].reason];",
        "",
        T_VECTORS,
    ),
    Mutation(
        "S2",
        "a side that has not heard the last word is confirmed (TypeScript)",
        T_CLOSE,
        "    confirmed: closing.heardClosed !== undefined,\n",
        "    confirmed: true,\n",
        T_VECTORS,
    ),
    # --- S3
    Mutation(
        "S3",
        "there are no last words (TypeScript)",
        T_CLOSE,
        "    begun.maySend = true;\n",
        "",
        T_VECTORS,
    ),
    Mutation(
        "S3",
        "the other side's done is not waited for (TypeScript)",
        T_CLOSE,
        "  if (closing.saidDone && closing.heardDone) {\n",
        "  if (closing.saidDone) {\n",
        T_VECTORS,
    ),
    Mutation(
        "S3",
        "channels are reset before the other side said its last word (TypeScript)",
        T_CLOSE,
        "    if (!closing.heardClosed && now < waitUntil) {\n",
        "    if (!closing.heardClosed && now < 0) {\n",
        T_VECTORS,
    ),
    Mutation(
        "S3",
        "last words may be said when their handlers have settled (TypeScript)",
        T_CLOSE,
        "  if (m.closing) m.closing.maySend = false;\n",
        "",
        T_VECTORS,
    ),
    # --- S4
    Mutation(
        "S4",
        "of two closers the larger deadline counts (TypeScript)",
        T_CLOSE,
        "    moveDeadline(m, Math.min(closing.deadline, deadline), now);\n",
        "    moveDeadline(m, Math.max(closing.deadline, deadline), now);\n",
        T_VECTORS,
    ),
    Mutation(
        "S4",
        "the larger peer id's reason counts (TypeScript)",
        T_CLOSE,
        "    if (!m.smaller) closing.reason",
        "    if (m.smaller) closing.reason",
        T_VECTORS,
    ),
    Mutation(
        "S4",
        "of two closers each is the only one (TypeScript)",
        T_CLOSE,
        '    closing.by = "both";\n',
        "",
        T_VECTORS,
    ),
    # --- S5
    Mutation(
        "S5",
        "what has arrived counts as taken (TypeScript)",
        T_FLOW,
        "        this.line.push(message);\n",
        "        this.line.push(message);\n        this.#count(message);\n",
        T_VECTORS,
    ),
    Mutation(
        "S5",
        "an older acknowledgement is not ignored (TypeScript)",
        T_FLOW,
        "    if (ack.upTo < this.acked) return false;",
        "",
        T_WITNESS,
    ),
    Mutation(
        "S5",
        "what waits for the application does not count as taken while closing (TypeScript)",
        T_CLOSE,
        "    room -= channel.receiver.keep(room);\n",
        "",
        T_VECTORS,
    ),
    Mutation(
        "S5",
        "more counts as taken than the closing bound (TypeScript)",
        T_CLOSE,
        "    room -= channel.receiver.keep(room);\n",
        "    channel.receiver.keep(2 ** 40);\n",
        T_VECTORS,
    ),
    Mutation(
        "S5",
        "acknowledgements wait while closing (TypeScript)",
        T_MACHINE,
        "    if (this.closing || receiver.ackDue(",
        "    if (receiver.ackDue(",
        T_VECTORS,
    ),
    Mutation(
        "S5",
        "what was acknowledged by ranges comes again (TypeScript)",
        T_FLOW,
        "      if (next.seq >= start) this",
        "      if (next.seq > start) this",
        T_WITNESS,
    ),
    # --- S6
    Mutation(
        "S6",
        "the control channel is closed before the others (TypeScript)",
        T_CLOSE,
        "  if (!closing.streams.size) {\n",
        "  if (!closing.streams.has(null)) {\n",
        T_VECTORS,
    ),
    Mutation(
        "S6",
        "something is sent after the last word (TypeScript)",
        T_MACHINE,
        "    if (this.active === undefined || !channel.open || this.closing?.saidClosed) return;\n",
        "    if (this.active === undefined || !channel.open) return;\n",
        T_WITNESS,
    ),
    # --- S7
    Mutation(
        "S7",
        "trouble is suspected after 6 s (TypeScript)",
        T_OPTIONS,
        "  suspectAfter: 3,\n",
        "  suspectAfter: 6,\n",
        T_SESSIONS,
    ),
    Mutation(
        "S7",
        "a socket that ended makes nobody look (TypeScript)",
        T_LIVE,
        '  m.timers.set("suspect", Math.min(m.timers.get("suspect") ?? soon, soon));\n',
        "",
        T_WITNESS,
    ),
    Mutation(
        "S7",
        "a crash has no name (TypeScript)",
        T_CAUSE,
        '    if (this.#crashed) return "crashed";\n',
        "",
        T_VECTORS,
    ),
    Mutation(
        "S7",
        "of frozen and cut off one is named (TypeScript)",
        T_CAUSE,
        '    return this.probePeer ? "network-lost" : "frozen, network-lost";\n',
        '    return this.probePeer ? "network-lost" : "frozen";\n',
        T_VECTORS,
    ),
    Mutation(
        "S7",
        "the ICE state alone is believed (TypeScript)",
        T_MACHINE,
        "      this.witness.note(now, `ICE ${state}`);\n      liveness.ask(this, now);\n",
        "      liveness.broken(this, now);\n",
        T_WITNESS,
    ),
    # --- S8
    Mutation(
        "S8",
        "a reset sends again what the other side has (TypeScript)",
        T_FLOW,
        "    while ((this.flight.last()?.seq ?? 0) > have) {\n",
        "    while ((this.flight.last()?.seq ?? -1) >= have) {\n",
        T_VECTORS,
    ),
    Mutation(
        "S8",
        "a reset repeats nothing (TypeScript)",
        T_FLOW,
        "    while ((this.flight.last()?.seq ?? 0) > have) {\n",
        "    while ((this.flight.last()?.seq ?? 0) > 2 ** 60) {\n",
        T_SESSIONS,
    ),
    Mutation(
        "S8",
        "a second reset does not join (TypeScript)",
        T_RESET,
        "  if (m.reset && RANK[level] <= RANK[m.reset.level]) {\n",
        "  if (m.reset && RANK[level] < 0) {\n",
        T_WITNESS,
    ),
    Mutation(
        "S8",
        "a higher level does not lift it (TypeScript)",
        T_RESET,
        "  if (RANK[level] > RANK[reset.level]) reset.level = level;\n",
        "",
        T_WITNESS,
    ),
    Mutation(
        "S8",
        "a full reset keeps the old connection beside the new (TypeScript)",
        T_RESET,
        '  if (reset.level === "full" && reset.asker === m.me && m.active !== undefined) m.release(m.active);\n',
        "",
        T_WITNESS,
    ),
    Mutation(
        "S8",
        "the old connection is kept after the switch (TypeScript)",
        T_RESET,
        "  for (const epoch of [...m.links.keys()]) if (epoch !== m.active) m.release(epoch);\n",
        "",
        T_VECTORS,
    ),
    Mutation(
        "S8",
        "the ladder takes up a reset whose switch is said (TypeScript)",
        T_RESET,
        '!m.reset.recovery || m.reset.phase === "switching" ||',
        "!m.reset.recovery ||",
        T_VECTORS,
    ),
    Mutation(
        "S8",
        "the new connection of a failed reset stays (TypeScript)",
        T_RESET,
        "    if (epoch !== m.active) m.release(epoch);\n  }\n  m.tell",
        "  }\n  m.tell",
        T_VECTORS,
    ),
    # --- S9
    Mutation(
        "S9",
        "the end is told before the connections are gone (TypeScript)",
        T_CLOSE,
        "  if (!m.releasing.size) nextStep",
        "  if (m.now >= 0) nextStep",
        T_VECTORS,
    ),
    Mutation(
        "S9",
        "timers run after the end (TypeScript)",
        T_CLOSE,
        "  m.timers.clear();\n",
        '  m.timers.set("ping", now + 1);\n',
        T_SESSIONS,
    ),
    # --- S10
    Mutation(
        "S10",
        "ICE is restarted after 8 s (TypeScript)",
        T_OPTIONS,
        "    readonly iceRestart = 5,\n",
        "    readonly iceRestart = 8,\n",
        T_VECTORS,
    ),
    Mutation(
        "S10",
        "there is no new connection beside the old one (TypeScript)",
        T_OPTIONS,
        "    readonly newConnection = 8,\n",
        "    readonly newConnection = 50,\n",
        T_VECTORS,
    ),
    Mutation(
        "S10",
        "it gives up after 90 s (TypeScript)",
        T_OPTIONS,
        "    readonly giveUp = 60,\n",
        "    readonly giveUp = 90,\n",
        T_VECTORS,
    ),
    Mutation(
        "S10",
        "a link that healed stays suspect (TypeScript)",
        T_LIVE,
        '    m.enter("open");\n    reset.healed(m, now);\n',
        "    reset.healed(m, now);\n",
        T_VECTORS,
    ),
    Mutation(
        "S10",
        "a reset of the ladder goes on after the healing (TypeScript)",
        T_RESET,
        '  if (reset?.recovery && reset.phase !== "switching" && m.smaller) giveUp',
        "  if (reset?.recovery && now < 0) giveUp",
        T_VECTORS,
    ),
    Mutation(
        "S10",
        "signaling that is back makes nobody try (TypeScript)",
        T_MACHINE,
        '    if (up && (this.state === "suspect" || this.state === "recovering")) {\n',
        "    if (up && now < 0) {\n",
        T_WITNESS,
    ),
    # --- S11
    Mutation(
        "S11",
        "an abort waits for the drain (TypeScript)",
        T_CLOSE,
        "  closing.abrupt = true;\n  closing.deadline = closing.drainUntil = closing.own = now;\n",
        "",
        T_SESSIONS,
    ),
    Mutation(
        "S11",
        "a close that nobody awaits any more is not abrupt (TypeScript)",
        T_SESSION,
        "      if (this.#closers === 1) this.step((now) => this.machine.abort(now));\n",
        "",
        T_SESSIONS,
    ),
    Mutation(
        "S11",
        "a close is abrupt when one of two who await it gives up (TypeScript)",
        T_SESSION,
        "      if (this.#closers === 1) this.step((now) => this.machine.abort(now));\n",
        "      this.step((now) => this.machine.abort(now));\n",
        T_SESSIONS,
    ),
    # --- bounds
    Mutation(
        "bound",
        "the other side's deadline is believed for more than an hour (TypeScript)",
        T_CLOSE,
        "const LONGEST = 3600;\n",
        "const LONGEST = 1e12;\n",
        T_VECTORS,
    ),
    Mutation(
        "bound",
        "the other side's deadline moves a close of this side (TypeScript)",
        T_CLOSE,
        "  closing.deadline = Math.min(deadline, closing.own ?? deadline);\n",
        "  closing.deadline = deadline;\n",
        T_WITNESS,
    ),
    Mutation(
        "bound",
        "a closing side that says nothing new is waited for (TypeScript)",
        T_CLOSE,
        "  if (now >= due) {\n",
        "  if (now >= due + 60) {\n",
        T_WITNESS,
    ),
    Mutation(
        "bound",
        "ranges of an acknowledgement do not have to rise (TypeScript)",
        T_FLOW,
        "      if (start <= last || end < start) throw",
        "      if (start < last) throw",
        T_WITNESS,
    ),
    Mutation(
        "bound",
        "what was never sent is acknowledged (TypeScript)",
        T_FLOW,
        "    if (last > this.started) throw",
        "    if (last > 2 ** 60) throw",
        T_WITNESS,
    ),
    Mutation(
        "bound",
        "an acknowledgement has any number of ranges (TypeScript)",
        f"{T_PROTOCOL}messages.ts",
        "c.list(c.pair(c.int(0, MOST), c.int(0, MOST)), 256)",
        "c.list(c.pair(c.int(0, MOST), c.int(0, MOST)), 2560)",
        T_SAFE,
    ),
    Mutation(
        "bound",
        "the other side has what was never sent (TypeScript)",
        T_FLOW,
        "    if (have > this.started) throw",
        "    if (have > 2 ** 60) throw",
        T_WITNESS,
    ),
    Mutation(
        "bound",
        "more than the credit given is taken (TypeScript)",
        T_FLOW,
        " > this.limit) {\n",
        " > 1e12) {\n",
        T_WITNESS,
    ),
    Mutation(
        "bound",
        "more than the budget is held (TypeScript)",
        T_FLOW,
        "(this.counted ? 0 : size) > this.budget.size) {\n",
        "(this.counted ? 0 : size) > 1e12) {\n",
        T_WITNESS,
    ),
    Mutation(
        "bound",
        "empty messages cost nothing (TypeScript)",
        T_FLOW,
        "      this.arrived += size + this.#each;\n",
        "      this.arrived += size;\n",
        T_WITNESS,
    ),
    Mutation(
        "bound",
        "a message of any size is taken (TypeScript)",
        T_FLOW,
        "    if (size > maxMessage) throw",
        "    if (size > 1e12) throw",
        T_WITNESS,
    ),
    Mutation(
        "bound",
        "any number of unfinished messages of an unreliable channel is kept (TypeScript)",
        T_FLOW,
        "const MAX_PARTIALS = 16;\n",
        "const MAX_PARTIALS = 1000;\n",
        T_WITNESS,
    ),
    Mutation(
        "bound",
        "a queue of an unreliable channel drops nothing (TypeScript)",
        T_FLOW,
        "    while (line.length > 1 && full())",
        "    while (line.length > 1000 && full())",
        T_WITNESS,
    ),
    Mutation(
        "bound",
        "an account that cannot be is believed (TypeScript)",
        T_CLOSE,
        "    if (!mayBe(totals as [Total, Total, Total, Total], m.channels.get(name))) {\n",
        "    if (!mayBe(totals as [Total, Total, Total, Total], m.channels.get(name)) && m.now < 0) {\n",
        T_VECTORS,
    ),
    Mutation(
        "bound",
        "a peer may claim any cause (TypeScript)",
        T_CLOSE,
        '  return CLAIMS.has(reason.code) ? reason.code : "left";\n',
        "  return reason.code;\n",
        T_VECTORS,
    ),
    Mutation(
        "bound",
        "texts keep their control characters (TypeScript)",
        f"{T_PROTOCOL}text.ts",
        '.replace(UNSEEN, "")',
        "",
        ("receipt",),
    ),
    Mutation(
        "bound",
        "numbers of connections jump (TypeScript)",
        T_RESET,
        "  if (word.epoch > m.lastEpoch + AHEAD) {\n",
        "  if (word.epoch > 2 ** 60) {\n",
        T_WITNESS,
    ),
    Mutation(
        "bound",
        "a peer asks for any number of resets (TypeScript)",
        T_RESET,
        "    if (this.#tokens < 1) return false;\n",
        "",
        T_WITNESS,
    ),
    Mutation(
        "bound",
        "a peer opens any number of channels (TypeScript)",
        T_MACHINE,
        "      if (this.channels.size >= this.options.maxChannels || this.byId.has(id)) {\n",
        "      if (this.byId.has(id)) {\n",
        T_WITNESS,
    ),
    Mutation(
        "bound",
        "JSON is nested as deep as it likes (TypeScript)",
        f"{T_PROTOCOL}codec.ts",
        "const MAX_NESTING = 16;\n",
        "const MAX_NESTING = 17;\n",
        T_SAFE,
    ),
)

MUTATIONS = (*PYTHON, *TYPESCRIPT)


def in_python(mutation: Mutation) -> str:
    """What came of it: empty if no test saw it."""
    with copied(mutation, ROOT, "python/adieu") as copy:
        command = (sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *mutation.files)
        return run(command, ROOT, "E  ", PYTHONPATH=str(copy / "python"), PYTHONDONTWRITEBYTECODE="1")


def in_typescript(mutation: Mutation) -> str:
    """The same.

    Raises:
        StaleError: it does not compile.
    """
    sources = ("js/src", "js/test", "js/package.json", "js/tsconfig.json", "js/tsconfig.test.json")
    with copied(mutation, ROOT, *sources, linked=("js/node_modules", "docs", "vectors")) as copy:
        if wrong := run(("node_modules/.bin/tsc", "-p", "tsconfig.test.json"), copy / "js", ""):
            raise StaleError(f"it does not compile: {wrong}")
        files = [f"build/test/{name}.test.js" for name in mutation.files]
        return run(("node", "--test", "--test-timeout=60000", *files), copy / "js", "not ok")


def run(command: Sequence[str], folder: Path, mark: str, **environment: str) -> str:
    """Of a command that fails its first line that says why; empty of one that succeeds."""
    try:
        ran = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"not done within {LIMIT:g} s"
    if not ran.returncode:
        return ""
    lines = [line.strip() for line in (ran.stdout + ran.stderr).splitlines()]
    return next((line for line in lines if line.startswith(mark.strip())), f"exit code {ran.returncode}")


def look(mutation: Mutation) -> bool:
    """Whether a test saw it."""
    try:
        seen = (in_typescript if mutation.path.startswith("js/") else in_python)(mutation)
        says = f"red: {seen[:120]}" if seen else "NOT SEEN"
    except StaleError as error:
        seen, says = "", f"NOT SEEN: {error}"
    print(f"{mutation}: {says}", flush=True)
    return bool(seen)


def main() -> int:
    """See the module."""
    wanted = chosen(MUTATIONS, arguments(__doc__).words)
    with ThreadPoolExecutor(2) as pool:
        seen = sum(pool.map(look, wanted))
    print(f"{seen} of {len(wanted)} broken rules turn adieu's own tests red")
    return 0 if seen == len(wanted) else 1


if __name__ == "__main__":
    sys.exit(main())
