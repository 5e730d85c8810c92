"""A core without Rust for the tests of `adieu.media`: its queues move when the test says so."""

from __future__ import annotations

import asyncio
import itertools
import threading
from array import array
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adieu.driver import Driver
from adieu.jsep import Encoding
from adieu.media import workers
from adieu.webrtc.media_stream_track import MediaStreamTrack, TrackInternals, TrackSource
from adieu.webrtc.video_sender import VideoSender

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

_handles = itertools.count(1)


class FakeSource:
    """`_core.AudioSource`: `play()` lets sound leave, `acknowledge()` lets feedback come."""

    def __init__(self, core: FakeCore, rate: int, channels: int, max_seconds: float) -> None:
        self.core = core
        self.handle = next(_handles)
        self.rate, self.channels = rate, channels
        self.most = round(rate * max_seconds)
        self.spoken: list[float] = []
        self.waiting: list[float] = []
        self.position = self.arrived = 0
        self.wants_room = self.ended = self.closed = False
        self.watched: dict[bool, int] = {}

    @property
    def queued(self) -> int:
        return len(self.waiting) // self.channels

    def write(self, data: Any) -> int:
        if self.ended:
            return 0
        view = memoryview(data)
        assert view.format in {"h", "f"}, view.format
        taken = min(len(view) // self.channels, self.most - self.queued)
        self.waiting += view[: taken * self.channels].tolist()
        self.wants_room = self.wants_room or taken < len(view) // self.channels
        return taken

    def clear(self) -> int:
        dropped, self.waiting = self.queued, []
        self.room()
        return dropped

    def end(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True

    def watch(self, arrived: bool = False) -> None:
        self.watched[arrived] = self.position + self.queued
        asyncio.get_running_loop().call_soon(self.report)

    def play(self, frames: int) -> None:
        """So many frames leave."""
        self.spoken += self.waiting[: frames * self.channels]
        del self.waiting[: frames * self.channels]
        self.position += frames
        self.room()
        self.report()

    def acknowledge(self) -> None:
        """All that has left has arrived."""
        self.arrived = self.position
        self.report()

    def room(self) -> None:
        if self.wants_room and self.queued <= self.most // 2:
            self.wants_room = False
            self.core.tell(self, "handle_room")

    def report(self) -> None:
        for arrived, position in list(self.watched.items()):
            reached = self.arrived if arrived else self.position
            if reached >= position or (not self.queued and not arrived):
                del self.watched[arrived]
                self.core.tell(self, "handle_drained", reached, arrived)


class FakeSink:
    """`_core.AudioSink`: `push()` gives it a frame."""

    def __init__(self, core: FakeCore, receiver: int, rate: int, channels: int, frame_ms: int, most: int) -> None:
        self.core, self.receiver = core, receiver
        self.handle = next(_handles)
        self.rate, self.channels, self.most = rate, channels, most
        self.frame = rate * frame_ms // 1000
        self.frames: list[tuple[bytes, float, int]] = []
        self.dropped = self.count = 0
        self.closed = False

    def read(self) -> tuple[bytes, float, int] | None:
        return self.frames.pop(0) if self.frames else None

    def close(self) -> None:
        self.closed = True

    def push(self, sample: int = 1, concealed: int = 0) -> None:
        """A frame has come."""
        data = array("h", [sample] * self.frame * self.channels).tobytes()
        self.frames.append((data, self.count * self.frame / self.rate, concealed))
        self.count += 1
        if len(self.frames) == 1:
            self.core.tell(self, "handle_ready")
        if len(self.frames) > self.most:
            del self.frames[0]
            self.dropped += 1


class FakeCore:
    """The part of `_core.EventQueue` that media uses."""

    def __init__(self) -> None:
        self.thread = self.turn = 0
        self.sources: list[FakeSource] = []
        self.sinks: list[FakeSink] = []
        self.frame_sinks: list[FakeFrames] = []
        self.sent: list[Sent] = []
        self.backlog = 0
        """Bytes that wait in the pacer."""
        self.keys = 0
        """Key frames that were asked for."""
        self.driver: Driver | None = None

    def fileno(self) -> int:
        return -1

    def next_turn(self) -> None:
        self.turn += 1

    def audio_source(self, rate: int, channels: int, max_seconds: float = 10.0, codec: str | None = None) -> FakeSource:
        self.sources.append(FakeSource(self, rate, channels, max_seconds))
        return self.sources[-1]

    def audio_sink(self, receiver: int, rate: int, channels: int, frame_ms: int = 20, max_frames: int = 50) -> FakeSink:
        self.sinks.append(FakeSink(self, receiver, rate, channels, frame_ms, max_frames))
        return self.sinks[-1]

    def frame_sink(self, receiver: int, max_frames: int = 60) -> FakeFrames:
        self.frame_sinks.append(FakeFrames(self, receiver))
        return self.frame_sinks[-1]

    def request_key(self, receiver: int) -> None:
        self.keys += 1

    def send_frame(
        self, sender: int, encoding: int, data: bytes, timestamp: int, age: float, key: bool, temporal: int = 0
    ) -> int:
        assert encoding == 0
        self.sent.append(Sent(sender, data, timestamp, age, key, temporal))
        return self.backlog

    def tell(self, of: Any, method: str, *values: object) -> None:
        """Give an event to the object that is registered for it; without one it is dropped."""
        assert self.driver is not None
        target = self.driver.handles.media.get(of.handle)
        if target is not None:
            getattr(target, method)(*values)


@contextmanager
def fake_core() -> Iterator[FakeCore]:
    """Objects that are made in this block are of a fake core."""
    core = FakeCore()
    core.driver = Driver(asyncio.get_running_loop(), core)  # type: ignore[arg-type]
    with core.driver.use():
        yield core


def video_sender(core: FakeCore, **encoding: Any) -> VideoSender:
    """A sender of video, as a transceiver has one; `handle_plan` opens it."""
    assert core.driver is not None
    encoding.setdefault("scale_resolution_down_by", 1.0)
    return VideoSender(core.driver, next(_handles), Encoding(**encoding))


def remote_track(core: FakeCore, kind: str = "audio") -> TrackInternals:
    """The internals of a remote track."""
    internals = TrackInternals(kind, TrackSource("remote", receiver=7, driver=core.driver), muted=True)  # type: ignore[arg-type]
    MediaStreamTrack(internals)
    return internals


class FakeFrames:
    """`_core.FrameSink`: `push()` gives it a frame."""

    def __init__(self, core: FakeCore, receiver: int) -> None:
        self.core, self.receiver = core, receiver
        self.handle = next(_handles)
        self.frames: list[tuple[bytes, str, bool, int, float, int, int]] = []
        self.count = self.dropped = 0
        self.closed = False

    def read(self) -> tuple[bytes, str, bool, int, float, int, int] | None:
        return self.frames.pop(0) if self.frames and not self.closed else None

    def close(self) -> None:
        self.closed = True

    def push(self, data: bytes, *, codec: str = "VP8", key: bool = False, time: float | None = None) -> None:
        """A frame has come."""
        moment = self.count / 30 if time is None else time
        self.frames.append((data, codec, key, round(moment * 90000), moment, self.count, 0))
        self.count += 1
        if len(self.frames) == 1:
            self.core.tell(self, "handle_ready")


@contextmanager
def no_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the system refuse every new thread in this block; none of the codecs' threads runs before."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        monkeypatch.setattr(workers, "WORKERS", workers.CodecWorkers(idle=0.05))
        patch.setattr(threading.Thread, "start", refuse)
        yield


@dataclass
class Sent:
    """A frame that was given to the core."""

    sender: int
    data: bytes
    timestamp: int
    age: float
    key: bool
    temporal: int
