"""Counts the calls of Python functions; and keeps garbage out of what is measured."""

from __future__ import annotations

import gc
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage is collected meanwhile: what was left behind before takes no time and no call of what is measured."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@contextmanager
def python_calls(belongs: Callable[[str], bool]) -> Iterator[list[CodeType]]:
    """The calls within the block of functions whose file `belongs`; a generator counts each time it goes on."""
    calls: list[CodeType] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and belongs(frame.f_code.co_filename):
            calls.append(frame.f_code)

    with uncollected():
        sys.setprofile(note)
        try:
            yield calls
        finally:
            sys.setprofile(None)
