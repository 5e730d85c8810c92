"""Reads what people give to `adieu explain`: the recording of a program or of a page."""

from __future__ import annotations

import msgspec

from adieu.explain.recording import MAX_BYTES, Recording, RecordingError
from adieu.protocol.text import line
from adieu.session.recorder import FORMAT, VERSION


def read(text: str | bytes) -> Recording:
    """Read a recording.

    Raises:
        RecordingError: it is no recording, is too long, or of a later version; the message says which.
    """
    if len(text) > MAX_BYTES:
        raise RecordingError(f"too long; a recording has at most {MAX_BYTES} bytes")
    try:
        given = msgspec.json.decode(text, type=Recording)
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"no flight recording of adieu: {line(str(error), 200)}") from error
    if given.version > VERSION:
        raise RecordingError(f"version {given.version}; this program knows {FORMAT} up to version {VERSION}")
    return given
