"""SPAKE2, by the package `spake2`, with types."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class PakeError(Exception):
    """The other side's message is no message of this exchange."""


class Pake:
    """One side of an exchange. The key is equal on both sides if the words, and both names, are.

    Args:
        words: the shared secret; an active attacker can try one for each exchange.
        sender: the name of the sender.
        receiver: the name of the receiver.
        sends: whether this is the sender.
    """

    def __init__(self, words: bytes, *, sender: bytes, receiver: bytes, sends: bool) -> None:
        spake2: Any = import_module("spake2")
        self._error: type[Exception] = spake2.SPAKEError
        side = spake2.SPAKE2_A if sends else spake2.SPAKE2_B
        self._side: Any = side(words, idA=sender, idB=receiver)
        self.message: bytes = self._side.start()

    def key(self, message: bytes) -> bytes:
        """Return the key. Raises PakeError."""
        try:
            made: bytes = self._side.finish(message)
        except (self._error, ValueError, AssertionError) as error:
            raise PakeError(type(error).__name__) from None
        return made
