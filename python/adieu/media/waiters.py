"""Callers that wait until something has changed, and then look again."""

from __future__ import annotations

import asyncio


class Waiters:
    """Those that wait now. It is true while there are some."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    async def wait(self) -> None:
        """Wait for the next `wake()`."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(woken)
        try:
            await woken
        finally:
            self._waiting.discard(woken)

    def wake(self) -> None:
        """Let all look again."""
        for woken in self._waiting:
            if not woken.done():
                woken.set_result(None)
