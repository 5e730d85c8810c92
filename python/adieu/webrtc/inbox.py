"""Messages that wait to be read by `async for` over a channel, or by `receive()`."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from adieu.errors import InvalidStateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.errors import RTCError


class Inbox:
    """A queue without a bound of its own. The core's window is the bound: unread bytes are not given back to it.

    Args:
        taken: called with the size of each message that is read, so that the window opens again.
    """

    __slots__ = ("_ended", "_error", "_messages", "_readers", "_taken")

    def __init__(self, taken: Callable[[int], None]) -> None:
        self._messages: deque[tuple[str | bytes, int]] = deque()
        self._readers: deque[asyncio.Future[None]] = deque()
        self._taken = taken
        self._ended = False
        self._error: RTCError | None = None

    def put(self, data: str | bytes, size: int) -> None:
        """Add a message with this size in bytes."""
        self._messages.append((data, size))
        self._wake_one()

    def end(self, error: RTCError | None) -> None:
        """End the queue: no message follows. Unread messages stay readable, and their window is given back."""
        if self._ended:
            return
        self._ended = True
        self._error = error
        self._taken(sum(size for _, size in self._messages))
        for reader in self._readers:
            if not reader.done():
                reader.set_result(None)

    async def get(self) -> str | bytes:
        """Return the next message.

        Raises:
            RTCError: the channel ended with this error, and everything before it has been read.
            InvalidStateError: it was closed, and everything before that has been read.

        Cancellation: no message is lost.
        """
        while not self._messages:
            if self._error is not None:
                raise self._error
            if self._ended:
                raise InvalidStateError("the channel is closed, and every message has been read")
            reader: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._readers.append(reader)
            try:
                await reader
            except asyncio.CancelledError:
                if reader.done() and not reader.cancelled():
                    self._wake_one()  # it was this reader's turn: the next one gets it
                raise
            finally:
                if reader in self._readers:
                    self._readers.remove(reader)
        data, size = self._messages.popleft()
        if not self._ended:
            self._taken(size)
        return data

    def _wake_one(self) -> None:
        while self._readers:
            reader = self._readers.popleft()
            if not reader.done():
                reader.set_result(None)
                return


class MessageIterator:
    """The iterator of `async for` over a channel."""

    __slots__ = ("_inbox",)

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def __aiter__(self) -> MessageIterator:
        return self

    async def __anext__(self) -> str | bytes:
        """Return the next message; the iteration ends when the channel was closed.

        Raises:
            RTCError: the channel ended with an error.
        """
        try:
            return await self._inbox.get()
        except InvalidStateError:
            raise StopAsyncIteration from None
