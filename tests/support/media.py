"""Tracks and streams without devices."""

from __future__ import annotations

from adieu import MediaStream, MediaStreamTrack
from adieu.webrtc.media_stream_track import TrackInternals, TrackSource


def track(kind: str = "audio") -> MediaStreamTrack:
    return MediaStreamTrack(TrackInternals(kind, TrackSource(f"a test's {kind}")))


def stream(*kinds: str) -> MediaStream:
    return MediaStream([track(kind) for kind in kinds])
