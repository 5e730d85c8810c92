"""Messages about closing and resetting: the same structs in-band and by signaling.

By signaling they carry `session` and `to` (`from` once relayed); in-band these stay empty and are left out.
All of them are idempotent: a receiver ignores a message that it has already.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field
from msgspec.structs import force_setattr

from adieu.protocol.text import line, sendable

Name = Annotated[str, Meta(min_length=1, max_length=128)]
"""The name of a channel."""
MAX_ID = 128
MAX_TEXT = 1024
Id = Annotated[str, Meta(max_length=MAX_ID)]
MAX_LINE = 65536
Line = Annotated[str, Meta(max_length=MAX_LINE)]
"""A text for people, chosen by the peer. It is cut to the length of a line, and control characters are removed: see
`line`."""
MAX_COUNT = 2**53 - 1
Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
"""A number that both languages count exactly."""
Version = Annotated[int, Meta(ge=0, le=65535)]
Capabilities = Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=64)]
MAX_CHANNELS = 1024
"""Most channels in a map of channels: more than there are stream ids."""
Counts = Annotated[dict[Name, Count], Meta(max_length=MAX_CHANNELS)]
"""A number for each channel."""
MAX_SECTIONS = 256
"""Most sections in a description."""
MAX_RANGES = 256
"""Most ranges in one acknowledgement (the rest waits for the next), and in one account of a channel."""
Runs = Annotated[list[tuple[Count, Count]], Meta(max_length=MAX_RANGES)]
"""First and last of each range that was taken on an unordered channel, rising."""
Level = Literal["ice", "transport", "full"]
"""The parts that a reset rebuilds: the ICE path; the connection; the connection, tracks and devices."""


class Message(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel", tag_field="type"):
    """The base of every message of both protocols."""


def clean(struct: Struct, *members: str) -> None:
    """Clean these members, texts or None, with `line`. `__post_init__` calls it for decoded and own messages."""
    for member in members:
        text = getattr(struct, member)
        if text is not None:
            force_setattr(struct, member, line(text))


class Word(Message, frozen=True, kw_only=True):
    """A message between the two sides of a session."""

    session: Id = ""
    to: Id = ""
    from_: Id = field(default="", name="from")
    """The sender, set by the server; a client cannot choose it."""


class Reason(Struct, frozen=True, omit_defaults=True):
    """A reason: a code for programs, and a text for people."""

    code: Annotated[str, Meta(max_length=64)]
    text: Line = ""

    def __post_init__(self) -> None:
        clean(self, "text")


def reason(code: str, text: str) -> Reason:
    """Return a reason that can always be encoded: repaired, and cut to the bounds of `Reason`."""
    return Reason(sendable(code, 64), sendable(text, MAX_TEXT))


class Total(Struct, frozen=True, omit_defaults=True):
    """A number of messages and their payload bytes (text counted as UTF-8)."""

    messages: Count = 0
    bytes: Count = 0


class Closing(Word, frozen=True, kw_only=True, tag="closing"):
    """Announces a close (step 1). This side accepts no new messages, and still sends those in `final`."""

    receipt: Id
    reason: Reason
    deadline_ms: Count
    """Milliseconds from the time of sending. A repetition may only make it longer, which answers a `wait` with yes. A
    page that goes away sends 0."""
    final: Counts
    """Channel name to the number of messages accepted on it."""


class Wait(Word, frozen=True, kw_only=True, tag="wait"):
    """Asks the closer for more time; granted only if the closer's `on_wait` agrees."""

    reason: Line = ""
    eta_ms: Count

    def __post_init__(self) -> None:
        clean(self, "reason")


class Done(Word, frozen=True, kw_only=True, tag="done"):
    """Says that this side sends nothing else, and has taken everything up to the peer's `final` (reliable channels)."""

    final: Counts


class ChannelAccount(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """The counts of one side for one channel: the messages that it sent, and those that it took from the peer."""

    accepted: Total = Total()
    unsent: Total = Total()
    taken: Total = Total()
    unread: Total = Total()
    """The part of `taken` that the application had not read at the time of sending. It counts as taken only because the
    session, or the channel, is closing (capability `unread1`)."""
    up_to: Count | None = None
    """For an unordered reliable channel: all messages up to this one were taken, and those in `ranges`."""
    ranges: Runs = []
    """First and last of each range that was taken beyond `up_to`, rising; at most `MAX_RANGES`."""


class MediaAccount(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """The counts of one side for the media of one section, when it said its last word (capability `media1`)."""

    packets: Count = 0
    """RTP packets that it sent, and the bytes that they carried."""
    bytes: Count = 0
    unsent_ms: Count = 0
    """Milliseconds of sound that its program had queued, and that did not leave."""
    arrived: Count = 0
    """RTP packets of the peer that came."""


class Closed(Word, frozen=True, kw_only=True, tag="closed"):
    """Says that this side neither sends nor takes messages. It is sent after both `done`, or at the deadline."""

    receipt: Id
    closer: Id
    """The closer, as this side sees it: a peer id, "both" or "network". When each side has the other view, both settle
    on one by the same rule."""
    reason: Reason
    channels: Annotated[dict[Name, ChannelAccount], Meta(max_length=MAX_CHANNELS)]
    media: Annotated[dict[Annotated[str, Meta(max_length=16)], MediaAccount], Meta(max_length=MAX_SECTIONS)] = {}
    """Mid to account, of the connection that carried the session last. Empty without media, and without `media1` on
    both sides."""


class Reset(Word, frozen=True, kw_only=True, tag="reset"):
    """Asks for a reset; the answer is `resetOk`. (asker, n) names it, where n counts the resets of the asker."""

    asker: Id
    n: Count
    epoch: Count
    """The epoch after the reset; for level `ice` the current one."""
    level: Level


class ResetOk(Word, frozen=True, kw_only=True, tag="resetOk"):
    """Says that this side has paused and joins the reset."""

    asker: Id
    n: Count
    epoch: Count
    level: Level


class Switch(Word, frozen=True, kw_only=True, tag="switch"):
    """Says that from now on the connection of `epoch` carries the session. The offerer sends it."""

    epoch: Count
    have: Counts
    """Channel name to the last sequence number received without a gap."""


class Switched(Word, frozen=True, kw_only=True, tag="switched"):
    """The answer to `switch`, with the last messages that this side has."""

    epoch: Count
    have: Counts


class Cancel(Word, frozen=True, kw_only=True, tag="cancel"):
    """Says that the old connection goes on; the epoch of the new one is never used again. The offerer sends it."""

    epoch: Count


class Moved(Word, frozen=True, kw_only=True, tag="moved"):
    """Says that a restarted server gave this side a new peer id. The session keeps its own id.

    It is sent in-band and, with the id of the session, by signaling. The peer must receive both.
    """

    peer: Id


AnyWord = Closing | Wait | Done | Closed | Reset | ResetOk | Switch | Switched | Cancel
