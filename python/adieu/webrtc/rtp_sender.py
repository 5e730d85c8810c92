"""RTCRtpSender. https://www.w3.org/TR/webrtc/#rtcrtpsender-interface"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from adieu.errors import InvalidModificationError, InvalidStateError
from adieu.jsep import same_codec
from adieu.webrtc.capabilities import capabilities
from adieu.webrtc.dictionaries import dictionary
from adieu.webrtc.dtmf_sender import RTCDTMFSender
from adieu.webrtc.media_stream import MediaStream
from adieu.webrtc.media_stream_track import MediaStreamTrack, no_track
from adieu.webrtc.operations import begun_by_the_call
from adieu.webrtc.rtp_parameters import (
    RTCRtcpParameters,
    RTCRtpCapabilities,
    RTCRtpCodecParameters,
    RTCRtpEncodingParameters,
    RTCRtpHeaderExtensionParameters,
    RTCRtpSendParameters,
    check_ranges,
    copy_of,
)

if TYPE_CHECKING:
    from adieu.jsep import Encoding
    from adieu.webrtc.dtls_transport import RTCDtlsTransport
    from adieu.webrtc.stats_report import RTCStatsReport
    from adieu.webrtc.transceiver_internals import TransceiverInternals


def _is_closed(sender: RTCRtpSender) -> bool:
    return sender._internals.owner.is_closed  # noqa: SLF001 its own module # pyright: ignore[reportPrivateUsage]


class RTCRtpSender:
    """The sending half of a transceiver. The sources of `adieu.media` give it sound and pictures."""

    __slots__ = ("__weakref__", "_dtmf", "_internals", "_last")

    def __init__(self, internals: TransceiverInternals) -> None:
        self._internals = internals
        self._dtmf = internals.dtmf = RTCDTMFSender(internals) if internals.value.kind == "audio" else None
        self._last: RTCRtpSendParameters | None = None

    @property
    def track(self) -> MediaStreamTrack | None:
        """The track that is sent."""
        return self._internals.sender_track

    @property
    def transport(self) -> RTCDtlsTransport | None:
        """The transport that it is sent on; None before it is negotiated."""
        return self._internals.transport

    @property
    def dtmf(self) -> RTCDTMFSender | None:
        """The sender of telephone tones; None for video."""
        return self._dtmf

    @staticmethod
    def getCapabilities(kind: str) -> RTCRtpCapabilities | None:
        """Return the codecs and extensions that can be sent; None for another kind than "audio" and "video"."""
        return capabilities(kind)

    # --- parameters -----------

    def getParameters(self) -> RTCRtpSendParameters:
        """Return the encodings and the negotiated parameters.

        https://www.w3.org/TR/webrtc/#dom-rtcrtpsender-getparameters. Change members of `encodings`, and give the result
        to `setParameters()` at once. After the current task, or after another negotiation, it is refused.
        """
        # steps 2 and 3
        if self._last is None:
            value = self._internals.value
            self._last = RTCRtpSendParameters(
                str(uuid.uuid4()),
                [RTCRtpEncodingParameters.of(encoding) for encoding in value.encodings],
                [RTCRtpCodecParameters.of(codec) for codec in value.send_codecs],
                [RTCRtpHeaderExtensionParameters.of(extension) for extension in value.extensions],
                RTCRtcpParameters(self._internals.cname, value.reduced_size),
            )
            # step 4
            self._internals.owner.driver.queue_task(self.forget_parameters)
        return copy_of(self._last)

    def forget_parameters(self) -> None:
        """Set [[LastReturnedParameters]] to null: the task is over, or a description has changed them."""
        self._last = None

    @begun_by_the_call(_is_closed)
    async def setParameters(
        self, parameters: RTCRtpSendParameters | dict[str, Any], setParameterOptions: object = None
    ) -> None:
        """Change the encodings. https://www.w3.org/TR/webrtc/#dom-rtcrtpsender-setparameters

        Args:
            parameters: the result of `getParameters()` in this task, with other values in its encodings.
            setParameterOptions: ignored; its members have no meaning here.

        Raises:
            InvalidStateError: the transceiver is stopped, or getParameters() was not called in this task.
            InvalidModificationError: a member changes that cannot change, or a codec is not negotiated.
            ValueError: a number is out of its range.
            AbortError: the connection was closed meanwhile.

        Cancellation: they are set or not.
        """
        self._internals.require_thread("RTCRtpSender.setParameters()")
        del setParameterOptions
        given = dictionary(RTCRtpSendParameters, parameters, open_=True)
        internals = self._internals
        # step 3 (closing rule 25)
        if internals.value.stopping:
            raise InvalidStateError("the transceiver is stopped")
        # step 4
        if self._last is None:
            raise InvalidStateError("call getParameters() first, in the same task")
        # step 5
        encodings = self._checked(given, self._last)
        # step 6: in parallel, and back in a task
        await internals.owner.next_task()
        self.forget_parameters()
        # A description that came meanwhile may have changed the encodings. The values count for those that are left.
        given_by_rid = {encoding.rid: encoding for encoding in encodings}
        internals.change(encodings=tuple(given_by_rid.get(now.rid, now) for now in internals.value.encodings))
        internals.owner.follow_media()

    def _checked(self, given: RTCRtpSendParameters, last: RTCRtpSendParameters) -> tuple[Encoding, ...]:
        """W3C setParameters validation steps."""
        # step 3
        for name in ("transactionId", "codecs", "headerExtensions", "rtcp"):
            if getattr(given, name) != getattr(last, name):
                raise InvalidModificationError(
                    f"RTCRtpSendParameters.{name} is {getattr(given, name)!r}: it cannot be changed"
                )
        if [encoding.rid for encoding in given.encodings] != [encoding.rid for encoding in last.encodings]:
            raise InvalidModificationError("RTCRtpSendParameters.encodings has other rids, or another number of them")
        # steps 4 to 7
        value = self._internals.value
        encodings = check_ranges(value.kind, given.encodings)
        # step 8
        choosable = value.send_codecs or self._internals.owner.capabilities.codecs[value.kind]
        for encoding in encodings:
            if encoding.codec is not None and not any(same_codec(encoding.codec, codec) for codec in choosable):
                raise InvalidModificationError(f"{encoding.codec.mime_type!r} is not among what has been negotiated")
        if value.kind == "video":
            encodings = [
                replace(encoding, scale_resolution_down_by=encoding.scale_resolution_down_by or 1.0)
                for encoding in encodings
            ]
        return tuple(encodings)

    # --- tracks and streams -----------

    @begun_by_the_call(_is_closed)
    async def replaceTrack(self, withTrack: MediaStreamTrack | None) -> None:
        """Send another track without a negotiation; None sends nothing.

        https://www.w3.org/TR/webrtc/#dom-rtcrtpsender-replacetrack

        Raises:
            TypeError: it is not a track, or of another kind.
            InvalidStateError: the transceiver is stopped, or the connection is closed (closing rule 24).
            AbortError: the connection was closed meanwhile.

        Cancellation: it is replaced or not.
        """
        self._internals.require_thread("RTCRtpSender.replaceTrack()")
        internals = self._internals
        # steps 4 and 5
        given: Any = withTrack
        if given is not None and not isinstance(given, MediaStreamTrack):
            raise no_track(given)
        if withTrack is not None and withTrack.kind != internals.value.kind:
            raise TypeError(f"the track is {withTrack.kind}, the sender is for {internals.value.kind}")
        # step 6
        await internals.owner.operations.chain(lambda: self._replace(withTrack))

    async def _replace(self, track: MediaStreamTrack | None) -> None:
        # step 6.1
        if self._internals.value.stopping:
            raise InvalidStateError("the transceiver is stopped")
        # step 6.7: in parallel, and back in a task
        await self._internals.owner.next_task()
        if track is not self._internals.sender_track and self._dtmf is not None:
            self._dtmf.clear()
        self._internals.set_track(track)

    def setStreams(self, *streams: MediaStream) -> None:
        """Set the streams that its track is in for the other side. https://www.w3.org/TR/webrtc/#dom-rtcrtpsender-setstreams

        Raises:
            InvalidStateError: the connection is closed, or the transceiver is stopped (closing rule 25).
        """
        self._internals.require_thread("RTCRtpSender.setStreams()")
        # steps 3 to 6
        if self._internals.owner.is_closed:
            raise InvalidStateError("the connection is closed")
        if self._internals.value.stopping:
            raise InvalidStateError("the transceiver is stopped")
        self._internals.change(streams=stream_ids(streams))
        self._internals.owner.update_negotiation_needed()

    async def getStats(self) -> RTCStatsReport:
        """Return the statistics of its stream and of its transport, also after a close (closing rule 28).

        Cancellation: nothing changes.
        """
        self._internals.require_thread("RTCRtpSender.getStats()")
        return await self._internals.owner.collect_stats(self._internals.transport, (self._internals,), ())

    def __repr__(self) -> str:
        return f"<RTCRtpSender {self._internals.value.kind}>"


def stream_ids(streams: object) -> tuple[str, ...]:
    """Return the ids of streams, each once.

    Raises:
        TypeError: an argument is not a stream.
    """
    given: Any = streams
    for stream in given:
        if not isinstance(stream, MediaStream):
            raise TypeError(f"{stream!r} is not a MediaStream")
    return tuple(dict.fromkeys(stream.id for stream in given))
