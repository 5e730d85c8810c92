"""Calls of methods that do not keep their object."""

from __future__ import annotations

from typing import TYPE_CHECKING, ParamSpec
from weakref import WeakMethod

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")


def weakly(method: Callable[P, None]) -> Callable[P, None]:
    """Return a call of this method that does not keep its object, and does nothing when the object is gone."""
    reference = WeakMethod(method)

    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        if (found := reference()) is not None:
            found(*args, **kwargs)

    return call
