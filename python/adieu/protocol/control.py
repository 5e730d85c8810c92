"""In-band messages: the control channel `adieu` and the header of session messages.

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
    MAX_SECTIONS,
    Cancel,
    Capabilities,
    ChannelAccount,
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
"""First stream ids of session channels, counting down by two: for the smaller and the larger peer id."""
MAX_CONTROL = 256 * 1024
"""Bytes. A longer control message is a protocol error."""
MAX_FRAGMENT = 64 * 1024
MAX_HEADER = 17
MIN_MESSAGE = 1024
"""Bytes. A session needs an engine that accepts SCTP messages of at least this size."""
DEFAULT_WINDOW = 4 * 1024 * 1024
DEFAULT_MAX_MESSAGE = 16 * 1024 * 1024
COST = 256
"""Bytes of credit that a message needs in addition to its payload, with `credit2` on both sides."""
SMALL = 64 * 1024
"""Bytes. If the window is at most this, larger messages do not start (`credit2`)."""

CAPABILITIES: tuple[str, ...] = ("channels1", "credit2", "files2", "files3", "media1", "unread1")
"""Capabilities of this version beyond `VERSION`, sent in `hello`. A session uses those that both sides have."""

MAX_NAME = 128
"""Characters of a channel's name."""
MAX_FILE_TEXT = 255
"""Characters of a file's name, and of its type."""
FILE_CHANNEL = "file "
"""Channels whose names begin so belong to files."""
CHUNK, MIN_CHUNK, MAX_CHUNK = 1024 * 1024, 16 * 1024, 8 * 1024 * 1024
"""Bytes of a chunk, which is verified as a whole: as sent by this side, and the bounds that it accepts."""
HASH = 32
"""Bytes of a SHA-256."""
MAX_MODE = 0o777
"""All permission bits of a file."""

StreamId = Annotated[int, Meta(ge=0, le=65534)]


Hash = Annotated[str, Meta(max_length=64, pattern="^([0-9a-f]{64})?$")]
"""A SHA-256 in hex."""


class Hello(Message, frozen=True, kw_only=True, tag="hello"):
    """The first message on each connection, from both sides."""

    version: Version
    peer: Id
    session: Id
    epoch: Count
    have: Counts
    heartbeat_ms: Count = 1000
    capabilities: Capabilities = []


class Ping(Message, frozen=True, kw_only=True, tag="ping"):
    """A question that the peer answers with the same `n`."""

    n: Count


class Pong(Message, frozen=True, kw_only=True, tag="pong"):
    """The answer to a `ping`."""

    n: Count


class Reliability(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Limits on retransmission, at most one, as in RTCDataChannelInit. Without any the channel is reliable."""

    max_retransmits: Annotated[int, Meta(ge=0, le=65535)] | None = None
    max_packet_life_time: Annotated[int, Meta(ge=0, le=65535)] | None = None


class Open(Message, frozen=True, kw_only=True, tag="open"):
    """Opens a named channel. Nothing is sent on it before `opened`."""

    name: Name
    id: StreamId
    ordered: bool = True
    reliability: Reliability = Reliability()
    window: Count
    """Bytes that may follow message 0."""


class Opened(Message, frozen=True, kw_only=True, tag="opened"):
    """The answer to `open`: the stream id that both use, or the error that both sides raise."""

    name: Name
    id: StreamId
    window: Count = 0
    error: Line = ""

    def __post_init__(self) -> None:
        clean(self, "error")


class Acknowledged(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """The messages that the application has taken from one channel."""

    up_to: Count
    ranges: Runs = []
    """First and last of each range that was taken beyond `up_to` (unordered channels), rising."""
    window: Count
    """Bytes that may follow message `up_to`."""
    turn: Count = 0
    """Messages up to this one may start whatever the window is, because a `want` asked for it (`credit2`)."""


class Ack(Message, frozen=True, kw_only=True, tag="ack"):
    """Sent after 64 messages, 256 KiB or 20 ms; at once while closing. One that is older than the last is ignored."""

    channels: Annotated[dict[Name, Acknowledged], Meta(max_length=MAX_CHANNELS)]


class Turn(Struct, frozen=True, kw_only=True, rename="camel"):
    """A group of messages that no window lets start, although all messages before them are taken."""

    up_to: Count
    """The last message of the group."""
    cost: Count
    """Bytes that they cost, with `COST` for each message. A message larger than `SMALL` is alone in its group."""


class Want(Message, frozen=True, kw_only=True, tag="want"):
    """Asks for credit. An `ack` with credit or a turn follows as soon as there is space (`credit2`)."""

    channels: Counts
    """Channel name to all bytes that were ever accepted on it, with `COST` for each message."""
    turns: Annotated[dict[Name, Turn], Meta(max_length=MAX_CHANNELS)] = {}
    """Channel name to the messages that ask for a turn. Turns are given in the order of the requests."""


class ChannelClosing(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Announces the close of a channel. This side accepts no new messages on it, and still sends those in `final`."""

    reason: Line = ""
    deadline_ms: Count
    """Milliseconds from the time of sending."""
    final: Count
    """The number of messages accepted on the channel."""

    def __post_init__(self) -> None:
        clean(self, "reason")


class EndChannel(Message, frozen=True, kw_only=True, tag="endChannel"):
    """A stage of the close of a channel, while the session goes on (`channels1`).

    Exactly one member of `closing`, `done`, `closed` and `gone` is set. Name and id together name the channel: the name
    may belong to a later one.
    """

    name: Name
    id: StreamId
    closing: ChannelClosing | None = None
    done: Count | None = None
    """This side sends nothing else on it: so many messages in all. And it has taken all that the peer sends (reliable
    channels)."""
    closed: ChannelAccount | None = None
    """This side neither sends nor takes messages on it. It is sent after both `done`, or at the deadline."""
    heard: bool = False
    """Whether the `closed` of the peer is here; with `closed`."""
    gone: bool | None = None
    """This side has both `closed`, or does not know the channel. True: it closes the data channel of this id on this
    connection now."""


class MediaState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The state of one m-line, for notices."""

    enabled: bool = True
    ended: bool = False
    reason: Line = ""

    def __post_init__(self) -> None:
        clean(self, "reason")


class Media(Message, frozen=True, kw_only=True, tag="media"):
    """A change of tracks: mid to state."""

    media: Annotated[dict[Annotated[str, Meta(max_length=16)], MediaState], Meta(max_length=MAX_SECTIONS)]


class FileOffer(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Offers a file over `channel`.

    With the capability `files2` it has `chunk` and `key`. Each message of the channel is then one chunk followed by its
    SHA-256 (`HASH` bytes). The last message is the proof alone: the SHA-256 over all these hashes. Without the
    capability it has `sha256`, and the channel carries the bytes of the file in parts of any size.

    With the capability `files3` it may have the members after `key`.
    """

    name: Annotated[str, Meta(min_length=1, max_length=MAX_FILE_TEXT)]
    size: Count
    type: Annotated[str, Meta(max_length=MAX_FILE_TEXT)] = ""
    sha256: Hash = ""
    channel: Name
    chunk: Annotated[int, Meta(ge=MIN_CHUNK, le=MAX_CHUNK)] | None = None
    """Bytes of each chunk except the last."""
    key: Annotated[str, Meta(max_length=32, pattern="^([0-9a-f]{32})?$")] = ""
    """A key that is equal only for equal bytes. With it the receiver finds the part that an earlier attempt left."""
    entries: Count | None = None
    """The number of files and folders in a folder, which has `size` bytes in all. See `protocol/folders.py`."""
    stream: bool = False
    """True if the size is not known, and `size` is 0. The file ends with the chunk before the proof."""
    modified: Count | None = None
    """When it was changed last, in microseconds since 1970."""
    mode: Annotated[int, Meta(ge=0, le=MAX_MODE)] | None = None
    """Permission bits."""


class File(Message, frozen=True, kw_only=True, tag="file"):
    """A stage of a file transfer. Exactly one member besides `id` and `proof` is set."""

    id: Id
    offer: FileOffer | None = None
    accept: Count | None = None
    """The byte to send from; with `files2` the start of a chunk, or the end of the file."""
    refuse: Line | None = None
    done: bool | None = None
    """True when the receiver has the whole file and the hash matches."""
    proof: Hash | None = None
    """The receiver's SHA-256 over the hashes of the chunks, with `done` and `files2`."""
    failed: Line | None = None

    def __post_init__(self) -> None:
        clean(self, "refuse", "failed")


AnyControl = (
    Hello | Ping | Pong | Open | Opened | Ack | Want | EndChannel | Moved | Media | File
    | Closing | Wait | Done | Closed | Reset | ResetOk | Switch | Switched | Cancel
)  # fmt: skip

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyControl] = msgspec.json.Decoder(AnyControl)


class _Tag(Struct):
    type: str


_tag_decoder = msgspec.json.Decoder(_Tag)
_KNOWN = frozenset(str(kind.__struct_config__.tag) for kind in AnyControl.__args__)


def encode(message: AnyControl) -> str:
    """Return the text of a control message."""
    return _encoder.encode(message).decode()


def decode(text: str | bytes) -> AnyControl | None:
    """Read a control message. None for a type of a later version, which is ignored.

    Raises:
        ValueError: the text is not JSON, is too long, or has a wrong field; the message names it.
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
    """One SCTP message of a session channel: a whole message or a fragment of one."""

    text: bool
    first: bool
    last: bool
    seq: int
    """The number of the message, from 1."""
    index: int
    """The index of the fragment within the message, from 0."""
    payload: memoryview
    again: tuple[str, int] | None = None
    """For the first fragment of a message that is sent again: receipt id and sequence number of the first time."""


Kind = Literal["text", "binary"]


def encode_varint(value: int) -> bytes:
    """Return a QUIC variable-length integer (RFC 9000 section 16)."""
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
    """Return the integer at `at` and the position after it. Raises ValueError if the data ends early."""
    try:
        size = 1 << (data[at] >> 6)
    except IndexError:
        raise ValueError("the header is cut short") from None
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
    """Return the bytes before the payload: at most `MAX_HEADER`, plus `RECEIPT_BYTES + 8` with `again`."""
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
    """Read one SCTP message of a session channel. Raises ValueError if the header is wrong."""
    if not data:
        raise ValueError("a message of a session channel needs a header, but this one is empty")
    flags = data[0]
    if flags & 0xF0:
        raise ValueError(f"unknown header bits 0x{flags & 0xF0:02x}")
    if len(data) > 2 and data[1] < 0x80:  # as of nearly all messages, whose way this is: no call
        seq, at = (data[1], 2) if data[1] < 0x40 else ((data[1] & 0x3F) << 8 | data[2], 3)
    else:
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
            raise ValueError("only a first fragment may say that a message is sent again")
        receipt = bytes(data[at : at + RECEIPT_BYTES])
        if len(receipt) != RECEIPT_BYTES:
            raise ValueError("a header cut short")
        original, at = _decode_count(data, at + RECEIPT_BYTES)
        again = (receipt.hex(), original)
    return Fragment(
        bool(flags & TEXT), bool(flags & FIRST), bool(flags & LAST), seq, index, memoryview(data)[at:], again
    )
