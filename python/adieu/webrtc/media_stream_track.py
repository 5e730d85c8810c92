"""MediaStreamTrack. https://www.w3.org/TR/mediacapture-streams/#mediastreamtrack

A track is a handle on a source. Clones share the source; it is released when the last of them ends.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, overload
from weakref import WeakKeyDictionary

from adieu.events import Event, EventHandler, EventTarget, end_events
from adieu.webrtc.constraints import Constraints, fit
from adieu.webrtc.dictionaries import boolean
from adieu.webrtc.tone_event import ToneEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from adieu import _core
    from adieu.driver import Driver
    from adieu.events import Handler
    from adieu.jsep import Kind
    from adieu.webrtc.video_sender import VideoFeed

MediaStreamTrackState: TypeAlias = Literal["live", "ended"]


class Feed(Protocol):
    """A program's own source of media: it knows its senders, so that nobody waits for one that is gone."""

    @property
    def queued(self) -> float:
        """The seconds that have not left yet."""
        ...

    def hold(self, who: object) -> None:
        """Note that a sender, or a session, sends it."""

    def let_go(self, who: object) -> None:
        """Note that this one no longer sends it. After the last one, each waiting call raises."""

    def finish(self, who: object) -> None:
        """Note that this one sends what is queued, and nothing that is written from now on."""

    async def drained(self, arrived: bool = False) -> None:
        """Wait until what is queued now has left."""


@dataclass(slots=True, eq=False)
class TrackSource:
    """The source of one or several tracks.

    Attributes:
        label: its name for people.
        capabilities: the supported values (see `constraints`).
        release: called when the last of its tracks has ended.
        live: how many of its tracks are live.
        audio: the sound that a program writes; None if the source is another one.
        feed: the program's object that writes it.
        video: the program's object that gives pictures; None if the source is another one.
        codec: the name of the codec in which it gives them; empty if it gives them as they are.
        decoder: the figures of the decoder, for getStats, of a remote video track that is read.
        receiver: the handle of the core's receiver, of a remote track; None before its description is answered.
        driver: of a remote track.
        when_received: called once, when `receiver` is set.
    """

    label: str = ""
    capabilities: Mapping[str, Any] = field(default_factory=dict[str, Any])
    release: Callable[[], None] | None = None
    live: int = 0
    audio: _core.AudioSource | None = None
    feed: Feed | None = None
    video: VideoFeed | None = None
    codec: str = ""
    decoder: dict[str, Any] = field(default_factory=dict[str, Any])
    receiver: int | None = None
    driver: Driver | None = None
    when_received: list[Callable[[], None]] = field(default_factory=list["Callable[[], None]"])
    _tracks: WeakKeyDictionary[TrackInternals, None] = field(
        default_factory=WeakKeyDictionary["TrackInternals", None], init=False
    )

    def add(self, track: TrackInternals) -> None:
        """Count a new track."""
        self.live += 1
        self._tracks[track] = None

    def tracks(self) -> list[TrackInternals]:
        """Return the live tracks, in the order in which they were made; not those that the program has dropped."""
        return list(self._tracks)

    def drop(self, track: TrackInternals) -> None:
        """Count an ended track, and release the source after the last one."""
        self._tracks.pop(track, None)
        self.live -= 1
        if not self.live and self.release is not None:
            self.release()


@dataclass(slots=True, eq=False, weakref_slot=True)
class TrackInternals:
    """The internals of a track: its maker sets them, the object shows them.

    `set_muted`, `tell_tone` and `end` tell what the source does. Clones follow, also if the track itself has ended.
    """

    kind: Kind
    source: TrackSource
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    state: MediaStreamTrackState = "live"
    enabled: bool = True
    muted: bool = False
    constraints: Constraints = field(default_factory=Constraints)
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    track: MediaStreamTrack | None = None
    when_stopped: list[Callable[[], None]] = field(default_factory=list["Callable[[], None]"])
    """Called once, when it ends for whatever reason: `ended` is no event of a track that its own program stops."""
    when_changed: list[Callable[[], None]] = field(default_factory=list["Callable[[], None]"])
    """Called when it ends, and when it is enabled or not: its senders follow."""

    def set_muted(self, muted: bool) -> None:
        """Mediacapture-streams, set a track's muted state: of each track of the source. Called in a task of its own."""
        for each in self._with_clones():
            if muted != each.muted:
                each.muted = muted
                each.fire(Event("mute" if muted else "unmute"))

    def tell_tone(self, tone: str, duration: float) -> None:
        """Tell of a telephone tone of the other side, of so many seconds. Called in a task of its own."""
        for each in self._with_clones():
            if each.state == "live":
                each.fire(ToneEvent(tone, duration))

    def end(self) -> None:
        """End the tracks of the source for another reason than their `stop()`. Called in a task of its own."""
        for each in self._with_clones():
            if each.halt():
                each.fire(Event("ended"))
                each.end_events("the track has ended")

    def end_quietly(self) -> None:
        """End the tracks of the source without an event: the event loop has ended."""
        for each in self._with_clones():
            each.halt()

    def fire(self, event: Event) -> None:
        """Fire an event at the object."""
        if self.track is not None:
            self.track.dispatchEvent(event)

    def end_events(self, why: str) -> None:
        """End what awaits an event of the object: it has had the last one."""
        if self.track is not None:
            end_events(self.track, why)

    def _with_clones(self) -> list[TrackInternals]:
        """Return this track, and the live ones of the same source (mediacapture-streams, life-cycle and media flow)."""
        return [self, *(each for each in self.source.tracks() if each is not self)]

    def stop(self) -> None:
        """End the track for its own program, without an event."""
        if self.halt():
            self.end_events("the track was stopped by this program, which gets no event of it")

    def halt(self) -> bool:
        """Set the state to "ended". Returns whether it was live."""
        if self.state == "ended":
            return False
        self.state = "ended"
        self.source.drop(self)
        calls, self.when_stopped = self.when_stopped, []
        for call in (*calls, *self.when_changed):
            call()
        return True


class MediaStreamTrack(EventTarget):
    """A single medium of a stream: one audio or one video. Made by getUserMedia(), a receiver, or `clone()`.

    Events: `mute`, `unmute`, `ended`. `ended` means that the source has ended it; `stop()` fires no event (closing
    rule 76). An extension of adieu: a remote audio track has `tone` (`ToneEvent`), when the other side has played a
    telephone tone; also if nobody listens to the track.

    Thread safety: use it in the thread of its event loop.
    """

    __slots__ = ("_content_hint", "_internals")

    onmute: EventHandler[Event] = EventHandler("mute")
    onunmute: EventHandler[Event] = EventHandler("unmute")
    onended: EventHandler[Event] = EventHandler("ended")
    ontone: EventHandler[ToneEvent] = EventHandler("tone")

    if TYPE_CHECKING:

        @overload
        def addEventListener(
            self,
            type: Literal["tone"],
            callback: Handler[ToneEvent],
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

    def __init__(self, internals: TrackInternals) -> None:
        super().__init__()
        self._internals = internals
        self._content_hint = ""
        internals.track = self
        if internals.state == "live":
            internals.source.add(internals)

    @property
    def kind(self) -> Kind:
        """The kind: "audio" or "video"."""
        return self._internals.kind

    @property
    def id(self) -> str:
        """The id."""
        return self._internals.id

    @property
    def label(self) -> str:
        """The name of its source for people."""
        return self._internals.source.label

    @property
    def enabled(self) -> bool:
        """Whether it gives its media. If not, it gives silence or black."""
        return self._internals.enabled

    @enabled.setter
    def enabled(self, enabled: bool) -> None:
        boolean("MediaStreamTrack.enabled", enabled)
        self._internals.enabled = enabled
        for call in tuple(self._internals.when_changed):
            call()

    @property
    def muted(self) -> bool:
        """Whether its source gives nothing now."""
        return self._internals.muted

    @property
    def readyState(self) -> MediaStreamTrackState:
        """Whether it can still give something."""
        return self._internals.state

    @property
    def contentHint(self) -> str:
        """The content, for encoders: "speech", "music", "motion", "detail", "text" or "".

        https://www.w3.org/TR/mst-content-hint/. A hint that does not fit the kind is ignored.
        """
        return self._content_hint

    @contentHint.setter
    def contentHint(self, hint: str) -> None:
        hints = {"audio": {"", "speech", "speech-recognition", "music"}, "video": {"", "motion", "detail", "text"}}
        if hint in hints[self.kind]:
            self._content_hint = hint

    def clone(self) -> MediaStreamTrack:
        """Return another track of the same source, with states of its own.

        https://www.w3.org/TR/mediacapture-streams/#dom-mediastreamtrack-clone
        """
        own = self._internals
        internals = TrackInternals(own.kind, own.source, state=own.state, enabled=own.enabled, muted=own.muted)
        internals.constraints, internals.settings = own.constraints, own.settings
        return MediaStreamTrack(internals)

    def stop(self) -> None:
        """End the track. The source is released if no other track uses it. No event is fired (closing rule 76).

        https://www.w3.org/TR/mediacapture-streams/#dom-mediastreamtrack-stop
        """
        self._internals.stop()

    def getCapabilities(self) -> dict[str, Any]:
        """Return the supported values: ranges as `{"min", "max"}`, or a list of values."""
        return dict(self._internals.source.capabilities)

    def getConstraints(self) -> dict[str, Any]:
        """Return the constraints that were applied last."""
        return self._internals.constraints.given()

    def getSettings(self) -> dict[str, Any]:
        """Return the settings."""
        return dict(self._internals.settings)

    async def applyConstraints(self, constraints: Mapping[str, Any] | None = None) -> None:
        """Change the constraints. https://www.w3.org/TR/mediacapture-streams/#dom-mediastreamtrack-applyconstraints

        Raises:
            TypeError: the argument is not constraints.
            OverconstrainedError: the source cannot keep them; nothing changes.

        Cancellation: nothing changes.
        """
        wanted = Constraints.of(constraints)
        if self._internals.state == "ended":
            return
        self._internals.settings = fit(wanted, self._internals.source.capabilities, self._internals.settings)
        self._internals.constraints = wanted

    def __repr__(self) -> str:
        return f"<MediaStreamTrack {self.kind} {self.id}, {self.readyState}>"


def no_track(value: object) -> TypeError:
    """Return the error about a value that is no track: most often what has one."""
    remedy = ": give its .track" if hasattr(value, "track") else ""
    return TypeError(f"{value!r} is not a MediaStreamTrack{remedy}")


def internals_of(track: MediaStreamTrack) -> TrackInternals:
    """Return the internals of a track, for its makers, senders and readers."""
    return track._internals  # noqa: SLF001 its own module # pyright: ignore[reportPrivateUsage]
