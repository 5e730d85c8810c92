"""The interface of signaling, as a session uses it."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Signaling(Protocol):
    """A way to send messages to the peer of one session, outside the connection of the session.

    Messages are dicts that JSON can hold. They must arrive in order; a lost message costs time, but no data. You can
    use a server (`SignalingClient`), a pair in memory (`memory_signaling`), copy and paste, or your own class.
    """

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message. Return when it is queued.

        Raises:
            SignalingLostError: signaling has ended for good.

        Cancellation: the message is either queued or not.
        """
        ...

    async def receive(self) -> dict[str, Any]:
        """Return the next message of the peer.

        Raises:
            SignalingLostError: signaling has ended for good, and no message is left.

        Cancellation: no message is lost.
        """
        ...
