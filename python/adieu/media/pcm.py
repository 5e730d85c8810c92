"""Samples in the forms that programs have them: bytes, arrays, and whatever has the buffer protocol."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from typing_extensions import Buffer

BYTES: Final = frozenset({"B", "b", "c"})
NATIVE: Final = "<" if sys.byteorder == "little" else ">"
NAMES: Final = {
    "d": "float64", "e": "float16", "i": "int32", "l": "int64", "q": "int64", "H": "uint16", "I": "uint32",
}  # fmt: skip
RATES: Final = (8000, 192000)


def check_format(sample_rate: int, channels: int) -> None:
    """Raise ValueError if the core takes no sound of this rate, or of so many channels; TypeError if one is no int."""
    for name, value in (("sample_rate", sample_rate), ("channels", channels)):
        if not hasattr(value, "__index__"):
            raise TypeError(f"{name}={value!r}: a whole number; int({name}) makes it one")
    if not RATES[0] <= sample_rate <= RATES[1]:
        raise ValueError(f"sample_rate={sample_rate}: from {RATES[0]} to {RATES[1]} samples a second")
    if channels not in {1, 2}:
        raise ValueError(f"channels={channels}: 1 or 2")


def samples_of(pcm: Buffer, channels: int) -> memoryview[int] | memoryview[float]:
    """Return samples as a flat view of format "h" (int16) or "f" (float32), whole for all channels.

    Args:
        pcm: bytes of int16 in this computer's order, or a buffer of int16 or float32. One dimension, the channels in
            turn; or two, `(samples, channels)`.
        channels: of the sound.

    Raises:
        TypeError: it has no samples, or those of another type. An array of uint8 is refused: nobody can tell whether it
            is bytes of int16 or sound of 8 bits.
        ValueError: it does not divide into samples of so many channels.
    """
    try:
        view = memoryview(pcm)
    except TypeError:
        raise TypeError(
            f"sound is bytes (int16), or an array of int16 or float32, not {_short(pcm)} of {type(pcm).__name__}"
        ) from None
    if getattr(view.obj, "dtype", None) == "uint8":
        raise TypeError(
            "these samples are uint8; sound is int16 or float32: array.tobytes() if these are the bytes of int16, "
            "(array.astype('int16') - 128) * 256 if they are samples of 8 bits"
        )
    kind = view.format.lstrip("@=" + NATIVE) if len(view.format) > 1 else view.format
    if kind not in BYTES and kind not in {"h", "f"}:
        name = NAMES.get(kind, repr(view.format))
        raise TypeError(f"these samples are {name}; sound is int16 or float32: array.astype('float32') makes it that")
    _check_shape(view, channels)
    flat = (view if view.c_contiguous else memoryview(view.tobytes())).cast("B")
    if kind in BYTES and len(flat) % 2:
        raise ValueError(
            f"{len(flat)} bytes are no int16 samples, which have two each: keep the odd byte for the next write"
        )
    samples = flat.cast("f") if kind == "f" else flat.cast("h")
    if len(samples) % channels:
        raise ValueError(
            f"{len(samples)} samples cannot be divided into {channels} channels: "
            f"AudioSource(channels={channels}) takes a sample of each in turn"
        )
    return samples


def _check_shape(view: memoryview, channels: int) -> None:
    shape = tuple(view.shape or ())
    if len(shape) > 1 and shape[1:] != (channels,):
        remedy = ""
        if len(shape) == 2 and shape[0] == channels:
            remedy = ": array.T has them the right way round"
        elif len(shape) == 2 and shape[1] in {1, 2}:
            remedy = f": AudioSource(channels={shape[1]}) takes it"
        raise ValueError(f"samples of the shape {shape}, not (samples, {channels}){remedy}")


def check_finite(samples: memoryview[int] | memoryview[float], before: int) -> None:
    """Refuse float32 samples that are no numbers.

    Args:
        samples: of format "h" or "f".
        before: samples of the same write that were before these.

    Raises:
        ValueError: a sample is NaN or infinite; its place is named.
    """
    if samples.format != "f" or math.isfinite(sum(samples)):
        return
    for index, sample in enumerate(samples):
        if not math.isfinite(sample):
            raise ValueError(
                f"sample {before + index} is {sample}: sound is from -1.0 to 1.0 (numpy.nan_to_num() helps)"
            )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
