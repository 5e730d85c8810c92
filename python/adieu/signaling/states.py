"""The states of the signaling machine, what it wants in each, and the outputs that only its shell reads."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeAlias

from adieu.protocol.signaling import CloseRoom, FromServer, IceServersRequest, Join, Kick, Leave, Probe, Refresh
from adieu.signaling.events import SignalingEvent

if TYPE_CHECKING:
    from adieu.errors import SignalingError


@dataclass(frozen=True, slots=True)
class Resting:
    """No socket until that time."""

    until: float


@dataclass(frozen=True, slots=True)
class Dialing:
    """A socket is being opened."""

    until: float


@dataclass(frozen=True, slots=True)
class Greeting:
    """The socket is open, and `hello` is sent or about to be sent."""

    until: float


@dataclass(frozen=True, slots=True)
class Connected:
    """The server has sent `welcome`."""

    since: float


@dataclass(frozen=True, slots=True)
class Leaving:
    """Earlier messages are still sent, then `quit`."""

    until: float


@dataclass(frozen=True, slots=True)
class Over:
    """The client has ended for good."""


State: TypeAlias = Resting | Dialing | Greeting | Connected | Leaving | Over


class Want(Enum):
    """An instruction of the machine to its shell."""

    WAIT = auto()
    """No socket; call `handle_timeout` in time."""
    DIAL = auto()
    """Open a socket, then call `handle_open`; or `handle_lost` if that fails."""
    TALK = auto()
    """Carry frames over the open socket."""
    NOTHING = auto()
    """Close the socket."""


# --- what only the driver reads -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """A request was granted."""

    request: int
    message: FromServer


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request was refused, or has no answer."""

    request: int
    error: SignalingError


@dataclass(frozen=True, slots=True)
class Alive:
    """A peer has answered a probe itself."""

    peer: str


Output: TypeAlias = SignalingEvent | Answer | Refusal | Alive
Request: TypeAlias = Join | Leave | IceServersRequest | Refresh | Kick | CloseRoom | Probe
