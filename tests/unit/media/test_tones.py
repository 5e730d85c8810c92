"""The tones that number sound: all are heard, and what is missing is missed."""

from __future__ import annotations

import random
from array import array

import pytest

from adieu.testing import ToneReader, tones, voice

RATE = 8000
EACH = 2 * RATE // 25
"""Bytes of a tone."""


def heard(sound: bytes, step: int = 320) -> list[int]:
    reader = ToneReader(RATE)
    for at in range(0, len(sound), step):
        reader.feed(sound[at : at + step], (at + step) / (2 * RATE))
    return [tone.number for tone in reader.heard]


def test_each_tone_is_heard_once_and_counted_on_over_the_pitches() -> None:
    assert heard(tones(80, sample_rate=RATE)) == list(range(80))


@pytest.mark.parametrize("shift", [1, 101])
def test_it_does_not_matter_where_the_windows_begin(shift: int) -> None:
    assert heard(bytes(2 * shift) + tones(20, sample_rate=RATE)) == list(range(20))


def test_noise_and_a_cut_in_a_tone_change_nothing() -> None:
    noise = random.Random(1)
    samples = array("h", tones(20, sample_rate=RATE))
    noisy = array("h", (max(-32768, min(32767, sample + round(noise.gauss(0, 1500)))) for sample in samples))
    del noisy[10 * 320 + 150 : 10 * 320 + 170]
    assert heard(noisy.tobytes()) == list(range(20))


@pytest.mark.parametrize("lost", [5, 14])
def test_a_tone_that_is_missing_or_replaced_by_the_one_before_is_missed(lost: int) -> None:
    whole = tones(20, sample_rate=RATE)
    silent = whole[: lost * EACH] + bytes(EACH) + whole[(lost + 1) * EACH :]
    repeated = whole[: lost * EACH] + whole[(lost - 1) * EACH : lost * EACH] + whole[(lost + 1) * EACH :]
    for sound in (silent, repeated):
        assert heard(sound) == [number for number in range(20) if number != lost]


def test_silence_is_no_tone() -> None:
    reader = ToneReader(RATE)
    assert reader.feed(bytes(RATE), 0.5) == []
    assert reader.last_sound is None


def test_the_time_of_a_tone_is_the_end_of_its_first_window() -> None:
    reader = ToneReader(RATE)
    found = reader.feed(tones(3, sample_rate=RATE), 10.0)
    assert [tone.time for tone in found] == pytest.approx([9.9, 9.94, 9.98])
    assert reader.last_sound == pytest.approx(10.0)


def test_too_few_samples_a_second_are_refused() -> None:
    with pytest.raises(ValueError, match="sample_rate=4000: tones need 8000"):
        tones(1, sample_rate=4000)


def test_a_voice_sounds_for_its_letters_and_pauses_between_words() -> None:
    pieces = list(voice("oh no", sample_rate=RATE))
    loud = [max(map(abs, array("h", piece))) > 3000 for piece in pieces]
    assert loud == [True, True, False, True, True]
    assert len(pieces[0]) == 2 * 720
