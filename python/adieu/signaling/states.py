"""The states of the signaling machine, what it wants in each, and what it tells its driver beside events."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeAlias

from adieu.protocol.signaling import FromServer, IceServersRequest, Join, Kick, Leave, Probe, Refresh
from adieu.signaling.events import SignalingEvent

if TYPE_CHECKING:
    from adieu.errors import SignalingError


@dataclass(frozen=True, slots=True)
class Resting:
    """No socket, until then."""

    until: float


@dataclass(frozen=True, slots=True)
class Dialing:
    """A socket is being opened."""

    until: float


@dataclass(frozen=True, slots=True)
class Greeting:
    """It is open and `hello` is said, or about to be."""

    until: float


@dataclass(frozen=True, slots=True)
class Standing:
    """Welcome."""

    since: float


@dataclass(frozen=True, slots=True)
class Leaving:
    """What was asked before is still said, then `quit`."""

    until: float


@dataclass(frozen=True, slots=True)
class Over:
    """For good."""


State: TypeAlias = Resting | Dialing | Greeting | Standing | Leaving | Over


class Want(Enum):
    """What the machine needs of the one who drives it."""

    WAIT = auto()
    """No socket; call `handle_timeout` in time."""
    DIAL = auto()
    """Open a socket, then `handle_open`, or `handle_lost` when that fails."""
    TALK = auto()
    """Carry frames over the open socket."""
    NOTHING = auto()
    """Close what is open."""


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
Request: TypeAlias = Join | Leave | IceServersRequest | Refresh | Kick | Probe
