"""The numbers of a session, and the replaceable policy of its recovery."""

from __future__ import annotations

from typing import Literal, Protocol, get_args

from msgspec import Struct

from adieu.protocol import control
from adieu.session.machine.budget import least_budget

Step = Literal["wait", "ice", "transport", "give-up"]
STEPS: tuple[str, ...] = get_args(Step)


class RecoveryPolicy(Protocol):
    """When to try what while the other side does not answer (closing rule S10).

    It is asked from the moment the session is `suspect`. `wait`: nothing. `ice`: an ICE restart. `transport`: a new
    connection beside the old one. `give-up`: the session ends. Both sides may have different ones: what one of them
    begins, the other follows.
    """

    def step(self, silence: float, attempts: int) -> tuple[Step, float]:
        """Return the action after `silence` seconds without an answer, and when (in the same seconds) to ask again.

        It must be quick and pure: the same answer to the same question. If it raises, or returns something else, the
        default `Ladder` decides, and the evidence of the cause says so.

        Args:
            silence: seconds since the first question that got no answer.
            attempts: new connections since then.
        """
        ...


class Ladder(Struct, frozen=True, kw_only=True):
    """The default: ICE restart at 5 s, a new connection beside the old one at 8 s and every 10 s, an end at 60 s.

    `Options(recovery=Ladder(give_up=15.0))` gives up sooner. All numbers are seconds without an answer.
    """

    ice_restart: float = 5.0
    new_connection: float = 8.0
    again: float = 10.0
    give_up: float = 60.0

    def step(self, silence: float, attempts: int) -> tuple[Step, float]:
        """See `RecoveryPolicy.step`."""
        if silence >= self.give_up:
            return "give-up", self.give_up
        due = self.new_connection + attempts * self.again
        if silence >= due:
            return "transport", min(silence + self.again, self.give_up)
        if silence >= self.ice_restart and attempts == 0:
            return "ice", due
        return "wait", min(self.ice_restart if silence < self.ice_restart else due, self.give_up)


class Options(Struct, frozen=True, kw_only=True):
    """Settings of a session. Times in seconds, sizes in bytes."""

    connect_timeout: float = 60.0
    """For the first connection; then the session ends with `gave-up`."""
    hello_timeout: float = 5.0
    heartbeat: float = 1.0
    """Silence after which a `ping` is sent."""
    suspect_after: float = 3.0
    """An unanswered ping of this age makes the session `suspect`."""
    burst: float = 0.6
    """The same, after its signaling socket ended: pings in a burst."""
    word_repeat: float = 0.25
    """A word without effect in-band is then said by signaling too."""
    reset_timeout: float = 20.0
    close_timeout: float = 5.0
    window: int = control.DEFAULT_WINDOW
    """Credit given to the sender of each reliable channel; what an unreliable one queues."""
    send_buffer: int = 16 * 1024 * 1024
    """Accepted and not yet started, per channel; then `send()` waits. No more than this is under way and not taken."""
    max_message: int = control.DEFAULT_MAX_MESSAGE
    budget: int = 64 * 1024 * 1024
    """The most bytes that a session holds for its application, of all channels: payload, and 256 for each message."""
    closing_bound: int = 64 * 1024 * 1024
    """The most bytes of the session that count as taken while closing although they are unread; within the budget."""
    closing_patience: float = 60.0
    """While the other side closes: so long nothing new may come of it before this side ends the session."""
    stream_high: int = 1024 * 1024
    stream_low: int = 256 * 1024
    """Between these the bufferedAmount of a session's data channel is held."""
    link_high: int = 8 * 1024 * 1024
    """The same for all data channels of a connection together."""
    ack_messages: int = 64
    ack_bytes: int = 256 * 1024
    ack_delay: float = 0.02
    max_channels: int = 256
    file_patience: float = 10.0
    """An offer of a file that nobody has answered, and nobody is at, is refused after this time."""
    peer_resets_burst: int = 20
    peer_resets_every: float = 2.0
    recovery: RecoveryPolicy = Ladder()
    """When to try what while the other side does not answer, see `RecoveryPolicy`."""
    capabilities: tuple[str, ...] = control.CAPABILITIES
    """The capabilities that this side announces. The session does without those that are left out."""

    def __post_init__(self) -> None:
        if not callable(getattr(self.recovery, "step", None)):
            raise TypeError(f"recovery={self.recovery!r}: it needs a method step(silence, attempts), as Ladder has")
        if self.budget < (least := least_budget(self.window, self.max_message, self.max_channels)):
            raise ValueError(
                f"budget={self.budget}: a session with window={self.window}, max_message={self.max_message} and "
                f"max_channels={self.max_channels} needs {least} bytes; raise it, or lower one of these"
            )
