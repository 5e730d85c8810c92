"""The table of states: what each accepts of the other side, and where it leads.

The tests hold the machine to it, in both languages; `docs/reference/session-states.md` is drawn from it by
`python -m sim.session.states` (in tests/).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from adieu.session.machine.actions import StateName


class StateRow(Struct, frozen=True, kw_only=True):
    """One state."""

    means: str
    words: frozenset[str]
    """The words of the other side that may have an effect, in-band or by signaling; all others are ignored."""
    requests: frozenset[str]
    """Requests that the application may make."""
    leads_to: dict[StateName, str]
    """The states that may follow, and by what."""


END = frozenset({"closing", "closed"})
RESET = frozenset({"reset", "resetOk", "switch", "switched", "cancel"})
ALWAYS = frozenset({"ask_close", "abort"})
SEND = frozenset({"open_channel", "send"})
ASKED = "a side closes, or ends it"

STATES: dict[StateName, StateRow] = {
    "connecting": StateRow(
        means="No connection has been open yet.",
        words=END | {"cancel"},
        requests=ALWAYS | SEND | {"ask_reset"},
        leads_to={"open": "`hello` of both sides", "closing": ASKED + ", or they do not meet in time"},
    ),
    "open": StateRow(
        means="The other side answers.",
        words=END | RESET,
        requests=ALWAYS | SEND | {"ask_reset"},
        leads_to={
            "suspect": "no answer for 3 s",
            "recovering": "the connection breaks",
            "resetting": "a side asks for a reset",
            "closing": ASKED,
        },
    ),
    "suspect": StateRow(
        means="The other side has not answered for too long.",
        words=END | RESET,
        requests=ALWAYS | SEND | {"ask_reset"},
        leads_to={
            "open": "the other side is heard",
            "recovering": "the first step of the recovery, after 5 s",
            "resetting": "the application asks for a reset",
            "closing": ASKED,
        },
    ),
    "recovering": StateRow(
        means="New paths and connections are tried.",
        words=END | RESET,
        requests=ALWAYS | SEND | {"ask_reset"},
        leads_to={
            "open": "the other side is heard, or a new connection carries the session",
            "resetting": "the application asks for a reset",
            "closing": ASKED + ", or no recovery helps",
        },
    ),
    "resetting": StateRow(
        means="A reset is under way that a side has asked for.",
        words=END | RESET,
        requests=ALWAYS | SEND | {"ask_reset"},
        leads_to={
            "open": "`switch`, or the old connection goes on",
            "recovering": "no answer, or the reset fails",
            "closing": ASKED,
        },
    ),
    "closing": StateRow(
        means="The five steps of a close.",
        words=END | RESET | {"wait", "done"},
        requests=ALWAYS | SEND | {"ask_wait", "grant_wait"},
        leads_to={"closed": "both have said `closed`, and all is released; or the deadline"},
    ),
    "closed": StateRow(
        means="The session is over; a late word is answered with `closed`.",
        words=frozenset({"closing", "wait", "done"}) | RESET,
        requests=frozenset(),
        leads_to={},
    ),
}
