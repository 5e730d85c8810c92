"""RTCRtpSender: reads a track of the program, and sends it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from adieu.compat.aiortc.exceptions import InternalError
from adieu.compat.aiortc.feeds import feed_of
from adieu.compat.aiortc.rtcrtpend import RTPEnd
from adieu.compat.aiortc.rtcrtpparameters import RTCRtpCapabilities, capabilities_of
from adieu.webrtc import RTCRtpSender as _Sender

if TYPE_CHECKING:
    from adieu.compat.aiortc.feeds import Feed
    from adieu.compat.aiortc.mediastreams import MediaStreamTrack


class RTCRtpSender(RTPEnd[_Sender]):
    """Sends a track.

    Attributes:
        w3c: adieu's own sender.
    """

    def __init__(self, inner: _Sender, kind: str) -> None:
        super().__init__(inner)
        self._kind = kind
        self._feed: Feed | None = None
        self._begun = False
        self._replacing: asyncio.Future[None] | None = None

    @property
    def kind(self) -> str:
        """The kind: "audio" or "video"."""
        return self._kind

    @property
    def track(self) -> MediaStreamTrack | None:
        """The track that it sends."""
        return self._feed.track if self._feed is not None else None

    @classmethod
    def getCapabilities(cls, kind: str) -> RTCRtpCapabilities:
        """Return the codecs and header extensions that can be sent.

        Raises:
            ValueError: the kind is neither "audio" nor "video".
        """
        return capabilities_of(_Sender.getCapabilities(kind), kind)

    def replaceTrack(self, track: MediaStreamTrack | None) -> None:
        """Send this track in place of the one before; None: send nothing of the program.

        Raises:
            InternalError: the track is of another kind.
        """
        if self._feed is None:
            if track is None:
                return
            if track.kind != self._kind:
                raise InternalError(f"{track!r} cannot be sent by a sender of {self._kind}")
            self._feed = feed_of(track)
            self._replacing = asyncio.ensure_future(self.w3c.replaceTrack(self._feed.w3c))
        self.adopt(self._feed, track)

    def adopt(self, feed: Feed, track: MediaStreamTrack | None) -> None:
        """Send what this feed reads."""
        self._feed = feed
        feed.read(track)
        if self._begun:
            feed.begin()

    def begin(self) -> None:
        """Begin to read its track: the connection is there."""
        self._begun = True
        if self._feed is not None:
            self._feed.begin()

    async def stop(self) -> None:
        """End it: nothing is read and sent from now on."""
        if self._feed is not None:
            self._feed.stop()
