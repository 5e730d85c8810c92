"""Pictures of H264 fit the level of the peer."""

from __future__ import annotations

import pytest

from adieu.media.h264_level import MACROBLOCKS, PER_SECOND, framerate_within_level, level_of, within_level


@pytest.mark.parametrize(
    ("fmtp", "level"),
    [
        ("profile-level-id=42e00a", 10),
        ("packetization-mode=1; Profile-Level-Id=640C34", 52),
        ("", 31),
        ("profile-level-id=", 31),
        ("profile-level-id=42e0zz", 31),
        ("profile-level-id=42e0ff", 31),
    ],
)
def test_a_level_is_read_and_browsers_default_is_taken_for_nonsense(fmtp: str, level: int) -> None:
    assert level_of(fmtp) == level


@pytest.mark.parametrize("level", MACROBLOCKS)
@pytest.mark.parametrize("size", [(1920, 1080), (640, 480), (2, 2), (8192, 2), (2, 8192), (8192, 8192)])
def test_a_picture_has_at_most_the_macroblocks_of_its_level_and_keeps_its_shape(
    level: int, size: tuple[int, int]
) -> None:
    width, height = within_level(*size, f"profile-level-id=42e0{level:02x}")
    most = MACROBLOCKS[level]
    assert -(-width // 16) * -(-height // 16) <= most
    assert width % 2 == height % 2 == 0
    assert (width, height) == size or width * height > 0.5 * 256 * most or min(size) == 2
    if min(size) > 2:
        assert width / height == pytest.approx(size[0] / size[1], rel=0.05)


def test_a_picture_that_fits_is_left_as_it_is() -> None:
    assert within_level(1280, 720, "profile-level-id=42e01f") == (1280, 720)
    assert within_level(1920, 1080, "profile-level-id=42e01f") != (1920, 1080)


def test_a_second_has_at_most_the_macroblocks_of_its_level() -> None:
    assert framerate_within_level(1280, 720, "profile-level-id=42e01f") == 30.0
    assert framerate_within_level(640, 480, "profile-level-id=42e01f") == 90.0
    assert PER_SECOND.keys() == MACROBLOCKS.keys()
