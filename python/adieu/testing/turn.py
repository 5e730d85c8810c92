"""A TURN server in the network in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from adieu import _core

USER: Final = "user"
PASSWORD: Final = "a password"  # noqa: S105 of a server that is in memory
PORT: Final = 3478


class TurnServer:
    """A TURN server on a computer of its own, in a `World`. It relays over UDP, and is honest.

    Attributes:
        address: its IP address.
        url: for `RTCIceServer.urls`.
    """

    def __init__(self, network: _core.VirtualNetwork, address: str) -> None:
        self.address = address
        host = f"[{address}]" if ":" in address else address
        self.url: str = f"turn:{host}:{PORT}?transport=udp"
        self._network = network
        network.turn_server(address, PORT, USER, PASSWORD)

    @property
    def ice_server(self) -> dict[str, str]:
        """Return a member of `RTCConfiguration.iceServers`."""
        return {"urls": self.url, "username": USER, "credential": PASSWORD}

    @property
    def relay_only(self) -> dict[str, object]:
        """Return a configuration whose connections go over this server alone."""
        return {"iceServers": [self.ice_server], "iceTransportPolicy": "relay"}

    @property
    def allocations(self) -> int:
        """Return the number of addresses that it relays at this moment."""
        return self._network.turn_allocations(self.address)

    def keep(self, keeps: bool = True) -> None:
        """Have it ignore that addresses are given back, as a server does that stalls; or end that."""
        self._network.turn_keeps(self.address, keeps)

    def cut(self, way: Literal["in", "out", "both"] = "both") -> None:
        """Drop all packets that come to it (`in`), that it sends (`out`), or both."""
        self._network.cut(self.address, way=way)

    def heal(self) -> None:
        """End the cut."""
        self._network.cut(self.address, False)
