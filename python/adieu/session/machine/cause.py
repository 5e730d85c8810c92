"""Why the other side does not answer, or why it ended: names from closing rule S7, with the evidence for them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from adieu.protocol.text import line

CAUSES = (
    "left",
    "tab-closed",
    "reloaded",
    "navigated",
    "crashed",
    "frozen",
    "network-lost",
    "busy",
    "kicked",
    "room-closed",
    "replaced",
    "server-shutdown",
    "connection-closed",
    "protocol-error",
    "security-error",
    "gave-up",
)

ROOM_CLOSED = "room-closed"
"""The code of the reason when a room was closed for all. A cause only if this side's server says it too."""

CLAIMS = frozenset({"left", "tab-closed", "reloaded", "navigated", "connection-closed"})
"""Causes that a peer may claim for itself. This side judges all other causes alone, by its own evidence."""

DEATHS = frozenset({"crashed", "frozen", "network-lost", "frozen, network-lost", "busy"})
"""Causes of an end that neither side wanted: each can only say them of the other."""

Confidence = Literal["possible", "likely", "certain"]

STEADY = 5.0
"""Seconds: a cause that was corrected holds so long. Two pieces of evidence in turn do not make it flicker."""


def confidence(cause: str) -> Confidence:
    """Return how sure a cause is.

    `certain`: the other side or the server said it, or this side saw it. `likely`: the evidence fits nothing better.
    `possible`: more than one cause looks the same from here.
    """
    if "," in cause:
        return "possible"
    return "likely" if cause in {"crashed", "frozen"} else "certain"


Presence = Literal["here", "away", "left", "kicked", "replaced", "timeout", "shutdown"]

GONE: frozenset[str] = frozenset({"left", "kicked", "replaced"})
"""Presences that are causes."""


@dataclass(slots=True)
class PeerEvidence:
    """The evidence about the other side's silence. Earlier evidence is never held against the other side."""

    presence: Presence = "here"
    signaling: bool = True
    """This side's way to the server is up."""
    reloaded: bool = False
    socket_ended: float | None = None
    """When the server said so: a sign of a crash only if nothing was heard since."""
    probe_server: bool | None = None
    """The server says that its socket is open."""
    probe_peer: bool = False
    """The other side answered by signaling while the connection was silent."""
    ice_fresh: bool = False
    """Whether its ICE agent answers although its program does not."""
    stood_still: float = 0.0
    """For how many seconds this program did not run, just before this silence or in it: asleep, or stopped."""
    woke: float = 0.0
    """When that was over."""
    reported: str = ""
    """The cause that the application knows."""
    held_until: float = 0.0
    """The time before which the reported cause is not corrected again."""
    log: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=32))

    def note(self, now: float, text: str) -> None:
        """Keep a line of evidence."""
        self.log.append((now, line(text)))

    def place(self, presence: Presence, now: float) -> None:
        """Note what the server says of the other side."""
        if presence == "here":
            self.socket_ended = None
        elif presence == "away" and self.presence != "away":
            self.socket_ended = now
        self.presence = presence

    def slept(self, seconds: float, now: float) -> None:
        """Note that this program has not run for so long."""
        self.stood_still, self.woke = seconds, now
        self.note(now, f"this program was suspended for {seconds:.0f} s")

    def heard(self, now: float, under_way: float) -> None:
        """Forget what was collected during the silence: the other side speaks again.

        Args:
            now: the time.
            under_way: seconds that what it said before may have been under way.
        """
        self.probe_server, self.probe_peer, self.ice_fresh = None, False, False
        self.held_until = 0.0
        if self.socket_ended is not None and now > self.socket_ended + under_way:
            self.socket_ended = None
        if now > self.woke + under_way:
            self.stood_still = 0.0
        self.log.clear()

    @property
    def is_gone(self) -> bool:
        """The server has said that the other side has left: then it knows the cause, too."""
        return self.reloaded or self.presence in GONE or self._crashed

    @property
    def _crashed(self) -> bool:
        """Whether its socket ended with it. If it was still open in the silence, the server gave it up: no crash."""
        return self.socket_ended is not None and self.probe_server is not True

    def cause(self) -> str:
        """Return the likely cause by the evidence; if two causes look the same, both: "frozen, network-lost"."""
        if self.reloaded:
            return "reloaded"
        if self.presence in GONE:
            return self.presence
        if self.ice_fresh:
            return "busy"
        if self._crashed:
            return "crashed"
        if self.probe_peer:
            return "network-lost"
        return "frozen, network-lost"

    def told(self, now: float) -> str:
        """Return the cause to report: the likely one, but after a correction it holds for `STEADY` seconds."""
        cause = self.cause()
        if self.reported and cause != self.reported:
            if now < self.held_until:
                return self.reported
            self.held_until = now + STEADY
        return cause

    def lines(self) -> list[str]:
        """Return the lines, oldest first, with the seconds since the oldest."""
        if not self.log:
            return []
        start = self.log[0][0]
        return [f"+{when - start:.2f} s {text}" for when, text in self.log]
