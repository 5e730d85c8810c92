"""The resources that are left of a connection after its close (closing rule S9), and the waiters for its end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import final


@final
class ReleaseLedger(Mapping[str, int]):
    """The resources that a connection still holds after its close: sockets, timers, transports … False without any.

    Args:
        left: the number of each resource; zeros are left out.
    """

    __slots__ = ("_left",)

    def __init__(self, left: Mapping[str, int]) -> None:
        self._left = {kind: count for kind, count in left.items() if count}

    def __getitem__(self, kind: str) -> int:
        return self._left[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self._left)

    def __len__(self) -> int:
        return len(self._left)

    def __repr__(self) -> str:
        return ", ".join(f"{count} {kind}" for kind, count in self._left.items()) or "nothing left"


class Release:
    """The end of one connection, for any number of callers, before or after it."""

    __slots__ = ("_ledger", "_waiting")

    def __init__(self) -> None:
        self._ledger: ReleaseLedger | None = None
        self._waiting: set[asyncio.Future[None]] = set()

    async def wait(self) -> ReleaseLedger:
        """Wait for the ledger."""
        while self._ledger is None:
            future = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
            try:
                await future
            finally:
                self._waiting.discard(future)
        return self._ledger

    def finish(self, left: Mapping[str, int]) -> None:
        """Store the ledger: all other resources have been given back."""
        if self._ledger is None:
            self._ledger = ReleaseLedger(left)
            for future in self._waiting:
                if not future.done():
                    future.set_result(None)

    # --- reports of the driver about a connection that is closing -----------

    def handle_ended(self, left: dict[str, int]) -> None:
        """Finish: the reaper is done."""
        self.finish(left)

    def handle_panicked(self, message: str) -> None:
        """Ignore it: `handle_ended` follows."""

    def handle_network(self, gone: list[str], came: list[str], slept: float) -> None:
        """Ignore it: the connection is closed."""

    def handle_loop_ended(self) -> None:
        """Finish: the core goes on by itself, and its end is not seen."""
        self.finish({"unwatched": 1})
