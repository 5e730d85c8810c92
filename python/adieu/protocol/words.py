"""Closing and reset words: the same structs in-band and by signaling.

By signaling they carry `session` and `to` (`from` once relayed); in-band these stay empty and are left out.
All of them are idempotent: a receiver ignores what it knows already.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field
from msgspec.structs import force_setattr

from adieu.protocol.text import line, sendable

Name = Annotated[str, Meta(min_length=1, max_length=128)]
"""A channel's name."""
MAX_ID = 128
MAX_TEXT = 1024
Id = Annotated[str, Meta(max_length=MAX_ID)]
MAX_LINE = 65536
Line = Annotated[str, Meta(max_length=MAX_LINE)]
"""A text for people, of the other side's choice. What is longer than a line may be is cut, control characters are
cleaned away: see `line`."""
MAX_COUNT = 2**53 - 1
Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
"""What both languages count exactly."""
Version = Annotated[int, Meta(ge=0, le=65535)]
Capabilities = Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=64)]
MAX_CHANNELS = 1024
"""More than there are stream ids for: in a map of channels."""
Counts = Annotated[dict[Name, Count], Meta(max_length=MAX_CHANNELS)]
"""Of each channel one."""
MAX_RANGES = 256
"""In one acknowledgement, the rest waits for the next; and in one account of a session."""
Runs = Annotated[list[tuple[Count, Count]], Meta(max_length=MAX_RANGES)]
"""First and last of what was taken on an unordered channel, rising."""
Level = Literal["ice", "transport", "full"]
"""How deep a reset goes: the ICE path; the connection; the connection, tracks and devices."""


class Message(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel", tag_field="type"):
    """What every message of both protocols has in common."""


def clean(struct: Struct, *members: str) -> None:
    """Make lines of these members, texts or None. For `__post_init__`: of what is read, and of what is made."""
    for member in members:
        text = getattr(struct, member)
        if text is not None:
            force_setattr(struct, member, line(text))


class Word(Message, frozen=True, kw_only=True):
    """A message between the two sides of a session."""

    session: Id = ""
    to: Id = ""
    from_: Id = field(default="", name="from")
    """Set by the server, never taken from a client."""


class Reason(Struct, frozen=True, omit_defaults=True):
    """Why: a code for programs, a text for people."""

    code: Annotated[str, Meta(max_length=64)]
    text: Line = ""

    def __post_init__(self) -> None:
        clean(self, "text")


def reason(code: str, text: str) -> Reason:
    """A reason that can always be said: repaired, and cut to what `Reason` takes."""
    return Reason(sendable(code, 64), sendable(text, MAX_TEXT))


class Total(Struct, frozen=True, omit_defaults=True):
    """A number of messages and their payload bytes (text counted as UTF-8)."""

    messages: Count = 0
    bytes: Count = 0


class Closing(Word, frozen=True, kw_only=True, tag="closing"):
    """Step 1: no new sends here; what was accepted is counted in `final` and still goes out."""

    receipt: Id
    reason: Reason
    deadline_ms: Count
    """From the moment it is said. Said again it may only grow, which answers a `wait` with yes. A page that goes
    away says 0."""
    final: Counts
    """Channel name to the number of messages accepted on it."""


class Wait(Word, frozen=True, kw_only=True, tag="wait"):
    """Asks the closer for more time; granted only if the closer's `on_wait` agrees."""

    reason: Line = ""
    eta_ms: Count

    def __post_init__(self) -> None:
        clean(self, "reason")


class Done(Word, frozen=True, kw_only=True, tag="done"):
    """This side sends no more and has taken everything up to the other's `final` (reliable channels)."""

    final: Counts


class ChannelAccount(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """What one side states of one channel: its own sending, and what it took of the other's."""

    accepted: Total = Total()
    unsent: Total = Total()
    taken: Total = Total()
    unread: Total = Total()
    """Of `taken`: what counts as taken only because the session is closing, and the application had not read when this
    was said (capability `unread1`)."""
    up_to: Count | None = None
    """Of an unordered reliable channel: which ones were taken. All up to this one, and those in `ranges`."""
    ranges: Runs = []
    """First and last of what was taken beyond `up_to`, rising; of very many only the first."""


class Closed(Word, frozen=True, kw_only=True, tag="closed"):
    """This side neither sends nor takes any more: said after both `done`, or at the deadline."""

    receipt: Id
    closer: Id
    """Who ended it, as this side sees it: a peer id, "both" or "network". Both sides settle on one view by the same
    rule once each has the other's."""
    reason: Reason
    channels: Annotated[dict[Name, ChannelAccount], Meta(max_length=MAX_CHANNELS)]


class Reset(Word, frozen=True, kw_only=True, tag="reset"):
    """Asks for (or answers by `resetOk`) a reset. (asker, n) names it; n counts the asker's resets."""

    asker: Id
    n: Count
    epoch: Count
    """The epoch it leads to; for level `ice` the one it stays in."""
    level: Level


class ResetOk(Word, frozen=True, kw_only=True, tag="resetOk"):
    """The other side has quiesced and joins the reset."""

    asker: Id
    n: Count
    epoch: Count
    level: Level


class Switch(Word, frozen=True, kw_only=True, tag="switch"):
    """The offerer's word: from now on the connection of `epoch` carries the session."""

    epoch: Count
    have: Counts
    """Channel name to the last sequence number received without a gap."""


class Switched(Word, frozen=True, kw_only=True, tag="switched"):
    """The answer to `switch`, with what this side has."""

    epoch: Count
    have: Counts


class Cancel(Word, frozen=True, kw_only=True, tag="cancel"):
    """The offerer's word: the old connection goes on, the number of the new one is burnt."""

    epoch: Count


class Moved(Word, frozen=True, kw_only=True, tag="moved"):
    """A restarted server gave this side a new peer id; the session keeps its own.

    Said in-band and, with the session's id, by signaling: only who says both is believed.
    """

    peer: Id


AnyWord = Closing | Wait | Done | Closed | Reset | ResetOk | Switch | Switched | Cancel
