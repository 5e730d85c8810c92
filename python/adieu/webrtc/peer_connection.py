"""RTCPeerConnection. https://www.w3.org/TR/webrtc/#rtcpeerconnection-interface

The object itself is thin. Its state is in `Internals`, and each algorithm of the W3C has a module of its own:
`create_description`, `set_description`, `add_ice_candidate`, `negotiation_needed`, `channels`, `transceivers`,
`transport_actions`, `transport_events`, `close_connection`, `stats`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload
from weakref import ref

from adieu.driver import Driver
from adieu.errors import AbortError, InvalidAccessError, InvalidStateError
from adieu.events import Event, EventHandler, once
from adieu.unclosed import where_made
from adieu.webrtc import (
    channels,
    conformance,
    connection_log,
    create_description,
    lifetime,
    media_transport,
    set_description,
    stats,
    transceivers,
)
from adieu.webrtc.add_ice_candidate import add_ice_candidate
from adieu.webrtc.capabilities import negotiable
from adieu.webrtc.certificate import RTCCertificate
from adieu.webrtc.close_connection import close_the_connection
from adieu.webrtc.configuration import RTCConfiguration, TransportSettings, checked_configuration
from adieu.webrtc.connection_events import is_negotiated
from adieu.webrtc.data_channel import MAX_WORD, RTCDataChannel, RTCDataChannelInit
from adieu.webrtc.dictionaries import boolean, dictionary, scalar, string
from adieu.webrtc.ice_candidate import candidate_init
from adieu.webrtc.internals import Internals
from adieu.webrtc.legacy import call_back
from adieu.webrtc.listeners import ConnectionListeners
from adieu.webrtc.negotiation_needed import on_empty_chain, update_negotiation_needed_flag
from adieu.webrtc.operations import OperationsChain, begun_by_the_call
from adieu.webrtc.rtp_transceiver import RTCRtpTransceiver, RTCRtpTransceiverInit
from adieu.webrtc.session_description import (
    RTCLocalSessionDescriptionInit,
    RTCSessionDescription,
    RTCSessionDescriptionInit,
    as_mapping,
)
from adieu.webrtc.set_configuration import fill_pool, set_configuration

if TYPE_CHECKING:
    from adieu.jsep import Description, SignalingState
    from adieu.webrtc.data_channel_event import RTCDataChannelEvent
    from adieu.webrtc.ice_events import RTCPeerConnectionIceErrorEvent, RTCPeerConnectionIceEvent
    from adieu.webrtc.ledger import ReleaseLedger
    from adieu.webrtc.legacy import FailureCallback, SuccessCallback
    from adieu.webrtc.media_stream import MediaStream
    from adieu.webrtc.media_stream_track import MediaStreamTrack
    from adieu.webrtc.network_events import NetworkChangeEvent
    from adieu.webrtc.rtp_receiver import RTCRtpReceiver
    from adieu.webrtc.rtp_sender import RTCRtpSender
    from adieu.webrtc.sctp_transport import RTCSctpTransport
    from adieu.webrtc.states import RTCIceConnectionState, RTCIceGatheringState, RTCPeerConnectionState
    from adieu.webrtc.stats_report import RTCStatsReport
    from adieu.webrtc.track_event import RTCTrackEvent


@dataclass(frozen=True, slots=True)
class RTCOfferOptions:
    """https://www.w3.org/TR/webrtc/#rtcofferoptions

    Attributes:
        iceRestart: offer new ICE credentials.
        offerToReceiveAudio: an older form: whether audio is wanted. Transceivers are better.
        offerToReceiveVideo: the same for video.
    """

    iceRestart: bool = False
    offerToReceiveAudio: bool | None = None
    offerToReceiveVideo: bool | None = None

    def __post_init__(self) -> None:
        boolean("RTCOfferOptions.iceRestart", self.iceRestart)
        for name in ("offerToReceiveAudio", "offerToReceiveVideo"):
            if getattr(self, name) is not None:
                boolean(f"RTCOfferOptions.{name}", getattr(self, name))


@dataclass(frozen=True, slots=True)
class RTCAnswerOptions:
    """https://www.w3.org/TR/webrtc/#rtcansweroptions; has no member."""


def data_channels_of(connection: RTCPeerConnection) -> tuple[RTCDataChannel, ...]:
    """Return the data channels of a connection that are not closed. The W3C's API has no list of them."""
    return tuple(connection._internals.channels.unclosed)  # noqa: SLF001 its own module # pyright: ignore[reportPrivateUsage]


def _is_closed(connection: RTCPeerConnection) -> bool:
    return connection._internals.is_closed  # noqa: SLF001 its own module # pyright: ignore[reportPrivateUsage]


class RTCPeerConnection(ConnectionListeners):
    """A connection to one peer.

    Args:
        configuration: a mapping or an RTCConfiguration.
        settings: the settings that the W3C leaves to the implementation.
        **members: members of the configuration as keywords.

    Raises:
        TypeError, ValueError: a member is wrong; the message names it and its value.
        DOMException: as the W3C's "set a configuration" says.
        RuntimeError: there is no running event loop.
        OSError: the system has no descriptor or no thread for it; the message names what is missing.

    Events: `negotiationneeded`, `icecandidate`, `icecandidateerror`, `signalingstatechange`,
    `iceconnectionstatechange`, `icegatheringstatechange`, `connectionstatechange`, `datachannel`, `track`; and one that
    is not the W3C's, `networkchange`.

    Audio and video are negotiated. Their sources and sinks are in `adieu.media`.

    Call `close()`. A negotiated connection is kept alive while events may fire at its handlers. If it is dropped
    without handlers, or after it has failed, it is closed as soon as it has no open channels. The end of the event loop
    closes it too. Each of these gives a ResourceWarning with the line that made it.

    Thread safety: use it in the thread of its event loop. In another thread, calls that change it raise RuntimeError.
    """

    __slots__ = ("_internals", "_shown")

    onnegotiationneeded: EventHandler[Event] = EventHandler("negotiationneeded")
    onicecandidate: EventHandler[RTCPeerConnectionIceEvent] = EventHandler("icecandidate")
    onicecandidateerror: EventHandler[RTCPeerConnectionIceErrorEvent] = EventHandler("icecandidateerror")
    onsignalingstatechange: EventHandler[Event] = EventHandler("signalingstatechange")
    oniceconnectionstatechange: EventHandler[Event] = EventHandler("iceconnectionstatechange")
    onicegatheringstatechange: EventHandler[Event] = EventHandler("icegatheringstatechange")
    onconnectionstatechange: EventHandler[Event] = EventHandler("connectionstatechange")
    ondatachannel: EventHandler[RTCDataChannelEvent] = EventHandler("datachannel")
    ontrack: EventHandler[RTCTrackEvent] = EventHandler("track")
    onnetworkchange: EventHandler[NetworkChangeEvent] = EventHandler("networkchange")

    def __init__(
        self,
        configuration: RTCConfiguration | dict[str, Any] | None = None,
        *,
        settings: TransportSettings | dict[str, Any] | None = None,
        **members: Any,
    ) -> None:
        stored = checked_configuration(dictionary(RTCConfiguration, configuration, members), None, negotiated=False)
        driver = Driver.current()
        super().__init__(driver)
        strict = conformance.is_strict()
        internals: Internals = Internals(
            reference=ref(self),
            where=where_made(),
            driver=driver,
            settings=dictionary(TransportSettings, settings),
            strict=strict,
            session_id=str(secrets.randbits(62)),  # RFC 9429 section 5.2.1: below 2**63
            configuration=stored,
            operations=OperationsChain(lambda: on_empty_chain(internals), strict=strict),
            capabilities=negotiable(),
            update_negotiation_needed=lambda: update_negotiation_needed_flag(internals),
            follow_media=lambda: media_transport.follow(internals),
            collect_stats=lambda transport, senders, receivers: stats.collect(internals, transport, senders, receivers),
        )
        self._internals = internals
        self._shown: dict[int, tuple[Description, RTCSessionDescription]] = {}
        connection_log.made(internals)
        fill_pool(internals)

    @property
    def log_id(self) -> str:
        """The id of this connection in the log: `pc1`. Not of the W3C."""
        return self._internals.log_id

    # --- certificates -----------

    @staticmethod
    async def generateCertificate(keygenAlgorithm: object = "ECDSA") -> RTCCertificate:
        """Make a certificate for `RTCConfiguration.certificates`.

        Args:
            keygenAlgorithm: "ECDSA", or `{"name": "ECDSA", "namedCurve": "P-256", "expires": milliseconds}`.

        Raises:
            NotSupportedError: another algorithm.
        """
        return RTCCertificate.generate(keygenAlgorithm)

    # --- descriptions -----------

    @overload
    async def createOffer(
        self, options: RTCOfferOptions | dict[str, Any] | None = None, **members: Any
    ) -> RTCSessionDescriptionInit: ...
    @overload
    async def createOffer(
        self,
        options: SuccessCallback,
        failureCallback: FailureCallback | None,
        legacyOptions: RTCOfferOptions | dict[str, Any] | None = None,
    ) -> None: ...
    @begun_by_the_call(_is_closed)
    async def createOffer(
        self, options: Any = None, failureCallback: Any = None, legacyOptions: Any = None, **members: Any
    ) -> RTCSessionDescriptionInit | None:
        """Make an offer. https://www.w3.org/TR/webrtc/#dom-rtcpeerconnection-createoffer

        Args:
            options: a mapping or an RTCOfferOptions; in the older form a callback that takes the offer.
            failureCallback: of the older form; takes the error.
            legacyOptions: of the older form.
            **members: members of the options as keywords: `iceRestart=True`.

        Raises:
            InvalidStateError: the connection is closed, or has an offer of the other side to answer.
            AbortError: it was closed meanwhile.

        Cancellation: nothing changes.
        """
        self._require_thread("createOffer()")
        if callable(options):
            await call_back(self.createOffer(legacyOptions), options, failureCallback, gives=True)
            return None
        internals = self._internals
        checked = dictionary(RTCOfferOptions, options, members)
        if not internals.is_closed:
            if checked.offerToReceiveAudio is not None:
                transceivers.offer_to_receive(internals, "audio", wanted=checked.offerToReceiveAudio)
            if checked.offerToReceiveVideo is not None:
                transceivers.offer_to_receive(internals, "video", wanted=checked.offerToReceiveVideo)
        text = await internals.operations.chain(
            lambda: create_description.create_offer(internals, restart=checked.iceRestart)
        )
        return RTCSessionDescriptionInit("offer", text)

    @overload
    async def createAnswer(
        self, options: RTCAnswerOptions | dict[str, Any] | None = None
    ) -> RTCSessionDescriptionInit: ...
    @overload
    async def createAnswer(self, options: SuccessCallback, failureCallback: FailureCallback | None) -> None: ...
    @begun_by_the_call(_is_closed)
    async def createAnswer(self, options: Any = None, failureCallback: Any = None) -> RTCSessionDescriptionInit | None:
        """Make an answer. https://www.w3.org/TR/webrtc/#dom-rtcpeerconnection-createanswer

        Args:
            options: a mapping or an RTCAnswerOptions; in the older form a callback that takes the answer.
            failureCallback: of the older form; takes the error.

        Raises:
            InvalidStateError: the connection is closed, or there is no offer to answer.
            AbortError: it was closed meanwhile.

        Cancellation: nothing changes.
        """
        self._require_thread("createAnswer()")
        if callable(options):
            await call_back(self.createAnswer(), options, failureCallback, gives=True)
            return None
        internals = self._internals
        dictionary(RTCAnswerOptions, options)
        text = await internals.operations.chain(lambda: create_description.create_answer(internals))
        return RTCSessionDescriptionInit("answer", text)

    @begun_by_the_call(_is_closed)
    async def setLocalDescription(
        self,
        description: object = None,
        successCallback: SuccessCallback | None = None,
        failureCallback: FailureCallback | None = None,
        **members: Any,
    ) -> None:
        """Apply a local offer or answer. Without an argument, the right one is made.

        https://www.w3.org/TR/webrtc/#dom-peerconnection-setlocaldescription

        Args:
            description: a mapping, an RTCSessionDescription, or the result of createOffer().
            successCallback: of the older form; called when it is done.
            failureCallback: of the older form; takes the error.
            **members: `type` and `sdp` as keywords.

        Raises:
            InvalidModificationError: the text is not the one that was created last.
            InvalidStateError: the connection is closed, or its signaling state does not allow this type.
            AbortError: it was closed meanwhile.

        Cancellation: it is applied as a whole or not at all; `signalingState` shows it.
        """
        self._require_thread("setLocalDescription()")
        if successCallback is not None:
            await call_back(self.setLocalDescription(description, **members), successCallback, failureCallback)
            return
        internals = self._internals
        init = dictionary(RTCLocalSessionDescriptionInit, as_mapping(description), members, open_=True)
        await internals.operations.chain(lambda: set_description.set_local_description(internals, init.type, init.sdp))

    @begun_by_the_call(_is_closed)
    async def setRemoteDescription(
        self,
        description: object = None,
        successCallback: SuccessCallback | None = None,
        failureCallback: FailureCallback | None = None,
        **members: Any,
    ) -> None:
        """Apply an offer or answer of the other side.

        https://www.w3.org/TR/webrtc/#dom-peerconnection-setremotedescription

        A remote offer rolls back a pending local offer.

        Args:
            description: a mapping or an RTCSessionDescription.
            successCallback: of the older form; called when it is done.
            failureCallback: of the older form; takes the error.
            **members: `type` and `sdp` as keywords.

        Raises:
            RTCError: the text is not SDP: errorDetail "sdp-syntax-error", with `sdpLineNumber`.
            InvalidAccessError: its content is not valid, or cannot be negotiated here.
            InvalidStateError: the connection is closed, or its signaling state does not allow this type.
            AbortError: it was closed meanwhile.

        Cancellation: it is applied as a whole or not at all; `signalingState` shows it.
        """
        self._require_thread("setRemoteDescription()")
        if successCallback is not None:
            await call_back(self.setRemoteDescription(description, **members), successCallback, failureCallback)
            return
        internals = self._internals
        init = dictionary(RTCSessionDescriptionInit, as_mapping(description), members, open_=True)
        await internals.operations.chain(lambda: set_description.set_remote_description(internals, init.type, init.sdp))

    @begun_by_the_call(_is_closed)
    async def addIceCandidate(
        self,
        candidate: object = None,
        successCallback: SuccessCallback | None = None,
        failureCallback: FailureCallback | None = None,
        **members: Any,
    ) -> None:
        """Add a candidate of the other side. https://www.w3.org/TR/webrtc/#dom-peerconnection-addicecandidate

        Args:
            candidate: an RTCIceCandidate or a mapping; or the line itself, and the other members as keywords. None or
                an empty line ends the candidates.
            successCallback: of the older form; called when it is done.
            failureCallback: of the older form; takes the error.
            **members: members as keywords.

        Raises:
            TypeError: it names no section.
            OperationError: it belongs to no section, or to no ICE generation, or is malformed.
            InvalidStateError: there is no remote description, or the connection is closed.
            AbortError: it was closed meanwhile.

        Cancellation: it is added or not.
        """
        self._require_thread("addIceCandidate()")
        if successCallback is not None:
            await call_back(self.addIceCandidate(candidate, **members), successCallback, failureCallback)
            return
        internals = self._internals
        init = candidate_init(candidate, members)
        # step 3
        if init.candidate and init.sdpMid is None and init.sdpMLineIndex is None:
            raise TypeError("the candidate has neither sdpMid nor sdpMLineIndex: it is not known where it belongs")
        await internals.operations.chain(lambda: add_ice_candidate(internals, init))

    def restartIce(self) -> None:
        """Have the next offer restart ICE, and ask for one.

        https://www.w3.org/TR/webrtc/#dom-rtcpeerconnection-restartice
        """
        self._require_thread("restartIce()")
        internals = self._internals
        # step 2
        internals.credentials_to_replace = internals.local_credentials()
        # step 3
        update_negotiation_needed_flag(internals)

    @property
    def localDescription(self) -> RTCSessionDescription | None:
        """The pending description, or else the current one.

        A description that is read before its candidates are found lacks them. If nothing listens to `icecandidate`
        either, the log has a warning: see `gathered()`.
        """
        description = self._show(self._internals.negotiation.local)
        if description is not None and self._internals.ice_gathering_state != "complete":
            connection_log.read_early(self._internals, self, description.sdp)
        return description

    @property
    def currentLocalDescription(self) -> RTCSessionDescription | None:
        """The description of the last completed negotiation."""
        return self._show(self._internals.negotiation.current_local)

    @property
    def pendingLocalDescription(self) -> RTCSessionDescription | None:
        """The description of the negotiation that is under way."""
        return self._show(self._internals.negotiation.pending_local)

    @property
    def remoteDescription(self) -> RTCSessionDescription | None:
        """The pending description, or else the current one."""
        return self._show(self._internals.negotiation.remote)

    @property
    def currentRemoteDescription(self) -> RTCSessionDescription | None:
        """The description of the last completed negotiation."""
        return self._show(self._internals.negotiation.current_remote)

    @property
    def pendingRemoteDescription(self) -> RTCSessionDescription | None:
        """The description of the negotiation that is under way."""
        return self._show(self._internals.negotiation.pending_remote)

    def _show(self, description: Description | None) -> RTCSessionDescription | None:
        """Return the same object for the same description."""
        if description is None:
            return None
        negotiation = self._internals.negotiation
        internals = (
            negotiation.current_local,
            negotiation.pending_local,
            negotiation.current_remote,
            negotiation.pending_remote,
        )
        if id(description) not in self._shown:
            kept = {id(d): self._shown[id(d)] for d in internals if id(d) in self._shown}
            kept[id(description)] = (description, RTCSessionDescription.of(description))
            self._shown = kept
        return self._shown[id(description)][1]

    # --- states -----------

    @property
    def signalingState(self) -> SignalingState:
        """The signaling state."""
        return self._internals.negotiation.state

    @property
    def iceGatheringState(self) -> RTCIceGatheringState:
        """The gathering state; a close does not change it (closing rule 16)."""
        return self._internals.ice_gathering_state

    @property
    def iceConnectionState(self) -> RTCIceConnectionState:
        """The state of ICE."""
        return self._internals.ice_connection_state

    @property
    def connectionState(self) -> RTCPeerConnectionState:
        """The state of ICE and DTLS. Only channels show that the other side has left (closing rules 60, 62)."""
        return self._internals.connection_state

    @property
    def canTrickleIceCandidates(self) -> bool | None:
        """Whether the other side takes candidates after its description; None before there is one."""
        remote = self._internals.negotiation.remote
        return None if remote is None else remote.trickles

    # --- configuration -----------

    def getConfiguration(self) -> RTCConfiguration:
        """Return the configuration, also after a close (closing rule 27)."""
        return self._internals.configuration

    def setConfiguration(self, configuration: RTCConfiguration | dict[str, Any] | None = None, **members: Any) -> None:
        """Change the configuration: servers and policy count from the next gathering on. The next offer begins it.

        Before the first local description the candidate pool is gathered again.

        Raises:
            InvalidStateError: the connection is closed (closing rule 23).
            InvalidModificationError: a member changes that cannot change.
        """
        self._require_thread("setConfiguration()")
        internals = self._internals
        # step 2
        self._require_open()
        set_configuration(internals, dictionary(RTCConfiguration, configuration, members))

    # --- data -----------

    @property
    def sctp(self) -> RTCSctpTransport | None:
        """The association that carries the data channels; None until data is offered by either side."""
        transport = channels.sctp_holder(self._internals)
        return None if transport is None else transport.sctp

    def createDataChannel(
        self, label: str, dataChannelDict: RTCDataChannelInit | dict[str, Any] | None = None, **members: Any
    ) -> RTCDataChannel:
        """Make a channel. https://www.w3.org/TR/webrtc/#dom-peerconnection-createdatachannel

        Args:
            label: its name, at most 65535 bytes.
            dataChannelDict: a mapping or an RTCDataChannelInit.
            **members: its members as keywords: `ordered=False`.

        Raises:
            InvalidStateError: the connection is closed (closing rule 23).
            TypeError: a member is wrong.
            OperationError: the id is in use or too high, or no id is free.
        """
        self._require_thread("createDataChannel()")
        internals = self._internals
        # step 2
        self._require_open()
        # steps 4 to 17
        string("the label", label)
        label = scalar(label)
        if len(label.encode()) > MAX_WORD:
            raise TypeError(f"the label is longer than {MAX_WORD} bytes")
        init = dictionary(RTCDataChannelInit, dataChannelDict, members)
        # steps 18 to 20, 22 to 24
        channel = channels.create(internals, label, init)
        # step 21
        if not internals.channels.has_made:
            internals.channels.has_made = True
            update_negotiation_needed_flag(internals)
        return channel

    # --- media -----------

    def addTransceiver(
        self,
        trackOrKind: MediaStreamTrack | str,
        init: RTCRtpTransceiverInit | dict[str, Any] | None = None,
        **members: Any,
    ) -> RTCRtpTransceiver:
        """Make a transceiver. https://www.w3.org/TR/webrtc/#dom-rtcpeerconnection-addtransceiver

        Args:
            trackOrKind: a track to be sent, or "audio" or "video".
            init: a mapping or an RTCRtpTransceiverInit.
            **members: its members as keywords: `direction="recvonly"`.

        Raises:
            TypeError, ValueError: the kind, or a member, is wrong.
            InvalidStateError: the connection is closed (closing rule 23).
            OperationError: an encoding wants an unknown codec.
        """
        self._require_thread("addTransceiver()")
        checked = dictionary(RTCRtpTransceiverInit, init, members)
        transceivers.track_and_kind(trackOrKind)
        # step 7
        self._require_open()
        return transceivers.add_transceiver(self._internals, trackOrKind, checked)

    def addTrack(self, track: MediaStreamTrack, *streams: MediaStream) -> RTCRtpSender:
        """Send a track; the other side sees it in these streams.

        https://www.w3.org/TR/webrtc/#dom-rtcpeerconnection-addtrack

        Raises:
            TypeError: an argument is not a track or not a stream.
            InvalidStateError: the connection is closed (closing rule 23).
            InvalidAccessError: the track has a sender already.
        """
        self._require_thread("addTrack()")
        # step 4
        self._require_open()
        return transceivers.add_track(self._internals, track, streams)

    def removeTrack(self, sender: RTCRtpSender) -> None:
        """Stop sending a track; its transceiver stays. https://www.w3.org/TR/webrtc/#dom-rtcpeerconnection-removetrack

        Raises:
            TypeError: it is not a sender.
            InvalidStateError: the connection is closed (closing rule 23).
            InvalidAccessError: it is a sender of another connection.
        """
        self._require_thread("removeTrack()")
        # step 3
        self._require_open()
        transceivers.remove_track(self._internals, sender)

    def getTransceivers(self) -> list[RTCRtpTransceiver]:
        """Return all transceivers, in the order in which they were made; also after a close (closing rule 17)."""
        return transceivers.transceivers(self._internals)

    def getSenders(self) -> list[RTCRtpSender]:
        """Return the senders of the transceivers that are not stopped; after a close, of all (closing rule 17)."""
        return [transceiver.sender for transceiver in transceivers.live_transceivers(self._internals)]

    def getReceivers(self) -> list[RTCRtpReceiver]:
        """Return the receivers of the transceivers that are not stopped; after a close, of all (closing rule 17)."""
        return [transceiver.receiver for transceiver in transceivers.live_transceivers(self._internals)]

    # --- statistics -----------

    async def getStats(self, selector: MediaStreamTrack | None = None) -> RTCStatsReport:
        """Return the statistics, also of a closed connection (closing rule 28).

        Args:
            selector: a track: only the statistics of its sender or receiver.

        Raises:
            InvalidAccessError: the track has no sender or receiver here, or more than one.

        Cancellation: nothing changes.
        """
        self._require_thread("getStats()")
        if selector is None:
            return await stats.collect(self._internals)
        # steps 3 and 4
        selected = [
            half
            for transceiver in transceivers.transceivers(self._internals)
            for half in (transceiver.sender, transceiver.receiver)
            if half.track is selector
        ]
        if len(selected) != 1:
            raise InvalidAccessError(f"{selector!r} has {len(selected)} senders and receivers here, not one")
        return await selected[0].getStats()

    # --- the end -----------

    def close(self) -> None:
        """Close the connection at once. Queued messages are thrown away, and the peer is notified.

        https://www.w3.org/TR/webrtc/#dom-rtcpeerconnection-close. No state event follows; each channel that was not
        closed gets a `close` event soon after. Pending calls end with AbortError. To let everything arrive, close the
        channels and await their `close` first. To wait until the last packets have left: `await pc.wait_closed()`.

        It may be called at any time: while connecting, in a handler, after the event loop has ended.

        Raises:
            RuntimeError: the event loop runs in another thread: `loop.call_soon_threadsafe(pc.close)`.
        """
        self._require_thread("close()")
        self._internals.is_forgotten = False
        close_the_connection(self._internals)

    async def gathered(self) -> RTCSessionDescription:
        """Wait until the local description has all its candidates, and return it: for signaling that sends it whole.

        Raises:
            InvalidStateError: no local description is set, or the connection is closed.
            AbortError: the connection was closed meanwhile (closing rule 35), or the description was rolled back.

        Cancellation: gathering goes on.
        """
        self._require_thread("gathered()")
        self._require_open()
        if (description := self._show(self._internals.negotiation.local)) is None:
            raise InvalidStateError("no local description is set: call setLocalDescription() before gathered()")
        # A description without sections has nothing to gather for.
        while "\nm=" in description.sdp and self.iceGatheringState != "complete":
            await once(self, "icegatheringstatechange")
            if (now := self._show(self._internals.negotiation.local)) is None:
                raise AbortError("the local description was rolled back before it had all its candidates")
            description = now
        return description

    async def wait_closed(self) -> ReleaseLedger:
        """Wait until the last packets have left and all resources have been given back after `close()`.

        Returns:
            The resources that are left: false if there are no such. "unwatched" means that the event loop ended first:
            the core goes on by itself, but nobody sees its end.

        Cancellation: other waiters go on.
        """
        self._require_thread("wait_closed()")
        return await self._internals.release.wait()

    def _require_open(self) -> None:
        if self._internals.is_closed:
            raise InvalidStateError("the connection is closed")

    def _listened(self, type_: str) -> None:
        del type_
        lifetime.keep(self._internals)

    def _unlistened(self) -> None:
        lifetime.keep(self._internals)

    def __del__(self) -> None:
        internals: Internals | None = getattr(self, "_internals", None)  # the constructor may have failed
        if internals is not None:
            lifetime.drop(internals, is_negotiated=is_negotiated(internals))

    def __repr__(self) -> str:
        return repr(self._internals)
