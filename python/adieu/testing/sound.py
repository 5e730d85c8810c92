"""Sound that carries its number, and a voice that says nothing, for tests and examples.

Tone `n` sounds for 40 ms, at one of 64 pitches. A codec changes samples, but no pitch: who hears the sound knows which
tones came, when, and which are missing. Everything here is plain Python, slow and without any dependency.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from functools import cache
from operator import mul
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PITCHES: Final = 64
LOWEST: Final = 500.0
"""Hertz: the pitch of tone 0."""
STEP: Final = 50.0
"""Hertz between two pitches: a window of 20 ms tells them apart."""
SECONDS: Final = 0.04
"""The length of a tone."""
LOUDNESS: Final = 0.3
"""The part of the loudest sample there can be."""
PURE: Final = 0.6
"""The share of the power of a window that one pitch must have: a playout that stretches time cuts within tones."""
QUIET: Final = 0.01
"""Below this mean loudness a window is silent."""


def pitch(number: int) -> float:
    """Return the frequency of tone `number`, in Hz."""
    return LOWEST + STEP * (number % PITCHES)


def tones(count: int, *, first: int = 0, sample_rate: int = 48000) -> bytes:
    """Return the sound of tones `first` to `first + count - 1`, one after the other, without clicks.

    Args:
        count: how many tones, of 40 ms each.
        first: the number of the first one.
        sample_rate: samples a second; 8000 at least.

    Returns:
        Samples of one channel, as int16 in the byte order of this computer.
    """
    if sample_rate < 8000:
        raise ValueError(f"sample_rate={sample_rate}: tones need 8000 at least")
    samples = array("h")
    phase = 0.0
    each = round(SECONDS * sample_rate)
    for number in range(first, first + count):
        step = math.tau * pitch(number) / sample_rate
        samples.extend(round(32767 * LOUDNESS * math.sin(phase + step * index)) for index in range(each))
        phase = math.fmod(phase + step * each, math.tau)
    return samples.tobytes()


@dataclass(frozen=True, slots=True)
class Heard:
    """A tone that was heard.

    Attributes:
        number: its number, counted on over the 64 pitches.
        time: when it was heard: the end of the window that shows it, in seconds of the time that was given.
    """

    number: int
    time: float


class ToneReader:
    """Hears which tones are in a sound.

    Args:
        sample_rate: of the sound, in samples a second; 8000 is enough, and fast.
        first: the number of the first tone that may come. A tone is looked for at most half of the pitches before and
            after the one that was heard last.

    Attributes:
        heard: the tones so far, each once, in order.
        last_sound: the end of the last window that was not silent, in seconds of the time that was given.
    """

    def __init__(self, sample_rate: int = 8000, *, first: int = 0) -> None:
        self.heard: list[Heard] = []
        self.last_sound: float | None = None
        self._rate = sample_rate
        self._next = first
        self._held = array("h")
        self._window = sample_rate // 50
        self._hop = sample_rate // 100

    def feed(self, data: bytes, time: float) -> list[Heard]:
        """Take samples of one channel (int16).

        Args:
            data: the samples.
            time: when the last of them is heard, in seconds.

        Returns:
            The tones that were heard in them for the first time.
        """
        self._held.frombytes(data)
        before = len(self.heard)
        while len(self._held) >= self._window:
            window = self._held[: self._window]
            del self._held[: self._hop]
            self._look(window, time - (len(self._held) - (self._window - self._hop)) / self._rate)
        return self.heard[before:]

    def _look(self, window: array[int], time: float) -> None:
        samples = [sample / 32768 for sample in window]
        power = math.fsum(map(mul, samples, samples))
        if power / len(samples) < QUIET**2:
            return
        self.last_sound = time
        best, number = max(
            (math.fsum(map(mul, samples, cosine)) ** 2 + math.fsum(map(mul, samples, sine)) ** 2, number)
            for number, (cosine, sine) in enumerate(_waves(self._rate))
        )
        if best * 2 / len(samples) < PURE * power:
            return  # two tones in one window, or none
        number = self._next + (number - self._next + PITCHES // 2) % PITCHES - PITCHES // 2
        if not self.heard or number > self.heard[-1].number:
            self.heard.append(Heard(number, time))
            self._next = number


@cache
def _waves(rate: int) -> list[tuple[list[float], list[float]]]:
    found: list[tuple[list[float], list[float]]] = []
    for number in range(PITCHES):
        angles = [math.tau * pitch(number) * index / rate for index in range(rate // 50)]
        found.append(([math.cos(angle) for angle in angles], [math.sin(angle) for angle in angles]))
    return found


# --- a voice -----------

_VOWELS: Final = {"a": (730, 1090), "e": (530, 1840), "i": (270, 2290), "o": (570, 840), "u": (300, 870)}
"""The two lowest formants, in Hz (G. Peterson and H. Barney, 1952)."""
_PAUSES: Final = {" ": 0.06, ",": 0.2, ".": 0.35, "!": 0.35, "?": 0.35}
_SOUND: Final = 0.09


def voice(text: str, *, sample_rate: int = 24000) -> Iterator[bytes]:
    """Say a text, roughly: vowels sound, consonants hum between them. It takes the place of a speech synthesiser.

    Args:
        text: the words.
        sample_rate: samples a second.

    Yields:
        The sound of one letter after the other: int16 samples of one channel, of 60 to 350 ms.
    """
    phase = 0.0
    for letter in text.lower():
        seconds = _PAUSES.get(letter, _SOUND)
        count = round(seconds * sample_rate)
        if letter in _PAUSES:
            yield bytes(2 * count)
            continue
        formants = _VOWELS.get(letter, (250, 1400))
        loudness = 0.5 if letter in _VOWELS else 0.2
        tune = 110 + 25 * math.sin(phase / 900)
        gains = [(k, sum(0.25 / (1 + ((tune * k - formant) / 120) ** 2) for formant in formants)) for k in range(1, 24)]
        samples = array("h")
        for index in range(count):
            phase += math.tau * tune / sample_rate
            swell = math.sin(math.pi * index / count)
            wave = sum(gain * math.sin(k * phase) for k, gain in gains)
            samples.append(round(32767 * loudness * swell * max(-1.0, min(1.0, wave))))
        yield samples.tobytes()
