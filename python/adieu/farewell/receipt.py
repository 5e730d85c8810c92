"""The account that a side holds when a connection has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Given:
    """A data channel that goodbye can drain.

    Attributes:
        reliable: every message arrives.
        buffered: bytes in its queue.
    """

    reliable: bool
    buffered: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A data channel, as `getStats()` tells of it, in messages.

    Attributes:
        label: its label.
        sent: messages sent.
        received: messages received.
        given: None if only its counts are known.
        counted: whether `getStats()` counts it. Else these are the last counts, and more may have been sent since.
    """

    label: str
    sent: int
    received: int
    given: Given | None = None
    counted: bool = True


@dataclass(frozen=True, slots=True)
class ChannelAccount:
    """The account of one channel, in messages.

    Attributes:
        label: its label.
        id: its stream id.
        sent: messages sent. Where the proof is "none" it may be more: a sudden end takes the last counts away.
        received: messages received; the same holds.
        delivered: messages that the other application received; None if that is not known.
        proof: "peer": the other side has counted them. "reset": all of them arrived there; whether they were read is
            unknown. "none": nothing is known.
        drained: whether it was drained.
    """

    label: str
    id: int
    sent: int
    received: int
    delivered: int | None
    proof: Literal["peer", "reset", "none"]
    drained: bool


@dataclass(frozen=True, slots=True)
class GoodbyeReceipt:
    """How a connection ended.

    Attributes:
        id: equal on both sides.
        by: the side that closed.
        reason: the text that the closer gave.
        reset: another connection is to follow.
        clean: every step ended in its time, and every channel was counted.
        confirmed: the other side holds a receipt with this id too, and has heard how many messages arrived here.
        cause: why the connection ended before its close did; None if it did not.
        channels: the account of each channel.
    """

    id: str
    by: Literal["local", "remote", "both"]
    reason: str
    reset: bool
    clean: bool
    confirmed: bool
    cause: str | None
    channels: tuple[ChannelAccount, ...]
    mutual: bool
    """Whether the other side has goodbye."""

    @property
    def notice(self) -> list[str]:
        """Sentences for people: everything that is not as it should be, or cannot be known."""
        missing = sum(each.sent - each.delivered for each in self.channels if each.delivered is not None)
        apart = [each.label for each in self.channels if not each.drained]
        proved = all(each.proof != "none" for each in self.channels if each.drained)
        sentences = {
            f"It ended before its close: {self.cause}.": self.cause,
            "It ran out of time.": not self.clean and not self.cause,
            f"{missing} of your messages did not arrive.": missing,
            "Your messages may be lost.": not proved,
            "Your messages arrived, perhaps unread.": not self.mutual and proved and self.channels,
            "The other side does not know why; its messages may be lost.": not self.mutual,
            f"Not given, so not drained: {', '.join(apart)}.": apart,
        }
        return [sentence for sentence, holds in sentences.items() if holds]
