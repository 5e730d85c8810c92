"""The two directions of a named channel: sequence numbers, credit, acknowledgement, replay.

A `Sender` keeps every message of a reliable channel until the other application has taken it, so that a new
connection can go on where the other side's `have` says. A `Receiver` yields each message once, whatever
connection brought it.

Credit is counted in bytes, where each message costs `COST` beside its payload, from the first message on: the credit
that was given ends at an `edge`, which never goes back. A message may start before the edge and is then sent whole. So
what can still come is known, and `Budget` gives no more credit than a session can hold: windows while there is room,
and always room for one largest message beside them. A sender that no window helps (what waits is too large for it, and
nothing that it sent is still to be taken) asks for a turn and says what the next messages cost; turns are given in the
order in which they were asked for. So these hold, whatever is sent on whatever channels:

- A peer that keeps within the credit it was given never meets the budget: only giving credit, or a turn, raises what
  is kept for a channel, and both look for room first.
- Nothing waits for ever, if the application reads all channels: what a turn was given for comes, is taken, and gives
  its room back to the next turn. Windows cannot take that room, however long they stay unused; unreliable channels,
  which may, give it back at once.
- What is held never exceeds the budget.

A peer that does not know this (no capability `credit2`) counts payload alone. What is held from it stays within the
budget too, but one that begins more largest messages at once than fit in there is ended for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adieu.protocol.control import COST, SMALL
from adieu.protocol.words import Total

if TYPE_CHECKING:
    from adieu.protocol.control import Reliability

LOT = SMALL + COST
"""So much is asked for in one turn, or one larger message."""


class ViolationError(Exception):
    """The other side broke the protocol; the message says how."""


@dataclass(slots=True)
class Count:
    """A running `Total`."""

    messages: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        """One more message of `size` bytes."""
        self.messages += 1
        self.bytes += size

    def total(self) -> Total:
        """The number as it stands."""
        return Total(self.messages, self.bytes)


def is_reliable(reliability: Reliability) -> bool:
    """Neither bound is set."""
    return reliability.max_retransmits is None and reliability.max_packet_life_time is None
