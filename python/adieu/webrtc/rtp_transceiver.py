"""RTCRtpTransceiver. https://www.w3.org/TR/webrtc/#rtcrtptransceiver-interface"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from adieu.errors import InvalidModificationError, InvalidStateError
from adieu.jsep import same_codec
from adieu.webrtc.dictionaries import choice, is_list, members_of
from adieu.webrtc.media_stream import MediaStream
from adieu.webrtc.rtp_parameters import RTCRtpCodec, RTCRtpEncodingParameters
from adieu.webrtc.rtp_receiver import RTCRtpReceiver
from adieu.webrtc.rtp_sender import RTCRtpSender

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adieu.jsep import Codec
    from adieu.webrtc.transceiver_internals import TransceiverInternals

RTCRtpTransceiverDirection: TypeAlias = Literal["sendrecv", "sendonly", "recvonly", "inactive", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RTCRtpTransceiverInit:
    """The first values of a transceiver. https://www.w3.org/TR/webrtc/#dom-rtcrtptransceiverinit

    Attributes:
        direction: the wanted direction.
        streams: the streams that its track is in for the other side.
        sendEncodings: more than one means simulcast: then each has a rid.
    """

    direction: RTCRtpTransceiverDirection = "sendrecv"
    streams: Sequence[MediaStream] = ()
    sendEncodings: Sequence[RTCRtpEncodingParameters] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        choice("RTCRtpTransceiverInit.direction", self.direction, RTCRtpTransceiverDirection)
        if self.direction == "stopped":
            raise TypeError("RTCRtpTransceiverInit.direction is 'stopped': nothing begins so")
        streams: Any = self.streams
        if not is_list(streams) or not all(isinstance(stream, MediaStream) for stream in streams):
            raise TypeError(f"RTCRtpTransceiverInit.streams is {streams!r}, not a list of MediaStream")
        encodings = members_of(RTCRtpEncodingParameters, "RTCRtpTransceiverInit.sendEncodings", self.sendEncodings)
        # The caller's own objects are not kept.
        object.__setattr__(self, "sendEncodings", tuple(replace(encoding) for encoding in encodings))


class RTCRtpTransceiver:
    """A sender and a receiver that share a section of the descriptions.

    Thread safety: use it in the thread of its event loop.
    """

    __slots__ = ("__weakref__", "_internals", "_receiver", "_sender")

    def __init__(self, internals: TransceiverInternals) -> None:
        self._internals = internals
        self._sender = RTCRtpSender(internals)
        self._receiver = RTCRtpReceiver(internals)

    @property
    def mid(self) -> str | None:
        """The mid of its section; None without a section."""
        return self._internals.value.mid

    @property
    def sender(self) -> RTCRtpSender:
        """The sending half."""
        return self._sender

    @property
    def receiver(self) -> RTCRtpReceiver:
        """The receiving half."""
        return self._receiver

    @property
    def direction(self) -> RTCRtpTransceiverDirection:
        """The wanted direction. Setting it asks for a negotiation.

        Raises:
            InvalidStateError: it is stopped, or the connection is closed (closing rule 25).
            TypeError: this direction cannot be set.
        """
        return "stopped" if self._internals.value.stopping else self._internals.value.direction

    @direction.setter
    def direction(self, direction: RTCRtpTransceiverDirection) -> None:
        self._internals.require_thread("RTCRtpTransceiver.direction = ...")
        choice("RTCRtpTransceiver.direction", direction, RTCRtpTransceiverDirection)
        internals = self._internals
        # steps 3 to 7
        if internals.owner.is_closed:
            raise InvalidStateError("the connection is closed")
        if internals.value.stopping:
            raise InvalidStateError("the transceiver is stopped")
        if direction == internals.value.direction:
            return
        if direction == "stopped":
            raise TypeError("RTCRtpTransceiver.direction cannot be set to 'stopped': call stop()")
        internals.change(direction=direction)
        internals.owner.update_negotiation_needed()

    @property
    def currentDirection(self) -> RTCRtpTransceiverDirection | None:
        """The negotiated direction; None before a negotiation."""
        return "stopped" if self._internals.value.stopped else self._internals.value.current_direction

    @property
    def stopped(self) -> bool:
        """Whether it has stopped. The W3C has removed this property, browsers have kept it."""
        return self._internals.value.stopped

    def stop(self) -> None:
        """Stop both halves; the next negotiation reports it to the other side.

        https://www.w3.org/TR/webrtc/#dom-rtcrtptransceiver-stop. The receiver's track ends soon, with its `ended`.

        Raises:
            InvalidStateError: the connection is closed (closing rule 25).
        """
        self._internals.require_thread("RTCRtpTransceiver.stop()")
        internals = self._internals
        # steps 3 to 6
        if internals.owner.is_closed:
            raise InvalidStateError("the connection is closed")
        if internals.value.stopping:
            return
        internals.change(direction="inactive", stopping=True)
        internals.follow_track()
        internals.owner.follow_media()
        internals.end_receiving()
        internals.owner.update_negotiation_needed()

    def setCodecPreferences(self, codecs: Sequence[RTCRtpCodec | dict[str, Any]]) -> None:
        """Set the codecs that are negotiated, and their order. An empty list means all, in the default order.

        https://www.w3.org/TR/webrtc/#dom-rtcrtptransceiver-setcodecpreferences

        Args:
            codecs: codecs of getCapabilities().

        Raises:
            InvalidModificationError: a codec is unknown, or no codec carries media.
        """
        self._internals.require_thread("RTCRtpTransceiver.setCodecPreferences()")
        kind = self._internals.value.kind
        known = self._internals.owner.capabilities.codecs[kind]
        # steps 3 and 4
        wanted: list[Codec] = []
        for given in members_of(RTCRtpCodec, "the codecs", codecs):
            codec = given.parsed()
            # step 6
            if not given.mimeType.lower().startswith(f"{kind}/") or not _is_among(codec, known):
                raise InvalidModificationError(f"there is no {given} for {kind}")
            if not any(same_codec(codec, other) for other in wanted):
                wanted.append(codec)
        # step 7
        if wanted and not any(codec.is_media for codec in wanted):
            raise InvalidModificationError("the codecs carry no media by themselves")
        # step 8
        self._internals.change(preferences=tuple(wanted))

    def __repr__(self) -> str:
        return f"<RTCRtpTransceiver {self._internals.value.kind}, mid {self.mid}, {self.direction}>"


def internals_of(transceiver: RTCRtpTransceiver) -> TransceiverInternals:
    """Return the internals of this object, for the procedures of its connection."""
    return transceiver._internals  # noqa: SLF001 its own module # pyright: ignore[reportPrivateUsage]


def _is_among(codec: Codec, codecs: Sequence[Codec]) -> bool:
    """W3C "codec match": everything is equal, except parameters that name payload types."""
    return any(
        same_codec(codec, known) and (known.name in {"rtx", "red"} or codec.fmtp == known.fmtp) for known in codecs
    )
