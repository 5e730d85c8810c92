"""The log: its loggers, the ids in its lines, and short forms of values that may be written.

A line is an id, a mark and a text: `pc1 > offer: application`. The mark says the direction: `>` sent, `<` received,
`=` a state, `!` trouble, `x` an end. One connection has one id in all loggers, and so has a session (`s1`) and a
signaling client (`ws1`).

INFO has the life: connected over which path, closed by which side and why. DEBUG has each change of state, description,
candidate and control message. Neither has a line for each message. No line has a password, a token, a key, or the
content of a message or file. Every value in a line is a name, a number, or the result of a function of this module.
"""

from __future__ import annotations

import logging
from collections import Counter
from itertools import count
from typing import Final, Literal

ICE: Final = logging.getLogger("adieu.ice")
DTLS: Final = logging.getLogger("adieu.dtls")
SCTP: Final = logging.getLogger("adieu.sctp")
WEBRTC: Final = logging.getLogger("adieu.webrtc")
SESSION: Final = logging.getLogger("adieu.session")
SIGNALING: Final = logging.getLogger("adieu.signaling")

MAX_TEXT: Final = 300
"""Characters of a text of the other side, in a line."""

_numbers: Final = {"pc": count(1), "s": count(1), "ws": count(1)}


def new_id(kind: Literal["pc", "s", "ws"]) -> str:
    """An id that no other connection, session or client of this process has: `pc1`."""
    return f"{kind}{next(_numbers[kind])}"


def text(value: str) -> str:
    """Return a text of the other side in one line: invisible characters as U+FFFD, cut at the end.

    Without this a peer could write lines of its own into the log, or colors into a terminal.
    """
    cut = value if len(value) <= MAX_TEXT else f"{value[:MAX_TEXT]}..."
    if cut.isprintable():
        return cut
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in cut)


def description(sdp: str) -> str:
    """The kinds of its sections, and how many candidates it has: `audio, application; 2 candidates`.

    Not more, because a description holds the password of ICE.
    """
    lines = sdp.splitlines()
    kinds = Counter(line[2:].split(" ", 1)[0] for line in lines if line.startswith("m="))
    candidates = sum(line.startswith("a=candidate:") for line in lines)
    sections = ", ".join(kind if number == 1 else f"{number} {kind}" for kind, number in kinds.items())
    found = f"; {candidates} candidate{'s' * (candidates != 1)}" if candidates else ""
    return text(f"{sections or 'no sections'}{found}")


def candidate(line: str) -> str:
    """A candidate by its protocol, type and address: `udp host 192.0.2.1:5000`. `the last one` if it is empty."""
    words = line.split()
    if len(words) < 8:
        return "the last one" if not words else text(f"malformed: {line}")
    protocol, address, port, type_ = words[2], words[4], words[5], words[7]
    shown = f"[{address}]" if ":" in address else address
    return text(f"{protocol.lower()} {type_} {shown}:{port}")


def path(local: str, remote: str) -> str:
    """A pair of candidates: `udp host 192.0.2.1:5000 -> host 192.0.2.2:5001`."""
    return f"{candidate(local)} -> {candidate(remote).partition(' ')[2]}"
