"""Events on their way to their reader, with a bound that makes the writer wait."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from adieu.signaling.events import Ended

if TYPE_CHECKING:
    from typing import Self

    from adieu.signaling.events import SignalingEvent


class EventBuffer:
    """An asynchronous iterator of events; `Ended` is the last. Only one task may read it."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._events: deque[SignalingEvent] = deque()
        self._came = asyncio.Event()
        self._taken = asyncio.Event()
        self._ended = False
        self._being_read = False

    def put(self, event: SignalingEvent) -> None:
        """Add an event, also beyond the bound: `room` keeps the bound."""
        self._events.append(event)
        self._came.set()

    async def room(self) -> None:
        """Wait until fewer than `bound` events are waiting."""
        while len(self._events) >= self._bound:
            self._taken.clear()
            await self._taken.wait()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SignalingEvent:
        if self._being_read:
            raise RuntimeError("another task reads the events already: pass them on from there")
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
