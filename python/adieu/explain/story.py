"""The story of a session: the episodes of one recording, or of both sides by one clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from adieu.explain.clock import Clocks, compare
from adieu.explain.episode import STOPPED, Episode, episodes
from adieu.explain.recording import RecordingError
from adieu.protocol.text import line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adieu.explain.recording import Recording

NAMES = ("A", "B")
KINDS = {
    "connect": "Connecting",
    "silence": "Silence",
    "reset": "Reset",
    "server": "Signaling",
    "stop": "Stopped",
    "close": "Close",
}
SETTLED = 1.0
"""Seconds: a message that was said so long before the end of a silence should have been heard in it."""


class Side(Struct, frozen=True):
    """One side of the story, by the clock of the first.

    Attributes:
        name: `A` or `B`.
        recording: its recording.
        shift: seconds to add to its times.
        episodes: what took time, by the common clock.
    """

    name: str
    recording: Recording
    shift: float
    episodes: list[Episode]


class Story(Struct, frozen=True):
    """The events of a session, and why they took so long.

    Attributes:
        sides: one or two.
        clocks: how the clocks of the two are related; None with one side.
    """

    sides: list[Side]
    clocks: Clocks | None

    @property
    def end(self) -> float:
        """The time of the last line, by the common clock."""
        lasts = [side.recording.lines[-1][0] + side.shift for side in self.sides if side.recording.lines]
        return max(lasts, default=0.0)

    def find(self, kind: str, side: str = "") -> list[Episode]:
        """Return the episodes of a kind, of one side or of all."""
        return [each for one in self.sides if side in {"", one.name} for each in one.episodes if each.kind == kind]

    def lines(self) -> list[str]:
        """Return the story as lines for people."""
        return [line(text, 2000) for text in (*self._head(), *self._body())]

    def to_json(self) -> dict[str, Any]:
        """Return the story as members for JSON."""
        return {
            "session": self.sides[0].recording.session,
            "offset": self.clocks.offset if self.clocks is not None else None,
            "sides": [
                {"name": side.name, "me": side.recording.me, "episodes": msgspec.to_builtins(side.episodes)}
                for side in self.sides
            ],
        }

    def _head(self) -> list[str]:
        session = max(side.recording.session for side in self.sides)
        lines = [f"Session {session[:8]}, {self.end:.1f} s".replace(" ,", ",")]
        for side in self.sides:
            dropped = f"; its first {side.recording.dropped} lines are lost" if side.recording.dropped else ""
            peer, program = side.recording.me[:8] or "unknown", side.recording.program or "a program"
            lines.append(f"{side.name}: peer {peer}, {program}{dropped}")
        if self.clocks is not None:
            if self.clocks.trip is None:
                lines.append("No message shows how their clocks differ: the times are those of their computers.")
            else:
                lines.append(
                    f"Times are A's. B's clock is {self.clocks.offset:+.3f} s from it, by {len(self.clocks.passages)} "
                    f"messages; a way there and back took {self.clocks.trip:.3f} s."
                )
        return lines

    def _body(self) -> list[str]:
        told = sorted(((each.start, side, each) for side in self.sides for each in side.episodes), key=lambda x: x[0])
        lines: list[str] = []
        for _, side, each in told:
            parts = [each.step] + ([each.cause] if each.cause else [])
            took = f"{each.start:8.2f} s  {side.name}  {KINDS[each.kind]}, {each.end - each.start:.2f} s"
            lines += ["", f"{took}: {' - '.join(parts)}", *(f"{'':14}{text}" for text in each.sentences)]
        return lines or ["", "Nothing took time: the recording has no episode."]


def tell(recordings: Sequence[Recording]) -> Story:
    """Tell the story of one recording, or of the two of one session.

    Raises:
        RecordingError: they are of two sessions, or of one side.
    """
    if len(recordings) == 1:
        return Story([Side("A", recordings[0], 0.0, episodes(recordings[0]))], None)
    one, other = recordings
    if one.session and other.session and one.session != other.session:
        raise RecordingError(f"two sessions, {one.session[:8]} and {other.session[:8]}: both sides of one are needed")
    if one.me and one.me == other.me:
        raise RecordingError(f"both recordings are of the same side, {one.me[:8]}")
    clocks = compare(one, other)
    first = Side("A", one, 0.0, episodes(one))
    second = Side("B", other, clocks.offset, [_shifted(each, clocks.offset) for each in episodes(other)])
    sides = [_with_other(first, second, clocks), _with_other(second, first, clocks)]
    return Story(sides, clocks)


def _shifted(episode: Episode, seconds: float) -> Episode:
    return replace(episode, start=episode.start + seconds, end=episode.end + seconds)


def _with_other(side: Side, other: Side, clocks: Clocks) -> Side:
    """Let the other side's recording say more about each silence of this one."""
    better = [_better(each, side, other, clocks) if each.kind == "silence" else each for each in side.episodes]
    return replace(side, episodes=better)


def _better(silence: Episode, side: Side, other: Side, clocks: Clocks) -> Episode:
    for stop in other.episodes:
        if stop.kind == "stop" and stop.start < silence.end and stop.end > silence.start:
            text = f"{other.name} shows why: its program did not run from {stop.start:.2f} s to {stop.end:.2f} s"
            return replace(silence, cause="frozen", sentences=[*silence.sentences, text])
    if silence.cause == "suspended":
        return silence
    times = [when + other.shift for when, _, _ in other.recording.lines]
    if times and times[-1] < silence.end - STOPPED and other.recording.receipt is None:
        text = f"{other.name}'s recording ends at {times[-1]:.2f} s, in this silence, without a goodbye"
        return replace(silence, sentences=[*silence.sentences, text])
    there, back = (_lost(silence, *pair, clocks) for pair in ((side, other), (other, side)))
    if not (there or back):
        return silence
    ways = [f"{lost} of {a}'s messages to {b}" for lost, a, b in
            ((there, side.name, other.name), (back, other.name, side.name)) if lost]  # fmt: skip
    text = f"both programs ran, and {' and '.join(ways)} did not come in this time: the network lost them"
    return replace(silence, cause="network-lost", sentences=[*silence.sentences, text])


def _lost(silence: Episode, speaker: Side, listener: Side, clocks: Clocks) -> int:
    """Count the messages of one side in a silence that the other did not hear before its end."""
    by_first = speaker.name == NAMES[0]
    heard = {
        round(each.said, 4)
        for each in clocks.passages
        if each.by_first is by_first and each.heard + listener.shift < silence.end - SETTLED
    }
    said = [
        when
        for when, mark, members in speaker.recording.lines
        if mark == ">" and members.get("type") != "signal"
        and silence.start <= when + speaker.shift < silence.end - SETTLED
    ]  # fmt: skip
    return sum(round(when, 4) not in heard for when in said)
