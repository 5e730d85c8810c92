"""The account of an ended session: what each side sent, took, and cannot know (closing rules S2, S5)."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from adieu.protocol.words import Reason, Total

By = Literal["local", "remote", "both", "network"]
Path = Literal["graceful", "deadline", "abrupt"]
StepName = Literal["announce", "drain", "channels", "connection", "clean-up"]


class Account(Struct, frozen=True, kw_only=True):
    """One direction of one channel. None: this side cannot know."""

    accepted: Total | None
    """`send()` returned."""
    delivered: Total
    """Taken by the application of the receiver; never overstated."""
    unread: Total | None = None
    """The part of `delivered` that counts as taken only because the session was closing, and that the application had
    not read at its end. It stays readable there."""
    unknown: Total | None
    """Left, and not known to have been taken."""
    unsent: Total | None
    """Never left: sending it again is safe."""


class ChannelReceipt(Struct, frozen=True, kw_only=True):
    """Both directions, as this side sees them."""

    sent: Account
    received: Account
    reliable: bool = True


class StepReceipt(Struct, frozen=True, kw_only=True):
    """One of the five steps: start and duration in seconds since the close began."""

    name: StepName
    start: float
    duration: float
    outcome: str


class Outcome(Struct, frozen=True, kw_only=True):
    """All of the receipt that the machine knows; the shell adds the release ledger and the notice."""

    id: str
    by: By
    closer: str
    """A peer id, "both" or "network"."""
    reason: Reason
    path: Path
    cause: str
    evidence: list[str]
    channels: dict[str, ChannelReceipt]
    steps: list[StepReceipt]
    confirmed: bool
    agreed: str
    unheard: bool = False
    """The other side ended it because it had heard nothing from here."""

    @property
    def clean(self) -> bool:
        """Confirmed, and nothing of a reliable channel is unknown or unsent."""
        return self.confirmed and not any(
            account.unknown is None or account.unknown.messages or account.unsent is None or account.unsent.messages
            for channel in self.channels.values()
            if channel.reliable
            for account in (channel.sent, channel.received)
        )


def account(accepted: Total, unsent: Total, taken: Total, unread: Total | None = None) -> Account:
    """Merge both sides' counts of one direction: the rest of the accepted messages is unknown."""
    unknown = Total(accepted.messages - unsent.messages - taken.messages, accepted.bytes - unsent.bytes - taken.bytes)
    return Account(accepted=accepted, delivered=taken, unread=unread, unknown=unknown, unsent=unsent)


def is_part(part: Total, whole: Total) -> bool:
    """Whether one total can be a part of the other: at most its messages and bytes; all bytes if all messages."""
    if part.messages in {0, whole.messages}:
        return part.bytes == (whole.bytes if part.messages else 0)
    return part.messages < whole.messages and part.bytes <= whole.bytes


def left(accepted: Total, unsent: Total) -> Total:
    """Return the part of the accepted messages that was sent."""
    return Total(accepted.messages - unsent.messages, accepted.bytes - unsent.bytes)


def agreed_text(
    receipt: str,
    reason: Reason,
    closer: str,
    channels: dict[str, ChannelReceipt],
    me: str,
    peer: str,
    *,
    unread: bool,
) -> str:
    """The canonical part: JSON with sorted keys, directions keyed by the sender's peer id.

    With `unread` if both sides tell it: a peer of the version before does not, and its text has no such word.
    """
    return msgspec.json.encode(
        {
            "receipt": receipt,
            "reason": {"code": reason.code, "text": reason.text},
            "closer": closer,
            "channels": {
                name: {me: _canonical(channel.sent, unread), peer: _canonical(channel.received, unread)}
                for name, channel in channels.items()
            },
        },
        order="sorted",
    ).decode()


def _canonical(account: Account, unread: bool) -> dict[str, list[int] | None]:
    totals = {
        "accepted": account.accepted,
        "delivered": account.delivered,
        "unknown": account.unknown,
        "unsent": account.unsent,
    }
    if unread:
        totals["unread"] = account.unread
    return {name: None if total is None else [total.messages, total.bytes] for name, total in totals.items()}
