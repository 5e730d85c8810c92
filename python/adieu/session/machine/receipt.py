"""The account of an ended session: what each side sent, took, and cannot know (closing rules S2, S5)."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from adieu.protocol.words import MediaAccount, Reason, Total

By = Literal["local", "remote", "both", "network"]
Path = Literal["graceful", "deadline", "abrupt"]
ChannelPath = Literal["graceful", "deadline", "session", "untold"]
"""How a channel ended: both sides agreed; the time was over; the session ended; the other side's version knows no close
of a channel."""
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

    @property
    def lacks(self) -> bool:
        """Whether anything is unknown or unsent, in either direction."""
        totals = [total for account in (self.sent, self.received) for total in (account.unknown, account.unsent)]
        return any(total is None or total.messages > 0 for total in totals)


class ChannelEndReceipt(ChannelReceipt, frozen=True, kw_only=True):
    """How a channel ended, and what became of each of its messages.

    Attributes:
        by: the closer: `local`, `remote`, `both`; `network` if the session ended without anybody's wish.
        reason: the text that the closer gave.
        path: `graceful`; `deadline`: the time was over; `session`: the session ended meanwhile; `untold`: the other
            side's version knows no close of a channel, and learns nothing of it.
        duration: seconds since the close began.
        confirmed: this side has the other's last word about the channel.
    """

    name: str
    by: By
    reason: str
    path: ChannelPath
    duration: float
    confirmed: bool

    @property
    def clean(self) -> bool:
        """Confirmed, and nothing of a reliable channel is unknown or unsent."""
        return self.confirmed and not (self.reliable and self.lacks)

    def to_json(self) -> str:
        """Return all of it as JSON."""
        return msgspec.json.encode(self).decode()


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
        return self.confirmed and not any(channel.reliable and channel.lacks for channel in self.channels.values())


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
    media: dict[str, dict[str, tuple[MediaAccount, int]]],
    me: str,
    peer: str,
    *,
    unread: bool,
) -> str:
    """The canonical part: JSON with sorted keys, directions keyed by the sender's peer id.

    With `unread`, it has the counts of unread messages that are not 0. A peer of the version before does not give them.
    If one side alone knows that both give them, nothing was read, so the texts are still equal. `media` is in it if
    there is any: by mid and sender, packets and bytes that it sent, milliseconds that it did not send, and packets that
    came.
    """
    sections = {
        mid: {
            sender: {"sent": [account.packets, account.bytes], "unsentMs": account.unsent_ms, "arrived": arrived}
            for sender, (account, arrived) in senders.items()
        }
        for mid, senders in media.items()
    }
    return msgspec.json.encode(
        {
            **({"media": sections} if sections else {}),
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
    if unread and account.unread is not None and account.unread.messages:
        totals["unread"] = account.unread
    return {name: None if total is None else [total.messages, total.bytes] for name, total in totals.items()}
