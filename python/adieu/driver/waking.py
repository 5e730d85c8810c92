"""How the core wakes an event loop.

The core's event queue has a descriptor that is readable while there is something in it. An event loop with `add_reader`
waits for it itself. The default loop of Windows does not have that: there a thread waits, and tells the loop.
"""

from __future__ import annotations

import selectors
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from adieu import _core

LOOKS: Final = 5.0
"""Seconds between looks at a loop whether it was closed."""


def watch(loop: asyncio.AbstractEventLoop, core: _core.EventQueue, wake: Callable[[], None]) -> Callable[[], None]:
    """Have `wake` called in the event loop whenever the core has something.

    Returns:
        A function that ends it; close the core's queue after it.

    Raises:
        OSError: the system refuses to wait for it.
        RuntimeError: the system has no thread left.
    """
    descriptor = core.fileno()
    try:
        loop.add_reader(descriptor, wake)
    except NotImplementedError:
        return _Thread(loop, core, wake).end

    def end() -> None:
        if not loop.is_closed():
            loop.remove_reader(descriptor)

    return end


class _Thread:
    """Waits for a loop that cannot, and keeps the queue until it sees that the loop has ended."""

    def __init__(self, loop: asyncio.AbstractEventLoop, core: _core.EventQueue, wake: Callable[[], None]) -> None:
        self._loop = loop
        self._core = core
        self._wake = wake
        self._ended = False
        self._seen = threading.Event()
        # A daemon: as the program ends, the core waits for last words, and nobody for this thread.
        threading.Thread(target=self._run, name="adieu-wake", daemon=True).start()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._core.fileno(), selectors.EVENT_READ)
            while True:
                found = selector.select(LOOKS)
                if self._ended or self._loop.is_closed():
                    return
                if not found:
                    continue
                self._seen.clear()
                try:
                    self._loop.call_soon_threadsafe(self._tell)
                except RuntimeError:  # it is closed
                    return
                # It stays readable until the loop has looked.
                while not self._seen.wait(LOOKS) and not self._loop.is_closed():
                    pass

    def _tell(self) -> None:
        try:
            if not self._ended:
                self._wake()
        finally:
            self._seen.set()

    def end(self) -> None:
        self._ended = True
