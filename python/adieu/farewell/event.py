"""The events of a Goodbye."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.events import Event

if TYPE_CHECKING:
    from adieu.farewell.receipt import GoodbyeReceipt


class GoodbyeEvent(Event):
    """An event of a Goodbye; which values there are depends on its type.

    Attributes:
        reason: `closing`: what the other side says.
        reset: `closing`: another connection is to follow.
        deadline: `closing`: of the event loop's clock. Messages that handlers send before are delivered, if there is
            time. Async handlers are awaited, but not one that itself awaits the end.
        cause: `gone`: one cause, or several with " or " between them.
        silence: `gone`: seconds since the last sign of life.
        receipt: `closed`, `reset`.
    """

    __slots__ = ("cause", "deadline", "reason", "receipt", "reset", "silence")

    def __init__(
        self,
        type: str,  # noqa: A002 as of Event
        *,
        reason: str = "",
        reset: bool = False,
        deadline: float = 0.0,
        cause: str = "",
        silence: float = 0.0,
        receipt: GoodbyeReceipt | None = None,
    ) -> None:
        super().__init__(type)
        self.reason: str = reason
        self.reset: bool = reset
        self.deadline: float = deadline
        self.cause: str = cause
        self.silence: float = silence
        self.receipt: GoodbyeReceipt | None = receipt
