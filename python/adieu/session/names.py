"""Names of files: what of the other side's words may become a name on a disk."""

from __future__ import annotations

import re
import unicodedata

MAX_NAME = 200
"""Bytes of a name from outside, in UTF-8. File systems take 255; what is left is for `.part` and ` (1)`."""
MAX_ON_DISK = 255
"""Bytes of any name on a disk."""
MAX_SUFFIX = 32
"""Bytes: a longer end is no type of a file, and is not kept when a name is cut."""
NO_NAME = "file"

_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
"""Categories of characters that are not seen, or turn what is seen around."""
_RESERVED = re.compile(r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³])", re.IGNORECASE)
"""Names of devices on Windows, whatever comes after a dot."""


def safe(name: str) -> str:
    """Return a safe file name for every folder of every system, whatever `name` is.

    It is one part of a path, not the name of a device, and has at most `MAX_NAME` bytes. It has no invisible
    characters, no characters that Windows reserves, and no dots or blanks at its ends.
    """
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    kinds = ((character, unicodedata.category(character)) for character in last)
    seen = "".join(" " if kind == "Zs" else character for character, kind in kinds if kind not in _HIDDEN)
    clean = cut(re.sub(r'[<>:"|?*]', "_", seen).strip(". "), MAX_NAME - 1)
    stem = clean.partition(".")[0].rstrip(" ")
    return f"_{clean}" if clean.startswith("~") or _RESERVED.fullmatch(stem) else clean or NO_NAME


def inner(name: str) -> str:
    """Return a safe name inside a folder that is received: as `safe`, but it may be hidden."""
    return f".{safe(name[1:])}" if name.startswith(".") and name.strip(". ") else safe(name)


def cut(name: str, most: int) -> str:
    """A name of at most `most` bytes in UTF-8, which keeps its suffix, and ends in no dot or blank if it was cut."""
    if _size(name) <= most:
        return name
    stem, dot, suffix = name.rpartition(".")
    end = f".{suffix}"
    if not dot or not stem or _size(end) > min(MAX_SUFFIX, most - 1):
        stem, end = name, ""
    return begin(stem, most - _size(end)).rstrip(". ") + end


def numbered(name: str, number: int) -> str:
    """The name to try when `number` names like it are taken; no longer on a disk than any may be."""
    if number == 0:
        return name
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    end = f" ({number}){dot}{suffix}"
    if _size(end) > MAX_ON_DISK // 2:
        stem, end = name, f" ({number})"
    return begin(stem, MAX_ON_DISK - _size(end)) + end


def begin(text: str, most: int) -> str:
    """The beginning of a text, at most `most` bytes in UTF-8, no half of a character."""
    size = 0
    for at, character in enumerate(text):
        size += _size(character)
        if size > most:
            return text[:at]
    return text


def _size(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))
