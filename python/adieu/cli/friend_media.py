"""The picture and the voice of the echo friend, for a visitor with a camera or a microphone."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import adieu
from adieu.errors import SessionClosedError
from adieu.media import AudioSource, VideoSource
from adieu.testing import numbered, voice

if TYPE_CHECKING:
    from adieu.session import Session

SIZE = (320, 240)
RATE = 15
"""Pictures a second."""
RECEIVES = {"sendrecv", "recvonly"}


class Appearance:
    """A moving picture and a voice, from the first track of the other side until `end`."""

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self._name = name
        self._tasks: list[asyncio.Task[None]] = []
        session.on("track", lambda _: self._begin())
        pc = session.pc
        if pc is not None and any(known.currentDirection in RECEIVES for known in pc.getTransceivers()):
            self._begin()  # it came with the connection, before anybody could ask for it

    def _begin(self) -> None:
        if self._tasks:
            return
        stream = adieu.MediaStream()
        with suppress(SessionClosedError):  # it is being closed meanwhile
            speech = AudioSource(sample_rate=24000)
            self._session.add_track(speech.track, stream)
            self._tasks.append(asyncio.create_task(self._speak(speech)))
            with suppress(ImportError):  # without the extra there is a voice alone
                camera = VideoSource()
                self._session.add_track(camera.track, stream)
                self._tasks.append(asyncio.create_task(_move(camera)))

    async def _speak(self, speech: AudioSource) -> None:
        with suppress(adieu.InvalidStateError):  # the session ends meanwhile
            for piece in voice(f"hello. i am {self._name}.", sample_rate=speech.sample_rate):
                await speech.write(piece)
                await asyncio.sleep(0)

    async def end(self) -> None:
        """End both."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


async def _move(camera: VideoSource) -> None:
    number = 0
    while True:
        camera.push(numbered(number, *SIZE))
        number += 1
        await asyncio.sleep(1 / RATE)
