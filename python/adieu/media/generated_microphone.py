"""The sound of the generated microphone: a soft tone, so that somebody who listens hears that it works."""

from __future__ import annotations

import math
from array import array
from typing import Final

from adieu.driver import Driver

SAMPLE_RATE: Final = 48000
PITCH: Final = 440
"""Hertz. A whole number of waves a second: one second follows the other without a click."""
LOUDNESS: Final = 0.1
"""The part of the loudest sample there can be."""
SAMPLE_SIZE: Final = 2
"""Bytes."""
QUEUED: Final = 2.0
"""Seconds that are made ahead: an event loop that is blocked for less is not heard."""


class GeneratedSound:
    """A source that never ends and has no clock of its own: the core takes what is due (`Feed`).

    Attributes:
        core: the sound that the senders of its tracks send.
    """

    def __init__(self) -> None:
        self._driver = Driver.current()
        self._holders: set[object] = set()
        self._second = memoryview(_second())
        self._at = 0
        self.core: Final = self._driver.core.audio_source(SAMPLE_RATE, 1, QUEUED)

    @property
    def queued(self) -> float:
        """No seconds that would be missed at the end, as with a real microphone."""
        return 0.0

    def hold(self, who: object) -> None:
        """Begin with the first sender."""
        self._holders.add(who)
        self._driver.handles.media[self.core.handle] = self
        self.handle_room()

    def let_go(self, who: object) -> None:
        """Rest after the last sender."""
        self._holders.discard(who)
        if not self._holders:
            self._driver.handles.media.pop(self.core.handle, None)

    def finish(self, who: object) -> None:
        """Note that a session is closing: nothing of this sound has to be heard to its end."""

    async def drained(self, arrived: bool = False) -> None:
        """Return at once: nothing of this sound has to be heard to its end."""

    def handle_room(self) -> None:
        """Fill the queue. It tells again when half of it is free."""
        while taken := self.core.write(self._second[SAMPLE_SIZE * self._at :]):
            self._at = (self._at + taken) % SAMPLE_RATE

    def release(self) -> None:
        """Close it: its last track has ended."""
        self._driver.handles.media.pop(self.core.handle, None)
        self.core.clear()
        self.core.close()


def _second() -> bytes:
    step = math.tau * PITCH / SAMPLE_RATE
    return array("h", (round(32767 * LOUDNESS * math.sin(step * index)) for index in range(SAMPLE_RATE))).tobytes()
