"""Events on their way to the one who reads them, with a bound that stops the one who makes them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from adieu.signaling.events import Ended

if TYPE_CHECKING:
    from typing import Self

    from adieu.signaling.events import SignalingEvent


class EventBuffer:
    """An asynchronous iterator; `Ended` is the last that it yields. To be read by one task at a time."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._events: deque[SignalingEvent] = deque()
        self._came = asyncio.Event()
        self._taken = asyncio.Event()
        self._ended = False
        self._being_read = False

    def put(self, event: SignalingEvent) -> None:
        """Add one; also beyond the bound, which is for `room` to keep."""
        self._events.append(event)
        self._came.set()

    async def room(self) -> None:
        """Until fewer than `bound` wait to be read."""
        while len(self._events) >= self._bound:
            self._taken.clear()
            await self._taken.wait()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SignalingEvent:
        if self._being_read:
            raise RuntimeError("the events are read by another task already: hand them on from there")
        self._being_read = True
        try:
            while not self._events:
                if self._ended:
                    raise StopAsyncIteration
                self._came.clear()
                await self._came.wait()
        finally:
            self._being_read = False
        event = self._events.popleft()
        self._ended = isinstance(event, Ended)
        self._taken.set()
        return event
