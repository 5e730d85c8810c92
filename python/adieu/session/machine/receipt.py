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

    @property
    def clean(self) -> bool:
        """Confirmed, and nothing of a reliable channel is unknown or unsent."""
        return self.confirmed and not any(
            account.unknown is None or account.unknown.messages or account.unsent is None or account.unsent.messages
            for channel in self.channels.values()
            if channel.reliable
            for account in (channel.sent, channel.received)
        )


def account(accepted: Total, unsent: Total, taken: Total) -> Account:
    """What both sides' words say of one direction: the rest of what was accepted is unknown.

    A receiver that claims more than was sent is not believed: delivered is never overstated.
    """
    taken = Total(
        min(taken.messages, accepted.messages - unsent.messages), min(taken.bytes, accepted.bytes - unsent.bytes)
    )
    unknown = Total(accepted.messages - unsent.messages - taken.messages, accepted.bytes - unsent.bytes - taken.bytes)
    return Account(accepted=accepted, delivered=taken, unknown=unknown, unsent=unsent)


def agreed_text(
    receipt: str, reason: Reason, closer: str, channels: dict[str, ChannelReceipt], me: str, peer: str
) -> str:
    """The canonical part: JSON with sorted keys, directions keyed by the sender's peer id."""
    return msgspec.json.encode(
        {
            "receipt": receipt,
            "reason": {"code": reason.code, "text": reason.text},
            "closer": closer,
            "channels": {
                name: {me: _canonical(channel.sent), peer: _canonical(channel.received)}
                for name, channel in channels.items()
            },
        },
        order="sorted",
    ).decode()


def _canonical(account: Account) -> dict[str, list[int] | None]:
    return {
        name: None if total is None else [total.messages, total.bytes]
        for name, total in (
            ("accepted", account.accepted),
            ("delivered", account.delivered),
            ("unknown", account.unknown),
            ("unsent", account.unsent),
        )
    }
