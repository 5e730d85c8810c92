"""One connection of a session: a W3C peer connection, its negotiation by signaling, and its data channels.

Only the public W3C API is used, so that the same works over a browser's own RTCPeerConnection. Negotiation is
"perfect": either side may offer at any time, the polite one gives way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from adieu.errors import DOMException, InvalidAccessError, OperationError
from adieu.log import path as path_in_words
from adieu.protocol import control
from adieu.protocol.signaling import Candidate, Candidates, Description
from adieu.session.ledger import Held
from adieu.unclosed import where_made

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.events import Event, Handler, MessageEvent
    from adieu.session.machine.actions import OpenStream
    from adieu.session.machine.state import LossKind
    from adieu.session.tasks import Tasks
    from adieu.webrtc import NetworkChangeEvent, RTCDataChannel, RTCPeerConnection, RTCTrackEvent

MAX_BATCH = 50
USER_INITIATED_ABORT = 12
"""SCTP cause code: the peer called close() (closing rule 58)."""


class Sink(Protocol):
    """The shell of a session, to which its connections report: the inputs of the session machine, and signaling."""

    def control_opened(self, epoch: int, max_message: int) -> None: ...  # noqa: D102
    def control_received(self, epoch: int, text: str | bytes) -> None: ...  # noqa: D102
    def data_received(self, epoch: int, id_: int, event: MessageEvent) -> None: ...  # noqa: D102
    def stream_opened(self, epoch: int, id_: int) -> None: ...  # noqa: D102
    def stream_closed(self, epoch: int, id_: int | None) -> None: ...  # noqa: D102
    def drained(self, epoch: int, id_: int, buffered: int) -> None: ...  # noqa: D102
    def connection_lost(self, epoch: int, kind: LossKind, text: str) -> None: ...  # noqa: D102
    def no_way_out(self, epoch: int, text: str) -> None: ...  # noqa: D102
    def ice_changed(self, epoch: int, state: str) -> None: ...  # noqa: D102
    def network_changed(self, epoch: int, event: NetworkChangeEvent) -> None: ...  # noqa: D102
    def negotiated(self, epoch: int) -> None: ...  # noqa: D102
    def fresh(self, epoch: int, age: float | None) -> None: ...  # noqa: D102
    def released(self, epoch: int) -> None: ...  # noqa: D102
    def signal(self, message: Description | Candidates) -> None: ...  # noqa: D102
    def wants_tracks(self, epoch: int, pc: RTCPeerConnection) -> None: ...  # noqa: D102
    def track_came(self, epoch: int, event: RTCTrackEvent) -> None: ...  # noqa: D102


class Connection:
    """See the module. `release()` ends it."""

    def __init__(
        self,
        epoch: int,
        pc: RTCPeerConnection,
        *,
        offer: bool,
        polite: bool,
        sink: Sink,
        tasks: Tasks,
    ) -> None:
        self.epoch = epoch
        self.pc = pc
        self.where: str = where_made()
        self.left: list[Held] = []
        """Things that the connection still held when it was released."""
        self.releasing: asyncio.Task[Any] | None = None
        """After `release()`: ends when nothing of it is left."""
        self._polite = polite
        self._sink = sink
        self._tasks = tasks
        self._released = False
        self._lost = False
        self._ignored = False
        """The last remote offer was ignored: its candidates are too."""
        self._making_offer = False
        self._control: RTCDataChannel | None = None
        self._streams: dict[int, RTCDataChannel] = {}
        self._explained: set[int | None] = set()
        """Data channels that close, and not by this program: the session, the other side or an error does it."""
        self._wanted: list[OpenStream] | None = [] if not offer else None
        """Streams to be made once the first offer has come (it asks for the association they need)."""
        self._jobs: deque[Callable[[], Any]] = deque()
        self._worker: asyncio.Task[Any] | None = None
        self._answered = ""
        """The last offer of the other side that was answered."""
        self._accepted = ""
        """The `o=` line of the peer's last answer. It tells a repeated answer from a new one."""
        self._batch: list[Candidate] = []
        self._error: Any = None
        """The last error of the control channel: it says how the connection ended."""
        self._gathered = 0
        """Candidates of this gathering."""
        self._troubles: list[str] = []
        """Errors of this machine that were in its way."""
        self._track_came: Callable[[RTCTrackEvent], None] = partial(sink.track_came, epoch)
        self._attach()
        if offer:
            self._open_control()

    # --- what the session asks ----------------------------------------------------------------------------

    def open_stream(self, stream: OpenStream) -> None:
        """Make a negotiated data channel."""
        if self._wanted is not None:
            self._wanted.append(stream)
            return
        channel = self.pc.createDataChannel(
            stream.name,
            negotiated=True,
            id=stream.id,
            ordered=stream.ordered,
            protocol=control.PROTOCOL,
            maxRetransmits=stream.reliability.max_retransmits,
            maxPacketLifeTime=stream.reliability.max_packet_life_time,
        )
        self._streams[stream.id] = channel
        id_, epoch = stream.id, self.epoch
        channel.onclosing = channel.onerror = _then(self._explained.add, id_)
        channel.onopen = _then(self._sink.stream_opened, epoch, id_)
        channel.onmessage = partial(self._sink.data_received, epoch, id_)  # no Python frame of its own
        channel.onclose = _then(self._stream_closed, id_)

    def send_control(self, text: str) -> None:
        """Send on the control channel; a failure is a lost connection."""
        if self._control is not None:
            self._send(self._control, text)

    def send_data(self, id_: int, data: bytes) -> None:
        """Send on a session channel's data channel."""
        if (channel := self._streams.get(id_)) is not None:
            self._send(channel, data)

    def _send(self, channel: RTCDataChannel, data: str | bytes) -> None:
        if channel.readyState != "open":
            return  # its close event is on the way, and says so
        try:
            channel.send(data)
        except DOMException as error:
            self._lose("failed", f"cannot send: {error}")

    def ask_drained(self, id_: int, most: int) -> None:
        """Report `drained` as soon as the data channel buffers `most` bytes or less."""
        channel = self._streams.get(id_)
        if channel is None:
            return

        def drained(_: object = None) -> None:
            channel.onbufferedamountlow = None
            self._sink.drained(self.epoch, id_, channel.bufferedAmount)

        if channel.bufferedAmount <= most:
            asyncio.get_running_loop().call_soon(drained)
        else:
            channel.bufferedAmountLowThreshold = most
            channel.onbufferedamountlow = drained

    def close_stream(self, id_: int | None) -> None:
        """Close a data channel (None: the control channel) by the closing procedure."""
        if self._wanted is not None:
            self._wanted = [stream for stream in self._wanted if stream.id != id_]
        channel = self._control if id_ is None else self._streams.get(id_)
        if channel is not None and channel.readyState != "closed":
            self._explained.add(id_)
            channel.close()
        else:
            asyncio.get_running_loop().call_soon(self._sink.stream_closed, self.epoch, id_)

    def restart_ice(self) -> None:
        """Offer a new ICE path."""
        self.pc.restartIce()

    def ask_fresh(self) -> None:
        """Report `fresh`."""
        self._tasks.spawn(self._fresh(), f"looks at connection {self.epoch}")

    async def _fresh(self) -> None:
        age: float | None = None
        report = await self.pc.getStats()
        for stats in report.values():
            if stats.get("type") == "candidate-pair" and stats.get("nominated"):
                last = stats.get("lastPacketReceivedTimestamp")
                if last is not None:
                    seconds = (stats["timestamp"] - last) / 1000
                    age = seconds if age is None else min(age, seconds)
        if not self._released:
            self._sink.fresh(self.epoch, age)

    def release(self) -> None:
        """Close the peer connection; `released` follows when nothing of it is left."""
        if self._released:
            return
        self._released = True
        self._detach()
        self.pc.close()
        self._jobs.clear()
        self.releasing = self._tasks.spawn(self._await_release(), f"releases connection {self.epoch}")

    async def _await_release(self) -> None:
        ledger = await self.pc.wait_closed()
        self.left = [
            Held(kind, f"connection {self.epoch}", self.where, count) for kind, count in ledger.items() if count
        ]
        self._sink.released(self.epoch)

    # --- signaling ----------------------------------------------------------------------------------------

    def signaled(self, message: Description | Candidates) -> None:
        """Take a description or candidates of the other side, for this connection."""
        if isinstance(message, Description):
            self._do(lambda: self._apply(message))
        else:
            self._do(lambda: self._add(message))

    def _do(self, job: Callable[[], Any]) -> None:
        """Do one part of the negotiation after the other."""
        self._jobs.append(job)
        if self._worker is None or self._worker.done():
            self._worker = self._tasks.spawn(self._work(), f"negotiates connection {self.epoch}")

    async def _work(self) -> None:
        while self._jobs and not self._released:
            try:
                await self._jobs.popleft()()
            except DOMException as error:
                if not self._released:
                    self._lose("failed", f"negotiation failed: {error.name}: {error}")

    async def _negotiate(self) -> None:
        if self.pc.signalingState != "stable":
            return  # asked again when it is stable
        self._making_offer = True
        try:
            await self.pc.setLocalDescription()
        finally:
            self._making_offer = False
        self._watch()
        self._say_description()

    async def _apply(self, description: Description) -> None:
        pc = self.pc
        offer = description.sdp_type == "offer"
        if pc.signalingState == "stable" and self._knows(description):
            return
        collision = offer and (self._making_offer or pc.signalingState != "stable")
        self._ignored = not self._polite and collision
        if self._ignored:
            return
        if not offer and origin(description.sdp) == self._accepted:
            return  # said again: it answers the offer before this one
        check_bundle(description)
        await pc.setRemoteDescription({"type": description.sdp_type, "sdp": description.sdp})
        if not offer:
            self._accepted = origin(description.sdp)
        if offer:
            self._open_wanted()
            await pc.setLocalDescription()
            self._answered = description.sdp
            self._say_description()
        self._watch()
        if pc.signalingState == "stable" and not self._released:
            self._sink.negotiated(self.epoch)

    def _knows(self, description: Description) -> bool:
        """Whether it is a repetition: a user's own signaling may repeat a description, or lose the answer."""
        if description.sdp_type != "offer":
            return True  # nothing waits for an answer
        if description.sdp != self._answered:
            return False
        if (answer := self.pc.localDescription) is not None and answer.type == "answer":
            self._say_description()
        return True

    async def _add(self, candidates: Candidates) -> None:
        for candidate in candidates.candidates:
            try:
                await self.pc.addIceCandidate(
                    {
                        "candidate": candidate.candidate,
                        "sdpMid": candidate.sdp_mid,
                        "sdpMLineIndex": candidate.sdp_m_line_index,
                        "usernameFragment": candidate.username_fragment,
                    }
                )
            except OperationError:
                continue  # one that can not be used: others may do, and the path's own limits say when none does
            except DOMException:
                if not self._ignored:
                    raise

    def _say_description(self) -> None:
        description = self.pc.localDescription
        if description is not None and not self._released:
            self._sink.signal(Description(epoch=self.epoch, sdp_type=description.type, sdp=description.sdp))

    def _candidate(self, event: Any) -> None:
        if not self._batch:
            asyncio.get_running_loop().call_soon(self._flush)
        candidate = event.candidate
        if candidate is None:
            return
        self._gathered += bool(candidate.candidate)
        self._batch.append(
            Candidate(
                candidate=candidate.candidate,
                sdp_mid=candidate.sdpMid,
                sdp_m_line_index=candidate.sdpMLineIndex,
                username_fragment=candidate.usernameFragment,
            )
        )

    def _candidate_error(self, event: Any) -> None:
        if not event.url and event.errorText not in self._troubles:  # it is this machine, and not a server
            self._troubles.append(event.errorText)

    def _gathering_changed(self) -> None:
        """Report that no path is possible, if gathering ends without a candidate and the reason is known."""
        state = self.pc.iceGatheringState
        if state == "gathering":
            self._gathered = 0
            self._troubles.clear()
        elif state == "complete" and not self._gathered and self._troubles and not self._released:
            self._sink.no_way_out(self.epoch, "; ".join(self._troubles))

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        if self._released:
            return
        for start in range(0, len(batch), MAX_BATCH):
            self._sink.signal(Candidates(epoch=self.epoch, candidates=batch[start : start + MAX_BATCH]))

    # --- what happens to it -------------------------------------------------------------------------------

    def _attach(self) -> None:
        pc = self.pc
        pc.onnegotiationneeded = _then(self._do, self._negotiate)
        pc.onicecandidate = self._candidate
        pc.onicecandidateerror = self._candidate_error
        pc.onicegatheringstatechange = _then(self._gathering_changed)
        pc.oniceconnectionstatechange = _then(self._ice_changed)
        pc.onnetworkchange = self._network_changed
        pc.addEventListener("track", self._track_came)

    def _detach(self) -> None:
        pc = self.pc
        pc.onnegotiationneeded = pc.onicecandidate = pc.onicecandidateerror = None
        pc.oniceconnectionstatechange = pc.onicegatheringstatechange = pc.onnetworkchange = None
        pc.removeEventListener("track", self._track_came)
        if pc.sctp is not None:
            pc.sctp.transport.onstatechange = pc.sctp.transport.onerror = None
        for channel in (self._control, *self._streams.values()):
            if channel is not None:
                channel.onopen = channel.onmessage = channel.onclosing = channel.onclose = channel.onerror = None
                channel.onbufferedamountlow = None
        self._streams.clear()

    def _open_wanted(self) -> None:
        if self._wanted is None:
            return
        wanted, self._wanted = self._wanted, None
        self._open_control()
        for stream in wanted:
            self.open_stream(stream)

    def _open_control(self) -> None:
        channel = self._control = self.pc.createDataChannel(
            control.LABEL, negotiated=True, id=control.CONTROL_ID, protocol=control.PROTOCOL, priority="high"
        )
        channel.onopen = _then(self._control_open)
        channel.onmessage = _with_data(self._sink.control_received, self.epoch)
        channel.onclosing = _then(self._explained.add, None)
        channel.onerror = self._control_error
        channel.onclose = _then(self._control_closed)
        self._sink.wants_tracks(self.epoch, self.pc)

    def _control_open(self) -> None:
        if self.pc.sctp is None:
            return
        size = self.pc.sctp.maxMessageSize
        self._sink.control_opened(self.epoch, control.MAX_FRAGMENT if size >= control.MAX_FRAGMENT else int(size))

    def _control_error(self, event: Any) -> None:
        self._error = event.error

    def _control_closed(self) -> None:
        """Find out why the channel is closed: by its procedure, or with the association (closing rules 43, 56)."""
        error, sctp = self._error, self.pc.sctp
        if self.pc.signalingState == "closed":
            self._lose("closed", "the connection was closed by this program")
        elif error is not None and error.sctpCauseCode == USER_INITIATED_ABORT:
            self._lose("left", "the other side closed the connection")
        elif error is not None:
            self._lose("security" if error.errorDetail == "fingerprint-failure" else "failed", f"{error}")
        elif sctp is not None and sctp.state == "closed":
            self._lose("left", "the other side closed the connection")  # not every browser says how
        else:
            self._closed_by_procedure(None)

    def _stream_closed(self, id_: int) -> None:
        if self._streams.pop(id_, None) is not None and not self._lost:
            self._closed_by_procedure(id_)

    def _closed_by_procedure(self, id_: int | None) -> None:
        """Report it. The side that closes a channel gets no `closing` (closing rule 37)."""
        ends, sctp = self.pc.signalingState == "closed", self.pc.sctp
        if id_ in self._explained or ends or sctp is None or sctp.state == "closed":
            self._explained.discard(id_)
            self._sink.stream_closed(self.epoch, id_)
        else:
            self._lose("closed", "a data channel of the session was closed by this program")

    def _watch(self) -> None:
        """Follow the transport, which exists from the first description on."""
        if self.pc.sctp is not None and not self._released:
            self.pc.sctp.transport.onstatechange = _then(self._dtls_changed)
            self.pc.sctp.transport.onerror = self._dtls_error

    def _ice_changed(self) -> None:
        self._sink.ice_changed(self.epoch, self.pc.iceConnectionState)

    def _network_changed(self, event: NetworkChangeEvent) -> None:
        self._sink.network_changed(self.epoch, event)

    def path(self) -> str:
        """Return the path in words; empty while it is not known."""
        sctp = self.pc.sctp
        pair = sctp.transport.iceTransport.getSelectedCandidatePair() if sctp is not None else None
        return path_in_words(pair.local.candidate, pair.remote.candidate) if pair is not None else ""

    def _dtls_error(self, event: Any) -> None:
        self._error = event.error

    def _dtls_changed(self) -> None:
        sctp, error = self.pc.sctp, self._error
        if sctp is None:
            return
        if sctp.transport.state == "closed":
            self._lose("left", "the other side closed the connection")
        elif sctp.transport.state == "failed":
            forged = error is not None and error.errorDetail == "fingerprint-failure"
            self._lose("security" if forged else "failed", str(error or "DTLS failed"))

    def _lose(self, kind: LossKind, text: str) -> None:
        if self._released or self._lost:
            return
        self._lost = True
        self._sink.connection_lost(self.epoch, kind, text)


def check_bundle(description: Description) -> None:
    """Refuse a description of more than one transport, before it is set.

    Each section outside of the bundle asks for a transport of its own, with its sockets and its checks. A peer does not
    get that.

    Raises:
        RTCError: it is not SDP, or has too many sections.
        InvalidAccessError: a section that is not rejected is outside of the first one's BUNDLE group.
    """
    if description.sdp_type == "rollback":
        return
    from adieu import jsep  # noqa: PLC0415 rooms are entered before it is loaded

    read = jsep.parse_description(description.sdp_type, description.sdp)
    live = [section for section in read.sections if not section.rejected]
    outside = [section for section in live[1:] if section.mid not in read.group_of(live[0].mid)]
    if outside:
        raise InvalidAccessError(f"the description has {len(outside) + 1} transports, not one")


def origin(text: str) -> str:
    """Return the `o=` line of a description (RFC 8866 section 5.2): another one for each version of it."""
    return next((line.strip() for line in text.splitlines() if line.startswith("o=")), "")


def _then(callback: Callable[..., object], *arguments: Any) -> Handler[Event]:
    """Return a handler that ignores its event."""
    return lambda _: callback(*arguments)


def _with_data(callback: Callable[..., object], *arguments: Any) -> Handler[MessageEvent]:
    """Return a handler that passes on the data of a message."""
    return lambda event: callback(*arguments, event.data)
