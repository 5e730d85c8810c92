"""RTCRtpReceiver. https://www.w3.org/TR/webrtc/#rtcrtpreceiver-interface"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adieu.webrtc.capabilities import capabilities
from adieu.webrtc.dictionaries import number
from adieu.webrtc.rtp_parameters import (
    RTCRtcpParameters,
    RTCRtpCapabilities,
    RTCRtpCodecParameters,
    RTCRtpHeaderExtensionParameters,
    RTCRtpReceiveParameters,
)

if TYPE_CHECKING:
    from adieu.webrtc.dtls_transport import RTCDtlsTransport
    from adieu.webrtc.media_stream_track import MediaStreamTrack
    from adieu.webrtc.stats_report import RTCStatsReport
    from adieu.webrtc.transceiver_internals import TransceiverInternals


@dataclass(frozen=True, slots=True)
class RTCRtpContributingSource:
    """A source that contributed to the played media. https://www.w3.org/TR/webrtc/#dom-rtcrtpcontributingsource

    Attributes:
        timestamp: the time, in milliseconds since 1970.
        source: the CSRC or SSRC.
        rtpTimestamp: of the played media.
        audioLevel: from 0 to 1.
    """

    timestamp: float
    source: int
    rtpTimestamp: int
    audioLevel: float | None = None


class RTCRtpSynchronizationSource(RTCRtpContributingSource):
    """The source that sent the played media. https://www.w3.org/TR/webrtc/#dom-rtcrtpsynchronizationsource"""


class RTCRtpReceiver:
    """The receiving half of a transceiver. The sinks of `adieu.media` hear its sound and see its pictures."""

    __slots__ = ("__weakref__", "_internals")

    def __init__(self, internals: TransceiverInternals) -> None:
        self._internals = internals

    @property
    def track(self) -> MediaStreamTrack:
        """The track. It is the same for all the life of the receiver."""
        return self._internals.receiver_track

    @property
    def transport(self) -> RTCDtlsTransport | None:
        """The transport that it arrives on; None before it is negotiated."""
        return self._internals.transport

    @property
    def jitterBufferTarget(self) -> float | None:
        """The time that media is held back to play smoothly, in milliseconds; None: chosen by the receiver.

        https://www.w3.org/TR/webrtc-extensions/#dom-rtcrtpreceiver-jitterbuffertarget
        """
        return self._internals.jitter_target

    @jitterBufferTarget.setter
    def jitterBufferTarget(self, target: float | None) -> None:
        self._internals.require_thread("RTCRtpReceiver.jitterBufferTarget = ...")
        if target is not None:
            number("RTCRtpReceiver.jitterBufferTarget", target)
            if not 0 <= target <= 4000:
                raise ValueError(f"RTCRtpReceiver.jitterBufferTarget is {target}, not from 0 to 4000")
        self._internals.jitter_target = target
        self._internals.follow_jitter_target()

    @staticmethod
    def getCapabilities(kind: str) -> RTCRtpCapabilities | None:
        """Return the codecs and extensions that can be received; None for another kind than "audio" and "video"."""
        return capabilities(kind)

    def getParameters(self) -> RTCRtpReceiveParameters:
        """Return the negotiated parameters. https://www.w3.org/TR/webrtc/#dom-rtcrtpreceiver-getparameters"""
        value = self._internals.value
        return RTCRtpReceiveParameters(
            [RTCRtpCodecParameters.of(codec) for codec in value.receive_codecs],
            [RTCRtpHeaderExtensionParameters.of(extension) for extension in value.extensions],
            RTCRtcpParameters(reducedSize=value.reduced_size),
        )

    def getContributingSources(self) -> list[RTCRtpContributingSource]:
        """Return the sources that contributed in the last ten seconds; empty: mixers are not read yet."""
        return []

    def getSynchronizationSources(self) -> list[RTCRtpSynchronizationSource]:
        """Return the sources that sent in the last ten seconds, the newest first.

        https://www.w3.org/TR/webrtc/#dom-rtcrtpreceiver-getsynchronizationsources. Pictures count when something reads
        them; sound also counts unread, so that the loudest speaker is found without decoding.
        """
        self._internals.require_thread("RTCRtpReceiver.getSynchronizationSources()")
        receiver = self._internals.media_receiver
        if receiver is None:
            return []
        driver = self._internals.owner.driver
        now = driver.clock.now()
        return [
            RTCRtpSynchronizationSource(now - 1000 * age, ssrc, timestamp, level)
            for ssrc, age, timestamp, level in driver.core.sources(receiver)
        ]

    async def getStats(self) -> RTCStatsReport:
        """Return the statistics of its stream and of its transport, also after a close (closing rule 28).

        Cancellation: nothing changes.
        """
        self._internals.require_thread("RTCRtpReceiver.getStats()")
        return await self._internals.owner.collect_stats(self._internals.transport, (), (self._internals,))

    def __repr__(self) -> str:
        return f"<RTCRtpReceiver {self.track.kind}>"
