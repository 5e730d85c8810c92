"""Frames that are encoded already: from a camera, from hardware, or from another connection, passed on as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, overload

from adieu.driver import Driver
from adieu.errors import InvalidStateError, NotSupportedError
from adieu.media.encoded_frame import EncodedFrame
from adieu.media.encoded_sound import EncodedSound
from adieu.media.events import BitrateEvent, KeyframeEvent, PictureSource
from adieu.media.reader import FrameReader
from adieu.webrtc.media_stream_track import MediaStreamTrack, TrackInternals, TrackSource
from adieu.webrtc.rtp_receiver import RTCRtpReceiver

if TYPE_CHECKING:
    from typing import Self

    from typing_extensions import Buffer

    from adieu.webrtc.video_sender import VideoSender

MIME_TYPES: Final = {"video/vp8": "VP8", "video/h264": "H264"}
MOST: Final = 4 * 1024 * 1024
"""Bytes of a frame."""
ASTRAY: Final = 1.0
"""Seconds by which the time of frames that are passed on may run away from the clock here."""
AGAIN: Final = 0.3
"""Seconds between two events `keyframe`."""


class encoded:  # noqa: N801 it is used as a function is
    """The frames of a remote track as they came, decoded by nobody: an async iterator.

    ```python
    frames = adieu.media.encoded(event.receiver)
    out = adieu.media.EncodedSource("video/VP8")
    out.on("keyframe", lambda event: frames.request_key())
    async for frame in frames:
        out.send(frame)
    ```

    It ends with the track, or after `close()`. Of video only whole frames come, from a key frame on; if nobody reads
    for 60 frames, all up to the next key frame is dropped. Of sound each packet is a frame, in the order in which they
    come; if nobody reads for 50 packets, the oldest is dropped.

    Args:
        receiver: of the track; or the track.

    Raises:
        TypeError: it is neither.
        NotSupportedError: it is a track of this program, not a remote one.

    Thread safety: of one event loop, that of its connection.
    """

    def __init__(self, receiver: RTCRtpReceiver | MediaStreamTrack) -> None:
        track = receiver.track if isinstance(receiver, RTCRtpReceiver) else receiver
        self._reader = FrameReader(track, pictures=False)
        self._kind = track.kind

    @property
    def dropped(self) -> int:
        """The number of frames that were dropped because nobody read them in time."""
        return self._reader.dropped

    def request_key(self) -> None:
        """Ask the other side for a key frame. Of sound each frame is one: this does nothing then."""
        self._reader.request_key()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> EncodedFrame:
        """Return the next frame.

        Raises:
            StopAsyncIteration: the track has ended, or this is closed.

        Cancellation: no frame is lost.
        """
        data, codec, key, _, time, id_, temporal = await self._reader.next()
        return EncodedFrame(data, f"{self._kind}/{codec}", key, time, id_, temporal)

    def close(self) -> None:
        """End it. The track goes on. Idempotent."""
        self._reader.close()


class EncodedSource(PictureSource):
    """A source of frames that are encoded already.

    ```python
    camera = adieu.media.EncodedSource("video/H264")
    pc.addTrack(camera.track)
    camera.on("keyframe", lambda event: hardware.force_idr())
    camera.on("bitrate", lambda event: hardware.set_bitrate(event.bitrate))
    camera.send(data, key=True)
    ```

    Until a key frame comes, a sender that needs one leaves out all others. Events: `keyframe` (somebody cannot decode
    without), `bitrate` (`event.bitrate`: of several senders the least), and `error`, if a connection has not agreed on
    its codec: then it sends nothing.

    Of "audio/opus" this makes an [EncodedSound][adieu.media.EncodedSound], which has a queue in place of these events.

    Args:
        mime_type: "video/H264", "video/VP8" or "audio/opus".

    Raises:
        NotSupportedError: it is another codec.

    Thread safety: of one event loop, that in which it is made.
    """

    EVENTS: ClassVar[frozenset[str]] = frozenset({"keyframe", "bitrate", "error"})

    if TYPE_CHECKING:

        @overload
        def __new__(  # type: ignore[misc]
            cls, mime_type: Literal["audio/opus"], *, max_seconds: float = 10.0
        ) -> EncodedSound: ...
        @overload
        def __new__(cls, mime_type: str) -> Self: ...

    def __new__(cls, mime_type: str, **options: Any) -> Any:
        """Make the source of this codec."""
        if mime_type.lower() == "audio/opus":
            return EncodedSound(**options)
        return super().__new__(cls)

    def __init__(self, mime_type: str) -> None:  # pyright: ignore[reportInconsistentConstructor] of pictures alone
        codec = MIME_TYPES.get(mime_type.lower())
        if codec is None:
            raise NotSupportedError(f"{mime_type!r}: a source has frames of video/H264 or video/VP8, or audio/opus")
        super().__init__(Driver.current())
        source = TrackSource(f"frames of {codec} of this program", release=self._release, video=self, codec=codec)
        self._codec = codec
        self._internals = TrackInternals("video", source)
        self._track = MediaStreamTrack(self._internals)
        self._senders: dict[VideoSender, _Way] = {}
        self._asked = float("-inf")
        self._bitrate = 0
        self._offset: float | None = None
        self._frames = 0
        self._is_over = False

    @property
    def track(self) -> MediaStreamTrack:
        """The track, for `pc.addTrack()`, `sender.replaceTrack()` and `session.add_track()`."""
        return self._track

    @property
    def mime_type(self) -> str:
        """The codec: "video/H264" or "video/VP8"."""
        return f"video/{self._codec}"

    @property
    def bitrate(self) -> int:
        """The bits a second that it may use: of several senders the least; 0 without a sender."""
        return self._bitrate

    def send(
        self,
        data: Buffer | EncodedFrame,
        *,
        key: bool | None = None,
        capture_time: float | None = None,
        temporal: int = 0,
    ) -> bool:
        """Send a frame, over all connections that send this source. It does not wait.

        Args:
            data: all of the frame, at most 4 MiB; of H264 with start codes, and SPS and PPS in front of a key frame. Or
                a frame of `encoded`, which has the other values in it.
            key: whether it can be decoded without any other.
            capture_time: when the picture was taken, in seconds of `loop.time()`; now, by default.
            temporal: its layer in time.

        Returns:
            Whether a connection has taken it. None takes it before it is connected, or before it has had a key frame.

        Raises:
            TypeError: `key` is missing, or `data` has no bytes.
            ValueError: it is empty or too large, or a frame of another codec.
            InvalidStateError: the source has ended.
        """
        self._driver.require_thread("EncodedSource.send()")
        if self._is_over:
            raise InvalidStateError("the source has ended: make another EncodedSource")
        if isinstance(data, EncodedFrame):
            if data.mime_type != self.mime_type:
                raise ValueError(f"a frame of {data.mime_type} for a source of {self.mime_type}")
            frame, key, temporal = data.data, data.key, data.temporal
            capture_time = self._here(data.time)
        else:
            frame = bytes(memoryview(data))  # of a number there would be so many zeros
        if key is None:
            raise TypeError("send(data, key=...): whether the frame can be decoded without any other")
        if not 0 < len(frame) <= MOST:
            raise ValueError(f"a frame of {len(frame)} bytes: 1 to {MOST}")
        now = self._driver.clock.monotonic()
        captured = now if capture_time is None else capture_time
        self._frames += 1
        taken = False
        for way in self._senders.values():
            taken = way.send(frame, captured, key=key, temporal=temporal) or taken
        if any(way.needs_key for way in self._senders.values()):
            self._ask()
        return taken

    def _here(self, time: float) -> float:
        """Return the time here of a frame of another connection, whose axis is its own."""
        now = self._driver.clock.monotonic()
        if self._offset is None or abs(time + self._offset - now) > ASTRAY:
            self._offset = now - time
        return time + self._offset

    def end(self) -> None:
        """End the source: the track ends, with its event. Idempotent."""
        self._driver.require_thread("EncodedSource.end()")
        if not self._is_over:
            self._is_over = True
            self._driver.queue_task(self._internals.end)

    # --- its senders (the protocol VideoFeed of webrtc) -----------

    def begin(self, sender: VideoSender) -> None:
        """Take a sender: it sends this source from now on."""
        self._senders[sender] = _Way(sender, self._codec)
        self.handle_change(sender)

    def stop(self, sender: VideoSender) -> None:
        """Forget a sender: it sends another source, or nothing."""
        self._senders.pop(sender, None)
        self._follow_bitrate()

    def handle_change(self, sender: VideoSender) -> None:
        """Follow the sender's codec, bit rate, encoding, or `enabled`."""
        way = self._senders[sender]
        wrong = way.follow()
        if wrong:
            self.fail(
                NotSupportedError(
                    f"the connection sends {wrong}, and this source has {self._codec}: "
                    "the other side does not take that, or setCodecPreferences() has left it out"
                )
            )
        if way.needs_key:
            self._ask()
        self._follow_bitrate()

    def handle_key_wanted(self, sender: VideoSender) -> None:
        """Ask the program for a key frame."""
        del sender
        self._tell_key()

    def stats(self) -> dict[str, Any]:
        """Return the figures of the source, for getStats."""
        return {"frames": self._frames}

    def _follow_bitrate(self) -> None:
        bitrate = min((way.sender.target for way in self._senders.values() if way.is_open), default=0)
        if bitrate != self._bitrate:
            self._bitrate = bitrate
            if bitrate:
                self._driver.queue_task(self.dispatchEvent, BitrateEvent(bitrate))

    def _ask(self) -> None:
        """Ask for a key frame, unless that was just done."""
        if self._driver.clock.monotonic() - self._asked >= AGAIN:
            self._tell_key()

    def _tell_key(self) -> None:
        self._asked = self._driver.clock.monotonic()
        self._driver.queue_task(self.dispatchEvent, KeyframeEvent())

    def _release(self) -> None:
        """The last track was stopped."""
        self._is_over = True

    def __repr__(self) -> str:
        return f"<EncodedSource {self.mime_type}, {self._frames} frames{', ended' if self._is_over else ''}>"


class _Way:
    """The way to one sender."""

    def __init__(self, sender: VideoSender, codec: str) -> None:
        self.sender = sender
        self._codec = codec
        self._was_open = False
        self._has_begun = False

    @property
    def is_open(self) -> bool:
        """Whether frames are sent."""
        return self.sender.is_open and self.sender.codec == self._codec

    @property
    def needs_key(self) -> bool:
        """Whether it waits for a key frame."""
        return self.is_open and self.sender.enabled and not self._has_begun

    def follow(self) -> str | None:
        """Follow the sender. Return its codec, once, if it is another one."""
        sender = self.sender
        if not (self.is_open and sender.enabled):
            self._has_begun = False
        was, self._was_open = self._was_open, sender.is_open
        return sender.codec if sender.is_open and not was and sender.codec != self._codec else None

    def send(self, data: bytes, captured: float, *, key: bool, temporal: int) -> bool:
        """Send a frame, if it can be decoded. Return whether it was."""
        sender = self.sender
        if not self.is_open or not sender.enabled or not (key or self._has_begun):
            return False
        self._has_begun = True
        sender.figures["frames_encoded"] = sender.figures.get("frames_encoded", 0) + 1
        sender.figures["key_frames_encoded"] = sender.figures.get("key_frames_encoded", 0) + key
        sender.send(data, captured, key=key, temporal=temporal)
        return True
