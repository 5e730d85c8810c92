"""In-band: the control channel `adieu` and the header of session messages.

The control channel is negotiated, id 1022, ordered, reliable, protocol `adieu.v1`; JSON text tagged by `type`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from adieu.protocol.nesting import check_nesting
from adieu.protocol.words import (
    MAX_CHANNELS,
    MAX_COUNT,
    Cancel,
    Capabilities,
    Closed,
    Closing,
    Count,
    Counts,
    Done,
    Id,
    Line,
    Message,
    Moved,
    Name,
    Reset,
    ResetOk,
    Runs,
    Switch,
    Switched,
    Version,
    Wait,
    clean,
)

LABEL = "adieu"
PROTOCOL = "adieu.v1"
CONTROL_ID = 1022
FIRST_ID_SMALLER, FIRST_ID_LARGER = 1020, 1021
"""Session channels count downwards by two from these, by which peer id opened them."""
MAX_CONTROL = 256 * 1024
"""A longer control message is a protocol error."""
MAX_FRAGMENT = 64 * 1024
MAX_HEADER = 17
MIN_MESSAGE = 1024
"""A side whose engine takes no larger SCTP message cannot carry a session."""
DEFAULT_WINDOW = 4 * 1024 * 1024
DEFAULT_MAX_MESSAGE = 16 * 1024 * 1024
COST = 256
"""Bytes of credit that a message takes beside its payload, with `credit2` on both sides."""
SMALL = 64 * 1024
"""With a window no larger than this no larger message starts (`credit2`)."""
MAX_SECTIONS = 256
"""Of a description."""

CAPABILITIES: tuple[str, ...] = ("credit2", "files2", "unread1")
"""What this version can do beyond `VERSION`, said in `hello`. Only what both sides say is in use in a session."""

MAX_NAME = 128
"""Characters of a channel's name."""
MAX_FILE_TEXT = 255
"""Characters of a file's name, and of its type."""
CHUNK, MIN_CHUNK, MAX_CHUNK = 1024 * 1024, 16 * 1024, 8 * 1024 * 1024
"""Bytes of a file that are proved together: as this side sends them, and what it takes."""
HASH = 32
"""Bytes of a SHA-256."""

StreamId = Annotated[int, Meta(ge=0, le=65534)]


Hash = Annotated[str, Meta(max_length=64, pattern="^([0-9a-f]{64})?$")]
"""A SHA-256 in hex."""


class Hello(Message, frozen=True, kw_only=True, tag="hello"):
    """First on each connection, from both sides."""

    version: Version
    peer: Id
    session: Id
    epoch: Count
    have: Counts
    heartbeat_ms: Count = 1000
    capabilities: Capabilities = []


class Ping(Message, frozen=True, kw_only=True, tag="ping"):
    """Answer with the same `n`."""

    n: Count


class Pong(Message, frozen=True, kw_only=True, tag="pong"):
    """The answer to a `ping`."""

    n: Count


class Reliability(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Neither member set: reliable. As RTCDataChannelInit has it, at most one is set."""

    max_retransmits: Annotated[int, Meta(ge=0, le=65535)] | None = None
    max_packet_life_time: Annotated[int, Meta(ge=0, le=65535)] | None = None


class Open(Message, frozen=True, kw_only=True, tag="open"):
    """A named channel. Nothing is sent on it before `opened`."""

    name: Name
    id: StreamId
    ordered: bool = True
    reliability: Reliability = Reliability()
    window: Count
    """Bytes that may follow message 0."""


class Opened(Message, frozen=True, kw_only=True, tag="opened"):
    """The answer to `open`: the id both use, or the error that both sides raise."""

    name: Name
    id: StreamId
    window: Count = 0
    error: Line = ""

    def __post_init__(self) -> None:
        clean(self, "error")


class Acknowledged(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """What the application has taken of one channel."""

    up_to: Count
    ranges: Runs = []
    """First and last of what was taken beyond `up_to` (unordered channels), rising."""
    window: Count
    """Bytes that may follow message `up_to`."""
    turn: Count = 0
    """Messages up to this one, for which a `want` asked, may start whatever the window is (`credit2`)."""


class Ack(Message, frozen=True, kw_only=True, tag="ack"):
    """After 64 messages, 256 KiB or 20 ms; at once while closing. An older one than the last is ignored."""

    channels: Annotated[dict[Name, Acknowledged], Meta(max_length=MAX_CHANNELS)]


class Turn(Struct, frozen=True, kw_only=True, rename="camel"):
    """Messages that no window lets start, while all that was sent before them is taken."""

    up_to: Count
    """The last of them."""
    cost: Count
    """What they cost: bytes, with `COST` for each message. One larger than `SMALL` is alone."""


class Want(Message, frozen=True, kw_only=True, tag="want"):
    """Messages wait for credit: an `ack` with more, or with a turn, follows as soon as there is room (`credit2`)."""

    channels: Counts
    """Channel name to all that was ever accepted on it: bytes, with `COST` for each message."""
    turns: Annotated[dict[Name, Turn], Meta(max_length=MAX_CHANNELS)] = {}
    """For what of these a turn is asked. They are given in the order in which they were asked for."""


class MediaState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One m-line, for notices."""

    enabled: bool = True
    ended: bool = False
    reason: Line = ""

    def __post_init__(self) -> None:
        clean(self, "reason")


class Media(Message, frozen=True, kw_only=True, tag="media"):
    """What happens to tracks: mid to state."""

    media: Annotated[dict[Annotated[str, Meta(max_length=16)], MediaState], Meta(max_length=MAX_SECTIONS)]


class FileOffer(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A file that the sender would send over `channel`.

    With the capability `files2` it has `chunk` and `key`. Each message of the channel is then one chunk and, in its
    last `HASH` bytes, the SHA-256 of it; the last message is the proof alone, the SHA-256 over all these hashes.
    Without the capability it has `sha256`, and the channel carries the file's bytes in pieces of any size.
    """

    name: Annotated[str, Meta(min_length=1, max_length=MAX_FILE_TEXT)]
    size: Count
    type: Annotated[str, Meta(max_length=MAX_FILE_TEXT)] = ""
    sha256: Hash = ""
    channel: Name
    chunk: Annotated[int, Meta(ge=MIN_CHUNK, le=MAX_CHUNK)] | None = None
    """Bytes of each chunk but the last."""
    key: Annotated[str, Meta(max_length=32, pattern="^([0-9a-f]{32})?$")] = ""
    """Equal only for the same bytes: by it a receiver finds what is here of an earlier attempt."""


class File(Message, frozen=True, kw_only=True, tag="file"):
    """A step of a file transfer: exactly one member besides `id` and `proof` is set."""

    id: Id
    offer: FileOffer | None = None
    accept: Count | None = None
    """From which byte to send; with `files2` the first of a chunk, or the file's end."""
    refuse: Line | None = None
    done: bool | None = None
    """The receiver has all of it and the hash agrees."""
    proof: Hash | None = None
    """With `done` and `files2`: the SHA-256 over the hashes of the chunks, as the receiver has them."""
    failed: Line | None = None

    def __post_init__(self) -> None:
        clean(self, "refuse", "failed")


AnyControl = (
    Hello | Ping | Pong | Open | Opened | Ack | Want | Moved | Media | File
    | Closing | Wait | Done | Closed | Reset | ResetOk | Switch | Switched | Cancel
)  # fmt: skip

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyControl] = msgspec.json.Decoder(AnyControl)


class _Tag(Struct):
    type: str


_tag_decoder = msgspec.json.Decoder(_Tag)
_KNOWN = frozenset(str(kind.__struct_config__.tag) for kind in AnyControl.__args__)


def encode(message: AnyControl) -> str:
    """The text of a control message."""
    return _encoder.encode(message).decode()


def decode(text: str | bytes) -> AnyControl | None:
    """Read a control message; None for a type of a later version, which is ignored.

    Raises:
        ValueError: it is not JSON, too long, or a field is wrong; the message names which.
    """
    if len(text) > MAX_CONTROL:
        raise ValueError(f"a control message of {len(text)} bytes; the limit is {MAX_CONTROL}")
    check_nesting(text)
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError:
        if _tag_decoder.decode(text).type not in _KNOWN:
            return None
        raise
    except (UnicodeError, RecursionError) as error:
        raise ValueError(f"not a control message: {error}") from error


# --- the header of session messages -------------------------------------------------------------------------

TEXT, FIRST, LAST, AGAIN = 1, 2, 4, 8
_WHOLE = FIRST | LAST
RECEIPT_BYTES = 16


class Fragment(Struct, frozen=True):
    """One SCTP message of a session channel: a whole message or a piece of one."""

    text: bool
    first: bool
    last: bool
    seq: int
    """Of the message, from 1."""
    index: int
    """Of the fragment within the message, from 0."""
    payload: memoryview
    again: tuple[str, int] | None = None
    """On a first fragment of a message sent again: (receipt id, sequence number) of the first time."""


Kind = Literal["text", "binary"]


def encode_varint(value: int) -> bytes:
    """A QUIC variable-length integer (RFC 9000 section 16)."""
    if value < 0x40:
        return value.to_bytes(1)
    if value < 0x4000:
        return (value | 0x4000).to_bytes(2)
    if value < 0x4000_0000:
        return (value | 0x8000_0000).to_bytes(4)
    if value < 0x4000_0000_0000_0000:
        return (value | 0xC000_0000_0000_0000).to_bytes(8)
    raise ValueError(f"{value} does not fit a 62-bit variable-length integer")


def decode_varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """The integer at `at` and the position after it. Raises ValueError when it is cut short."""
    try:
        size = 1 << (data[at] >> 6)
    except IndexError:
        raise ValueError("a header cut short") from None
    end = at + size
    if end > len(data):
        raise ValueError("a header cut short")
    return int.from_bytes(data[at:end]) & ((1 << (8 * size - 2)) - 1), end


def _decode_count(data: bytes, at: int) -> tuple[int, int]:
    value, at = decode_varint(data, at)
    if value > MAX_COUNT:
        raise ValueError(f"{value} is more than {MAX_COUNT}")
    return value, at


def encode_header(
    seq: int,
    *,
    text: bool,
    first: bool = True,
    last: bool = True,
    index: int = 0,
    again: tuple[str, int] | None = None,
) -> bytes:
    """The bytes before the payload. At most `MAX_HEADER`, and `RECEIPT_BYTES + 8` more with `again`."""
    flags = (TEXT if text else 0) | (FIRST if first else 0) | (LAST if last else 0)
    head = encode_varint(seq)
    if flags & _WHOLE != _WHOLE:
        head += encode_varint(index)
    if again is not None and first:
        flags |= AGAIN
        receipt, original = again
        head += bytes.fromhex(receipt) + encode_varint(original)
    return bytes((flags,)) + head


def decode_fragment(data: bytes) -> Fragment:
    """Read one SCTP message of a session channel. Raises ValueError when the header is wrong."""
    if not data:
        raise ValueError("an empty message has no header")
    flags = data[0]
    if flags & 0xF0:
        raise ValueError(f"unknown header bits 0x{flags & 0xF0:02x}")
    seq, at = _decode_count(data, 1)
    if seq == 0:
        raise ValueError("sequence numbers start at 1")
    index = 0
    if flags & _WHOLE != _WHOLE:
        index, at = _decode_count(data, at)
        if (index == 0) != bool(flags & FIRST):
            raise ValueError(f"fragment {index} with first={bool(flags & FIRST)}")
    again = None
    if flags & AGAIN:
        if not flags & FIRST:
            raise ValueError("only a first fragment says that a message is sent again")
        receipt = bytes(data[at : at + RECEIPT_BYTES])
        if len(receipt) != RECEIPT_BYTES:
            raise ValueError("a header cut short")
        original, at = _decode_count(data, at + RECEIPT_BYTES)
        again = (receipt.hex(), original)
    return Fragment(
        bool(flags & TEXT), bool(flags & FIRST), bool(flags & LAST), seq, index, memoryview(data)[at:], again
    )
