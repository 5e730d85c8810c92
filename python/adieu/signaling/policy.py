"""The timeouts and bounds of a signaling client."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Times in seconds.

    Attributes:
        open_timeout: for opening a socket, from the first packet to `welcome`.
        enter_timeout: how long the first connection is tried again while the server is busy.
        first_retry: the longest wait before the first attempt to reconnect; it doubles with each failure.
        max_retry: the longest wait. Each wait is drawn at random between half of its length and the whole.
        steady_after: after a connection of this length the waits start from `first_retry` again.
        give_up: end with `SignalingLostError` after this time without the server; None: never.
        request_timeout: how long `join`, `leave` and the like wait for an answer, also while the server is away.
        quit_timeout: how long leaving may take, with the queued messages.
        ping: between two pings.
        pong: how long an answer may take before the socket counts as lost.
        outbox_messages: how many relayed messages may wait for the server's acknowledgement.
        outbox_bytes: the same in bytes. Messages beyond these bounds are dropped with `Undelivered`.
        events: how many events may wait for the user; then nothing is read from the server.
    """

    open_timeout: float = 5.0
    enter_timeout: float = 60.0
    first_retry: float = 0.1
    max_retry: float = 2.0
    steady_after: float = 5.0
    give_up: float | None = None
    request_timeout: float = 15.0
    quit_timeout: float = 1.0
    ping: float = 5.0
    pong: float = 5.0
    outbox_messages: int = 1024
    outbox_bytes: int = 1024 * 1024
    events: int = 1024

    def delay(self, attempt: int, draw: float) -> float:
        """Return how long to wait before attempt number `attempt` (from 1); `draw` is random in [0, 1)."""
        longest = min(self.max_retry, self.first_retry * 2.0 ** min(attempt - 1, 16))
        return longest * (0.5 + draw / 2)
