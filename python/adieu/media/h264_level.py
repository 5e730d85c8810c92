"""The largest pictures of H264, and the most of them: what a peer's level lets its decoder take (ITU-T H.264, A-1)."""

from __future__ import annotations

from contextlib import suppress
from math import ceil, sqrt
from typing import Final

MACROBLOCKS: Final = {
    9: 99, 10: 99, 11: 396, 12: 396, 13: 396, 20: 396, 21: 792, 22: 1620, 30: 1620, 31: 3600, 32: 5120, 40: 8192,
    41: 8192, 42: 8704, 50: 22080, 51: 36864, 52: 36864, 60: 139264, 61: 139264, 62: 139264,
}  # fmt: skip
"""The most of a picture, by level: 31 is level 3.1, 9 is level 1b."""
PER_SECOND: Final = {
    9: 1485, 10: 1485, 11: 3000, 12: 6000, 13: 11880, 20: 11880, 21: 19800, 22: 20250, 30: 40500, 31: 108000,
    32: 216000, 40: 245760, 41: 245760, 42: 522240, 50: 589824, 51: 983040, 52: 2073600, 60: 4177920, 61: 8355840,
    62: 16711680,
}  # fmt: skip
"""The most macroblocks of all pictures of a second."""
DEFAULT: Final = "42e01f"
"""Constrained baseline, level 3.1: browsers take a description that names nothing to mean this."""
SIDE: Final = 16
"""Pixels of a macroblock."""


def parameter_of(fmtp: str) -> str:
    """Return the profile-level-id, in lower case; `DEFAULT` without one."""
    for parameter in fmtp.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "profile-level-id":
            return value.strip().lower()
    return DEFAULT


def level_of(fmtp: str) -> int:
    """Return the level that the parameters of a codec name: 31 is level 3.1."""
    for parameter in (parameter_of(fmtp), DEFAULT):
        with suppress(ValueError):
            if (level := int(parameter[4:6], 16)) in MACROBLOCKS:
                return level
    raise AssertionError(DEFAULT)


def within_level(width: int, height: int, fmtp: str) -> tuple[int, int]:
    """Return the largest even size of the same shape that the level lets a picture have; this one, if it fits."""
    most = MACROBLOCKS[level_of(fmtp)]
    scale = 1.0
    size = width, height
    while _macroblocks(*size) > most:  # each turn makes it smaller
        scale *= min(0.98, sqrt(most / _macroblocks(*size)))
        size = max(2, int(width * scale) & ~1), max(2, int(height * scale) & ~1)
    return size


def framerate_within_level(width: int, height: int, fmtp: str) -> float:
    """Return the most pictures of this size that the level lets a second have."""
    return PER_SECOND[level_of(fmtp)] / _macroblocks(width, height)


def _macroblocks(width: int, height: int) -> int:
    return ceil(width / SIDE) * ceil(height / SIDE)
