"""RTCRtpTransceiver: a sender and a receiver that share a section."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adieu.compat.aiortc.rtcrtpparameters import codec_of
from adieu.compat.aiortc.rtcrtpreceiver import RTCRtpReceiver
from adieu.compat.aiortc.rtcrtpsender import RTCRtpSender

if TYPE_CHECKING:
    from adieu.compat.aiortc.rtcrtpparameters import RTCRtpCodecCapability
    from adieu.webrtc import RTCRtpTransceiver as Inner


class RTCRtpTransceiver:
    """A sender and a receiver of one kind.

    Attributes:
        w3c: adieu's own transceiver.
    """

    def __init__(self, inner: Inner) -> None:
        self.w3c = inner
        kind = inner.receiver.track.kind
        self._sender = RTCRtpSender(inner.sender, kind)
        self._receiver = RTCRtpReceiver(inner.receiver)
        inner.receiver.track.addEventListener("mute", lambda _event: self._muted())

    def _muted(self) -> None:
        """End the track as aiortc does if the other side has said BYE. In other cases it does not receive by now."""
        if self.w3c.currentDirection in {"sendrecv", "recvonly"}:
            self._receiver.track.stop()

    @property
    def kind(self) -> str:
        """The kind: "audio" or "video"."""
        return self._sender.kind

    @property
    def mid(self) -> str | None:
        """The mid of its section; None before it has one."""
        return self.w3c.mid

    @property
    def direction(self) -> str:
        """The direction that the next description asks for."""
        return self.w3c.direction

    @direction.setter
    def direction(self, direction: Any) -> None:
        self.w3c.direction = direction

    @property
    def currentDirection(self) -> str | None:
        """The direction that was negotiated."""
        return self.w3c.currentDirection

    @property
    def stopped(self) -> bool:
        """Whether it was stopped."""
        return self.w3c.stopped

    @property
    def sender(self) -> RTCRtpSender:
        """The sender."""
        return self._sender

    @property
    def receiver(self) -> RTCRtpReceiver:
        """The receiver."""
        return self._receiver

    def setCodecPreferences(self, codecs: list[RTCRtpCodecCapability]) -> None:
        """Choose the codecs and their order, from those of `getCapabilities()`; an empty list: all.

        Raises:
            ValueError: one of them is not among the capabilities.
        """
        known = RTCRtpReceiver.getCapabilities(self.kind).codecs
        for codec in codecs:
            if codec not in known:
                raise ValueError(f"{codec.mimeType} is not a codec of getCapabilities({self.kind!r})")
        self.w3c.setCodecPreferences([codec_of(codec) for codec in codecs])

    async def stop(self) -> None:
        """End both of them for good."""
        await self._receiver.stop()
        await self._sender.stop()
        self.w3c.stop()
