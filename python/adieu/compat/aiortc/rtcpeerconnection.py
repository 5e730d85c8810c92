"""RTCPeerConnection, with the methods and events of aiortc's."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from adieu.compat.aiortc.emitter import EventEmitter
from adieu.compat.aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError
from adieu.compat.aiortc.feeds import feed_of
from adieu.compat.aiortc.mediastreams import MediaStreamTrack
from adieu.compat.aiortc.rtcconfiguration import RTCConfiguration, as_dictionary
from adieu.compat.aiortc.rtcdatachannel import RTCDataChannel
from adieu.compat.aiortc.rtcrtptransceiver import RTCRtpTransceiver
from adieu.compat.aiortc.rtcsctptransport import RTCSctpTransport
from adieu.compat.aiortc.rtcsessiondescription import RTCSessionDescription
from adieu.compat.aiortc.sdp import candidate_to_sdp
from adieu.compat.aiortc.stats import RTCStatsReport, report_of
from adieu.errors import AbortError, OperationError
from adieu.webrtc import MediaStream
from adieu.webrtc import RTCPeerConnection as _Connection

if TYPE_CHECKING:
    from adieu.compat.aiortc.feeds import Feed
    from adieu.compat.aiortc.rtcicetransport import RTCIceCandidate
    from adieu.compat.aiortc.rtcrtpreceiver import RTCRtpReceiver
    from adieu.compat.aiortc.rtcrtpsender import RTCRtpSender
    from adieu.events import Event
    from adieu.webrtc import RTCRtpTransceiver as _Transceiver

logger: Final = logging.getLogger("adieu.compat.aiortc")

DIRECTIONS: Final = ("sendrecv", "sendonly", "recvonly", "inactive")
EARLY: Final = 256
"""The most candidates that are kept until there is a remote description."""
STATES: Final = ("signalingstatechange", "iceconnectionstatechange", "icegatheringstatechange", "connectionstatechange")


class RTCPeerConnection(EventEmitter):
    """A connection to another computer.

    It may be made anywhere. It belongs to the event loop in which its first method is called.

    Events: "track" (with the track), "datachannel" (with the channel), "connectionstatechange",
    "iceconnectionstatechange", "icegatheringstatechange" and "signalingstatechange".

    Args:
        configuration: its configuration.
    """

    def __init__(self, configuration: RTCConfiguration | None = None) -> None:
        super().__init__()
        self._configuration = as_dictionary(configuration or RTCConfiguration())
        self._inner: _Connection | None = None
        self._stream = MediaStream()
        """All tracks of this side are in one stream: pages show `event.streams[0]`."""
        self._transceivers: dict[_Transceiver, RTCRtpTransceiver] = {}
        self._channels: list[RTCDataChannel] = []
        self._sctp: RTCSctpTransport | None = None
        self._watched: set[Any] = set()
        self._early: list[RTCIceCandidate | None] = []
        self._closing: asyncio.Task[None] | None = None
        self._over = False

    @property
    def w3c(self) -> _Connection:
        """The connection of adieu, with all that the W3C has. It is made when it is needed first.

        Raises:
            RuntimeError: there is no running event loop.
        """
        if self._inner is None:
            self._require_open()
            inner = self._inner = _Connection(self._configuration)
            for name in STATES:
                inner.addEventListener(name, lambda event: self._changed(event.type))
            inner.ondatachannel = lambda event: self.emit("datachannel", self._channel(event.channel))
            inner.ontrack = lambda event: self.emit("track", self._transceiver(event.transceiver).receiver.track)
        return self._inner

    # --- states -----------

    @property
    def connectionState(self) -> str:
        """The state of the connection; "closed" when it was closed here or by the other side."""
        return "closed" if self._over else "new" if self._inner is None else self._inner.connectionState

    @property
    def iceConnectionState(self) -> str:
        """The state of ICE."""
        return "closed" if self._over else "new" if self._inner is None else self._inner.iceConnectionState

    @property
    def iceGatheringState(self) -> str:
        """Whether candidates are being gathered: "new", "gathering" or "complete"."""
        return "new" if self._inner is None else self._inner.iceGatheringState

    @property
    def signalingState(self) -> str:
        """The state of offer and answer."""
        return "closed" if self._over else "stable" if self._inner is None else self._inner.signalingState

    @property
    def localDescription(self) -> RTCSessionDescription | None:
        """The description of this side, with its candidates."""
        return None if self._inner is None else _shown(self._inner.localDescription)

    @property
    def remoteDescription(self) -> RTCSessionDescription | None:
        """The description of the other side."""
        return None if self._inner is None else _shown(self._inner.remoteDescription)

    @property
    def sctp(self) -> RTCSctpTransport | None:
        """The transport of data channels; None before a description has them."""
        if self._sctp is None and self._inner is not None and self._inner.sctp is not None:
            self._sctp = RTCSctpTransport(self._inner.sctp)
        return self._sctp

    def _changed(self, name: str) -> None:
        if self._over:
            return
        if name == "connectionstatechange" and self.connectionState == "connected":
            self._begin()
        self.emit(name)

    def _begin(self) -> None:
        """Let the senders read their tracks that may send by now."""
        if self._inner is None or self._inner.connectionState != "connected":
            return
        for transceiver in self.getTransceivers():
            if transceiver.currentDirection in {"sendrecv", "sendonly"}:
                transceiver.sender.begin()

    def _watch(self) -> None:
        """Close this side when the other side has closed its DTLS, as aiortc does."""
        for transport in self._transports() - self._watched:
            self._watched.add(transport)
            transport.addEventListener("statechange", self._transport_changed)

    def _transports(self) -> set[Any]:
        inner = self.w3c
        found = {transceiver.sender.transport for transceiver in inner.getTransceivers()}
        found.add(inner.sctp.transport if inner.sctp is not None else None)
        return found - {None}

    def _transport_changed(self, event: Event) -> None:
        if self._over:
            return
        # One that no description uses any longer closes too: after a rollback, a rejection, or with the bundle.
        used = self._transports()
        if event.target in used and all(transport.state == "closed" for transport in used):
            self._start_closing()

    # --- descriptions and candidates -----------

    async def createOffer(self) -> RTCSessionDescription:
        """Return an offer."""
        self.getTransceivers()
        made = await self.w3c.createOffer()
        return RTCSessionDescription(sdp=made.sdp, type=made.type)

    async def createAnswer(self) -> RTCSessionDescription:
        """Return an answer to the offer that was set.

        Raises:
            InvalidStateError: no offer was set.
        """
        self.getTransceivers()
        made = await self.w3c.createAnswer()
        return RTCSessionDescription(sdp=made.sdp, type=made.type)

    async def setLocalDescription(self, sessionDescription: RTCSessionDescription | None = None) -> None:
        """Set the description of this side, and wait until it has all its candidates.

        Args:
            sessionDescription: the offer or the answer; None: make it.
        """
        inner, given = self.w3c, sessionDescription
        self.getTransceivers()
        if given is None:
            await inner.setLocalDescription()
        else:
            await inner.setLocalDescription({"type": given.type, "sdp": given.sdp})
        self._watch()
        if inner.localDescription is not None:
            try:
                await inner.gathered()
            except AbortError:
                if inner.signalingState == "closed":
                    raise
                # else it was rolled back meanwhile, by an offer of the other side
        self._begin()

    async def setRemoteDescription(self, sessionDescription: RTCSessionDescription) -> None:
        """Set the description of the other side. A candidate that came before it, and does not fit, is logged.

        Raises:
            InvalidStateError: it does not fit the state.
        """
        await self.w3c.setRemoteDescription({"type": sessionDescription.type, "sdp": sessionDescription.sdp})
        self._watch()
        early, self._early = self._early, []
        for candidate in early:
            try:
                await self.addIceCandidate(candidate)
            except (OperationError, TypeError, ValueError) as error:
                logger.warning("a candidate that came before the remote description is ignored: %s", error)
        self._begin()

    async def addIceCandidate(self, candidate: RTCIceCandidate | None) -> None:
        """Take a candidate of the other side; None: it was the last.

        Raises:
            ValueError: it names no section, or it comes before the remote description with 256 others.
        """
        if candidate is not None and candidate.sdpMid is None and candidate.sdpMLineIndex is None:
            raise ValueError("the candidate has neither sdpMid nor sdpMLineIndex: they say whose section it is")
        if self.w3c.remoteDescription is None:
            if len(self._early) >= EARLY:
                raise ValueError(f"more than {EARLY} candidates before setRemoteDescription()")
            self._early.append(candidate)
        elif candidate is None:
            await self.w3c.addIceCandidate()
        else:
            line = f"candidate:{candidate_to_sdp(candidate)}"
            place = {"sdpMid": candidate.sdpMid, "sdpMLineIndex": candidate.sdpMLineIndex}
            await self.w3c.addIceCandidate({"candidate": line, **place})

    # --- channels and media -----------

    def createDataChannel(
        self,
        label: str,
        maxPacketLifeTime: int | None = None,
        maxRetransmits: int | None = None,
        ordered: bool = True,
        protocol: str = "",
        negotiated: bool = False,
        id: int | None = None,
    ) -> RTCDataChannel:
        """Create a data channel.

        Args:
            label: its name.
            maxPacketLifeTime: milliseconds during which a message is sent again.
            maxRetransmits: how often a message is sent again.
            ordered: whether messages arrive in order.
            protocol: the name of the protocol on it.
            negotiated: whether both sides create it with the same `id`.
            id: its stream id, if it is negotiated.

        Raises:
            ValueError: the options contradict each other.
        """
        if maxPacketLifeTime is not None and maxRetransmits is not None:
            raise ValueError("maxPacketLifeTime and maxRetransmits are given; only one of them may be")
        if negotiated and (id is None or not 0 <= id <= 65534):
            raise ValueError(f"id={id}: a negotiated channel has one from 0 to 65534, the same on both sides")
        options: dict[str, Any] = {
            "maxPacketLifeTime": maxPacketLifeTime,
            "maxRetransmits": maxRetransmits,
            "id": id,
        }
        given = {name: value for name, value in options.items() if value is not None}
        inner = self.w3c.createDataChannel(label, ordered=ordered, protocol=protocol, negotiated=negotiated, **given)
        return self._channel(inner)

    def _channel(self, inner: Any) -> RTCDataChannel:
        self._channels = [channel for channel in self._channels if channel.readyState != "closed"]
        channel = RTCDataChannel(inner, lambda: self.sctp)
        self._channels.append(channel)
        return channel

    def addTrack(self, track: MediaStreamTrack) -> RTCRtpSender:
        """Send a track. It is read when the connection is there.

        Raises:
            InternalError: it is neither audio nor video.
            InvalidAccessError: it is sent already.
        """
        feed = self._feed(track)
        inner = self.w3c.addTrack(feed.w3c, self._stream)
        sender = next(one.sender for one in self.getTransceivers() if one.sender.w3c is inner)
        sender.adopt(feed, track)
        return sender

    def addTransceiver(self, trackOrKind: str | MediaStreamTrack, direction: str = "sendrecv") -> RTCRtpTransceiver:
        """Add a transceiver.

        Args:
            trackOrKind: a track to send; or "audio" or "video".
            direction: "sendrecv", "sendonly", "recvonly" or "inactive".

        Raises:
            InternalError: the kind or the direction is unknown.
            InvalidAccessError: the track is sent already.
        """
        if direction not in DIRECTIONS:
            raise InternalError(f"direction={direction!r}: one of {', '.join(DIRECTIONS)}")
        if isinstance(trackOrKind, MediaStreamTrack):
            feed = self._feed(trackOrKind)
            made = self._transceiver(self.w3c.addTransceiver(feed.w3c, {"direction": direction}))
            made.sender.adopt(feed, trackOrKind)
            return made
        if trackOrKind not in {"audio", "video"}:
            raise InternalError(f"kind={trackOrKind!r}: 'audio' or 'video'")
        return self._transceiver(self.w3c.addTransceiver(trackOrKind, {"direction": direction}))

    def _feed(self, track: MediaStreamTrack) -> Feed:
        self._require_open()
        if any(sender.track is track for sender in self.getSenders()):
            raise InvalidAccessError(f"{track!r} has a sender already")
        return feed_of(track)

    def _transceiver(self, inner: _Transceiver) -> RTCRtpTransceiver:
        found = self._transceivers.get(inner)
        if found is None:
            found = self._transceivers[inner] = RTCRtpTransceiver(inner)
            if not self._over and not inner.stopped:
                inner.sender.setStreams(self._stream)
        return found

    def getTransceivers(self) -> list[RTCRtpTransceiver]:
        """Return the transceivers, in the order in which they were made."""
        if self._inner is None or self._over:
            return list(self._transceivers.values())
        return [self._transceiver(inner) for inner in self._inner.getTransceivers()]

    def getSenders(self) -> list[RTCRtpSender]:
        """Return the senders."""
        return [transceiver.sender for transceiver in self.getTransceivers()]

    def getReceivers(self) -> list[RTCRtpReceiver]:
        """Return the receivers."""
        return [transceiver.receiver for transceiver in self.getTransceivers()]

    async def getStats(self) -> RTCStatsReport:
        """Return the statistics, as objects with the W3C's members as attributes."""
        return report_of(await self.w3c.getStats())

    # --- the end -----------

    def _require_open(self) -> None:
        if self._over:
            raise InvalidStateError("the connection is closed")

    def _start_closing(self) -> asyncio.Task[None]:
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close())
        return self._closing

    async def close(self) -> None:
        """Close the connection, and wait until the last packets have left. Its tracks end."""
        await asyncio.shield(self._start_closing())

    async def _close(self) -> None:
        known = self.getTransceivers()
        self._over = True
        self.emit("signalingstatechange")
        for transceiver in known:
            await transceiver.receiver.stop()
            await transceiver.sender.stop()
        if self._inner is not None:
            self._inner.close()
            for channel in self._channels:
                channel.end()
            await self._inner.wait_closed()
        self.emit("iceconnectionstatechange")
        self.emit("connectionstatechange")
        self.remove_all_listeners()


def _shown(description: Any) -> RTCSessionDescription | None:
    return None if description is None else RTCSessionDescription(sdp=description.sdp, type=description.type)
