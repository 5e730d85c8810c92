"""Where adieu goes further than the letter of the W3C, and how to get the letter.

* Closing rule 11: after `pc.close()` each channel that was not closed gets a `close` event. By the letter it gets none.
* Closing rule 35: a call that was pending when the connection was closed ends with an AbortError. By the letter its
  promise never settles.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

_strict: ContextVar[bool] = ContextVar("adieu.strict", default=False)


@contextmanager
def strict_specification() -> Generator[None]:
    """Connections that are made in this block keep to the letter. For conformance runs only: awaits may never end."""
    token = _strict.set(True)
    try:
        yield
    finally:
        _strict.reset(token)


def is_strict() -> bool:
    """Whether a connection that is made now keeps to the letter."""
    return _strict.get()
