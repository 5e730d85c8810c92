"""The two directions of a named channel: sequence numbers, credit, acknowledgement, replay.

A `Sender` keeps every message of a reliable channel until the other application has taken it, so that a new
connection can go on where the other side's `have` says. A `Receiver` yields each message once, whatever
connection brought it.

Credit is counted in bytes. Each message costs its payload and `COST`. Credit ends at an `edge`, counted from the first
message, which never goes back. A message may start before the edge and is then sent whole. So the bytes that can still
come are known, and `Budget` gives at most the credit that a session can hold. It gives windows while there is space,
and keeps space for one largest message. Sometimes no window helps a sender: its next message is too large, and all its
earlier messages are taken. Then it asks for a turn and reports the cost of the next messages. Turns are given in the
order of the requests. The following always holds, on all channels:

- A peer within its credit never exceeds the budget. Only credit or a turn raises the reserve of a channel, and both
  need free space.
- No message waits forever if the application reads all channels. The messages of a turn arrive, are taken, and free
  their space for the next turn. Windows cannot use that space, however long they stay unused. Unreliable channels may
  use it, and free it at once.
- The held bytes never exceed the budget.

A peer without the capability `credit2` counts payload alone. Its messages stay within the budget too. If it starts more
largest messages at once than fit, the session ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adieu.protocol.control import COST, SMALL
from adieu.protocol.words import Total

if TYPE_CHECKING:
    from adieu.protocol.control import Reliability

LOT = SMALL + COST
"""The most bytes of one turn, except for one larger message."""


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
        """Return the number without a change."""
        return Total(self.messages, self.bytes)


def is_reliable(reliability: Reliability) -> bool:
    """Neither bound is set."""
    return reliability.max_retransmits is None and reliability.max_packet_life_time is None
