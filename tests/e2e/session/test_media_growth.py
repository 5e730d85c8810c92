"""A program that opens, renegotiates and closes calls for ever does not grow."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
from typing import Any

import pytest

import adieu
from adieu.driver import Driver
from adieu.media import AudioSink, AudioSource, VideoSink, VideoSource
from adieu.media.workers import IDLE, WORKERS
from adieu.testing import numbered, tones
from e2e.session.test_growth import MIB, descriptors, resident, threads

pytestmark = [pytest.mark.anyio]

MORE = 1_000_000
"""Bytes that a thousand calls may add. Twenty say nothing of memory: other tests have used this process before."""
FORMS = [
    pytest.param(10, 20, id="30"),
    pytest.param(200, 1000, id="1000", marks=[pytest.mark.matrix, pytest.mark.timeout(1500)]),
]


async def negotiate(one: Any, other: Any) -> None:
    await one.setLocalDescription()
    await other.setRemoteDescription(await one.gathered())
    await other.setLocalDescription()
    await one.setRemoteDescription(await other.gathered())


async def seen(track: adieu.MediaStreamTrack) -> None:
    """Wait for a picture of a remote track."""
    sink = VideoSink(track, format="gray")
    await anext(sink)
    sink.close()


async def heard(track: adieu.MediaStreamTrack) -> None:
    """Wait for sound of a remote track."""
    sink = AudioSink(track, sample_rate=16000)
    await anext(sink)
    sink.close()


async def call() -> None:
    """Speak and show, then show from the other side too and say nothing more, then close."""
    here, there = adieu.RTCPeerConnection(), adieu.RTCPeerConnection()
    speech, camera, other_camera = AudioSource(sample_rate=16000), VideoSource(), VideoSource()
    came: dict[str, adieu.MediaStreamTrack] = {}
    here.ontrack = lambda event: came.update(back=event.track)
    there.ontrack = lambda event: came.update({event.track.kind: event.track})
    voice = here.addTrack(speech.track)
    here.addTrack(camera.track)
    camera.push(numbered(1, 128, 96))
    other_camera.push(numbered(2, 128, 96))
    await negotiate(here, there)
    await asyncio.gather(speech.write(tones(2, sample_rate=16000)), heard(came["audio"]), seen(came["video"]))
    there.addTrack(other_camera.track)
    here.removeTrack(voice)
    await negotiate(there, here)
    await seen(came["back"])
    for pc in (here, there):
        pc.close()
        assert not await pc.wait_closed()


def left() -> tuple[int, ...]:
    """Count what calls could leave behind."""
    handles = Driver.current().handles
    own = (len(handles.connections), len(handles.transports), len(handles.media), len(asyncio.all_tasks()))
    return descriptors(), threads(), *own


def given_back() -> int:
    """Return the resident bytes after the allocator has given back its free ones: up to 2 MB, by chance."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim:
            trim(0)
    return resident()


async def calls(count: int) -> None:
    """Make so many calls, and let the codecs' threads end."""
    for _ in range(count):
        async with asyncio.timeout(30):
            await call()
    gc.collect()
    async with asyncio.timeout(IDLE + 5):
        while WORKERS.threads:
            await asyncio.sleep(0.1)
    await asyncio.sleep(0.5)  # a thread that has left the list takes a moment to end


@pytest.mark.parametrize(("first", "then"), FORMS)
async def test_calls_leave_nothing(monkeypatch: pytest.MonkeyPatch, first: int, then: int) -> None:
    monkeypatch.setattr(WORKERS, "_idle", 0.5)
    await calls(first)
    memory, counts = given_back(), left()
    await calls(then)
    more = given_back()
    print(f"{then} more calls: resident {memory / MIB:.2f}, then {more / MIB:.2f} MiB; {left()}")
    async with asyncio.timeout(10):
        while any(now > before for now, before in zip(left(), counts, strict=True)):
            await asyncio.sleep(0.1)
    assert then < 1000 or more - memory < MORE
