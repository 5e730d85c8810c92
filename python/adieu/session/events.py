"""The events of a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from adieu.session.machine.cause import confidence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from adieu.protocol.words import Level, Reason
    from adieu.session.machine.actions import StateName
    from adieu.session.machine.cause import Confidence
    from adieu.session.machine.receipt import ChannelEndReceipt
    from adieu.session.receipt import CloseReceipt, PartialFile, ResetReport
    from adieu.webrtc import MediaStream, MediaStreamTrack, RTCRtpTransceiver


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

    @property
    def confidence(self) -> Confidence | None:
        """How sure the cause is: `certain`, `likely` or `possible`; None without a cause.

        A cause that is corrected holds for 5 s then: it does not flicker.
        """
        return confidence(self.cause) if self.cause else None


@dataclass(frozen=True, slots=True)
class TrackEvent:
    """`track`: the other side sends a track. A reset brings the event once more, for the new connection.

    Attributes:
        track: the remote track; `adieu.media.AudioSink(track)` hears it, `VideoSink(track)` sees it.
        streams: the streams that it is in; their ids are the same after a reset.
        transceiver: of the connection that it comes from.
    """

    track: MediaStreamTrack
    streams: Sequence[MediaStream]
    transceiver: RTCRtpTransceiver


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
class ChannelClosingEvent:
    """`closing` of a channel: the other side closes it. Last words may be sent until all handlers have settled.

    Attributes:
        reason: a few words of the other side.
        timeout: seconds until the deadline.
    """

    reason: str
    timeout: float


@dataclass(frozen=True, slots=True)
class ChannelClosedEvent:
    """`closed` of a channel: its end, once."""

    receipt: ChannelEndReceipt


@dataclass(frozen=True, slots=True)
class SignalingChange:
    """`signaling`: the way to the server, or whatever carries signaling, is up or down. No session ends by it."""

    up: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ResetEvent:
    """`reset`: a reset has started, succeeded or failed. `report` and `error` are None at its start.

    Attributes:
        level: `ice`, `transport` or `full`.
        asker: the peer id of the side that asked.
        cause: `network-changed` if this machine's network was the reason; empty for any other.
        report: how it went; None unless it has succeeded.
        error: why it was given up; None unless it has failed.
    """

    level: Level
    asker: str
    cause: str = ""
    report: ResetReport | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """`progress`: a step of a close or a reset that runs, when it begins and four times a second.

    Attributes:
        work: `close` or `reset`.
        step: of a close `drain`, `channels`, `connection`, `clean-up`; of a reset `asked` (the sides agree), `building`
            (the new path or connection), `switching` (to it).
        level: of a reset `ice`, `transport` or `full`; None for a close.
        messages: accepted here and not known to be delivered: those that the receipt would call unknown or unsent.
        bytes: of these messages.
        incoming: messages that the other side has announced with its close and that are not here yet.
        files: those that are not whole, in either direction. They are not among the messages.
        seconds: until it ends at the latest.
    """

    work: Literal["close", "reset"]
    step: str
    level: Level | None
    messages: int
    bytes: int
    incoming: int
    files: tuple[PartialFile, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class ClosedEvent:
    """`closed`: the end, once."""

    receipt: CloseReceipt
