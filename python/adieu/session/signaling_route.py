"""The route that a session's signaling messages take: over a room's server, or over signaling of the program's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adieu.protocol.signaling import Relayed


class SignalingRoute:
    """Carries the signaling messages of one session. Incoming messages go to the shell of the session."""

    peer: str = ""
    """The other side's peer id at the server."""

    def start(self) -> None:
        """Begin to receive."""

    async def stop(self) -> None:
        """Stop receiving."""

    def send(self, message: Relayed) -> None:
        """Queue a message; never blocks, never raises for the state of the network."""
        raise NotImplementedError

    def probe(self) -> None:
        """Ask whether the other side is there; the answer is given to `Shell.probed`."""

    def network_changed(self, gone: Sequence[str]) -> None:
        """Look whether signaling still works: this machine's network has changed, and these addresses have gone."""

    def moved(self, peer: str) -> None:
        """Note that the other side says in-band that it has a new peer id."""

    def state_changed(self) -> None:
        """Note that the session is in another state."""
