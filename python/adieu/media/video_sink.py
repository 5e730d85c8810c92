"""VideoSink: pictures that a program sees."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from adieu.media import workers
from adieu.media.decoder import Decoder
from adieu.media.pictures import Scaler, VideoFrame, black, check_format, pyav
from adieu.media.reader import FrameReader
from adieu.media.waiters import Waiters
from adieu.media.weak import weakly

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from typing import Self

    import av

    from adieu.driver import Driver
    from adieu.webrtc.media_stream_track import MediaStreamTrack

BATCH: Final = 4
"""Frames that are decoded in one job: then those that came out are given, and other jobs have their turn."""
AGAIN: Final = 0.3
"""Seconds between two wishes for a key frame."""
FAILED: Final = 0.5
"""Seconds after an error, such as that there is no thread, until what has come is decoded again."""
LONGEST: Final = 300


class VideoSink:
    """The pictures of a remote track, as the program wants them: an async iterator of frames.

    ```python
    async for frame in adieu.media.VideoSink(track, format="bgr24"):
        show(frame.array)
    ```

    Threads decode; the event loop is free meanwhile. Only the newest picture waits for the reader, so that a slow one
    never falls behind: older ones are dropped. The iteration ends with the track, or after `close()`. A track that
    no sink reads costs nothing: it is not even decoded.

    Args:
        track: a remote video track.
        format: of the pixels: "rgb24", "bgr24", "rgba", "bgra", "gray", or "yuv420p", which costs the least.
        queue: how many pictures wait for the reader at most; then the oldest is dropped, and counted in `dropped`.

    Raises:
        ImportError: PyAV is not installed.
        TypeError: it is not a video track.
        NotSupportedError: it is a track of this program, not a remote one.
        ValueError: there is no such format, or the queue is not from 1 to 300.

    Thread safety: of one event loop, that of its connection.
    """

    def __init__(
        self,
        track: MediaStreamTrack,
        format: str = "rgb24",  # noqa: A002 the word of the field
        *,
        queue: int = 1,
    ) -> None:
        pyav()
        check_format(format)
        if not 1 <= queue <= LONGEST:
            raise ValueError(f"queue={queue}: from 1 to {LONGEST} pictures")
        self.format: Final = format
        self.dropped: int = 0
        """The number of pictures that were decoded, and that nobody read before newer ones came."""
        self._queue: deque[VideoFrame] = deque()
        self._most = queue
        self._waiters = Waiters()
        self._closed = False
        self._work = _Work(track, format, queue, weakly(self.take))
        self._driver: Driver = self._work.reader.driver

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> VideoFrame:
        """Return the next frame.

        Raises:
            StopAsyncIteration: the track has ended, or the sink is closed.

        Cancellation: no frame is lost.
        """
        self._driver.require_thread("VideoSink")
        while self._closed or not self._queue:
            if self._closed or self._work.is_over:
                raise StopAsyncIteration
            await self._waiters.wait()
        return self._queue.popleft()

    def close(self) -> None:
        """End it: nothing is decoded for it. The track goes on. Idempotent."""
        if not self._closed:
            self._closed = True
            self._queue.clear()
            self._work.close()
            self.take([], 0)

    def take(self, frames: list[VideoFrame], left_out: int) -> None:
        """Queue what was decoded, and wake who waits. Without frames: the track has ended."""
        self.dropped += left_out
        if not self._closed:
            self._queue.extend(frames)
            while len(self._queue) > self._most:
                self._queue.popleft()
                self.dropped += 1
        self._waiters.wake()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True) and hasattr(self, "_work"):
            self._driver.run_here(self._work.close)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "over" if self._work.is_over else "open"
        return f"<VideoSink {self.format}, {len(self._queue)} pictures wait, {state}>"


class _Work:
    """Decodes for a sink: one job at a time, which nobody waits for."""

    def __init__(
        self,
        track: MediaStreamTrack,
        pixels: str,
        most: int,
        give: Callable[[list[VideoFrame], int], None],
    ) -> None:
        self._format = pixels
        self._most = most
        self._give = give
        self._decoder = Decoder()
        self._scaler = Scaler()
        self._is_busy = self._again = self._closed = False
        self._asked = float("-inf")
        self.reader = FrameReader(track, self.begin)

    @property
    def is_over(self) -> bool:
        """Whether nothing comes any longer."""
        return self.reader.is_over and not self._is_busy

    def close(self) -> None:
        """Decode nothing from now on. A job that is under way ends after its frame."""
        self._closed = True
        self.reader.close()

    def begin(self) -> None:
        """Decode what has come."""
        loop = self.reader.driver.loop
        if self._is_busy:
            self._again = True
        elif loop is not None and not loop.is_closed() and not self._closed:
            self._is_busy, self._again = True, False
            workers.run(loop, self._decode).add_done_callback(self._decoded)

    def _decode(self) -> tuple[list[VideoFrame], int, bool, bool]:
        """Decode some frames, in a thread. Return pictures, the number of others, whether more wait, and for a key."""
        pictures: list[tuple[av.VideoFrame, float]] = []
        lost = False
        more = True
        for _ in range(BATCH):
            raw = None if self._closed else self.reader.read()
            if raw is None:
                more = False
                break
            data, codec, key, _timestamp, time, *_ = raw
            picture = self._decoder.decode(data, codec, key=key)
            lost = picture is None
            if picture is not None:
                pictures.append((picture, time))
        frames: list[VideoFrame] = []
        for picture, time in pictures[-self._most :]:
            frame = self._shown(picture, time)
            if frame is None:
                lost = True
            else:
                frames.append(frame)
        return frames, len(pictures) - len(frames), more, lost

    def _shown(self, picture: av.VideoFrame, time: float) -> VideoFrame | None:
        """Return a picture as the program wants it; None: nobody can convert it, as the sender has made it."""
        if not self.reader.track.enabled:
            picture = black(picture.width, picture.height)
        try:
            pixels, width, height = self._scaler.pixels(picture, self._format)
        except (pyav().FFmpegError, ValueError, MemoryError):
            self._decoder.fail()
            self._scaler = Scaler()
            return None
        return VideoFrame(pixels, width, height, self._format, time, picture)

    def _decoded(self, done: asyncio.Future[tuple[list[VideoFrame], int, bool, bool]]) -> None:
        self._is_busy = False
        if done.cancelled() or self._closed:
            return
        if (error := done.exception()) is not None:
            self._failed(error)
            return
        frames, left_out, more, lost = done.result()
        self.reader.track.source.decoder = self._decoder.figures()
        now = self.reader.driver.clock.monotonic()
        if lost and now - self._asked >= AGAIN:
            self._asked = now
            self.reader.request_key()
        if more or self._again:
            self.begin()
        if frames or not self._is_busy:
            self._give(frames, left_out)

    def _failed(self, error: BaseException) -> None:
        """Report it, and try again later: the core tells of no frame while others wait there."""
        driver = self.reader.driver
        if driver.loop is not None:
            driver.loop.call_exception_handler({"message": "a VideoSink cannot decode", "exception": error})
        if self.reader.is_over:
            self._give([], 0)
        else:
            self._is_busy = True
            driver.call_later(FAILED, self._try_again)

    def _try_again(self) -> None:
        self._is_busy = False
        self.begin()
