"""RTCTrackEvent. https://www.w3.org/TR/webrtc/#rtctrackevent"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adieu.events import EventOf
from adieu.webrtc.dictionaries import dictionary, is_list
from adieu.webrtc.media_stream import MediaStream
from adieu.webrtc.media_stream_track import MediaStreamTrack
from adieu.webrtc.rtp_receiver import RTCRtpReceiver
from adieu.webrtc.rtp_transceiver import RTCRtpTransceiver

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class RTCTrackEventInit:
    """The members of a track event; all but `streams` are required."""

    receiver: RTCRtpReceiver
    track: MediaStreamTrack
    transceiver: RTCRtpTransceiver
    streams: Sequence[MediaStream] = ()

    def __post_init__(self) -> None:
        members: dict[str, Any] = {
            "receiver": RTCRtpReceiver,
            "track": MediaStreamTrack,
            "transceiver": RTCRtpTransceiver,
        }
        for name, cls in members.items():
            if not isinstance(getattr(self, name), cls):
                raise TypeError(f"RTCTrackEventInit.{name} is {getattr(self, name)!r}, not a {cls.__name__}")
        streams: Any = self.streams
        if not is_list(streams) or not all(isinstance(stream, MediaStream) for stream in streams):
            raise TypeError(f"RTCTrackEventInit.streams is {streams!r}, not a list of MediaStream")


class RTCTrackEvent(EventOf):
    """The other side may send a track from now on.

    Args:
        type: "track".
        eventInitDict: a mapping, or members as keywords: `receiver`, `track`, `streams`, `transceiver`.
    """

    __slots__ = ("_init", "_streams")

    _holds = "track"

    def __init__(self, type: str, eventInitDict: object = None, **members: Any) -> None:
        super().__init__(type)
        self._init = dictionary(RTCTrackEventInit, eventInitDict, members)
        self._streams = list(self._init.streams)

    @property
    def receiver(self) -> RTCRtpReceiver:
        """The receiver of the track."""
        return self._init.receiver

    @property
    def track(self) -> MediaStreamTrack:
        """The track of the receiver."""
        return self._init.track

    @property
    def streams(self) -> list[MediaStream]:
        """The streams that the other side has put it in."""
        return self._streams

    @property
    def transceiver(self) -> RTCRtpTransceiver:
        """The transceiver of the track."""
        return self._init.transceiver
