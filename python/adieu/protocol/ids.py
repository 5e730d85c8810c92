"""Ids that both sides of a session compute without asking each other."""

import hashlib

_SIZE = 16


def _hash(kind: str, *parts: str) -> str:
    digest = hashlib.sha256(kind.encode())
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(4) + data)
    return digest.hexdigest()[: 2 * _SIZE]


def session_id(room: str, one: str, other: str, n: int = 1) -> str:
    """Return the id of the nth session of two peers in a room: 32 hex digits, the same on both sides."""
    return _hash("adieu session", room, *sorted((one, other)), *(() if n == 1 else (str(n),)))


def receipt_id(session: str) -> str:
    """Return the id of the receipt of this session: 32 hex digits, known from the start. No side can choose it."""
    return _hash("adieu receipt", session)
