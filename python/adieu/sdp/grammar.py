"""The words of the grammar, the bounds, and the one error."""

from __future__ import annotations

import re
from typing import Final

MAX_BYTES: Final = 1 << 20
"""A description larger than this is refused unread."""

MAX_MEDIA: Final = 256
MAX_CANDIDATES: Final = 10_000
"""Bounds for one description: what is beyond them is an error of the line that is too much."""

# RFC 8866 section 9: token-char is any visible character but separators.
TOKEN = re.compile(r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]+")
# RFC 8839 section 5.1: ALPHA / DIGIT / "+" / "/". Media servers also write base64 of other alphabets, padded, and
# browsers let it in.
ICE_CHARS = re.compile(r"[A-Za-z0-9+/=_#-]+")
DIGITS = re.compile(r"[0-9]+", re.ASCII)


class SdpSyntaxError(ValueError):
    """The text is not SDP.

    Attributes:
        line: the line (1 the first) where reading failed.
    """

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


class SdpValueError(SdpSyntaxError):
    """The text is SDP, and a value in it is not one that its attribute can have.

    Attributes:
        line: the line (1 the first) with the value.
    """


def is_token(text: str) -> bool:
    """Whether this is a `token` of RFC 8866."""
    return TOKEN.fullmatch(text) is not None


def integer(text: str, line: int, what: str, highest: int) -> int:
    """A decimal number from 0 to `highest`.

    Raises:
        SdpSyntaxError: it is none.
    """
    # The length first: int() of a long string is slow, and refused by Python above 4300 digits.
    if not DIGITS.fullmatch(text) or len(text) > 20 or (number := int(text)) > highest:
        raise SdpSyntaxError(line, f"{what} is {text[:40]!r}, not a number from 0 to {highest}")
    return number
