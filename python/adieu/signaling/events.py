"""The events of a signaling client: its own state, and the messages of the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from adieu.protocol.signaling import (
    Candidates,
    Description,
    Error,
    Goaway,
    Joined,
    Kicked,
    PeerAway,
    PeerBack,
    PeerJoined,
    PeerLeft,
    Relayed,
    TokenExpiring,
)
from adieu.protocol.words import AnyWord
from adieu.protocol.words import Moved as PeerMoved

if TYPE_CHECKING:
    from adieu.errors import SignalingError


@dataclass(frozen=True, slots=True)
class Up:
    """The client is connected: the server has sent `welcome`.

    Attributes:
        peer: the peer id of this client.
        resumed: True if nothing was lost on either side. False: the client has a new seat, and joins its rooms again;
        each fires `Joined`.
    """

    peer: str
    resumed: bool


@dataclass(frozen=True, slots=True)
class Down:
    """The socket has ended, or an attempt to open one has failed.

    Attributes:
        reason: for a person.
        retry_in: seconds until the next attempt.
        by_server: the server itself asked to try again later.
    """

    reason: str
    retry_in: float
    by_server: bool = False


@dataclass(frozen=True, slots=True)
class Moved:
    """The client has a new seat and a new peer id: the server was restarted, or the grace time is over.

    Messages that were on their way fire `Undelivered` first; then `Up` fires.

    Attributes:
        old: the old peer id, which others may still use.
        new: the new peer id.
    """

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A message of this client that was not delivered to the peer, or may not have been.

    Attributes:
        to: the peer that the message was for.
        code: `gone` (no such peer here), `full` (the queue of the peer, or of this client), `limit`, `moved` (see
            `Moved`; it may have arrived), `ended`.
        text: for a person.
        message: the message; None if it was acknowledged so long ago that it is no longer kept.
    """

    to: str
    code: str
    text: str
    message: Relayed | None


@dataclass(frozen=True, slots=True)
class RoomLost:
    """This client is no longer in a room that it had joined and not left."""

    room: str
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The last event.

    Attributes:
        error: why the client gave up; None after `quit`.
    """

    error: SignalingError | None


SignalingEvent: TypeAlias = (
    Up | Down | Moved | Undelivered | RoomLost | Ended
    | Joined | PeerJoined | PeerAway | PeerBack | PeerLeft | Kicked | TokenExpiring | Goaway | Error
    | Description | Candidates | PeerMoved | AnyWord
)  # fmt: skip
