"""One sentence for a person about how a session ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from adieu.protocol.control import FILE_CHANNEL
from adieu.protocol.text import MOST, line
from adieu.session.machine.cause import CLAIMS, ROOM_CLOSED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adieu.session.machine.receipt import Account, Outcome
    from adieu.session.receipt import FileReceipt, PartialFile

_REMOTE = {
    "left": "{who} left",
    "tab-closed": "{who} closed the tab",
    "reloaded": "{who} reloaded the page",
    "navigated": "{who} went to another page",
    "kicked": "{who} was removed from the room",
    "room-closed": "The room was closed for everybody",
    "replaced": "{who} joined from somewhere else",
    "crashed": "{who}'s program ended without a word",
    "connection-closed": "{who} closed the connection",
    "server-shutdown": "The server was shut down",
    "protocol-error": "{who}'s program sent an invalid message",
    "security-error": "{who} could not prove who they are",
    "busy": "{who}'s program does not answer",
    "network-lost": "{who}'s network was lost",
    "frozen": "{who}'s program was stopped",
    "frozen, network-lost": "{who} could no longer be reached",
    "gave-up": "{who} could not be reached",
}


def sentence(
    outcome: Outcome, name: str, files: Sequence[FileReceipt] = (), partial: Sequence[PartialFile] = ()
) -> str:
    """Return how it ended, and what was lost or is not read yet, in both directions: one line, no control characters.

    Args:
        outcome: the outcome of the session.
        name: the name of the other side for people; empty if it has no name.
        files: those that arrived whole.
        partial: those that did not.
    """
    name = line(name).strip()
    return line(f"{_opening(outcome, name)}. {_rest(outcome, files, partial)}", 4 * MOST).strip()


def _opening(outcome: Outcome, name: str) -> str:
    who = name or "The other side"
    text = line(outcome.reason.text)
    if outcome.cause == ROOM_CLOSED:
        return _REMOTE[ROOM_CLOSED] + (f" ({text})" if text else "")
    match outcome.by:
        case "both":
            return f"You and {who} left at the same time" if name else "Both sides left at the same time"
        case "local" if outcome.cause in {"protocol-error", "security-error"}:
            return f"The connection to {who} was ended: {text or outcome.cause}"
        case "local" if outcome.cause == "connection-closed":
            return f"The connection to {who} was closed by this program"
        case "local" if outcome.cause == "gave-up":
            return f"No connection to {who} could be made: {text}"
        case "local":
            left = f"You left {name}".rstrip() + (f" ({text})" if text else "")
            return left if outcome.cause in CLAIMS else f"{left}. {_remote(outcome.cause, who)}"
        case "network" if outcome.unheard and outcome.cause == "frozen":
            return f"This program was suspended, and the connection to {who} was lost"
        case "network" if outcome.unheard:
            return f"{who} no longer heard this side, and gave up"
        case "remote" | "network":
            text_of_cause = _remote(outcome.cause, who)
            has_words = outcome.by == "remote" and outcome.cause in {"left", "gave-up"} and text
            return f"{text_of_cause} ({text})" if has_words else text_of_cause


def _remote(cause: str, who: str) -> str:
    return _REMOTE.get(cause, "{who} left").format(who=who)


def _rest(outcome: Outcome, files: Sequence[FileReceipt], partial: Sequence[PartialFile]) -> str:
    reliable = [
        channel
        for name, channel in outcome.channels.items()
        if channel.reliable and not name.startswith(FILE_CHANNEL)  # files are named, their pieces are not counted
    ]
    ours, theirs = [channel.sent for channel in reliable], [channel.received for channel in reliable]
    unsent, unknown = _sum(ours, "unsent"), _sum(ours, "unknown")
    missing = _sum(theirs, "unsent") + _sum(theirs, "unknown")
    lost: list[str] = []
    if unsent:
        lost.append(f"{unsent} of your messages {_were(unsent)} not sent")
    if unknown:
        lost.append(f"{unknown} of your messages may not have arrived")
    if missing:
        lost.append(f"{missing} of their messages did not arrive")
    parts = [" and ".join(lost)] if lost else []
    parts += [_cut_off([each for each in partial if each.sent is sent], sent=sent) for sent in (True, False)]
    delivered, unread = _sum(ours, "delivered"), _sum(ours, "unread")
    if unread:
        parts += [
            f"{delivered} of your messages {_were(delivered)} delivered",
            f"{unread} of them {_were(unread)} not read yet",
        ]
    elif delivered and not unsent and not unknown:
        parts.append(_all_delivered(outcome, bool(missing or partial)))
    elif not lost and not partial:
        parts.append(_arrived([file.name for file in files]))
    if unread := _sum(theirs, "unread"):
        parts.append(f"{unread} of their messages {_were(unread)} not read yet")
    text = "; ".join(part for part in parts if part)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _cut_off(files: list[PartialFile], *, sent: bool) -> str:
    if len(files) > 1:
        return f"{len(files)} files {'were not sent' if sent else 'did not arrive'} whole"
    for file in files:
        if file.done > file.size:  # of a stream nobody knows how much there was to be
            return f"{file.done} bytes of {line(file.name)} {'were sent' if sent else 'arrived'}"
        share = 100 * file.done // max(file.size, 1)
        return f"{share} % of {line(file.name)} {'was sent' if sent else 'arrived'}"
    return ""


def _arrived(names: list[str]) -> str:
    if len(names) > 1:
        return f"{len(names)} files were delivered"
    return f"the file {line(names[0])} was delivered" if names else ""


def _all_delivered(outcome: Outcome, missing: bool) -> str:
    """Return the text if this side lost nothing on a reliable channel. "Everything" must be true of both directions."""
    if missing or not outcome.confirmed:
        return "all your messages were delivered"
    if any(_sum([channel.sent], "unknown", "unsent") for channel in outcome.channels.values()):
        return "everything that must not be lost was delivered"
    return "everything was delivered"


def _sum(accounts: list[Account], *names: Literal["delivered", "unread", "unknown", "unsent"]) -> int:
    totals = [getattr(account, name) for account in accounts for name in names]
    return sum(total.messages for total in totals if total is not None)


def _were(number: int) -> str:
    return "was" if number == 1 else "were"
