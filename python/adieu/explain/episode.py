"""The episodes of a recording: connecting, silence, resets, the server's absence, a program that stopped, the close."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from adieu.explain.closing import closing
from adieu.explain.recording import number_of, text_of, texts_of

if TYPE_CHECKING:
    from adieu.explain.recording import Recording

STOPPED: Final = 5.0
"""Seconds without any line in an open session, which pings each second: its program did not run."""
TROUBLED: Final = frozenset({"suspect", "recovering"})

LEVELS: Final = {"ice": "an ICE restart", "transport": "a new connection", "full": "a whole new connection"}

Kind = Literal["connect", "silence", "reset", "server", "stop", "close"]


class Episode(Struct, frozen=True):
    """Something that took time.

    Attributes:
        kind: what it is.
        start, end: seconds, by the clock of the recording.
        step: the step that took the time, or that ended it.
        cause: why it took so long.
        sentences: for people.
        tried: levels of the resets that a silence has tried, in order.
    """

    kind: Kind
    start: float
    end: float
    step: str
    cause: str
    sentences: list[str]
    tried: list[str] = []


def episodes(recording: Recording) -> list[Episode]:
    """Return the episodes of one side's recording, in order of their start."""
    finder = _Finder(recording)
    for when, mark, members in recording.lines:
        finder.line(when, mark, members)
    found = [*finder.end(), *closing_of(recording)]
    return sorted(found, key=lambda episode: episode.start)


def closing_of(recording: Recording) -> list[Episode]:
    """Return the close, if the session has ended."""
    story = closing(recording)
    if story is None:
        return []
    return [Episode("close", story.start, story.end, story.step, story.cause, story.sentences)]


class _Finder:
    """Goes through the lines once."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._found: list[Episode] = []
        self._state = "connecting"
        self._silence: Episode | None = None
        self._asked: tuple[float, str] | None = None
        """When a reset began that is not part of a recovery, and its level."""
        self._repeated = False
        """A word of the reset was said again by signaling."""
        self._down: float | None = None
        self._moved = False
        self._last = 0.0
        self._heard = 0.0
        self._evidence: list[str] = []

    def line(self, when: float, mark: str, members: dict[str, Any]) -> None:
        """Take the next line."""
        if self._state == "open" and when - self._last >= STOPPED:
            self._stop(self._last, when)
        kind, word = str(members.get("type")), str(members.get("word"))
        match kind:
            case "StateChanged":
                self._state_changed(when, members)
            case "ResetStarted":
                self._reset_started(when, text_of(members, "level"))
            case "ResetEnded":
                self._reset_ended(when, members)
            case "signal" if mark == ">" and word in {"reset", "resetOk", "switch", "switched"}:
                self._repeated = True
            case "signaling":
                self._signaling(when, up=members.get("up") is True)
            case "moved":
                self._moved = True
            case _:
                pass
        if mark == "<" and kind not in {"signal", "presence", "probed"}:
            self._heard = when
        self._last = when

    def end(self) -> list[Episode]:
        """Return what was found."""
        if self._down is not None:
            self._server(self._last, back=False)
        if self._silence is not None:
            self._silence_ends(self._last, "it was not over when the recording ends")
        return self._found

    # --- what the lines say -------------------------------------------------------------------------------

    def _stop(self, start: float, end: float) -> None:
        text = f"nothing was recorded for {end - start:.1f} s: this program, or its computer, did not run"
        self._found.append(Episode("stop", start, end, "this program", "suspended", [text]))

    def _state_changed(self, when: float, members: dict[str, Any]) -> None:
        before, self._state = self._state, text_of(members, "state")
        cause = text_of(members, "cause")
        self._evidence = texts_of(members, "evidence")
        if self._state == "open" and before == "connecting":
            text = f"the first connection took {when:.2f} s"
            self._found.append(Episode("connect", 0.0, when, "connection", "", [text]))
        elif self._state in TROUBLED:
            if self._silence is None:
                since = max(self._heard, 0.0)
                said = [f"the other side was heard for the last time at {since:.2f} s"]
                self._silence = Episode("silence", since, when, "", cause, said)
            self._tell(f"{self._state} at {when:.2f} s", cause)
        elif self._silence is not None and self._state != "resetting":
            how = {"open": "healed", "closing": "closed", "closed": "ended"}.get(self._state, self._state)
            self._silence_ends(when, how)

    def _tell(self, what: str, cause: str) -> None:
        silence = self._silence
        if silence is None:
            return
        evidence = f"; {'; '.join(self._evidence)}" if self._evidence else ""
        text = f"{what}: {cause or 'no cause'}{evidence}"
        self._silence = replace(silence, cause=cause or silence.cause, sentences=[*silence.sentences, text])

    def _silence_ends(self, when: float, how: str) -> None:
        silence, self._silence = self._silence, None
        if silence is None:
            return
        tried = [LEVELS.get(level, level) for level in silence.tried]
        step = how
        if how == "healed":
            step = tried[-1] if tried and silence.step == "reset done" else "the old connection"
            text = f"it healed at {when:.2f} s by {step}"
        elif how in {"closed", "ended"}:
            step = "given up"
            text = f"the session ended at {when:.2f} s"
        else:
            text = how
        after = f", after {_joined(tried)}" if tried and step not in tried else ""
        sentences = [*silence.sentences, f"{text}{after}: {when - silence.start:.1f} s of silence"]
        cause = "suspended" if any("this program was suspended" in each for each in self._evidence) else silence.cause
        self._found.append(replace(silence, end=when, step=step, cause=cause, sentences=sentences))

    def _reset_started(self, when: float, level: str) -> None:
        if self._silence is not None:
            self._silence = replace(self._silence, tried=[*self._silence.tried, level], step="")
        else:
            self._asked, self._repeated = (when, level), False

    def _reset_ended(self, when: float, members: dict[str, Any]) -> None:
        error, level = text_of(members, "error"), text_of(members, "level")
        if self._silence is not None:
            text = f"{LEVELS.get(level, level)}, until {when:.2f} s: {error or 'done'}"
            done = "" if error else "reset done"
            self._silence = replace(self._silence, step=done, sentences=[*self._silence.sentences, text])
            return
        if self._asked is None:
            return  # of a recovery that is over
        began, _ = self._asked
        self._asked = None
        replayed = int(number_of(members, "replayed"))
        sentences = [f"the reset ({level}) took {when - began:.2f} s" + (f" and failed: {error}" if error else "")]
        step, cause = level, error
        if replayed:
            sentences.append(f"{replayed} messages were sent again over the new connection: the old one had lost them")
            step, cause = "replay", "messages lost"
        if self._repeated:
            sentences.append("a word of the reset was said again by signaling: in-band it got no answer in time")
            step, cause = (step, cause) if replayed else ("asking", "word lost")
        self._found.append(Episode("reset", began, when, step, cause, sentences))

    def _signaling(self, when: float, *, up: bool) -> None:
        if not up:
            self._down = when if self._down is None else self._down
        elif self._down is not None:
            self._server(when, back=True)

    def _server(self, when: float, *, back: bool) -> None:
        start = self._down if self._down is not None else when
        self._down = None
        sentences = [f"signaling was down for {when - start:.1f} s" + ("" if back else ", to the end of the recording")]
        cause = "server lost"
        if self._moved:
            sentences.append("a side came back with another peer id: the server was started again; the session went on")
            cause = "server restarted"
        self._found.append(Episode("server", start, when, "signaling", cause, sentences))


def _joined(names: list[str]) -> str:
    return ", ".join(dict.fromkeys(names))
