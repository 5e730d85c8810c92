"""Messages on the channel of a folder (`files3`): the manifest, the parts that the receiver has, the bytes, the proof.

Texts are JSON tagged by `type`: the sender's `entries` first, then the receiver's `have`, at the end the sender's
`proof`. Between the last two, the sender's binary messages carry pieces of the files: see `encode_pieces`.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, Struct

from adieu.protocol.control import HASH, MAX_MODE, Hash, decode_varint, encode_varint
from adieu.protocol.nesting import check_nesting
from adieu.protocol.words import MAX_COUNT, Count, Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_ENTRIES = 100_000
"""Files and folders in a manifest."""
MAX_PATH = 1024
"""Characters of a path in the folder."""
MAX_DEPTH = 64
"""Parts of a path."""
MAX_PATHS = 16 * 1024 * 1024
"""Characters of all paths of a manifest."""
AT_ONCE = 256
"""Entries in a text, and pieces in a binary message."""
MAX_PAGE = 2 * 1024 * 1024
"""Bytes of a text."""
MAX_HEAD = 32 * 1024
"""Bytes that a binary message has beside those of its pieces: at most 24 and a hash for each, and their number."""


class FolderEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file or a folder in a folder that is sent.

    Attributes:
        path: its path in the folder, parts separated by `/`; a folder comes before what is in it.
        size: bytes; None for a folder.
        modified: when it was changed last, in microseconds since 1970; None: unknown.
        mode: the permission bits; None: unknown.
    """

    path: Annotated[str, Meta(min_length=1, max_length=MAX_PATH)]
    size: Count | None = None
    modified: Count | None = None
    mode: Annotated[int, Meta(ge=0, le=MAX_MODE)] | None = None


class Entries(Message, frozen=True, kw_only=True, tag="entries"):
    """A part of the manifest, in its order."""

    entries: Annotated[list[FolderEntry], Meta(max_length=AT_ONCE)]
    last: bool = False


class Had(Struct, frozen=True, kw_only=True):
    """The verified beginning of a file that an earlier transfer left.

    Attributes:
        n: the number of its entry, from 0.
        size: bytes: whole chunks, or all of the file.
        proof: the SHA-256 over the hashes of these chunks.
    """

    n: Annotated[int, Meta(ge=0, le=MAX_ENTRIES - 1)]
    size: Count
    proof: Hash


class Have(Message, frozen=True, kw_only=True, tag="have"):
    """Files that the receiver has parts of, and entries that it does not want; in the order of the entries.

    The sender compares the proofs, and sends the rest of each file, or all of it.
    """

    files: Annotated[list[Had], Meta(max_length=AT_ONCE)] = []
    skip: Annotated[list[Annotated[int, Meta(ge=0, le=MAX_ENTRIES - 1)]], Meta(max_length=AT_ONCE)] = []
    last: bool = False


class Proof(Message, frozen=True, kw_only=True, tag="proof"):
    """Everything was sent; `proof` is that of `proof_of`."""

    proof: Hash


Text = Entries | Have | Proof
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Text] = msgspec.json.Decoder(Text)


def encode(message: Text) -> str:
    """Return the text of a message."""
    return _encoder.encode(message).decode()


def decode(text: str) -> Text:
    """Read a text.

    Raises:
        ValueError: it is no such text, or beyond a bound.
    """
    if len(text) > MAX_PAGE:
        raise ValueError(f"a list of {len(text)} characters; the limit is {MAX_PAGE}")
    check_nesting(text)
    return _decoder.decode(text)


class Piece(Struct, frozen=True):
    """A piece of a file: a whole chunk of it, or its last one."""

    n: int
    """The number of the entry, from 0."""
    at: int
    """The place of its first byte in the file."""
    data: bytes | memoryview
    hash: bytes
    """The SHA-256 of `data`."""


def encode_pieces(pieces: Sequence[Piece]) -> bytes:
    """Return the binary message that carries some pieces.

    Numbers are variable-length integers of QUIC. The number of pieces comes first; for each the number of its entry,
    its place and its length; then the bytes of all; then the hashes of all.
    """
    head = bytearray(encode_varint(len(pieces)))
    for piece in pieces:
        head += encode_varint(piece.n) + encode_varint(piece.at) + encode_varint(len(piece.data))
    return b"".join((head, *(piece.data for piece in pieces), *(piece.hash for piece in pieces)))


def decode_pieces(message: bytes) -> list[Piece]:
    """Read a binary message. The hashes are not verified.

    Raises:
        ValueError: its numbers do not fit together.
    """
    count, at = decode_varint(message, 0)
    if not 0 < count <= AT_ONCE:
        raise ValueError(f"a message of {count} pieces; 1 to {AT_ONCE}")
    places: list[tuple[int, int, int]] = []
    for _ in range(count):
        n, at = decode_varint(message, at)
        place, at = decode_varint(message, at)
        size, at = decode_varint(message, at)
        if n >= MAX_ENTRIES or place > MAX_COUNT or not size:
            raise ValueError(f"a piece of {size} bytes at byte {place} of entry {n}")
        places.append((n, place, size))
    total = sum(size for _, _, size in places)
    if at + total + HASH * count != len(message):
        raise ValueError("the pieces of a message are not as long as it says")
    view = memoryview(message)
    hashes = at + total
    pieces: list[Piece] = []
    for number, (n, place, size) in enumerate(places):
        begin = hashes + HASH * number
        pieces.append(Piece(n, place, view[at : at + size], message[begin : begin + HASH]))
        at += size
    return pieces


def proof_of(manifest: bytes, proofs: Iterable[bytes]) -> str:
    """Return the proof of a folder, hex: the SHA-256 over that of its manifest and those of its files.

    Args:
        manifest: the SHA-256 over all texts of the manifest.
        proofs: of each file that is not skipped, in order, the SHA-256 over the hashes of its chunks.
    """
    digest = hashlib.sha256(manifest)
    for proof in proofs:
        digest.update(proof)
    return digest.hexdigest()
