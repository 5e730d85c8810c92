"""A flight recording as it is read: it may come from anybody, so every part of it has a type and a bound."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from adieu.protocol.text import line
from adieu.session.recorder import LINES

MAX_BYTES: Final = 16 * 1024 * 1024
"""The longest file that is read."""

Seconds = Annotated[float, Meta(ge=0, le=1e12)]
Text = Annotated[str, Meta(max_length=1024)]
Mark = Literal[">", "<", "=", "!"]


class RecordingError(ValueError):
    """A file that is no recording, or one of a later version."""


class Total(Struct, frozen=True):
    """A number of messages, and their bytes."""

    messages: int = 0
    bytes: int = 0


class Account(Struct, frozen=True):
    """One direction of a channel."""

    unread: Total | None = None
    unknown: Total | None = None
    unsent: Total | None = None


class ChannelReceipt(Struct, frozen=True):
    """Both directions."""

    sent: Account = Account()
    received: Account = Account()
    reliable: bool = True


class Step(Struct, frozen=True):
    """One of the five steps."""

    name: Text = ""
    duration: Seconds = 0.0
    outcome: Text = ""


class Receipt(Struct, frozen=True):
    """The part of a receipt that is looked at."""

    by: Text = ""
    path: Text = ""
    cause: Text = ""
    confidence: Text = ""
    notice: Annotated[str, Meta(max_length=8192)] = ""
    evidence: Annotated[list[str], Meta(max_length=64)] = []
    steps: Annotated[list[Step], Meta(max_length=16)] = []
    channels: Annotated[dict[str, ChannelReceipt], Meta(max_length=1024)] = {}


class Recording(Struct, frozen=True):
    """One side's recording, see `docs/reference/recording.md`."""

    format: Literal["adieu-recording"]
    version: Annotated[int, Meta(ge=1)]
    began: Seconds
    """Seconds since 1970."""
    session: Annotated[str, Meta(max_length=128)]
    me: Annotated[str, Meta(max_length=128)]
    peer: Annotated[str, Meta(max_length=128)]
    lines: Annotated[list[tuple[Seconds, Mark, dict[str, Any]]], Meta(max_length=LINES)]
    """Time since `began`, mark, and members with a `type`."""
    receipt: Receipt | None = None
    dropped: Annotated[int, Meta(ge=0)] = 0
    program: Annotated[str, Meta(max_length=64)] = ""


def texts_of(members: dict[str, Any], name: str) -> list[str]:
    """Return a member that is a list of texts, cleaned for people; empty if it is no such list."""
    value = members.get(name)
    if not isinstance(value, list):
        return []
    items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
    return [line(each, 300) for each in items[:32] if isinstance(each, str)]


def text_of(members: dict[str, Any], name: str) -> str:
    """Return a text member, cleaned for people; empty if it is no text."""
    value = members.get(name)
    return line(value, 300) if isinstance(value, str) else ""


def number_of(members: dict[str, Any], name: str) -> float:
    """Return a number member; 0 if it is no number."""
    value = members.get(name)
    return float(value) if isinstance(value, int | float) and abs(value) < 1e15 else 0.0
