"""A QR code of a link, for a terminal: two rows of modules in each line of text."""

from __future__ import annotations

import shutil

import segno

BORDER = 2
"""Modules of light around it. Cameras find it with two, and four would need a larger terminal."""
_HALVES = {(True, True): "█", (True, False): "▀", (False, True): "▄", (False, False): " "}
"""The characters, by whether the upper and the lower module are light."""
_ON_BLACK, _OFF = "\x1b[97;40m", "\x1b[0m"


def lines(text: str) -> list[str]:
    """Return the code as lines of text."""
    rows = [[not module for module in row] for row in segno.make_qr(text, error="l").matrix_iter(border=BORDER)]
    if len(rows) % 2:
        rows.append([True] * len(rows[0]))
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return ["".join(_HALVES[each] for each in zip(upper, lower, strict=True)) for upper, lower in pairs]


def shown(text: str) -> list[str]:
    """Return the lines in white on black, whatever the colors of the terminal; an empty list: it is too narrow."""
    made = lines(text)
    if len(made[0]) > shutil.get_terminal_size().columns:
        return []
    return [f"{_ON_BLACK}{line}{_OFF}" for line in made]
