"""The actions of the session machine for its shell, and its events for the application.

Each one is a `msgspec.Struct`, so that a trace of them can be recorded and replayed in another language.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from adieu.protocol.control import File, MediaState, Reliability
from adieu.protocol.words import AnyWord, Level, Reason
from adieu.session.machine.receipt import ChannelEndReceipt

StateName = Literal["connecting", "open", "suspect", "recovering", "resetting", "closing", "closed"]


class Action(Struct, frozen=True, tag=True):
    """Something to do, now and in this order."""


class Connect(Action, frozen=True):
    """Make the connection of this epoch, with its control channel; offer if `offer`, else wait for the offer."""

    epoch: int
    offer: bool


class RestartIce(Action, frozen=True):
    """Restart ICE on this connection: make and send an offer."""

    epoch: int


class OpenStream(Action, frozen=True):
    """Make a negotiated data channel on this connection."""

    epoch: int
    id: int
    name: str
    ordered: bool
    reliability: Reliability


class SendControl(Action, frozen=True):
    """Send text over this connection's control channel."""

    epoch: int
    text: str


class SendData(Action, frozen=True):
    """Send bytes over a data channel."""

    epoch: int
    id: int
    data: bytes


class AskDrained(Action, frozen=True):
    """Say `drained()` as soon as this data channel buffers `most` bytes or less; at once if it does already."""

    epoch: int
    id: int
    most: int


class AskFresh(Action, frozen=True):
    """Say `fresh()`: how long ago did the other side's ICE agent last answer on this connection?"""

    epoch: int


class CloseStream(Action, frozen=True):
    """Close a data channel (id None: the control channel); `stream_closed()` says when it is."""

    epoch: int
    id: int | None


class Release(Action, frozen=True):
    """Close this connection for good; `released()` says when nothing of it is left."""

    epoch: int


class Signal(Action, frozen=True):
    """Say this word by signaling."""

    word: AnyWord


class Probe(Action, frozen=True):
    """Ask by signaling whether the other side's socket, and its program, are alive."""


class Event(Struct, frozen=True, tag=True):
    """Something to tell the application."""


class StateChanged(Event, frozen=True):
    """The session's state."""

    state: StateName
    previous: StateName
    cause: str
    evidence: list[str]


class ChannelOpened(Event, frozen=True):
    """A named channel is open; `incoming` if the other side asked first."""

    name: str
    incoming: bool


class ChannelFailed(Event, frozen=True):
    """A named channel could not be opened."""

    name: str
    message: str


class ChannelClosing(Event, frozen=True):
    """The other side closes a channel: last words may be sent on it until `deadline` (absolute)."""

    name: str
    reason: str
    deadline: float


class ChannelClosed(Event, frozen=True):
    """A channel has ended, and the session may go on. Its name may belong to another one from now on."""

    name: str
    receipt: ChannelEndReceipt


class Readable(Event, frozen=True):
    """Messages wait on this channel."""

    name: str


class Acknowledged(Event, frozen=True):
    """The other application has taken messages of this channel; or there is room again to send."""

    name: str


class ClosingAsked(Event, frozen=True):
    """The other side is leaving: last words may be sent until `deadline` (absolute)."""

    reason: Reason
    deadline: float


class WaitAsked(Event, frozen=True):
    """While this side closes, the other asks for more time; `grant_wait()` says yes."""

    reason: str
    eta: float


class ResetStarted(Event, frozen=True):
    """A reset has started here."""

    level: Level
    asker: str


class ResetEnded(Event, frozen=True):
    """A reset is over: `error` empty if it went well."""

    level: Level
    asker: str
    epoch: int
    duration: float
    replayed: int
    error: str


class Progressed(Event, frozen=True):
    """A step of a close or a reset, and what is still under way in it."""

    work: Literal["close", "reset"]
    step: str
    messages: int
    """Accepted here and not known to be delivered; pieces of files are not counted."""
    bytes: int
    incoming: int
    """Messages that the other side has announced and this one has not taken."""
    seconds: float
    """Until it ends at the latest."""


class FileSaid(Event, frozen=True):
    """A step of a file transfer."""

    file: File


class MediaSaid(Event, frozen=True):
    """The other side's report about its tracks."""

    media: dict[str, MediaState]


class PeerMoved(Event, frozen=True):
    """The other side has a new peer id (its server was restarted)."""

    peer: str


class Ended(Event, frozen=True):
    """The session is over; the machine's `outcome` has the account."""


AnyAction = (
    Connect | RestartIce | OpenStream | SendControl | SendData | AskDrained | AskFresh | CloseStream | Release
    | Signal | Probe
)  # fmt: skip
AnyEvent = (
    StateChanged | ChannelOpened | ChannelFailed | ChannelClosing | ChannelClosed | Readable | Acknowledged
    | ClosingAsked | WaitAsked | ResetStarted | ResetEnded | Progressed | FileSaid | MediaSaid | PeerMoved | Ended
)  # fmt: skip
