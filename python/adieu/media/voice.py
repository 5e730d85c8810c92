"""Sound that a program speaks, as samples or as packets: the part that both have."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from adieu.driver import Driver
from adieu.errors import InvalidStateError
from adieu.webrtc.media_stream_track import MediaStreamTrack, TrackInternals, TrackSource

LENGTHS: Final = (0.02, 60.0)
"""Seconds that a source may keep."""

_NOBODY: Final = "no connection sends this sound: those that did are closed, or send another track"


@dataclass(slots=True, eq=False)
class _Mark:
    """A caller that waits until the source has come to a position."""

    position: int
    arrived: bool
    reached: asyncio.Future[None]


class Voice:
    """A source of sound that a program feeds, at its own speed: the core keeps the time.

    Args:
        name: of the source, for people.
        settings: of its track.
        max_seconds: the most that is queued.
        codec: of the packets that it takes; None: it takes samples.

    Raises:
        ValueError: it cannot keep so much.
    """

    _name: ClassVar[str] = "AudioSource"
    """The name by which programs make it."""

    def __init__(
        self, name: str, settings: dict[str, int], max_seconds: float, codec: Literal["opus"] | None = None
    ) -> None:
        if not LENGTHS[0] <= max_seconds <= LENGTHS[1]:
            raise ValueError(f"max_seconds={max_seconds}: from {LENGTHS[0]} to {LENGTHS[1]} seconds")
        self.max_seconds: Final = max_seconds
        self._driver = Driver.current()
        self._rate = settings["sampleRate"]
        self._core = self._driver.core.audio_source(self._rate, settings["channelCount"], max_seconds, codec)
        capabilities = {key: [value] for key, value in settings.items()}
        source = TrackSource(name, capabilities, self._release, audio=self._core, feed=self)
        self._internals = TrackInternals("audio", source, settings=settings)
        self._track = MediaStreamTrack(self._internals)
        self._turn = asyncio.Lock()
        self._clears = 0
        self._waiting = 0
        """Frames that `write` was given, and that are not queued yet."""
        self._room: asyncio.Future[None] | None = None
        self._marks: list[_Mark] = []
        self._holders: set[object] = set()
        self._finishing: set[object] = set()
        self._was_held = False
        self._ended = False
        self._stopped = False

    @property
    def track(self) -> MediaStreamTrack:
        """The track, for `pc.addTrack()`, `sender.replaceTrack()` and `session.add_track()`."""
        return self._track

    @property
    def position(self) -> float:
        """The seconds of sound that have left this computer."""
        return self._core.position / self._rate

    @property
    def queued(self) -> float:
        """The seconds of sound that wait to leave. Of samples, the rest of a `write` that waits is counted too."""
        return (self._core.queued + self._waiting) / self._rate

    # --- speaking -----------

    def clear(self) -> float:
        """Drop what is queued: an interruption. The rest fades out within 5 ms.

        A write that waits ends, and the rest of it is dropped too.

        Returns:
            The seconds that were dropped. They are not counted in `position`.
        """
        self._driver.require_thread(f"{self._name}.clear()")
        self._clears += 1
        dropped = self._core.clear() + self._waiting
        self._wake()
        for mark in self._marks:
            mark.position = min(mark.position, self._core.position + self._core.queued)
        self._watch()
        return dropped / self._rate

    async def drained(self, arrived: bool = False) -> None:
        """Wait until all that is queued now has left this computer.

        Args:
            arrived: wait until the other side has reported that its computer has it too: the proof that it arrived, not
                that it was heard. With several receivers, until the slowest has it.

        Raises:
            InvalidStateError: the track was stopped, or the connections that sent it are closed.

        Cancellation: the sound goes on.
        """
        self._driver.require_thread(f"{self._name}.drained()")
        if self._stopped:
            raise InvalidStateError("the track was stopped: what was queued is dropped")
        if self._was_held and not self._holders:
            raise InvalidStateError(_NOBODY)
        mark = self._mark(arrived)
        try:
            await mark.reached
        finally:
            if mark in self._marks:
                self._marks.remove(mark)
            self._forget()

    def end(self) -> None:
        """End the source: it takes nothing from now on. The queue still leaves; then the track ends, with its event."""
        self._driver.require_thread(f"{self._name}.end()")
        if self._ended:
            return
        self._ended = True
        self._core.end()
        self._wake(InvalidStateError("the source was ended by end()"))
        if self._core.queued and (self._holders or not self._was_held):
            self._mark(arrived=False).reached.add_done_callback(self._end_track)
        else:
            self._driver.queue_task(self._internals.end)

    def _end_track(self, reached: asyncio.Future[None]) -> None:
        if not reached.cancelled():
            reached.exception()
            self._driver.queue_task(self._internals.end)

    # --- waiting -----------

    def _check_writable(self) -> None:
        if self._ended:
            raise InvalidStateError(f"the source has ended: make another {self._name}")
        if self._was_held and not self._holders:
            raise InvalidStateError(_NOBODY)
        if self._holders and self._holders <= self._finishing:
            raise InvalidStateError(
                "the session is closing: what was queued before is still spoken, nothing more is taken"
            )

    async def _wait_for_room(self) -> None:
        self._room = asyncio.get_running_loop().create_future()
        self._driver.handles.media[self._core.handle] = self
        try:
            await self._room
        finally:
            self._room = None
            self._forget()

    def _mark(self, arrived: bool) -> _Mark:
        """Note the present end of the queue, and watch for it."""
        position = self._core.position + self._core.queued + self._waiting
        loop = self._driver.loop
        if loop is None:
            raise InvalidStateError("its event loop has ended")
        mark = _Mark(position, arrived, loop.create_future())
        self._marks.append(mark)
        self._watch()
        return mark

    def _watch(self) -> None:
        if self._marks:
            self._driver.handles.media[self._core.handle] = self
        for arrived in {mark.arrived for mark in self._marks}:
            self._core.watch(arrived)

    def _forget(self) -> None:
        """Let the driver forget this object while nobody waits."""
        if self._room is None and not self._marks:
            self._driver.handles.media.pop(self._core.handle, None)

    def _wake(self, error: Exception | None = None) -> None:
        """Let the write go on that waits for room; or end it."""
        if self._room is not None and not self._room.done():
            if error is None:
                self._room.set_result(None)
            else:
                self._room.set_exception(error)

    def _fail(self, text: str) -> None:
        """End all that waits."""
        self._wake(InvalidStateError(text))
        marks, self._marks = self._marks, []
        for mark in marks:
            if not mark.reached.done():
                mark.reached.set_exception(InvalidStateError(text))
        self._forget()

    # --- reports of the core -----------

    def handle_room(self) -> None:
        """Half of the queue is free."""
        self._wake()

    def handle_drained(self, position: int, arrived: bool) -> None:
        """The queue at a call of `watch` has left, or has arrived.

        Args:
            position: samples of each channel that have left, or have arrived.
            arrived: which of the two.
        """
        empty = not self._core.queued and not self._waiting and position >= self._core.position
        for mark in [mark for mark in self._marks if mark.arrived is arrived]:
            if empty or position >= mark.position:
                self._marks.remove(mark)
                if not mark.reached.done():
                    mark.reached.set_result(None)
        self._watch()
        self._forget()

    # --- its senders (the protocol Feed of webrtc) -----------

    def hold(self, who: object) -> None:
        """Note that a sender, or a session, sends it."""
        self._was_held = True
        self._holders.add(who)

    def let_go(self, who: object) -> None:
        """Note that this one no longer sends it. After the last one, each waiting call raises."""
        self._finishing.discard(who)
        if who in self._holders:
            self._holders.remove(who)
            if not self._holders:
                self._fail(_NOBODY)

    def finish(self, who: object) -> None:
        """Note that this one sends what is queued, and nothing that is written from now on."""
        self._finishing.add(who)
        if self._holders <= self._finishing:
            self._wake(InvalidStateError("the session is closing: the rest of this is not spoken"))

    def _release(self) -> None:
        """The last track was stopped."""
        self._ended = self._stopped = True
        self._core.clear()
        self._core.close()
        self._fail("the track was stopped: what was queued is dropped")

    def __repr__(self) -> str:
        state = "ended, " if self._ended else ""
        return f"<{self._label()}, {state}{self.position:.2f} s spoken, {self.queued:.2f} s queued>"

    def _label(self) -> str:
        return self._name
