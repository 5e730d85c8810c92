"""MediaRelay: one track for several readers."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from adieu.compat.aiortc.mediastreams import MediaStreamError, MediaStreamTrack

if TYPE_CHECKING:
    from collections.abc import Callable

FRAMES: Final = 8
"""The most that waits for one reader; then the oldest is dropped."""


class RelayStreamTrack(MediaStreamTrack):
    """One of several tracks that give the same. `MediaRelay.subscribe` makes it."""

    def __init__(
        self,
        source: MediaStreamTrack,
        frames: int,
        start: Callable[[RelayStreamTrack], None],
        leave: Callable[[RelayStreamTrack], None],
    ) -> None:
        super().__init__()
        self.kind: str = source.kind
        self.ready: str | None = source.ready
        self._begin, self._leave = start, leave
        self._waiting: deque[Any] = deque(maxlen=frames)
        self._arrived = asyncio.Event()
        self._over = False

    async def recv(self) -> Any:
        """Return the next frame of the source.

        Raises:
            MediaStreamError: the track, or its source, has ended.

        Cancellation: no frame is lost.
        """
        while self.readyState == "live":
            self._arrived.clear()
            self._begin(self)
            if self._waiting:
                return self._waiting.popleft()
            if self._over:
                self.stop()
                break
            await self._arrived.wait()
        raise MediaStreamError(f"{self!r} has ended")

    def put(self, frame: Any) -> None:
        """Take a frame of the source."""
        self._waiting.append(frame)
        self._arrived.set()

    def finish(self) -> None:
        """The source has ended: end when all that waits is read."""
        self._over = True
        self._arrived.set()

    def stop(self) -> None:
        """End it. The source goes on for the others."""
        super().stop()
        self._leave(self)
        self._waiting.clear()
        self._arrived.set()


class MediaRelay:
    """Gives a track to several readers.

    A reader that is too slow loses the oldest frames, and holds up nobody. The source is read while there is a reader.
    """

    def __init__(self) -> None:
        self._readers: dict[MediaStreamTrack, list[RelayStreamTrack]] = {}
        self._tasks: dict[MediaStreamTrack, asyncio.Task[None]] = {}

    def subscribe(self, track: MediaStreamTrack, buffered: bool = True) -> MediaStreamTrack:
        """Return another track of this one.

        Args:
            track: the source.
            buffered: keep 8 frames for a reader that is late for a moment; else only the newest.
        """
        return RelayStreamTrack(
            track,
            FRAMES if buffered else 1,
            lambda proxy: self._start(track, proxy),
            lambda proxy: self._leave(track, proxy),
        )

    def _start(self, track: MediaStreamTrack, proxy: RelayStreamTrack) -> None:
        readers = self._readers.setdefault(track, [])
        if proxy not in readers:
            if track.readyState == "ended":
                proxy.finish()
                return
            readers.append(proxy)
        if track not in self._tasks:
            self._tasks[track] = asyncio.create_task(self._run(track))

    def _leave(self, track: MediaStreamTrack, proxy: RelayStreamTrack) -> None:
        readers = self._readers.get(track, [])
        if proxy in readers:
            readers.remove(proxy)
        if not readers:
            self._readers.pop(track, None)
            task = self._tasks.pop(track, None)
            if task is not None and task is not asyncio.current_task():
                task.cancel()

    async def _run(self, track: MediaStreamTrack) -> None:
        try:
            while track in self._readers:
                frame = await track.recv()
                for proxy in tuple(self._readers.get(track, ())):
                    proxy.put(frame)
        except MediaStreamError:
            pass
        finally:
            if self._tasks.get(track) is asyncio.current_task():
                del self._tasks[track]
                for proxy in self._readers.pop(track, ()):
                    proxy.finish()
