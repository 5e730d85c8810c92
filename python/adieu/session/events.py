"""The events of a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.protocol.words import Level, Reason
    from adieu.session.machine.actions import StateName
    from adieu.session.receipt import CloseReceipt, ResetReport


@dataclass(frozen=True, slots=True)
class StateEvent:
    """`state`: the session's state has changed, or its cause is known better.

    Attributes:
        state: `connecting`, `open`, `suspect`, `recovering`, `resetting`, `closing` or `closed`.
        previous: the one before.
        cause: for `suspect`, `recovering` and `closed`: why, as far as it is known; provisional before `closed`.
        evidence: what speaks for the cause, with seconds.
    """

    state: StateName
    previous: StateName
    cause: str
    evidence: list[str]


@dataclass(frozen=True, slots=True)
class ClosingEvent:
    """`closing`: the other side is leaving. Last words may be sent until all handlers have settled.

    Attributes:
        reason: `code` and `text`.
        timeout: seconds until the deadline.
    """

    reason: Reason
    timeout: float
    _wait: Callable[[str, float], None]

    def wait(self, seconds: float, reason: str = "") -> None:
        """Ask the other side for so many seconds more; its `on_wait` decides."""
        self._wait(reason, seconds)


@dataclass(frozen=True, slots=True)
class SignalingChange:
    """`signaling`: the way to the server, or whatever carries signaling, is up or down. No session ends by it."""

    up: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ResetEvent:
    """`reset`: a reset has started (`report` and `error` are None), succeeded (`report`), or failed (`error`)."""

    level: Level
    asker: str
    report: ResetReport | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ClosedEvent:
    """`closed`: the end, once."""

    receipt: CloseReceipt
