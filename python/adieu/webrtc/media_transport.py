"""Tell the core which media each transport carries, and take its reports about receivers.

The core's table of a transport is replaced as a whole, after each description and after each change that needs no
negotiation. So it cannot disagree with the snapshot, and a rollback brings the table of before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adieu import _core
from adieu.bucket import Bucket
from adieu.jsep import direction, own_ssrcs
from adieu.sdp import attributes
from adieu.webrtc.rtp_transceiver import internals_of
from adieu.webrtc.video_sender import VideoSender

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adieu.jsep import Codec, Transceiver
    from adieu.webrtc.internals import Internals
    from adieu.webrtc.transceiver_internals import TransceiverInternals

MAX_PAYLOAD_TYPE: Final = 127
MAX_CHANNELS: Final = 255
MAX_EXTENSION: Final = 255
"""The highest numbers that the core takes. A description with higher ones is accepted; they are not used."""
TONES_AT_ONCE: Final = 32
TONES_A_SECOND: Final = 20
"""Telephone tones that are reported at once, and how many more each second allows. People and machines dial slower."""
LONGEST_TONE: Final = 8.2
"""Seconds: what a report of a tone has room for, at 8000 Hz (RFC 4733)."""


def follow_description(internals: Internals) -> None:
    """Give the core the tables of the snapshot, as a new epoch: a description was set, or rolled back."""
    internals.media_epoch += 1
    follow(internals)


def follow(internals: Internals) -> None:
    """Give the core the tables of the snapshot: they differ for the transports that carry media, or have carried it."""
    negotiation = internals.negotiation
    if internals.handle is None or internals.is_closed:
        return
    sections: dict[str, list[_core.Section]] = {}
    for transceiver in map(internals_of, internals.transceivers.values()):
        value = transceiver.value
        key = negotiation.bundle_transport(value.index)
        # A stopping one is out at once, before the other side has agreed: the core says BYE for it (W3C, stop sending
        # and receiving).
        if value.mid is None or value.stopping or key is None or key not in internals.transports:
            continue
        _begin(internals, transceiver)
        sections.setdefault(key, []).append(_section(internals, transceiver, value))
    for handle, id_ in list(internals.media_ends.items()):
        if id_ not in internals.transceivers:
            del internals.media_ends[handle]
            internals.driver.handles.media.pop(handle, None)
    internals.media_keys |= sections.keys()
    for key in internals.media_keys & internals.transports.keys():
        handle, now = internals.transports[key].handle, sections.get(key, [])
        internals.driver.core.media_apply(handle, internals.media_epoch, internals.cname, now)
    internals.media_keys &= internals.transports.keys()


def _begin(internals: Internals, transceiver: TransceiverInternals) -> None:
    """Make the core's sender and receiver of a transceiver, the first time that it is in a description."""
    connection = internals.handle
    if transceiver.media_receiver is not None or connection is None:
        return
    core, kind = internals.driver.core, transceiver.value.kind
    source = transceiver.receiver.source
    transceiver.media_receiver = source.receiver = core.receiver(connection, kind)
    transceiver.media_sender = core.sender(connection, kind)
    ends: dict[int, object] = {transceiver.media_receiver: ReceiverEvents(internals, transceiver)}
    if kind == "video":
        encoding = transceiver.value.encodings[0]
        transceiver.video = ends[transceiver.media_sender] = VideoSender(
            internals.driver, transceiver.media_sender, encoding
        )
    internals.media_ends |= dict.fromkeys(ends, transceiver.id)
    internals.driver.handles.media |= ends
    transceiver.follow_track()
    transceiver.follow_jitter_target()
    calls, source.when_received = source.when_received, []
    for call in calls:
        call()


def _section(internals: Internals, transceiver: TransceiverInternals, value: Transceiver) -> _core.Section:
    encoding = value.encodings[0]
    if transceiver.video is not None:
        transceiver.video.follow(encoding)
    current = value.current_direction
    return _core.Section(
        value.mid or "",
        value.kind,
        sends=direction.sends(current),
        receives=direction.receives(current) and value.receptive,
        sender=transceiver.media_sender,
        receiver=transceiver.media_receiver,
        send=_rows(transceiver.send_codecs),
        receive=_rows(value.receive_codecs),
        extensions=[(extension.id, extension.uri) for extension in value.extensions if extension.id <= MAX_EXTENSION],
        ssrcs=_remote_ssrcs(internals, value),
        rids=[],
        active=encoding.active,
        max_bitrate=encoding.max_bitrate,
        reduced_size=value.reduced_size,
        own_ssrcs=own_ssrcs(internals.session_id, value.id) if value.kind == "video" else None,
    )


def _rows(codecs: Sequence[Codec]) -> list[tuple[int, str, int, int, str]]:
    return [
        (
            codec.payload_type,
            codec.name,
            codec.clock_rate,
            0 if codec.kind == "video" else codec.channels or 1,
            codec.fmtp,
        )
        for codec in codecs
        if codec.payload_type <= MAX_PAYLOAD_TYPE and (codec.channels or 1) <= MAX_CHANNELS
    ]


def _remote_ssrcs(internals: Internals, value: Transceiver) -> tuple[int, ...]:
    """Return the synchronization sources that the other side's description names: some peers send no mid."""
    remote, index = internals.negotiation.remote, value.index
    if remote is None or index is None or index >= len(remote.sections):
        return ()
    return attributes.ssrcs(remote.sections[index].media)


def end(internals: Internals) -> None:
    """Let everything go: the connection is closed. The core says BYE by itself, before the ABORT."""
    for transceiver in map(internals_of, internals.transceivers.values()):
        transceiver.let_go()
    for handle in internals.media_ends:
        internals.driver.handles.media.pop(handle, None)


class ReceiverEvents:
    """Takes the core's reports about one receiver. A description may end it: then nothing more comes of it."""

    __slots__ = ("_internals", "_tones", "_transceiver")

    def __init__(self, internals: Internals, transceiver: TransceiverInternals) -> None:
        self._internals = internals
        self._transceiver = transceiver
        self._tones = Bucket(TONES_A_SECOND, TONES_AT_ONCE, internals.driver.clock.monotonic())

    def handle_on(self, ssrc: int) -> None:
        """Unmute the track: its first packet has come, or the first one after a mute."""
        del ssrc
        value = self._transceiver.value
        if not self._internals.is_closed and direction.receives(value.current_direction) and not value.stopping:
            self._transceiver.receiver.set_muted(False)

    def handle_off(self, reason: str) -> None:
        """Mute the track: the other side has said BYE (closing rule 63)."""
        del reason
        if not self._internals.is_closed:
            self._transceiver.receiver.set_muted(True)

    def handle_tone(self, tone: str, duration: float) -> None:
        """Tell the track of a telephone tone of the other side, unless they come as a flood."""
        if not self._internals.is_closed and self._tones.take(self._internals.driver.clock.monotonic()):
            self._transceiver.receiver.tell_tone(tone, min(duration, LONGEST_TONE))
