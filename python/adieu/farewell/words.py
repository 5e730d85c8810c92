"""The words of the talk channel: JSON, and bounded before they are believed. See docs/reference/goodbye.md."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

MAX_WORD = 64 * 1024
MAX_REASON = 1024
MAX_DEADLINE = 60.0
"""Seconds; a later deadline of a peer counts as this."""

Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
StreamId = Annotated[int, Meta(ge=0, le=65535)]
Counts = Annotated[dict[StreamId, Count], Meta(max_length=1024)]
"""Messages for each stream id."""


class Hello(msgspec.Struct, tag="hello"):
    """The sender has goodbye."""

    version: Count


class Ping(msgspec.Struct, tag="ping"):
    """The sender wants a sign of life."""


class Pong(msgspec.Struct, tag="pong"):
    """The answer to a ping."""


class Begin(msgspec.Struct, tag="closing", rename="camel", kw_only=True):
    """The sender begins to close. With `reset` it means to come back on another connection."""

    receipt: Annotated[str, Meta(pattern=r"^\w{16,64}$")]
    reason: Annotated[str, Meta(max_length=MAX_REASON)]
    reset: bool
    deadline_ms: Count


class Done(msgspec.Struct, tag="done"):
    """The sender's application sends nothing after this. It has sent these numbers of messages."""

    final: Counts


class Closed(msgspec.Struct, tag="closed"):
    """These numbers of messages have reached the sender's application."""

    taken: Counts


class Bye(msgspec.Struct, tag="bye"):
    """The sender goes at once and hears no answer."""

    cause: Literal["left", "tab-closed", "reloaded", "navigated"]


Word: TypeAlias = Hello | Ping | Pong | Begin | Done | Closed | Bye

_decoder: msgspec.json.Decoder[Word] = msgspec.json.Decoder(Word)


def encode(word: Word) -> str:
    """Return a word as it is sent."""
    return msgspec.json.encode(word).decode()


def decode(text: str | bytes) -> Word | None:
    """Return the word that a text says; None if it is not one, or is beyond its bounds."""
    if not isinstance(text, str) or len(text) > MAX_WORD:
        return None
    try:
        return _decoder.decode(text)
    except (ValueError, RecursionError):
        return None
