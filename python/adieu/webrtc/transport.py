"""One transport: ICE, DTLS and SCTP, with the W3C's algorithms for what happens to them.

The objects that a program sees only show their slots. Here is what sets them, and in what order events are fired.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, cast

from adieu import jsep, sdp
from adieu.errors import RTCError
from adieu.events import Event
from adieu.jsep import AddCandidate, CloseTransport, DropGeneration, Gather, SetRemote, StartDtls, StartSctp
from adieu.webrtc import channels
from adieu.webrtc.candidate_pool import gather, open_transport
from adieu.webrtc.data_channel import RTCDataChannelInit
from adieu.webrtc.dtls_transport import DtlsTransportSlots, RTCDtlsTransport
from adieu.webrtc.error_event import RTCErrorEvent
from adieu.webrtc.ice_candidate import RTCIceCandidate
from adieu.webrtc.ice_events import RTCPeerConnectionIceErrorEvent, RTCPeerConnectionIceEvent
from adieu.webrtc.ice_transport import IceTransportSlots, RTCIceCandidatePair, RTCIceParameters, RTCIceTransport
from adieu.webrtc.sctp_transport import RTCSctpTransport, SctpTransportSlots, max_message_size

if TYPE_CHECKING:
    from adieu import _core
    from adieu.webrtc.candidate_pool import Pooled
    from adieu.webrtc.dtls_transport import RTCDtlsTransportState
    from adieu.webrtc.ice_transport import RTCIceGathererState, RTCIceRole, RTCIceTransportState
    from adieu.webrtc.slots import Slots

logger: Final = logging.getLogger("adieu")

NOT_REACHED = 701
"""W3C RTCPeerConnectionIceErrorEvent.errorCode where no server answered."""


class Transport:
    """A transport of a connection, begun by the first `Gather` for its section."""

    def __init__(self, slots: Slots, key: str) -> None:
        self.key = key
        self.sctp: RTCSctpTransport | None = None
        self._slots = slots
        self._core = slots.driver.core
        self._handle: int | None = None
        self._pooled: Pooled | None = None  # until its generation begins
        self._ice = IceTransportSlots()
        self.ice: RTCIceTransport = RTCIceTransport(self._ice, slots.driver)
        self._dtls = DtlsTransportSlots(self.ice)
        self.dtls: RTCDtlsTransport = RTCDtlsTransport(self._dtls, slots.driver)
        self._sctp: SctpTransportSlots | None = None
        self._ufrags: dict[int, str] = {}  # of each generation that was begun
        self._gathering: set[int] = set()

    def begin(self, connection: int, pooled: Pooled | None) -> None:
        """Make the core's transport, within its connection, or take one of the pool."""
        driver = self._slots.driver
        self._pooled = pooled
        if pooled is not None:
            self._handle = pooled.handle
        else:
            self._handle = open_transport(driver, connection, self._slots.settings)
            driver.handles.transports[self._handle] = self

    @property
    def handle(self) -> int:
        """The core's."""
        if self._handle is None:
            raise AssertionError(f"the transport {self.key!r} has not begun")
        return self._handle

    # --- what a plan asks for -----------

    def perform(self, action: jsep.Action) -> None:
        """Do it.

        Raises:
            ValueError: the core does not take a candidate.
        """
        match action:
            case Gather(_, generation, local, controlling):
                self._gather(generation, local, controlling=controlling)
            case SetRemote(_, generation, remote, lite):
                self._ice.remote_parameters = RTCIceParameters(remote.ufrag, remote.pwd)
                self._core.set_remote(self.handle, generation, remote.ufrag, remote.pwd, lite)
            case AddCandidate(_, generation, line):
                self._core.add_candidate(self.handle, generation, line)
            case DropGeneration(_, generation):
                self._drop(generation)
            case StartDtls(_, client, fingerprints):
                usable = [(f.algorithm, f.value) for f in fingerprints]
                self._core.start_dtls(self.handle, client, usable)
            case StartSctp(_, association):
                self._core.start_sctp(
                    self.handle,
                    association.local_port,
                    association.remote_port,
                    association.remote_max_message_size,
                )
            case CloseTransport():
                self._close()

    def _gather(self, generation: int, local: jsep.IceCredentials, *, controlling: bool) -> None:
        # W3C set a session description, success step 10: a role that is known is not changed by a description.
        if self._ice.role == "unknown":
            self._ice.role = "controlling" if controlling else "controlled"
        self._ice.local_parameters = RTCIceParameters(local.ufrag, local.pwd)
        self._ufrags[generation] = local.ufrag
        self._slots.driver.queue_task(self._begin_gathering, generation)
        driver, configuration = self._slots.driver, self._slots.configuration
        controls = self._ice.role == "controlling"
        if self._pooled is not None:
            self._core.set_role(self.handle, generation, controls)
            driver.queue_task(self._pooled.hand_over, self)
            self._pooled = None
        else:
            gather(driver, self.handle, generation, local, (configuration, self._slots.settings), controlling=controls)
        for url in configuration.urls():
            if not url.is_supported:
                text = f"{url.scheme}: is not supported yet"
                driver.queue_task(self.handle_candidate_error, generation, None, None, str(url), NOT_REACHED, text)

    def _drop(self, generation: int) -> None:
        self._core.drop_generation(self.handle, generation)
        self._ufrags.pop(generation, None)
        if generation in self._gathering:
            self._gathering.discard(generation)
            self._slots.driver.queue_task(self._finish_gathering)  # what was gathered before it is complete

    def _close(self) -> None:
        """Its section was rejected or rolled back (W3C set a session description, success step 13.1)."""
        slots = self._slots
        slots.driver.handles.transports.pop(self.handle, None)
        self._core.close_transport(self.handle)
        del slots.transports[self.key]
        slots.driver.queue_task(self._announce_close)

    def _announce_close(self) -> None:
        if self._slots.is_closed:
            return
        self.set_closed()
        for target in (self.ice, self.dtls, self.sctp):
            if target is not None:
                target.dispatchEvent(Event("statechange"))
        self._slots.update_states()

    def set_closed(self) -> None:
        """All states, and no event (W3C close the connection, steps 6, 7 and 9)."""
        if self._sctp is not None:
            self._sctp.state = "closed"
        self._dtls.state = "closed"
        self._ice.state = "closed"

    def establish_sctp(self, remote_max_message_size: int) -> None:
        """W3C set a session description, success step 9.1: create an RTCSctpTransport, or update its limit."""
        if self._sctp is None:
            self._sctp = SctpTransportSlots(self.dtls)
            self.sctp = RTCSctpTransport(self._sctp, self._slots.driver)
        self._sctp.max_message_size = max_message_size(remote_max_message_size)

    def take_sctp(self, other: Transport) -> None:
        """What `other` has carried, or was offered to carry, is carried here from now on."""
        if other is not self:
            self._sctp, self.sctp = other._sctp, other.sctp
            other._sctp = other.sctp = None
            if self._sctp is not None:
                self._sctp.dtls = self.dtls

    def end_sctp(self) -> None:
        """Data has been rejected or rolled back, and media goes on over this transport."""
        if self.sctp is not None and self._sctp is not None:
            self._sctp.state = "closed"
            self._slots.driver.queue_task(self.sctp.dispatchEvent, Event("statechange"))
            self._sctp = self.sctp = None

    def remember_remote_candidate(self, candidate: RTCIceCandidate) -> None:
        """For getRemoteCandidates()."""
        self._ice.remote_candidates.append(candidate)

    # --- candidates -----------

    def handle_candidate(self, generation: int, line: str, url: str | None) -> None:
        """W3C surface the candidate."""
        slots = self._slots
        ufrag = self._ufrags.get(generation)
        # step 1, and a generation that was rolled back
        if slots.is_closed or ufrag is None:
            return
        # steps 3 and 4
        negotiation = jsep.add_local_candidate(slots.negotiation, self.key, ufrag, sdp.Candidate.parse(line))
        if negotiation is None:
            return
        slots.negotiation = negotiation
        # steps 5 to 7
        candidate = self._candidate(line, ufrag, url)
        self._ice.local_candidates.append(candidate)
        slots.fire(RTCPeerConnectionIceEvent("icecandidate", candidate=candidate, url=url))

    def handle_candidate_error(
        self, generation: int, address: str | None, port: int | None, url: str, code: int, text: str
    ) -> None:
        """https://www.w3.org/TR/webrtc/#rtcpeerconnectioniceerrorevent."""
        if self._slots.is_closed or generation not in self._ufrags:
            return
        self._slots.fire(
            RTCPeerConnectionIceErrorEvent(
                "icecandidateerror", address=address, port=port, url=url, errorCode=code, errorText=text
            )
        )

    def handle_gathering(self, generation: int, state: str) -> None:
        """W3C RTCIceTransport, "finished gathering". That it began is known without the core, of all at once."""
        slots = self._slots
        ufrag = self._ufrags.get(generation)
        if slots.is_closed or ufrag is None or state == "gathering":
            return
        self._gathering.discard(generation)
        ended = jsep.end_local_candidates(slots.negotiation, self.key, ufrag)
        if ended is not None:  # the end of a generation that was replaced is as useless as its candidates
            slots.negotiation = ended
            slots.fire(RTCPeerConnectionIceEvent("icecandidate", candidate=self._candidate("", ufrag, None)))
        slots.driver.queue_task(self._finish_gathering)

    def _begin_gathering(self, generation: int) -> None:
        """W3C RTCIceTransport, "begins gathering"."""
        if generation in self._ufrags:
            self._gathering.add(generation)
            self._set_gatherer_state("gathering")

    def _finish_gathering(self) -> None:
        """The other task of "finished gathering", unless another generation is still being gathered."""
        if not self._gathering:
            self._set_gatherer_state("complete")

    def _set_gatherer_state(self, state: RTCIceGathererState) -> None:
        slots = self._slots
        if slots.is_closed or self._ice.state == "closed" or state == self._ice.gatherer_state:
            return
        self._ice.gatherer_state = state
        events = slots.derive_gathering_state()
        self.ice.dispatchEvent(Event("gatheringstatechange"))
        slots.fire_all(events)

    def _candidate(self, line: str, ufrag: str, url: str | None) -> RTCIceCandidate:
        negotiation = self._slots.negotiation
        section = jsep.speaker(negotiation, negotiation.local, self.key) if negotiation.local is not None else None
        return RTCIceCandidate(
            candidate=line,
            sdpMid=section.mid if section is not None else self.key,
            sdpMLineIndex=section.index if section is not None else None,
            usernameFragment=ufrag,
            url=url,
        )

    # --- ICE -----------

    def handle_ice(self, state: str | None, pair: tuple[str, str] | None) -> None:
        """W3C RTCIceTransport: "has changed either the selected candidate pair, the state or both"."""
        slots = self._slots
        # step 2
        if slots.is_closed:
            return
        # step 8
        if pair is not None:
            self._ice.selected_pair = RTCIceCandidatePair(*(self._of_pair(line) for line in pair))
        # step 9
        events: list[Event] = []
        if changed := state is not None and state != self._ice.state:
            self._ice.state = cast("RTCIceTransportState", state)
            events = slots.derive_states()
        # steps 10 to 13
        if pair is not None:
            self.ice.dispatchEvent(Event("selectedcandidatepairchange"))
        if changed:
            self.ice.dispatchEvent(Event("statechange"))
        slots.fire_all(events)

    def handle_role(self, role: str) -> None:
        """W3C RTCIceTransport: the role changed by a conflict (RFC 8445 section 7.3.1.1)."""
        self._ice.role = cast("RTCIceRole", role)

    def _of_pair(self, line: str) -> RTCIceCandidate:
        return RTCIceCandidate(candidate=line, sdpMid=self.key)

    # --- DTLS -----------

    def handle_certificates(self, certificates: list[bytes]) -> None:
        """The peer's, before the state says that it is connected."""
        self._dtls.remote_certificates = certificates

    def handle_dtls(
        self, state: str, detail: str | None, message: str, sent_alert: int | None, received_alert: int | None
    ) -> None:
        """W3C RTCDtlsTransport: its state changed, with an error or without (closing rules 60, 61)."""
        slots = self._slots
        if slots.is_closed or state == self._dtls.state or self._dtls.state in {"closed", "failed"}:
            return
        self._dtls.state = cast("RTCDtlsTransportState", state)
        if state == "failed":
            init = {"errorDetail": detail or "dtls-failure", "sentAlert": sent_alert, "receivedAlert": received_alert}
            self.dtls.dispatchEvent(RTCErrorEvent("error", error=RTCError(init, message)))
        self.dtls.dispatchEvent(Event("statechange"))
        slots.update_states()

    # --- SCTP -----------

    def handle_sctp(self, state: str, cause_code: int | None, message: str, max_channels: int | None) -> None:
        """W3C RTCSctpTransport connected procedure; or the association has ended.

        The core tells each channel by itself that it is open, or closed and why (closing rule 56).
        """
        slots = self._slots
        if slots.is_closed or self._sctp is None or self.sctp is None or self._sctp.state == "closed":
            return
        if state == "connected":
            self._sctp.state = "connected"
            # steps 3 and 4
            self._sctp.max_channels = max_channels
            channels.connect(slots, self)
        else:
            logger.debug("SCTP ended: cause %s, %s", cause_code, message)
            self._sctp.state = "closed"
        # step 5
        self.sctp.dispatchEvent(Event("statechange"))

    def handle_incoming(
        self,
        channel: _core.Channel,
        label: str,
        protocol: str,
        ordered: bool,
        max_packet_life_time: int | None,
        max_retransmits: int | None,
        priority: int,
    ) -> None:
        """W3C announcing a data channel instance."""
        # step 2
        if self._slots.is_closed or self.sctp is None:
            return
        init = RTCDataChannelInit(
            ordered=ordered,
            # RFC 8832 has 32 bits for it, the W3C 16.
            maxPacketLifeTime=None if max_packet_life_time is None else min(max_packet_life_time, 65535),
            maxRetransmits=None if max_retransmits is None else min(max_retransmits, 65535),
            protocol=protocol,
            priority=channels.priority_name(priority),
        )
        channels.announce(self._slots, self, channel, label, init)
