"""Media files, devices, and one track for several readers."""

from __future__ import annotations

from adieu.compat.aiortc.contrib.blackhole import MediaBlackhole
from adieu.compat.aiortc.contrib.player import MediaPlayer, PlayerStreamTrack
from adieu.compat.aiortc.contrib.recorder import MediaRecorder
from adieu.compat.aiortc.contrib.relay import MediaRelay, RelayStreamTrack
from adieu.compat.aiortc.frames import pyav
from adieu.compat.aiortc.mediastreams import AUDIO_PTIME, MediaStreamError, MediaStreamTrack

__all__ = [
    "AUDIO_PTIME",
    "MediaBlackhole",
    "MediaPlayer",
    "MediaRecorder",
    "MediaRelay",
    "MediaStreamError",
    "MediaStreamTrack",
    "PlayerStreamTrack",
    "RelayStreamTrack",
]


def __getattr__(name: str) -> object:
    if name in {"AudioFrame", "VideoFrame"}:  # programs import them from here too
        return getattr(pyav(), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
