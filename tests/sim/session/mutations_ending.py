"""The end of a channel (closing rule S14), media and the room in a receipt, each broken in both languages."""

from __future__ import annotations

from support.mutations import Mutation

MACHINE = "python/adieu/session/machine/"
ENDING, CLOSE, ACCOUNT = f"{MACHINE}ending.py", f"{MACHINE}close.py", f"{MACHINE}account.py"
SIM = "tests/sim/session/test_"
ENDINGS, VECTORS, RECEIPTS = (f"{SIM}machine_ending.py",), (f"{SIM}vectors.py",), (f"{SIM}machine_receipt.py",)

TS_MACHINE = "js/src/session/machine/"
TS_ENDING, TS_CLOSE = f"{TS_MACHINE}ending.ts", f"{TS_MACHINE}close.ts"
TRACES = ("machine", "session")

PYTHON_ENDS = (
    Mutation(
        "S14",
        "a channel ends before what was accepted has come",
        ENDING,
        "    if (end.said_done and end.heard_done and first) or end.heard is not None:\n",
        "    if True:\n",
        ENDINGS,
    ),
    Mutation(
        "S14",
        "no last words are accepted on a channel that the other side closes",
        ENDING,
        "m.now, may_send=True)\n",
        "m.now, may_send=False)\n",
        ENDINGS,
    ),
    Mutation(
        "S14", "both close a channel, and each blames the other", ENDING, '        end.by = "both"\n', "", ENDINGS
    ),
    Mutation(
        "S14",
        "the time of a channel's close is not kept",
        ENDING,
        "    elif m.now >= end.drain_until or m.now >= _patience(m, end):\n",
        "    elif m.now >= _patience(m, end) + 1e9:\n",
        ENDINGS,
    ),
    Mutation(
        "S14",
        "the other side's deadline for a channel holds, however long nothing comes",
        ENDING,
        "    return end.drain_until if end.own else end.progressed + m.options.closing_patience\n",
        "    return end.drain_until\n",
        ENDINGS,
    ),
    Mutation(
        "S14",
        "an impossible account of a channel is believed",
        ENDING,
        "            if wrong := account.impossible_of(channel, word.closed):\n",
        "            if wrong := False:\n",
        ENDINGS,
    ),
    Mutation(
        "S14",
        "a word for a channel that is forgotten gets no answer",
        ENDING,
        "        _answer_unknown(m, word)\n",
        "",
        ENDINGS,
    ),
    Mutation(
        "S14",
        "what was said of a channel's end is not said again on another connection",
        ENDING,
        "        end.spoken_on, end.spoken = m.active, 0\n",
        "        end.spoken_on = m.active\n",
        ENDINGS,
    ),
    Mutation(
        "S14",
        "a peer of the version before is waited for until the deadline",
        ENDING,
        "        if (sender.idle and not sender.flight) or m.now >= end.deadline:\n",
        "        if m.now >= end.deadline:\n",
        ENDINGS,
    ),
    # --- S16, S7
    Mutation(
        "S16",
        "more of media may have come than was sent",
        ACCOUNT,
        "min(theirs.arrived, mine.packets)",
        "theirs.arrived",
        VECTORS,
    ),
    Mutation(
        "S16",
        "media is told of to a peer that does not know it",
        CLOSE,
        '        media=m.media if "media1" in m.capabilities else {},\n',
        "        media=m.media,\n",
        VECTORS,
    ),
    Mutation(
        "S7",
        "a room that was closed is no cause",
        CLOSE,
        "        if reason.code == ROOM_CLOSED:\n",
        "        if False:\n",
        RECEIPTS,
    ),
    Mutation(
        "S7",
        "a peer may claim that the room was closed",
        CLOSE,
        "(reason.code == ROOM_CLOSED and m.room_closes)",
        "reason.code == ROOM_CLOSED",
        RECEIPTS,
    ),
)
TYPESCRIPT_ENDS = (
    Mutation(
        "S14",
        "a channel ends before what was accepted has come",
        TS_ENDING,
        "  if ((end.saidDone && end.heardDone && first) || end.heard) {\n",
        "  if (first || end.spoken >= 0) {\n",
        TRACES,
    ),
    Mutation(
        "S14",
        "no last words are accepted on a channel that the other side closes",
        TS_ENDING,
        "    begun.maySend = true;\n",
        "",
        TRACES,
    ),
    Mutation("S14", "both close a channel, and each blames the other", TS_ENDING, '    end.by = "both";\n', "", TRACES),
    Mutation(
        "S14",
        "the time of a channel's close is not kept",
        TS_ENDING,
        "  } else if (m.now >= end.drainUntil || m.now >= patience(m, end)) {\n",
        "  } else if (m.now >= patience(m, end) + 1e9) {\n",
        TRACES,
    ),
    Mutation(
        "S14",
        "the other side's deadline for a channel holds, however long nothing comes",
        TS_ENDING,
        "  return own ? drainUntil : progressed + m.options.closingPatience;\n",
        "  return own || m.now < progressed ? drainUntil : drainUntil;\n",
        TRACES,
    ),
    Mutation(
        "S14",
        "an impossible account of a channel is believed",
        TS_ENDING,
        "      if (wrong) throw new Violation(`an account that cannot be: ${wrong}`);\n",
        "",
        TRACES,
    ),
    Mutation(
        "S14",
        "a word for a channel that is forgotten gets no answer",
        TS_ENDING,
        "channel.id !== word.id) return answerUnknown(m, word);\n",
        "channel.id !== word.id) return;\n",
        TRACES,
    ),
    Mutation(
        "S14",
        "what was said of a channel's end is not said again on another connection",
        TS_ENDING,
        "    end.spokenOn = m.active;\n    end.spoken = 0;\n",
        "    end.spokenOn = m.active;\n",
        TRACES,
    ),
    Mutation(
        "S14",
        "a peer of the version before is waited for until the deadline",
        TS_ENDING,
        "    if ((sender.idle && !sender.flightBytes) || m.now >= end.deadline)",
        "    if (m.now >= end.deadline)",
        TRACES,
    ),
    Mutation(
        "S16",
        "media is told of to a peer that does not know it",
        TS_CLOSE,
        '    ...(m.capabilities.has("media1") && { media: m.media }),\n',
        "    media: m.media,\n",
        TRACES,
    ),
)
ENDS = (*PYTHON_ENDS, *TYPESCRIPT_ENDS)
