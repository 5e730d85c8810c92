"""The older forms of the API. https://www.w3.org/TR/webrtc/#legacy-interface-extensions

A method that returns a promise also takes two callbacks. Then it calls one of them, and its own promise resolves with
None.
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
    """Call one of the two when `promise` has resolved or rejected.

    Args:
        promise: the awaitable that the method returns without callbacks.
        success: called when it resolves.
        failure: called with its error.
        gives: whether it resolves with a value that `success` takes.
    """
    try:
        result = await promise
    except (DOMException, TypeError, ValueError) as error:
        if failure is not None:
            failure(error)
        return
    success(result) if gives else success()
