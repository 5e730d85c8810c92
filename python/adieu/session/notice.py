"""One sentence for a person about how a session ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adieu.session.machine.receipt import Outcome

_REMOTE = {
    "left": "{who} left",
    "tab-closed": "{who} closed the tab",
    "reloaded": "{who} reloaded the page",
    "navigated": "{who} went to another page",
    "kicked": "{who} was sent out",
    "replaced": "{who} joined from somewhere else",
    "crashed": "{who}'s program ended without a word",
    "connection-closed": "{who} closed the connection",
    "server-shutdown": "The server was shut down",
    "protocol-error": "{who}'s program said something that makes no sense",
    "security-error": "{who} could not prove who they are",
    "busy": "{who}'s program does not answer",
    "network-lost": "{who}'s network was lost",
    "frozen": "{who}'s program was stopped",
    "frozen, network-lost": "{who} could not be reached any more",
    "gave-up": "{who} could not be reached",
}


def sentence(outcome: Outcome, name: str) -> str:
    """How it ended, and what of ours is not known to have arrived.

    Args:
        outcome: the account.
        name: what people call the other side; empty if it has none.
    """
    who = name or "The other side"
    text = outcome.reason.text
    opening = ""
    match outcome.by:
        case "both":
            opening = f"You and {who} left at the same time" if name else "Both sides left at the same time"
        case "local" if outcome.cause in {"protocol-error", "security-error"}:
            opening = f"The connection to {who} was ended: {text or outcome.cause}"
        case "local" if outcome.cause == "connection-closed":
            opening = f"The connection to {who} was closed by this program"
        case "local" if outcome.cause == "gave-up":
            opening = f"No connection to {who} could be made: {text}"
        case "local":
            opening = f"You left {name}".rstrip() + (f" ({text})" if text else "")
        case "remote" | "network":
            opening = _REMOTE.get(outcome.cause, "{who} left").format(who=who)
            if outcome.by == "remote" and outcome.cause == "left" and text:
                opening += f" ({text})"
    return f"{opening}. {_rest(outcome)}".strip()


def _rest(outcome: Outcome) -> str:
    unsent = unknown = 0
    for channel in outcome.channels.values():
        if channel.reliable:
            unsent += channel.sent.unsent.messages if channel.sent.unsent else 0
            unknown += channel.sent.unknown.messages if channel.sent.unknown else 0
    parts: list[str] = []
    if unsent:
        parts.append(f"{_count(unsent)} of yours did not leave")
    if unknown:
        parts.append(f"{_count(unknown)} of yours may not have arrived")
    if parts:
        return f"{' and '.join(parts)}.".capitalize()
    if any(channel.sent.accepted and channel.sent.accepted.messages for channel in outcome.channels.values()):
        return "Everything was delivered."
    return ""


def _count(number: int) -> str:
    return f"{number} message{'s' if number != 1 else ''}"
