"""How patient a signaling client is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Times in seconds.

    Attributes:
        open_timeout: to open a socket, from the first packet to `welcome`.
        enter_timeout: for the first connection, how long a server that says to come again is dialled again.
        first_retry: the longest wait before the first attempt to come again; it doubles with each that fails.
        max_retry: the longest wait. Each wait is drawn between half of it and the whole.
        steady_after: a connection that held so long starts the waits anew.
        give_up: end with `SignalingLostError` after so long without the server; None: never.
        request_timeout: how long `join`, `leave` and the like wait for an answer, also while the server is away.
        quit_timeout: how long leaving may take, with what was sent before.
        ping: between pings,
        pong: and how long an answer may take before the socket counts as lost.
        outbox_messages: how many relayed messages may wait for the server's acknowledgement,
        outbox_bytes: and how many bytes; what is more is dropped with `Undelivered`.
        events: how many events may wait for the user; then nothing more is read from the server.
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
        """How long to wait before attempt number `attempt` (from 1); `draw` is random in [0, 1)."""
        longest = min(self.max_retry, self.first_retry * 2.0 ** min(attempt - 1, 16))
        return longest * (0.5 + draw / 2)
