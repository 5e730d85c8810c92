"""MediaStream. https://www.w3.org/TR/mediacapture-streams/#mediastream"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, overload

from adieu.events import Event, EventHandler, EventTarget
from adieu.webrtc.dictionaries import dictionary, is_list
from adieu.webrtc.media_stream_track import MediaStreamTrack, no_track

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adieu.events import Handler
    from adieu.jsep import Kind


@dataclass(frozen=True, slots=True)
class MediaStreamTrackEventInit:
    """The members of an addtrack or removetrack event; track is required."""

    track: MediaStreamTrack

    def __post_init__(self) -> None:
        track: Any = self.track
        if not isinstance(track, MediaStreamTrack):
            raise TypeError(f"MediaStreamTrackEventInit.track is {track!r}, not a MediaStreamTrack")


class MediaStreamTrackEvent(Event):
    """A track has come to a stream, or has left it.

    Args:
        type: "addtrack" or "removetrack".
        eventInitDict: a mapping, or the member as a keyword: `track`.
    """

    __slots__ = ("_init",)

    def __init__(self, type: str, eventInitDict: object = None, **members: Any) -> None:
        super().__init__(type)
        self._init = dictionary(MediaStreamTrackEventInit, eventInitDict, members)

    @property
    def track(self) -> MediaStreamTrack:
        """The track."""
        return self._init.track


@dataclass(slots=True, eq=False)
class StreamInternals:
    """The internals of a stream: a connection sets those of the other side's streams."""

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    tracks: dict[MediaStreamTrack, None] = field(default_factory=dict[MediaStreamTrack, None])
    stream: MediaStream | None = None

    def add(self, track: MediaStreamTrack) -> None:
        """Mediacapture-streams, add a track, by the user agent."""
        if track not in self.tracks:
            self.tracks[track] = None
            if self.stream is not None:
                self.stream.dispatchEvent(MediaStreamTrackEvent("addtrack", track=track))

    def remove(self, track: MediaStreamTrack) -> None:
        """Mediacapture-streams, remove a track, by the user agent."""
        if track in self.tracks:
            del self.tracks[track]
            if self.stream is not None:
                self.stream.dispatchEvent(MediaStreamTrackEvent("removetrack", track=track))


class MediaStream(EventTarget):
    """Tracks that belong together.

    Args:
        tracks: a list of tracks, or a stream with the tracks; empty by default.

    Events: `addtrack`, `removetrack`: only for changes by the connection, not for the program's own calls.

    Thread safety: use it in the thread of its event loop.
    """

    __slots__ = ("_internals",)

    onaddtrack: EventHandler[MediaStreamTrackEvent] = EventHandler("addtrack")
    onremovetrack: EventHandler[MediaStreamTrackEvent] = EventHandler("removetrack")

    if TYPE_CHECKING:

        @overload
        def addEventListener(
            self,
            type: Literal["addtrack", "removetrack"],
            callback: Handler[MediaStreamTrackEvent],
            options: bool | Mapping[str, Any] | None = None,
            *,
            once: bool = False,
        ) -> None: ...
        @overload
        def addEventListener(
            self,
            type: str,
            callback: Handler[Event],
            options: bool | Mapping[str, Any] | None = None,
            *,
            once: bool = False,
        ) -> None: ...
        def addEventListener(
            self,
            type: str,
            callback: Handler[Any],
            options: bool | Mapping[str, Any] | None = None,
            *,
            once: bool = False,
        ) -> None:
            """See EventTarget."""

    def __init__(self, tracks: MediaStream | Sequence[MediaStreamTrack] = ()) -> None:
        super().__init__()
        given: Any = tracks.getTracks() if isinstance(tracks, MediaStream) else tracks
        if not is_list(given):
            raise TypeError(f"MediaStream takes a stream or a list of tracks, not {given!r}")
        self._internals = StreamInternals(stream=self)
        for track in given:
            self.addTrack(track)

    @classmethod
    def of(cls, internals: StreamInternals) -> MediaStream:
        """Return a new object that shows these internals."""
        stream = cls()
        stream._internals = internals
        internals.stream = stream
        return stream

    @property
    def id(self) -> str:
        """The id. The other side of a connection has a stream with the same id."""
        return self._internals.id

    @property
    def active(self) -> bool:
        """Whether one of its tracks is live."""
        return any(track.readyState == "live" for track in self._internals.tracks)

    def getTracks(self) -> list[MediaStreamTrack]:
        """Return all tracks, in the order in which they came."""
        return list(self._internals.tracks)

    def getAudioTracks(self) -> list[MediaStreamTrack]:
        """Return the tracks of kind "audio"."""
        return self._of_kind("audio")

    def getVideoTracks(self) -> list[MediaStreamTrack]:
        """Return the tracks of kind "video"."""
        return self._of_kind("video")

    def getTrackById(self, trackId: str) -> MediaStreamTrack | None:
        """Return the track with this id."""
        return next((track for track in self._internals.tracks if track.id == trackId), None)

    def addTrack(self, track: MediaStreamTrack) -> None:
        """Add a track, if it is not in yet. No event is fired.

        Raises:
            TypeError: it is not a track.
        """
        self._internals.tracks.setdefault(_require_track(track))

    def removeTrack(self, track: MediaStreamTrack) -> None:
        """Remove a track, if it is in. No event is fired.

        Raises:
            TypeError: it is not a track.
        """
        self._internals.tracks.pop(_require_track(track), None)

    def clone(self) -> MediaStream:
        """Return another stream, with a clone of each track."""
        return MediaStream([track.clone() for track in self._internals.tracks])

    def _of_kind(self, kind: Kind) -> list[MediaStreamTrack]:
        return [track for track in self._internals.tracks if track.kind == kind]

    def __repr__(self) -> str:
        return f"<MediaStream {self.id}, {len(self._internals.tracks)} tracks>"


def _require_track(track: Any) -> MediaStreamTrack:
    if not isinstance(track, MediaStreamTrack):
        raise no_track(track)
    return track
