"""Pictures in the forms that programs have them: arrays, whatever has the buffer protocol, and PyAV's frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    import av
    from typing_extensions import Buffer

BYTES: Final = {"rgb24": 3, "bgr24": 3, "rgba": 4, "bgra": 4, "gray": 1}
"""Bytes of a pixel, of the formats that have all of it in one place."""
FORMATS: Final = (*BYTES, "yuv420p")
BY_DEPTH: Final = {1: "gray", 3: "rgb24", 4: "rgba"}
"""The format of an array without one."""
SIDES: Final = (2, 8192)
"""Pixels: the shortest and the longest side of a picture."""


def pyav() -> Any:
    """Return PyAV, which encodes, decodes and scales pictures.

    Raises:
        ImportError: it is not installed.
    """
    try:
        return import_module("av")
    except ImportError as error:
        raise ImportError(f"pictures need one package more: pip install 'adieu[video]' ({error})") from error


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """A picture that was received.

    Attributes:
        data: its pixels, without gaps between the lines. They are the program's own: they may be changed.
        width: in pixels. In "yuv420p" both sides are even: an odd last line or column is left out.
        height: in pixels.
        format: of the pixels: "rgb24", "bgr24", "rgba", "bgra", "gray" or "yuv420p".
        time: when it was taken, in seconds, on the same axis as the `time` of sound from the same computer.
        picture: the same as PyAV's frame, as it was decoded: most often in "yuv420p".
    """

    data: bytearray = field(repr=False)
    width: int
    height: int
    format: str
    time: float
    picture: av.VideoFrame = field(repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the pixels: (height, width, 3) or (…, 4); of "gray" (height, width).

        Of "yuv420p" it is (height * 3 / 2, width): all of Y, then U and V.
        """
        if self.format == "yuv420p":
            return self.height * 3 // 2, self.width
        depth = BYTES[self.format]
        return (self.height, self.width) if depth == 1 else (self.height, self.width, depth)

    @property
    def array(self) -> Any:
        """The pixels as an array of numpy: uint8, of the shape `shape`. It is no copy.

        Raises:
            ImportError: numpy is not installed.
        """
        try:
            np: Any = import_module("numpy")
        except ImportError as error:
            raise ImportError(f"frame.array needs numpy: pip install numpy; frame.data does not ({error})") from error
        return np.frombuffer(self.data, np.uint8).reshape(self.shape)


def check_format(format: str) -> None:  # noqa: A002 the word of the field
    """Raise ValueError if there are no pixels of this format."""
    if format not in FORMATS:
        raise ValueError(f"format={format!r}: one of {', '.join(FORMATS)}")


def picture_of(given: object, format: str | None) -> av.VideoFrame:  # noqa: A002 the word of the field
    """Return PyAV's frame of a picture. The pixels of an array are copied.

    Args:
        given: an array of uint8, or PyAV's frame, or a frame of a `VideoSink`.
        format: of the array's pixels; None: by its shape, gray, rgb24 or rgba.

    Raises:
        TypeError: it is not a picture.
        ValueError: its shape and the format do not fit, or it is too large.
    """
    if isinstance(given, pyav().VideoFrame):
        frame: Any = given
        _check_sides(frame.width, frame.height)
        return cast("av.VideoFrame", frame)
    if isinstance(given, VideoFrame):
        return _copied(memoryview(given.data), given.width, given.height, given.format)
    view = _view_of(given)
    shape = tuple(view.shape or ())
    depth = 1 if len(shape) == 2 else shape[2] if len(shape) == 3 else 0
    format = format or BY_DEPTH.get(depth)  # noqa: A001 see above
    if format is None and len(shape) == 3 and shape[0] in {1, 3, 4}:
        raise ValueError(
            f"a picture of the shape {shape} has its colors first: array.transpose(1, 2, 0) is (height, width, colors)"
        )
    if format is None or not shape:
        raise ValueError(
            f"a picture of the shape {shape}: (height, width, 3) for rgb24 and bgr24, (…, 4) for rgba and bgra, "
            "(height, width) for gray; memoryview(data).cast('B', (height, width, 3)) gives bytes a shape"
        )
    check_format(format)
    planar = format == "yuv420p"
    height, width = (shape[0] * 2 // 3, shape[1]) if planar and depth == 1 else (shape[0], shape[1])
    if depth != BYTES.get(format, 1) or (planar and (width % 2 or height % 2 or shape[0] % 3)):
        wanted = "(height * 3 / 2, width), both even" if planar else f"(height, width, {BYTES[format]})"
        raise ValueError(f"a picture of the shape {shape} is no {format}: {wanted.replace(', 1)', ')')}")
    _check_sides(width, height)
    flat = (view if view.c_contiguous else memoryview(view.tobytes())).cast("B")
    return _copied(flat, width, height, format)


def _view_of(given: Any) -> memoryview:
    buffer: Buffer = given
    try:
        view = memoryview(buffer)
    except TypeError:
        raise TypeError(f"a picture is an array of uint8, or a frame of PyAV, not {type(given).__name__}") from None
    kind = view.format.lstrip("@=<>")
    if kind != "B":
        name = getattr(view.obj, "dtype", repr(view.format))
        scaled = ", (array * 255).astype('uint8') if they are from 0 to 1" if kind in {"d", "e", "f"} else ""
        raise TypeError(f"these pixels are {name}; pictures are uint8: array.astype('uint8') makes it that{scaled}")
    return view


def _check_sides(width: int, height: int) -> None:
    if not (SIDES[0] <= width <= SIDES[1] and SIDES[0] <= height <= SIDES[1]):
        raise ValueError(f"a picture of {width}x{height}: each side has {SIDES[0]} to {SIDES[1]} pixels")


def _lines(width: int, height: int, format: str) -> list[tuple[int, int]]:  # noqa: A002 the word of the field
    """Return the bytes of a line and the number of lines, of each plane."""
    if format == "yuv420p":
        half = ((width + 1) // 2, (height + 1) // 2)
        return [(width, height), half, half]
    return [(width * BYTES[format], height)]


def _copied(pixels: memoryview, width: int, height: int, format: str) -> av.VideoFrame:  # noqa: A002
    frame: av.VideoFrame = pyav().VideoFrame(width, height, format)
    at = 0
    for plane, (line, lines) in zip(frame.planes, _lines(width, height, format), strict=True):
        target, step = memoryview(plane), plane.line_size
        if step == line:
            target[: line * lines] = pixels[at : at + line * lines]
        else:
            for index in range(lines):
                start = at + index * line
                target[index * step : index * step + line] = pixels[start : start + line]
        at += line * lines
    return frame


class Scaler:
    """Changes the size and the format of pictures. It is used by one thread at a time.

    PyAV keeps one in each picture too: two threads that scale the same picture would use it at once.
    """

    def __init__(self) -> None:
        self._reformatter: Any = pyav().video.reformatter.VideoReformatter()

    def frame(self, picture: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
        """Return a frame of its own, in "yuv420p", of this size: encoders change it, and others may have the other."""
        if (picture.format.name, picture.width, picture.height) == ("yuv420p", width, height):
            return _copied(memoryview(_packed(picture, width, height)), width, height, "yuv420p")
        frame: av.VideoFrame = self._reformatter.reformat(picture, width, height, "yuv420p")
        return frame

    def pixels(self, picture: av.VideoFrame, format: str) -> tuple[bytearray, int, int]:  # noqa: A002 see above
        """Return the pixels in this format, without gaps, and their width and height: even in "yuv420p".

        Raises:
            ValueError: a side of one pixel cannot be even.
        """
        same = picture.format.name == format
        frame: av.VideoFrame = picture if same else self._reformatter.reformat(picture, format=format)
        step = 2 if format == "yuv420p" else 1
        width, height = frame.width // step * step, frame.height // step * step
        if not width or not height:
            raise ValueError(f"a picture of {frame.width}x{frame.height} in yuv420p: each side has at least 2 pixels")
        return _packed(frame, width, height), width, height


def _packed(frame: av.VideoFrame, width: int, height: int) -> bytearray:
    """Return the pixels without gaps, up to this column and line."""
    pixels = bytearray()
    for plane, (line, lines) in zip(frame.planes, _lines(width, height, frame.format.name), strict=True):
        source, step = memoryview(plane), plane.line_size
        if step == line:
            pixels += source[: line * lines]
        else:
            for index in range(lines):
                pixels += source[index * step : index * step + line]
    return pixels


def black(width: int, height: int) -> av.VideoFrame:
    """Return a black picture."""
    frame: av.VideoFrame = pyav().VideoFrame(width, height, "yuv420p")
    for plane, level in zip(frame.planes, (16, 128, 128), strict=True):
        plane.update(bytes([level]) * plane.buffer_size)
    return frame
