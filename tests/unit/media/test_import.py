"""Sound needs no extra, and pictures load theirs when they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

NAMES = """
import sys
import adieu
assert "adieu.media" not in sys.modules
for name in adieu.media.__all__:
    getattr(adieu.media, name)
import adieu.testing
adieu.testing.numbered
assert not {"numpy", "av"} & sys.modules.keys()
"""

MISSING = """
import asyncio, sys
sys.modules["av"] = None
import adieu

async def main():
    adieu.media.EncodedSource("video/H264")
    {use}

asyncio.run(main())
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], check=False, capture_output=True, text=True, timeout=60
    )


def test_names_load_neither_numpy_nor_pyav() -> None:
    done = run(NAMES)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("use", ["adieu.media.VideoSource()", "adieu.testing.numbered(1)"])
def test_without_pyav_the_error_names_the_remedy(use: str) -> None:
    assert (
        "ImportError: pictures need one package more: pip install 'adieu[video]'" in run(MISSING.format(use=use)).stderr
    )


def test_without_numpy_the_pixels_are_there_all_the_same() -> None:
    code = """
import sys
sys.modules["numpy"] = None
from adieu.media import VideoFrame
frame = VideoFrame(bytearray(12), 2, 2, "rgb24", 0.0, None)
assert memoryview(frame.data).cast("B", frame.shape).shape == (2, 2, 3)
frame.array
"""
    assert "ImportError: frame.array needs numpy: pip install numpy; frame.data does not" in run(code).stderr
