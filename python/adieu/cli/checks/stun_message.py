"""STUN binding requests and their answers (RFC 8489), with the attributes of RFC 5780 about NATs. No sockets here."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from typing import Final

COOKIE: Final = b"\x21\x12\xa4\x42"
HEADER: Final = 20
BINDING, SUCCESS, ERROR = 0x0001, 0x0101, 0x0111
CHANGE_REQUEST, MAPPED, ERROR_CODE, XOR_MAPPED, OTHER = 0x0003, 0x0001, 0x0009, 0x0020, 0x802C
CHANGE_ADDRESS, CHANGE_PORT = 4, 2

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a STUN server.

    Attributes:
        mapped: the address and port from which the request came, as the server saw it.
        other: another address of the server, from which it can answer (RFC 5780).
        error: code and text, if the server refused.
    """

    mapped: Address | None = None
    other: Address | None = None
    error: str = ""


def request(transaction: bytes, *, change: int = 0) -> bytes:
    """Return a binding request. `change` asks for the answer from another address or port of the server."""
    attribute = struct.pack("!HHI", CHANGE_REQUEST, 4, change) if change else b""
    return struct.pack("!HH", BINDING, len(attribute)) + COOKIE + transaction + attribute


def transaction_of(data: bytes) -> bytes | None:
    """Return the transaction of a message; None if it is not STUN."""
    if len(data) < HEADER or data[4:8] != COOKIE or data[0] & 0xC0:
        return None
    return data[8:HEADER]


def parse(data: bytes) -> Answer | None:
    """Read an answer; None if it is malformed or no answer to a binding request."""
    if transaction_of(data) is None:
        return None
    kind, length = struct.unpack_from("!HH", data)
    if kind not in {SUCCESS, ERROR} or length != len(data) - HEADER:
        return None
    mapped = plain = other = None
    error = "" if kind == SUCCESS else "an error without a code"
    at = HEADER
    while at + 4 <= len(data):
        name, size = struct.unpack_from("!HH", data, at)
        value = data[at + 4 : at + 4 + size]
        if len(value) != size:
            return None
        match name:
            case 0x0020:
                mapped = _address(value, data[4:HEADER])
            case 0x0001:
                plain = _address(value)
            case 0x802C:
                other = _address(value)
            case 0x0009 if size >= 4:
                error = f"{value[2] % 8 * 100 + value[3]} {value[4:200].decode('utf-8', 'replace')}".strip()
            case _:
                pass
        at += 4 + size + -size % 4
    if kind == SUCCESS and (mapped or plain) is None:
        return None
    return Answer(mapped or plain, other, error)


def _address(value: bytes, mask: bytes = b"") -> Address | None:
    """Read an address; with a mask (cookie and transaction), one that is XORed with it."""
    size = {1: 4, 2: 16}.get(value[1]) if len(value) >= 4 else None
    if size is None or len(value) != 4 + size:
        return None
    key = mask or bytes(16)
    port = int.from_bytes(bytes(a ^ b for a, b in zip(value[2:4], key[:2], strict=True)))
    packed = bytes(a ^ b for a, b in zip(value[4:], key[:size], strict=True))
    return str(ipaddress.ip_address(packed)), port
