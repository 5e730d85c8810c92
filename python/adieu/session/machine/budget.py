"""The budget of a session: the most that it holds for its application, of all channels. `flow.py` has the theory."""

from __future__ import annotations

from typing import Protocol

from adieu.protocol.control import COST, SMALL

TINY = 1024
"""The window of a channel where there are so many that no larger one fits: each channel's part of the least budget."""
SPARE = 32
"""The part of the budget that is not given as credit. Fragments that arrive early need more than their payload; this
part is enough for fragments of 8 KiB."""


class Holder(Protocol):
    """The members of a receiver that the budget uses; `Receiver` explains each one."""

    counted: bool
    claimed: bool
    wanted: int

    @property
    def held(self) -> int:
        """Whole messages that are here."""
        ...

    @property
    def replaceable(self) -> int:
        """The part of the reserve that another window would replace."""
        ...

    @property
    def lent(self) -> int:
        """The cost of the given turn, until all of it has arrived."""
        ...

    @property
    def taken_cost(self) -> int:
        """The cost of the messages that were taken."""
        ...

    def drop_one(self) -> bool:
        """Forget the oldest message, without credit."""
        ...

    def account(self) -> None:
        """Report to the budget what this channel needs."""
        ...


class Budget:
    """The most that a session holds for its application: payload, and `COST` for each message and each fragment of one.

    Every receiver keeps its reserve here: the bytes that it holds, and those that may still come within its credit.
    """

    def __init__(self, size: int, window: int, max_message: int) -> None:
        self.size = size
        self.window = window
        self.max_message = max_message
        self.used: int = 0
        """All reserves together."""
        self.channels: int = 0
        """How many receivers draw on it."""
        self.last_room: int = max(max_message, SMALL) + COST
        """Never given as a window: there is always room for one turn after the other."""
        self.yielding: dict[int, Holder] = {}
        """Those without credit, by `id`: what they hold makes way for a turn."""

    def apart(self) -> Budget:
        """Return a budget of the same size for a channel that has ended."""
        return Budget(self.size, self.window, self.max_message)

    @property
    def free(self) -> int:
        """Return the bytes that may be given as credit, or used by messages without credit."""
        return self.size - self.size // SPARE - self.used

    def window_of(self, receiver: Holder) -> int:
        """Bytes that may follow what this channel's application has taken, as things are now.

        A large window is given without being asked for as long as there is room for another one.
        """
        if not receiver.counted:
            # The other side may start its largest message with any credit: it gets its share of a quarter.
            share = max(self.size // 4 // max(self.channels, 1), TINY)
            most = min(self.window, share) if receiver.claimed else min(self.window, share, SMALL)
            return max(most - COST * receiver.held, 0)
        room = max(self.free - self.last_room, 0) + receiver.replaceable - receiver.lent - COST
        large = room - self.max_message
        if receiver.claimed and min(large, self.max_message) > SMALL:
            another = self.window + self.max_message + COST
            if SMALL < self.window <= large - another:
                return self.window
            if (wanted := receiver.wanted - receiver.taken_cost) > SMALL:
                return min(large, max(self.window, SMALL + 1), wanted)
        return max(min(self.window, SMALL, room - SMALL), 0)

    def make_room(self, size: int) -> bool:
        """Whether `size` bytes are free, for a turn: what unreliable channels hold is dropped for it."""
        for receiver in self.yielding.values():
            while self.free < size and receiver.drop_one():
                receiver.account()
        return self.free >= size


def least_budget(window: int, max_message: int, max_channels: int) -> int:
    """Return the least useful budget: a large window, a turn for a largest message, and a little for each channel."""
    large = window + max_message + COST + max_message + COST + SMALL
    least = large + max_channels * (TINY + SMALL + COST)
    return least + least // (SPARE - 1) + 1
