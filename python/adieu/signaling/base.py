"""What a session needs of signaling, whoever provides it."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Signaling(Protocol):
    """A way to hand messages to the other side of one session, before and beside its own connection.

    Messages are dicts that JSON can hold. They must arrive in order; one that is lost costs time, not data. A server
    (`SignalingClient`), a pair in memory (`memory_signaling`), copy and paste, or anything of the user's own will do.
    """

    async def send(self, message: dict[str, Any]) -> None:
        """Hand a message over; returns when it is queued.

        Raises:
            SignalingLostError: it has ended for good.

        Cancellation: the message is either queued or not.
        """
        ...

    async def receive(self) -> dict[str, Any]:
        """The next message of the other side.

        Raises:
            SignalingLostError: it has ended for good, and nothing is left.

        Cancellation: no message is lost.
        """
        ...
