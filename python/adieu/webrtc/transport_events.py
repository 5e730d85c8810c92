"""The reports of the core about a transport: the W3C's algorithms for events of ICE, DTLS and SCTP.

The objects that a program sees only show their internals. These methods set the internals, and fire the events in the
order that the W3C gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from adieu import jsep, sdp
from adieu.errors import RTCError
from adieu.events import Event
from adieu.webrtc import channels, connection_log
from adieu.webrtc.connection_states import derive_gathering_state, derive_states, update_states
from adieu.webrtc.data_channel import RTCDataChannelInit
from adieu.webrtc.error_event import RTCErrorEvent
from adieu.webrtc.ice_candidate import RTCIceCandidate
from adieu.webrtc.ice_events import RTCPeerConnectionIceErrorEvent, RTCPeerConnectionIceEvent
from adieu.webrtc.ice_transport import RTCIceCandidatePair

if TYPE_CHECKING:
    from adieu import _core
    from adieu.webrtc.dtls_transport import RTCDtlsTransportState
    from adieu.webrtc.ice_transport import RTCIceGathererState, RTCIceRole, RTCIceTransportState
    from adieu.webrtc.internals import Internals
    from adieu.webrtc.transport import Transport


class TransportEvents:
    """The `TransportHandler` of one transport of a connection."""

    __slots__ = ("_internals", "_transport")

    def __init__(self, internals: Internals, transport: Transport) -> None:
        self._internals = internals
        self._transport = transport

    # --- candidates -----------

    def handle_candidate(self, generation: int, line: str, url: str | None, relay_protocol: str | None) -> None:
        """W3C surface the candidate."""
        internals, transport = self._internals, self._transport
        ufrag = transport.ufrags.get(generation)
        # step 1, and a generation that was rolled back
        if internals.is_closed or ufrag is None:
            return
        # steps 3 and 4
        negotiation = jsep.add_local_candidate(internals.negotiation, transport.key, ufrag, sdp.Candidate.parse(line))
        if negotiation is None:
            return
        internals.negotiation = negotiation
        # steps 5 to 7
        candidate = self._candidate(line, ufrag, url, relay_protocol)
        connection_log.local_candidate(internals, line)
        transport.ice_internals.local_candidates.append(candidate)
        internals.fire(RTCPeerConnectionIceEvent("icecandidate", candidate=candidate, url=url))

    def handle_candidate_error(
        self, generation: int, address: str | None, port: int | None, url: str, code: int, text: str
    ) -> None:
        """https://www.w3.org/TR/webrtc/#rtcpeerconnectioniceerrorevent."""
        if self._internals.is_closed or generation not in self._transport.ufrags:
            return
        connection_log.candidate_error(self._internals, url, code, text)
        self._internals.fire(
            RTCPeerConnectionIceErrorEvent(
                "icecandidateerror", address=address, port=port, url=url, errorCode=code, errorText=text
            )
        )

    def handle_gathering(self, generation: int, state: str) -> None:
        """W3C RTCIceTransport, "finished gathering".

        The core reports the start of each transport when it comes to it. A transport that is complete before the next
        one starts would take iceGatheringState back to "new". So `begin_gathering` reports the start of all at once.
        """
        internals, transport = self._internals, self._transport
        ufrag = transport.ufrags.get(generation)
        if internals.is_closed or ufrag is None or state == "gathering":
            return
        transport.gathering.discard(generation)
        ended = jsep.end_local_candidates(internals.negotiation, transport.key, ufrag)
        if ended is not None:  # a generation that was replaced has no end, as it has no candidates
            internals.negotiation = ended
            internals.fire(RTCPeerConnectionIceEvent("icecandidate", candidate=self._candidate("", ufrag, None)))
        internals.driver.queue_task(self.finish_gathering)

    def begin_gathering(self, generation: int) -> None:
        """W3C RTCIceTransport, "begins gathering", unless the generation was dropped in the same task."""
        if generation in self._transport.gathering:
            self._set_gatherer_state("gathering")

    def finish_gathering(self) -> None:
        """Do the other task of "finished gathering", unless another generation is still being gathered."""
        if not self._transport.gathering and self._transport.ice_internals.gatherer_state == "gathering":
            self._set_gatherer_state("complete")

    def _set_gatherer_state(self, state: RTCIceGathererState) -> None:
        internals, ice = self._internals, self._transport.ice_internals
        if internals.is_closed or ice.state == "closed" or state == ice.gatherer_state:
            return
        ice.gatherer_state = state
        events = derive_gathering_state(internals)
        self._transport.ice.dispatchEvent(Event("gatheringstatechange"))
        internals.fire_all(events)

    def _candidate(self, line: str, ufrag: str, url: str | None, relay_protocol: str | None = None) -> RTCIceCandidate:
        negotiation, key = self._internals.negotiation, self._transport.key
        section = jsep.speaker(negotiation, negotiation.local, key) if negotiation.local is not None else None
        return RTCIceCandidate(
            candidate=line,
            sdpMid=section.mid if section is not None else key,
            sdpMLineIndex=section.index if section is not None else None,
            usernameFragment=ufrag,
            url=url,
            relayProtocol=relay_protocol,
        )

    # --- ICE -----------

    def handle_ice(self, state: str | None, pair: tuple[str, str] | None) -> None:
        """W3C RTCIceTransport: "has changed either the selected candidate pair, the state or both"."""
        internals, ice = self._internals, self._transport.ice_internals
        # step 2
        if internals.is_closed:
            return
        # step 8
        if pair is not None:
            ice.selected_pair = RTCIceCandidatePair(*(self._of_pair(line) for line in pair))
        # step 9
        events: list[Event] = []
        changed = state is not None and state != ice.state
        connection_log.ice(internals, state if changed else None, pair)
        if changed:
            ice.state = cast("RTCIceTransportState", state)
            events = derive_states(internals)
        # steps 10 to 13
        if pair is not None:
            self._transport.ice.dispatchEvent(Event("selectedcandidatepairchange"))
        if changed:
            self._transport.ice.dispatchEvent(Event("statechange"))
        internals.fire_all(events)

    def handle_role(self, role: str) -> None:
        """W3C RTCIceTransport: a conflict has changed the role (RFC 8445 section 7.3.1.1)."""
        self._transport.ice_internals.role = cast("RTCIceRole", role)

    def _of_pair(self, line: str) -> RTCIceCandidate:
        return RTCIceCandidate(candidate=line, sdpMid=self._transport.key)

    # --- DTLS -----------

    def handle_certificates(self, certificates: list[bytes]) -> None:
        """Store the peer's certificates, before the state becomes "connected"."""
        self._transport.dtls_internals.remote_certificates = certificates

    def handle_dtls(
        self, state: str, detail: str | None, message: str, sent_alert: int | None, received_alert: int | None
    ) -> None:
        """W3C RTCDtlsTransport: its state changed, with an error or without (closing rules 60, 61)."""
        internals, dtls = self._internals, self._transport.dtls_internals
        if internals.is_closed or state == dtls.state or dtls.state in {"closed", "failed"}:
            return
        dtls.state = cast("RTCDtlsTransportState", state)
        connection_log.dtls(internals, state, message)
        target = self._transport.dtls
        if state == "failed":
            init = {"errorDetail": detail or "dtls-failure", "sentAlert": sent_alert, "receivedAlert": received_alert}
            target.dispatchEvent(RTCErrorEvent("error", error=RTCError(init, message)))
        target.dispatchEvent(Event("statechange"))
        update_states(internals)

    # --- SCTP -----------

    def handle_sctp(self, state: str, cause_code: int | None, message: str, max_channels: int | None) -> None:
        """W3C RTCSctpTransport connected procedure; or the association has ended.

        The core reports to each channel that it is open, or closed and why (closing rule 56).
        """
        internals, sctp, target = self._internals, self._transport.sctp_internals, self._transport.sctp
        if internals.is_closed or sctp is None or target is None or sctp.state == "closed":
            return
        connection_log.sctp(internals, state, cause_code, message)
        if state == "connected":
            sctp.state = "connected"
            # steps 3 and 4
            sctp.max_channels = max_channels
            channels.check_ids(internals, self._transport)
        else:
            sctp.state = "closed"
        # step 5
        target.dispatchEvent(Event("statechange"))

    def handle_incoming(self, channel: _core.Channel, options: _core.ChannelOptions) -> None:
        """W3C announcing a data channel instance."""
        # step 2
        if self._internals.is_closed or self._transport.sctp is None:
            return
        init = RTCDataChannelInit(
            ordered=options.ordered,
            maxPacketLifeTime=options.max_packet_life_time,
            maxRetransmits=options.max_retransmits,
            protocol=options.protocol,
            priority=channels.priority_name(options.priority),
        )
        channels.announce(self._internals, self._transport, channel, options.label, init)

    # --- the end -----------

    def announce_close(self) -> None:
        """Close the objects of a transport whose section was rejected or rolled back, each with its event."""
        transport = self._transport
        if self._internals.is_closed:
            return
        transport.set_closed()
        for target in (transport.ice, transport.dtls, transport.sctp):
            if target is not None:
                target.dispatchEvent(Event("statechange"))
        update_states(self._internals)
