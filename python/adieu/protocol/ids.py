"""The names that both sides of a session compute without asking each other."""

import hashlib

_SIZE = 16


def _hash(kind: str, *parts: str) -> str:
    digest = hashlib.sha256(kind.encode())
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(4) + data)
    return digest.hexdigest()[: 2 * _SIZE]


def session_id(room: str, one: str, other: str, n: int = 1) -> str:
    """The id of the nth session of two peers in a room: 32 hex digits, whichever side asks."""
    return _hash("adieu session", room, *sorted((one, other)), *(() if n == 1 else (str(n),)))


def receipt_id(session: str) -> str:
    """The id of the receipt that ends this session: 32 hex digits, known from the start, nobody's choice."""
    return _hash("adieu receipt", session)
