"""MediaBlackhole: reads tracks, and drops what they give."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from adieu.compat.aiortc.mediastreams import MediaStreamError

if TYPE_CHECKING:
    from adieu.compat.aiortc.mediastreams import MediaStreamTrack


async def blackhole_consume(track: MediaStreamTrack) -> None:
    """Read a track until it ends."""
    while True:
        try:
            await track.recv()
        except MediaStreamError:
            return


class MediaBlackhole:
    """Reads tracks, and drops what they give."""

    def __init__(self) -> None:
        self._tracks: dict[MediaStreamTrack, asyncio.Task[None] | None] = {}

    def addTrack(self, track: MediaStreamTrack) -> None:
        """Read this track too, from `start` on."""
        self._tracks.setdefault(track, None)

    async def start(self) -> None:
        """Begin to read."""
        for track, task in self._tracks.items():
            if task is None:
                self._tracks[track] = asyncio.create_task(blackhole_consume(track))

    async def stop(self) -> None:
        """Read no further."""
        tasks = [task for task in self._tracks.values() if task is not None]
        self._tracks = {}
        for task in tasks:
            task.cancel()
