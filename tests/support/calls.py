"""Counts the calls of Python functions."""

from __future__ import annotations

import gc
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType


@contextmanager
def python_calls(belongs: Callable[[str], bool]) -> Iterator[list[CodeType]]:
    """The calls within the block of functions whose file `belongs`; a generator counts each time it goes on.

    What earlier tests have left behind is not collected within the block: its finalizers would count too.
    """
    calls: list[CodeType] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and belongs(frame.f_code.co_filename):
            calls.append(frame.f_code)

    collects = gc.isenabled()
    gc.disable()
    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)
        if collects:
            gc.enable()
