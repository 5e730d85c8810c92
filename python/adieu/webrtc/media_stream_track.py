"""MediaStreamTrack. https://www.w3.org/TR/mediacapture-streams/#mediastreamtrack

A track is a handle on a source. Clones share the source; it is released when the last of them ends. No media flows
through tracks yet: they have states, settings and constraints, and they can be negotiated.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from adieu.events import Event, EventHandler, EventTarget
from adieu.webrtc.constraints import Constraints, fit
from adieu.webrtc.dictionaries import boolean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from adieu.jsep import Kind

MediaStreamTrackState: TypeAlias = Literal["live", "ended"]


@dataclass(slots=True, eq=False)
class TrackSource:
    """The source of one or several tracks.

    Attributes:
        label: its name for people.
        capabilities: the supported values (see `constraints`).
        release: called when the last of its tracks has ended.
        live: how many of its tracks are live.
    """

    label: str = ""
    capabilities: Mapping[str, Any] = field(default_factory=dict[str, Any])
    release: Callable[[], None] | None = None
    live: int = 0

    def add(self) -> None:
        """Count a new track."""
        self.live += 1

    def drop(self) -> None:
        """Count an ended track, and release the source after the last one."""
        self.live -= 1
        if not self.live and self.release is not None:
            self.release()


@dataclass(slots=True, eq=False)
class TrackInternals:
    """The internals of a track: its maker sets them, the object shows them."""

    kind: Kind
    source: TrackSource
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    state: MediaStreamTrackState = "live"
    enabled: bool = True
    muted: bool = False
    constraints: Constraints = field(default_factory=Constraints)
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    track: MediaStreamTrack | None = None

    def set_muted(self, muted: bool) -> None:
        """Mediacapture-streams, set a track's muted state. Called in a task of its own."""
        if muted != self.muted:
            self.muted = muted
            if self.track is not None:
                self.track.dispatchEvent(Event("mute" if muted else "unmute"))

    def end(self) -> None:
        """End the track for another reason than its `stop()`. Called in a task of its own."""
        if self.stop() and self.track is not None:
            self.track.dispatchEvent(Event("ended"))

    def stop(self) -> bool:
        """End the track without an event. Returns whether it was live."""
        if self.state == "ended":
            return False
        self.state = "ended"
        self.source.drop()
        return True


class MediaStreamTrack(EventTarget):
    """A single medium of a stream: one audio or one video. Made by getUserMedia(), a receiver, or `clone()`.

    Events: `mute`, `unmute`, `ended`. `ended` means that the source has ended it; `stop()` fires no event (closing
    rule 76).

    Thread safety: use it in the thread of its event loop.
    """

    __slots__ = ("_content_hint", "_internals")

    onmute: EventHandler[Event] = EventHandler("mute")
    onunmute: EventHandler[Event] = EventHandler("unmute")
    onended: EventHandler[Event] = EventHandler("ended")

    def __init__(self, internals: TrackInternals) -> None:
        super().__init__()
        self._internals = internals
        self._content_hint = ""
        internals.track = self
        if internals.state == "live":
            internals.source.add()

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
