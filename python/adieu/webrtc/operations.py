"""The operations chain. https://www.w3.org/TR/webrtc/#dfn-operations-chain"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, TypeVar

from adieu.errors import AbortError, InvalidStateError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class OperationsChain:
    """One operation after the other.

    Each operation runs in the task of its caller. When the caller is cancelled, the operation leaves the chain; what it
    was doing is done either wholly or not at all, because descriptions are applied in one step.

    Args:
        on_empty: called when the last operation has left (W3C chain step 7.4.4 to 7.4.6).
        strict: by the letter of the W3C, what is pending at the close never ends.
    """

    __slots__ = ("_closed", "_on_empty", "_queue", "_strict")

    def __init__(self, on_empty: Callable[[], None], *, strict: bool) -> None:
        self._queue: deque[asyncio.Future[None]] = deque()
        self._on_empty = on_empty
        self._strict = strict
        self._closed = False

    def __len__(self) -> int:
        return len(self._queue)

    async def chain(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Run `operation` after the ones before it.

        Raises:
            InvalidStateError: the connection is closed (closing rules 21, 22).
            AbortError: it was closed meanwhile (closing rule 35).
        """
        # W3C chain step 2
        if self._closed:
            raise InvalidStateError("the connection is closed")
        # W3C chain steps 4 to 6
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            if len(self._queue) > 1:
                await turn
            else:
                turn.set_result(None)
            return await operation()
        finally:
            self._leave(turn)

    def _leave(self, turn: asyncio.Future[None]) -> None:
        # W3C chain step 7.4: "If [[IsClosed]] is true, abort these steps" (closing rule 32).
        if self._closed:
            return
        self._queue.remove(turn)
        if not self._queue:
            self._on_empty()
        elif not self._queue[0].done():
            self._queue[0].set_result(None)

    def close(self) -> None:
        """The connection is closed: nothing that waits here will start (closing rules 31 to 35)."""
        self._closed = True
        waiting, self._queue = self._queue, deque()
        if not self._strict:
            for turn in waiting:
                if not turn.done():
                    turn.set_exception(AbortError("the connection was closed"))
