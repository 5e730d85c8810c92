"""The tracks of a session: those that it sends, on each of its connections, and what became of them at its end.

A track belongs to the program that made it. A reset sends it over the new connection as soon as that one carries the
session, and not before: it is never sent over both. At the close, what is queued in the program's sources is still
spoken, within the deadline.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from adieu.errors import DOMException
from adieu.protocol.words import MediaAccount
from adieu.session.ledger import Held
from adieu.unclosed import where_made
from adieu.webrtc.media_stream_track import MediaStreamTrack, internals_of, no_track

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from adieu.session.tasks import Tasks
    from adieu.webrtc import MediaStream, RTCPeerConnection, RTCRtpSender
    from adieu.webrtc.media_stream_track import Feed

PROOF: Final = 1.0
"""Seconds that the other side's report is waited for, after the last packet has left. Browsers send one each second,
or each five seconds if the track is the only one."""
PLAYED: Final = 0.25
"""Seconds after the last packet in which the other side hears it: its path, and what it holds back to play smoothly."""
COUNTED: Final = 0.1
"""Seconds between two counts while the session closes: the last one counts what came just before the other's last
word."""


@dataclass(frozen=True, slots=True)
class MediaSent:
    """The account of a track that was sent, by this side's count and the other side's reports.

    Attributes:
        packets: that left.
        payload_bytes: what they carried.
        seconds: of sound that left.
        unsent: seconds of sound that were queued and did not leave.
        arrived: packets that the other side's last report covers; None without a report.
        lost: packets that it reports as lost; None without a report.
        frames: pictures that left; 0 of sound.
    """

    packets: int
    payload_bytes: int
    seconds: float
    unsent: float
    arrived: int | None
    lost: int | None
    frames: int = 0


@dataclass(frozen=True, slots=True)
class MediaReceived:
    """The account of a track of the other side.

    Attributes:
        packets: that came.
        payload_bytes: what they carried.
        lost: packets that never came.
        seconds: of sound that was given to the program; 0 if it did not listen.
        concealed: seconds of it that were made up.
        frames: pictures that came whole; 0 of sound.
        decoded: pictures of them that were decoded for the program; 0 if it did not look.
    """

    packets: int
    payload_bytes: int
    lost: int
    seconds: float
    concealed: float
    frames: int = 0
    decoded: int = 0


@dataclass(frozen=True, slots=True)
class MediaReceipt:
    """The account of the media of one section, of the last connection of the session.

    Attributes:
        kind: "audio" or "video".
        sent: None if nothing was sent.
        received: None if nothing came.
    """

    kind: str
    sent: MediaSent | None = None
    received: MediaReceived | None = None


@dataclass(slots=True, eq=False)
class _Sending:
    """A track that the session sends."""

    track: MediaStreamTrack
    streams: tuple[MediaStream, ...]
    where: str

    @property
    def feed(self) -> Feed | None:
        return internals_of(self.track).source.feed


class SessionMedia:
    """See the module.

    Attributes:
        receipts: by mid; set once, at the end.
    """

    def __init__(self, tasks: Tasks) -> None:
        self.receipts: dict[str, MediaReceipt] = {}
        self._tasks = tasks
        self._sendings: list[_Sending] = []
        self._connections: dict[int, tuple[RTCPeerConnection, dict[_Sending, RTCRtpSender]]] = {}
        self._active = 0

    # --- what the program asks -----------

    def add(self, track: MediaStreamTrack, streams: tuple[MediaStream, ...]) -> None:
        """See `Session.add_track`."""
        given: Any = track
        if not isinstance(given, MediaStreamTrack):
            raise no_track(given)
        if any(sending.track is track for sending in self._sendings):
            return
        if track.readyState == "ended":
            raise ValueError(f"{track!r} has ended: it gives nothing")
        sending = _Sending(track, streams, where_made())
        if sending.feed is not None:
            sending.feed.hold(self)
        self._sendings.append(sending)
        for epoch in self._connections:
            self._send(epoch, sending)

    def remove(self, track: MediaStreamTrack) -> None:
        """See `Session.remove_track`."""
        found = next((sending for sending in self._sendings if sending.track is track), None)
        if found is None:
            raise ValueError(f"{track!r} is not sent by this session")
        self._sendings.remove(found)
        for pc, senders in self._connections.values():
            if (sender := senders.pop(found, None)) is not None and pc.signalingState != "closed":
                pc.removeTrack(sender)
        if found.feed is not None:
            found.feed.let_go(self)

    # --- connections -----------

    def attach(self, epoch: int, pc: RTCPeerConnection) -> None:
        """Offer all tracks on a new connection. The first one sends them at once, another one once it is active."""
        self._connections[epoch] = pc, {}
        for sending in self._sendings:
            self._send(epoch, sending)

    def _send(self, epoch: int, sending: _Sending) -> None:
        pc, senders = self._connections[epoch]
        if pc.signalingState == "closed" or sending.track.readyState == "ended":
            return
        senders[sending] = pc.addTrack(sending.track, *sending.streams)
        if self._active not in {0, epoch}:
            self._give(senders[sending], None)

    def _give(self, sender: RTCRtpSender, track: MediaStreamTrack | None) -> None:
        """Let a sender send this track, or nothing while another connection sends it."""

        async def replace() -> None:
            with suppress(DOMException):  # the connection is closed, or the transceiver is stopped
                await sender.replaceTrack(track)

        self._tasks.spawn(replace(), "gives a connection its track")

    def switch(self, epoch: int) -> None:
        """Send over this connection from now on, and no longer over the others."""
        if epoch == self._active or epoch not in self._connections:
            return
        self._active = epoch
        for other, (pc, senders) in self._connections.items():
            for sending, sender in senders.items() if pc.signalingState != "closed" else ():
                track = sending.track if other == epoch else None
                if sender.track is not track:
                    self._give(sender, track)

    def detach(self, epoch: int) -> None:
        """Forget a connection that is released."""
        self._connections.pop(epoch, None)
        if epoch == self._active:
            self._active = 0

    # --- the end -----------

    @property
    def is_in_use(self) -> bool:
        """Whether there is media to account for."""
        found = self._connections.get(self._active)
        return bool(self._sendings) or (found is not None and bool(found[0].getTransceivers()))

    async def finish(self, *, heard: bool) -> None:
        """Let what is queued be spoken, then take the account. The caller's deadline cancels it.

        Args:
            heard: whether to wait for the sources' queues.
        """
        feeds = [feed for sending in self._sendings if (feed := sending.feed) is not None]
        speaking = [feed for feed in feeds if feed.queued]
        for feed in feeds:
            feed.finish(self)
        try:
            if heard and speaking:
                await asyncio.gather(*(_spoken(feed) for feed in speaking))
        finally:
            await self.take_account()

    @property
    def accounts(self) -> dict[str, MediaAccount]:
        """Return the counts of `receipts` for the last word."""
        return {mid: _account(receipt) for mid, receipt in self.receipts.items()}

    async def take_account(self) -> None:
        """Set `receipts` from the statistics of the connection."""
        found = self._connections.get(self._active) or next(iter(self._connections.values()), None)
        if found is None or (pc := found[0]).signalingState == "closed":
            return
        queued = {sending.track.id: sending.feed.queued for sending in self._sendings if sending.feed is not None}
        accounts = accounts_of((await pc.getStats()).values(), queued)
        if accounts:  # a connection that was closed meanwhile has none
            self.receipts = accounts

    def end(self) -> None:
        """Let the tracks go: the session has ended."""
        sendings, self._sendings = self._sendings, []
        for sending in sendings:
            if sending.feed is not None:
                sending.feed.let_go(self)

    def held(self) -> list[Held]:
        """Return the tracks that the session sends, with the lines that added them."""
        return [
            Held("track", f"{sending.track.kind} {sending.track.label}".strip(), sending.where)
            for sending in self._sendings
        ]


def _account(receipt: MediaReceipt) -> MediaAccount:
    sent, arrived = receipt.sent, 0 if receipt.received is None else receipt.received.packets
    if sent is None:
        return MediaAccount(arrived=arrived)
    unsent = math.ceil(sent.unsent * 1000)
    return MediaAccount(packets=sent.packets, bytes=sent.payload_bytes, unsent_ms=unsent, arrived=arrived)


async def _spoken(feed: Feed) -> None:
    """Wait until what is queued was heard, as far as this side can know."""
    await feed.drained()
    proof = asyncio.ensure_future(feed.drained(arrived=True))
    try:
        await asyncio.sleep(PLAYED)  # what arrives is heard a moment later
        await asyncio.wait({proof}, timeout=PROOF - PLAYED)
    finally:
        proof.cancel()
        await asyncio.wait({proof})


def accounts_of(report: Iterable[Mapping[str, Any]], queued: Mapping[str, float]) -> dict[str, MediaReceipt]:
    """Make the accounts of a report of getStats(), by mid.

    Args:
        report: its values.
        queued: seconds that wait in the source of a track, by the track's id.
    """
    by_id = {stats["id"]: stats for stats in report}
    found: dict[str, MediaReceipt] = {}
    for stats in by_id.values():
        mid = stats.get("mid")
        if mid is None or stats["type"] not in {"outbound-rtp", "inbound-rtp"}:
            continue
        before = found.get(mid, MediaReceipt(stats["kind"]))
        if stats["type"] == "outbound-rtp":
            source, remote = by_id.get(stats.get("mediaSourceId"), {}), by_id.get(stats.get("remoteId"))
            now = MediaReceipt(before.kind, _sent(stats, source, remote, queued), before.received)
        else:
            now = MediaReceipt(before.kind, before.sent, _received(stats))
        found[mid] = now
    return found


def _sent(
    stats: Mapping[str, Any], source: Mapping[str, Any], remote: Mapping[str, Any] | None, queued: Mapping[str, float]
) -> MediaSent:
    lost = None if remote is None else remote.get("packetsLost", 0)
    arrived = None if remote is None else remote.get("packetsReceived")
    unsent = queued.get(source.get("trackIdentifier", ""), 0.0)
    seconds = source.get("totalSamplesDuration", 0.0)
    frames = stats.get("framesSent", stats.get("framesEncoded", 0))
    return MediaSent(stats["packetsSent"], stats["bytesSent"], seconds, unsent, arrived, lost, frames)


def _received(stats: Mapping[str, Any]) -> MediaReceived:
    samples, seconds = stats.get("totalSamplesReceived", 0), stats.get("totalSamplesDuration", 0.0)
    concealed = stats.get("concealedSamples", 0) * seconds / samples if samples else 0.0
    return MediaReceived(
        stats.get("packetsReceived", 0),
        stats.get("bytesReceived", 0),
        stats.get("packetsLost", 0),
        seconds,
        concealed,
        stats.get("framesReceived", 0),
        stats.get("framesDecoded", 0),
    )
