"""What a signaling client tells its user: its own state, and the server's messages as they are."""

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
    """The server has said welcome.

    Attributes:
        peer: our id.
        resumed: nothing is lost on either side. False: a new seat; rooms are being joined again, each with a `Joined`.
    """

    peer: str
    resumed: bool


@dataclass(frozen=True, slots=True)
class Down:
    """The socket has ended, or an attempt to open one has failed.

    Attributes:
        reason: for a person.
        retry_in: seconds until the next attempt.
        told: the server itself has said to come again.
    """

    reason: str
    retry_in: float
    told: bool = False


@dataclass(frozen=True, slots=True)
class Moved:
    """The old seat could not be had again: the server was started anew, or the grace time is over.

    What was on its way is told by `Undelivered`, and then comes `Up`.

    Attributes:
        old: the peer id that others may still know us by.
        new: the one from now on.
    """

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A message of ours that was not, or is not known to have been, passed on.

    Attributes:
        to: the peer that it was for.
        code: `gone` (no such peer here), `full` (that peer's queue, or our own), `limit`, `moved` (see `Moved`: it may
            have arrived), `ended`.
        text: for a person.
        message: the message; None when it was acknowledged so long ago that it is forgotten.
    """

    to: str
    code: str
    text: str
    message: Relayed | None


@dataclass(frozen=True, slots=True)
class RoomLost:
    """We are no longer in a room that we had joined, and have not left."""

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
