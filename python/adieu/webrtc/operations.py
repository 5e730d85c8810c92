"""The operations chain. https://www.w3.org/TR/webrtc/#dfn-operations-chain"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from adieu.errors import AbortError, DOMException, InvalidStateError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

T = TypeVar("T")
F = TypeVar("F", bound="Callable[..., Coroutine[Any, Any, Any]]")

_WHY: Final = "the connection was closed"


def begun_by_the_call(is_closed: Callable[[Any], bool]) -> Callable[[F], F]:
    """Make the promise of a method pending from the call on, not only from the first step of the coroutine.

    A call on an open connection ends with AbortError if the connection is closed before the first step (closing rule
    35). A call on a closed connection is a late call (closing rules 21 to 25).

    Args:
        is_closed: of the object whose method it is.
    """

    def decorate(method: Any) -> Any:
        @wraps(method)
        def call(self: object, /, *args: object, **members: object) -> Coroutine[Any, Any, Any]:
            return method(self, *args, **members) if is_closed(self) else begin(self, *args, **members)

        async def begin(self: object, /, *args: object, **members: object) -> Any:
            if is_closed(self):
                raise AbortError(_WHY)
            return await method(self, *args, **members)

        begin.__name__, begin.__qualname__ = method.__name__, method.__qualname__
        return call

    return decorate


class OperationsChain:
    """Runs one operation after the other.

    Each operation runs in the task of its caller. If the caller is cancelled, the operation leaves the chain. A
    description is applied in one step, so it is applied as a whole or not at all.

    At the close of the connection all pending operations end with AbortError. Some of them wait for their turn, some
    have not started yet, and one may be in the middle.

    Args:
        on_empty: called when the last operation has left (W3C chain step 7.4.4 to 7.4.6).
        strict: pending promises never settle after the close, as in the W3C's text.
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
                if self._has_closed():  # between its turn and this line
                    return await self._aborted(None)
            else:
                turn.set_result(None)
            return await operation()
        except (DOMException, TypeError, ValueError) as error:
            if not self._has_closed() or isinstance(error, AbortError):
                raise
            return await self._aborted(error)  # on a closed connection every operation fails
        finally:
            self._leave(turn)

    async def _aborted(self, error: Exception | None) -> NoReturn:
        if self._strict:
            await asyncio.get_running_loop().create_future()
        raise AbortError(_WHY) from error

    def _has_closed(self) -> bool:
        return self._closed

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
        """End the waiting operations: the connection is closed (closing rules 31 to 35)."""
        self._closed = True
        waiting, self._queue = self._queue, deque()
        if not self._strict:
            for turn in waiting:
                if not turn.done():
                    turn.set_exception(AbortError(_WHY))
