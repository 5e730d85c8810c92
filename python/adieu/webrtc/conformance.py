"""The points where adieu goes further than the W3C's text, and a block that keeps to the text.

* Closing rule 11: after `pc.close()` each channel that was not closed gets a `close` event. In the W3C's text
  it gets no event.
* Closing rule 35: a call that was pending when the connection was closed ends with an AbortError. In the W3C's text its
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
    """Keep connections of this block to the W3C's text. For conformance runs only: awaits may never end."""
    token = _strict.set(True)
    try:
        yield
    finally:
        _strict.reset(token)


def is_strict() -> bool:
    """Whether a connection that is made now keeps to the W3C's text."""
    return _strict.get()
