"""The older forms of the API. https://www.w3.org/TR/webrtc/#legacy-interface-extensions

A method that gives a promise also takes two callbacks: then it calls one of them, and its own promise is fulfilled with
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from adieu.errors import DOMException

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SuccessCallback: TypeAlias = "Callable[..., object]"
FailureCallback: TypeAlias = "Callable[[Exception], object]"


async def call_back(
    promise: Awaitable[Any], success: SuccessCallback, failure: FailureCallback | None, *, gives: bool = False
) -> None:
    """Call one of the two when `promise` has settled.

    Args:
        promise: what the method gives without callbacks.
        success: called when it is fulfilled.
        failure: called with its error.
        gives: whether it is fulfilled with something that `success` takes.
    """
    try:
        result = await promise
    except (DOMException, TypeError, ValueError) as error:
        if failure is not None:
            failure(error)
        return
    success(result) if gives else success()
