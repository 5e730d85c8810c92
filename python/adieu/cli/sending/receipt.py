"""The receipt of a sending, equal on both sides byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from adieu.cli.sending.listing import FOLDER, digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adieu.cli.sending.messages import Entry
    from adieu.session import CloseReceipt


def receipt_of(entries: Sequence[Entry], proofs: Mapping[int, str], receipt: CloseReceipt | None) -> bytes:
    """Return the receipt as JSON.

    It names each file with its bytes and its proof: the SHA-256 over the SHA-256 of its chunks. It has the digest over
    all of it, and the session that carried it.
    """
    files = [
        {"path": entry.path, "bytes": entry.size, "proof": proofs.get(number, "")}
        for number, entry in enumerate(entries)
        if entry.size != FOLDER
    ]
    session = "" if receipt is None else receipt.id
    total = sum(max(entry.size, 0) for entry in entries)
    whole = {"session": session, "digest": digest(entries, proofs), "bytes": total, "files": files}
    return msgspec.json.format(msgspec.json.encode(whole)) + b"\n"
