"""The tokens of the grammar, the bounds, and the error."""

from __future__ import annotations

import re
from typing import Final

MAX_BYTES: Final = 1 << 20
"""Bytes. A larger description is refused without reading it."""

MAX_MEDIA: Final = 256
MAX_CANDIDATES: Final = 10_000
"""Bounds for one description. The first line beyond a bound is an error."""

# RFC 8866 section 9: token-char is any visible character but separators.
TOKEN = re.compile(r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]+")
# RFC 8839 section 5.1: ALPHA / DIGIT / "+" / "/". Media servers also write base64 of other alphabets, padded, and
# browsers let it in.
ICE_CHARS = re.compile(r"[A-Za-z0-9+/=_#-]+")
DIGITS = re.compile(r"[0-9]+", re.ASCII)


class SdpSyntaxError(ValueError):
    """The text is not SDP.

    Attributes:
        line: the line where reading failed, counted from 1.
    """

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


class SdpValueError(SdpSyntaxError):
    """The text is SDP, but an attribute has a value that is not allowed.

    Attributes:
        line: the line with the value, counted from 1.
    """


def is_token(text: str) -> bool:
    """Whether the text is a `token` of RFC 8866."""
    return TOKEN.fullmatch(text) is not None


def integer(text: str, line: int, what: str, highest: int) -> int:
    """Return a decimal number from 0 to `highest`.

    Raises:
        SdpSyntaxError: the text is not such a number.
    """
    # The length first: int() of a long string is slow, and refused by Python above 4300 digits.
    if not DIGITS.fullmatch(text) or len(text) > 20 or (number := int(text)) > highest:
        raise SdpSyntaxError(line, f"{what} is {text[:40]!r}, not a number from 0 to {highest}")
    return number
