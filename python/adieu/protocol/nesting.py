"""A bound on the nesting of JSON from the network, so that recursive parsers cannot overflow the stack."""

from __future__ import annotations

import re

MAX_NESTING = 16

# # Possessive: a string without an end costs one pass, like any other.
_TEXTS = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?', re.DOTALL)
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_OTHERS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def check_nesting(text: str | bytes) -> None:
    """Look at JSON before it is parsed.

    Raises:
        ValueError: objects and arrays are nested deeper than `MAX_NESTING`. Text that is not JSON may pass.
    """
    data = text.encode(errors="replace") if isinstance(text, str) else text
    if data.count(b"[") + data.count(b"{") <= MAX_NESTING:
        return
    brackets = _TEXTS.sub(b"", data).translate(_BRACKETS, _OTHERS)
    for _ in range(MAX_NESTING):
        brackets = brackets.replace(b"[]", b"")  # the innermost of each
    if brackets:
        raise ValueError(f"nested deeper than {MAX_NESTING}, or not closed")
