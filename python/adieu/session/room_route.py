"""The route by way of a room's server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from adieu import log
from adieu.errors import SignalingLostError
from adieu.session.signaling_route import SignalingRoute

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adieu.protocol.signaling import Relayed
    from adieu.session.shell import Shell
    from adieu.session.tasks import Tasks


class RouteRoom(Protocol):
    """The members of the room that a route uses."""

    client: Any
    tasks: Tasks

    def address(self, shell: Shell) -> str: ...  # noqa: D102
    def claimed(self, shell: Shell, peer: str) -> None: ...  # noqa: D102
    def state_changed(self, shell: Shell) -> None: ...  # noqa: D102


class RoomRoute(SignalingRoute):
    """Sends through the server of the room. The room itself passes incoming messages to the session."""

    shell: Shell
    """The session's; set before `start`."""

    def __init__(self, room: RouteRoom, peer: str) -> None:
        self._room = room
        self.peer = peer

    def send(self, message: Relayed) -> None:
        """See `SignalingRoute.send`."""
        try:
            self._room.client.send(msgspec.structs.replace(message, to=self._room.address(self.shell)))
        except ValueError as error:
            # An account of very many channels, which the connection has carried, is too long for the server.
            kind = type(message).__name__
            log.SESSION.warning("%s ! %s not sent by signaling: %s", self.shell.log.id, kind, log.text(str(error)))

    def probe(self) -> None:
        """See `SignalingRoute.probe`."""
        self._room.tasks.spawn(self._probe(), "probes")

    async def _probe(self) -> None:
        try:
            probed = await self._room.client.probe(self._room.address(self.shell))
        except SignalingLostError:
            return
        self.shell.probed(by_peer=False, alive=probed.socket)
        if probed.program:
            self.shell.probed(by_peer=True, alive=True)

    def network_changed(self, gone: Sequence[str]) -> None:
        """See `SignalingRoute.network_changed`."""
        self._room.client.network_changed(gone)

    def moved(self, peer: str) -> None:
        """See `SignalingRoute.moved`."""
        self._room.claimed(self.shell, peer)

    def state_changed(self) -> None:
        """See `SignalingRoute.state_changed`."""
        self._room.state_changed(self.shell)
