"""Why the other side does not answer, or why it ended: names from closing rule S7, with the evidence for them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

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
    "replaced",
    "server-shutdown",
    "connection-closed",
    "protocol-error",
    "security-error",
    "gave-up",
)

Presence = Literal["here", "away", "left", "kicked", "replaced", "timeout", "shutdown"]

_OF_PRESENCE: dict[str, str] = {"left": "left", "kicked": "kicked", "replaced": "replaced", "away": "crashed"}


@dataclass(slots=True)
class Witness:
    """What is known about the other side's silence."""

    presence: Presence = "here"
    signaling: bool = True
    """Ours is up."""
    reloaded: bool = False
    probe_server: bool | None = None
    """The server says that its socket stands."""
    probe_peer: bool = False
    """It answered by signaling while the connection was silent."""
    ice_fresh: bool = False
    """Its ICE agent answers although its program does not."""
    told: str = ""
    """The cause that the application knows."""
    log: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=32))

    def note(self, now: float, text: str) -> None:
        """Keep a line of evidence."""
        self.log.append((now, text))

    def heard(self) -> None:
        """It speaks again: what was held against it is void."""
        self.probe_server, self.probe_peer, self.ice_fresh = None, False, False
        self.log.clear()

    @property
    def is_gone(self) -> bool:
        """Whether the server has said so: then it knows the cause, too."""
        return self.reloaded or self.presence in _OF_PRESENCE

    def cause(self) -> str:
        """The likely cause by what is known now; where two look the same from here, both: "frozen, network-lost"."""
        if self.reloaded:
            return "reloaded"
        if self.ice_fresh:
            return "busy"
        if self.presence in _OF_PRESENCE:
            return _OF_PRESENCE[self.presence]
        if self.probe_peer:
            return "network-lost"
        return "frozen, network-lost"

    def evidence(self) -> list[str]:
        """The lines, oldest first, with the seconds since the oldest."""
        if not self.log:
            return []
        start = self.log[0][0]
        return [f"+{when - start:.2f} s {text}" for when, text in self.log]
