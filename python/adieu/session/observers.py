"""Observers of all sessions in this process: metrics and traces. Nothing is done while there is no observer."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from adieu.protocol.words import Total

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.session.events import ResetEvent, StateEvent
    from adieu.session.machine.actions import StateName
    from adieu.session.machine.receipt import ChannelEndReceipt
    from adieu.session.receipt import CloseReceipt

logger: Final = logging.getLogger("adieu.session")


class Traffic(NamedTuple):
    """Messages and bytes of a session until now, over all its channels.

    Attributes:
        sent: accepted by `send()`.
        delivered: the part of it that the other program has taken.
        taken: of the other side, taken by this program.
    """

    sent: Total
    delivered: Total
    taken: Total


def added(*totals: Total) -> Total:
    """Return the sum."""
    return Total(sum(total.messages for total in totals), sum(total.bytes for total in totals))


NO_TRAFFIC: Final = Traffic(Total(), Total(), Total())


def with_channel(traffic: Traffic, receipt: ChannelEndReceipt) -> Traffic:
    """Return the traffic with that of a channel that has ended."""
    sent = receipt.sent.accepted or receipt.sent.delivered
    return Traffic(
        added(traffic.sent, sent),
        added(traffic.delivered, receipt.sent.delivered),
        added(traffic.taken, receipt.received.delivered),
    )


class Observed(Protocol):
    """The members of a Session that observers use."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def state(self) -> StateName: ...  # noqa: D102
    def traffic(self) -> Traffic: ...  # noqa: D102


class Observer(Protocol):
    """The methods that are called about each session, in the event loop of the session. They must be quick."""

    def began(self, session: Observed) -> None:
        """Hear that a session begins."""

    def changed(self, session: Observed, event: StateEvent) -> None:
        """Hear that its state has changed, or that its cause is known better."""

    def reset(self, session: Observed, event: ResetEvent) -> None:
        """Hear that a reset of it begins or has ended."""

    def ended(self, session: Observed, receipt: CloseReceipt) -> None:
        """Hear that it has ended."""


_observers: list[Observer] = []


def observe(observer: Observer) -> None:
    """Tell an observer about all sessions from now on; once is enough."""
    if observer not in _observers:
        _observers.append(observer)


def unobserve(observer: Observer) -> None:
    """Tell it no longer. An observer that is not there is no error."""
    if observer in _observers:
        _observers.remove(observer)


def tell(call: Callable[[Observer], None]) -> None:
    """Call each observer. An error of one is logged, and disturbs neither the session nor the others."""
    for observer in tuple(_observers):
        try:
            call(observer)
        except Exception:
            logger.exception("an observer of sessions failed")
