"""AudioSource: sound that a program speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adieu.media.pcm import check_finite, check_format, samples_of
from adieu.media.voice import Voice

if TYPE_CHECKING:
    from typing_extensions import Buffer

PIECE: Final = 1.0
"""Seconds that are handed to the core at once: the event loop goes on between two."""


class AudioSource(Voice):
    """A source of sound that a program feeds, at its own speed.

    ```python
    speech = adieu.media.AudioSource(sample_rate=24000)
    pc.addTrack(speech.track)
    await speech.write(pcm)
    ```

    The core keeps the time: it takes 20 ms from the queue when they are due, whether the event loop is free or not.
    While the queue is empty, silence is sent. Sound that is written before a connection is there waits for it.

    Args:
        sample_rate: samples a second, 8000 to 192000.
        channels: 1 or 2.
        max_seconds: the most that is queued, in seconds, 0.02 to 60; then `write` waits.

    Raises:
        ValueError: a number is out of its range.

    Thread safety: of one event loop, that in which it is made.
    """

    def __init__(self, sample_rate: int = 48000, channels: int = 1, max_seconds: float = 10.0) -> None:
        check_format(sample_rate, channels)
        self.sample_rate: Final = sample_rate
        self.channels: Final = channels
        settings = {"sampleRate": sample_rate, "channelCount": channels, "sampleSize": 16}
        super().__init__("sound of this program", settings, max_seconds)

    async def write(self, pcm: Buffer) -> None:
        """Queue sound, after what is queued already. Return when all of it is queued.

        While more than `max_seconds` are queued this waits: a program that makes sound faster than it is heard needs no
        clock of its own. `clear()` ends a write that waits: the rest of it is dropped. Several writes at a time are
        spoken in the order of their calls.

        Args:
            pcm: any number of samples: bytes of int16 in this computer's order, or an array (numpy's too) of int16, or
                of float32 from -1.0 to 1.0; larger ones are clipped. Two channels: left and right in turn, or an array
                of the shape (samples, 2).

        Raises:
            TypeError: it is not sound.
            ValueError: it does not divide into samples, or a sample is not a number.
            InvalidStateError: the source has ended, the connections that sent it are closed, or the session is closing.

        Cancellation: a part of it may be queued.
        """
        self._driver.require_thread("AudioSource.write()")
        samples = samples_of(pcm, self.channels)
        self._check_writable()
        clears, at = self._clears, 0
        piece = round(PIECE * self.sample_rate) * self.channels
        self._waiting += len(samples) // self.channels
        try:
            async with self._turn:
                while at < len(samples) and clears == self._clears:
                    self._check_writable()
                    given = samples[at : at + piece]
                    check_finite(given, at)
                    taken = self._core.write(given) * self.channels
                    at += taken
                    self._waiting -= taken // self.channels
                    if taken < len(given):
                        await self._wait_for_room()
        finally:
            self._waiting -= (len(samples) - at) // self.channels

    def _label(self) -> str:
        return f"AudioSource {self.sample_rate} Hz"
