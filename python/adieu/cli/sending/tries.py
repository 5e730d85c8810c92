"""The bound of the wrong codes that one sending takes, however many try at once."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class WrongCodeError(Exception):
    """The other side does not know the secret, or somebody is between the two programs."""

    def __init__(self) -> None:
        super().__init__("the code was wrong, or somebody is between the two programs: nothing was sent")


class UnansweredError(WrongCodeError):
    """The other side took this side's proof, by which it can check a guess of the code, and did not show its own."""


class VoidError(WrongCodeError):
    """The code was tried too often: it is not looked at."""


class Tries:
    """The tries that are left.

    Each proof that is looked at holds one, and gives it back if it was right. So a crowd that comes at once has not one
    guess more than a queue.

    Args:
        most: wrong codes, after which no code is right.
    """

    def __init__(self, most: int) -> None:
        self.left: int = most
        self._held = 0
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[None]:
        """Hold a try. A WrongCodeError in the block uses it up.

        Raises:
            VoidError: no try is left.
        """
        while self._held >= self.left > 0:
            await self._changed.wait()
        if not self.left:
            raise VoidError
        self._held += 1
        try:
            yield
        except WrongCodeError:
            self.left -= 1
            raise
        finally:
            self._held -= 1
            self._changed.set()
            self._changed = asyncio.Event()
