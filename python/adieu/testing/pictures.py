"""Pictures that carry their number, for tests and examples.

The number is in 16 blocks of 16x16 pixels in the upper left corner, white for 1 and black for 0, the lowest bit first.
A codec changes pixels, but no block: who sees the picture knows which one it is. Everything here needs PyAV, and no
numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adieu.media.pictures import pyav

if TYPE_CHECKING:
    import av

BITS: Final = 16
BLOCK: Final = 16
"""Pixels: a side of a block."""
ROW: Final = 8
"""Blocks side by side."""
DARK, LIGHT = 16, 235
SMALLEST: Final = (ROW * BLOCK, BITS // ROW * BLOCK)


def numbered(number: int, width: int = 640, height: int = 480, *, busy: bool = False) -> av.VideoFrame:
    """Return picture `number`: its number, and below it bars that move.

    Args:
        number: from 0; of larger ones than 65535 the lower 16 bits are shown.
        width: in pixels; 128 at least.
        height: in pixels; 32 at least.
        busy: whether the picture is hard to encode: each line moves by itself.

    Raises:
        ImportError: PyAV is not installed.
    """
    if width < SMALLEST[0] or height < SMALLEST[1]:
        raise ValueError(f"a picture of {width}x{height}: numbers need {SMALLEST[0]}x{SMALLEST[1]} at least")
    frame: av.VideoFrame = pyav().VideoFrame(width, height, "yuv420p")
    luma, *chroma = frame.planes
    step = luma.line_size
    lines = bytearray()
    bars = bytes(60 + (x // 16 * 37) % 120 for x in range(2 * width))
    top = SMALLEST[1]
    for y in range(height):
        shift = (number * (2 + y % 7 if busy else 4) + (y * y if busy else 0)) % width
        lines += bars[shift : shift + width] + bytes(step - width)
    for y in range(top):
        row = b"".join(bytes([LIGHT if number >> (y // BLOCK * ROW + x) & 1 else DARK]) * BLOCK for x in range(ROW))
        lines[y * step : y * step + len(row)] = row
    luma.update(bytes(lines))
    for plane in chroma:
        plane.update(bytes([128]) * plane.buffer_size)
    return frame


def number_of(luma: memoryview | bytes | bytearray, line: int, scale: float = 1.0) -> int | None:
    """Return the number that a picture carries; None if no number can be read.

    Args:
        luma: how bright each pixel is, line by line.
        line: bytes from one line to the next.
        scale: how large the picture is now, of the size in which it was made.
    """
    number = 0
    for bit in range(BITS):
        y, x = (round((place * BLOCK + BLOCK / 2) * scale) for place in divmod(bit, ROW))
        level = sum(luma[(y + dy) * line + x + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1)) / 9
        if 100 < level < 150:
            return None
        number |= (level > 125) << bit
    return number
