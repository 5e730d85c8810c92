"""What plays in a page: `<audio>` and `<video>` elements with a stream, without a loudspeaker or a screen.

An element plays as soon as each live track of its stream has given something: a remote one its first frame, one of this
page at once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from adieu.errors import NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from conformance.backends import Backend

AGAIN = 0.05
"""Seconds between two looks at the tracks of a stream."""


class Players:
    """The elements of one page that have a stream.

    Args:
        backend: where the sinks are.
        enter: runs a function of the page by its name.
    """

    def __init__(self, backend: Backend, enter: Callable[..., Any]) -> None:
        self._backend = backend
        self._enter = enter
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def play(self, element: int, stream: Any) -> None:
        """Play a stream in an element, in place of the one before; None: nothing."""
        if (before := self._tasks.pop(element, None)) is not None:
            before.cancel()
        if stream is not None:
            self._tasks[element] = asyncio.create_task(self._play(element, stream), name=f"element {element} plays")

    async def _play(self, element: int, stream: Any) -> None:
        playing: dict[Any, Player] = {}
        told = False
        async with asyncio.TaskGroup() as group:
            while True:
                live = [track for track in stream.getTracks() if track.readyState == "live"]
                for track in live:
                    if track not in playing:
                        playing[track] = Player(self._backend, track)
                        group.create_task(playing[track].run())
                if not told and live and all(playing[track].has_begun for track in live):
                    told = True
                    sizes = [playing[track].size for track in live if track.kind == "video"]
                    self._enter("playing", element, *(sizes[0] if sizes else (0, 0)))
                await asyncio.sleep(AGAIN)

    async def close(self) -> None:
        """End all."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Player:
    """Takes what one track gives, and drops it.

    Attributes:
        has_begun: whether it has given something.
        size: of its pictures, in pixels.
    """

    def __init__(self, backend: Backend, track: Any) -> None:
        self.has_begun = False
        self.size = (0, 0)
        self._track = track
        self._backend = backend

    def run(self) -> Coroutine[Any, Any, None]:
        """Take until the track ends."""
        return self._hear() if self._track.kind == "audio" else self._see()

    async def _hear(self) -> None:
        try:
            sink = self._backend.interface("AudioSink")(self._track)
        except NotSupportedError:
            self.has_begun = True
            return
        try:
            async for _ in sink:
                self.has_begun = True
        finally:
            sink.close()

    async def _see(self) -> None:
        try:
            sink = self._backend.interface("VideoSink")(self._track, "yuv420p")
        except NotSupportedError:
            settings = self._track.getSettings()
            self.size = (settings["width"], settings["height"])
            self.has_begun = True
            return
        try:
            async for frame in sink:
                self.size = (frame.width, frame.height)
                self.has_begun = True
        finally:
            sink.close()
