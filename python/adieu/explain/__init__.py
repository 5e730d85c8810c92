"""Explains flight recordings: why a close, a reset or a recovery took its time. `adieu explain` is its command.

Pure code: it takes texts, and returns sentences and a picture.
"""

from adieu.explain.picture import draw
from adieu.explain.reading import read
from adieu.explain.recording import Recording, RecordingError
from adieu.explain.story import Story, tell

__all__ = ["Recording", "RecordingError", "Story", "draw", "read", "tell"]
