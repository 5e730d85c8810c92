"""getStats(). https://www.w3.org/TR/webrtc-stats/"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from adieu.jsep import same_codec
from adieu.sdp import Candidate
from adieu.webrtc.media_stream_track import internals_of as internals_of_track
from adieu.webrtc.rtp_transceiver import internals_of
from adieu.webrtc.stats_report import RTCStatsReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from adieu.jsep import Codec
    from adieu.webrtc.certificate import RTCCertificate
    from adieu.webrtc.dtls_transport import RTCDtlsTransport
    from adieu.webrtc.ice_candidate import RTCIceCandidate
    from adieu.webrtc.internals import Internals
    from adieu.webrtc.transceiver_internals import TransceiverInternals
    from adieu.webrtc.transport import Transport


async def collect(
    internals: Internals,
    only: RTCDtlsTransport | None = None,
    senders: Iterable[TransceiverInternals] | None = None,
    receivers: Iterable[TransceiverInternals] | None = None,
) -> RTCStatsReport:
    """Return the statistics of a connection, also of a closed one (closing rule 28).

    Args:
        internals: of the connection.
        only: this transport alone, and the connection as a whole.
        senders: the senders with statistics; None: all.
        receivers: the receivers with statistics; None: all.
    """
    # getStats step 6: in parallel. The figures are those of this moment, whatever the program does next.
    transports = [transport for transport in internals.transports.values() if only is None or transport.dtls is only]
    asked = [(transport, internals.driver.stats(transport.handle)) for transport in transports]
    await internals.driver.next_task()
    report = _Report(internals.driver.clock.now())
    report.add(
        "peer-connection",
        "P",
        dataChannelsOpened=internals.channels.opened,
        dataChannelsClosed=internals.channels.closed,
        remoteLinesDropped=internals.ignored_lines.count,  # adieu's own
    )
    flows: list[Mapping[str, Any]] = []
    for transport, answer in asked:
        figures = await answer
        report.now = internals.driver.clock.now() - 1000 * figures.get("age", 0.0)
        local = _certificate(report, internals.certificate)
        remote = _remote_certificate(report, transport)
        _transport(report, internals, transport, figures, local, remote)
        if transport.sctp is not None:
            _channels(report, internals, transport, figures)
        flows += figures.get("media", [])
    everyone = [internals_of(transceiver) for transceiver in internals.transceivers.values()]
    for sender in everyone if senders is None else senders:
        _sender(report, internals, sender, flows)
    for receiver in everyone if receivers is None else receivers:
        _receiver(report, internals, receiver, flows)
    return RTCStatsReport(report.stats)


class _Report:
    """The dicts of the report; a member without a value is left out."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.stats: dict[str, dict[str, Any]] = {}

    def add(self, type_: str, id_: str, **members: Any) -> str:
        known = {name: value for name, value in members.items() if value is not None}
        self.stats[id_] = {"id": id_, "type": type_, "timestamp": self.now, **known}
        return id_

    def moment(self, age: float | None) -> float | None:
        """Return the timestamp of a moment so many seconds ago."""
        return None if age is None else self.now - 1000 * age


# The core's figures by the W3C's names.
_TRAFFIC = {
    "packetsSent": "packets_sent",
    "packetsReceived": "packets_received",
    "bytesSent": "bytes_sent",
    "bytesReceived": "bytes_received",
}
_PAIR = _TRAFFIC | {
    "state": "state",
    "nominated": "nominated",
    "requestsSent": "requests_sent",
    "requestsReceived": "requests_received",
    "responsesSent": "responses_sent",
    "responsesReceived": "responses_received",
    "consentRequestsSent": "consent_requests_sent",
    "totalRoundTripTime": "total_round_trip_time",
    "currentRoundTripTime": "current_round_trip_time",
    "availableOutgoingBitrate": "available_outgoing_bitrate",
}
# adieu's own: how the congestion controller fares (docs/topics/congestion.md).
_CONGESTION = {
    "congestionController": "controller",
    "congestionWindow": "congestion_window",
    "deliveryRate": "delivery_rate",
    "queueTime": "queue",
    "sctpRoundTripTime": "smoothed_round_trip_time",
    "sctpPacketsRetransmitted": "packets_retransmitted",
    "chunksLost": "lost",
    "lossesTolerated": "tolerated",
    "windowReductions": "reductions",
    "retransmissionTimeouts": "timeouts",
}
_CHANNEL = {
    "messagesSent": "messages_sent",
    "bytesSent": "bytes_sent",
    "messagesReceived": "messages_received",
    "bytesReceived": "bytes_received",
}


def _named(names: Mapping[str, str], figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: figures.get(source) for name, source in names.items()}


def _transport(
    report: _Report,
    internals: Internals,
    transport: Transport,
    figures: Mapping[str, Any],
    local: str | None,
    remote: str | None,
) -> None:
    """https://www.w3.org/TR/webrtc-stats/#transportstats-dict*."""
    id_ = f"T{transport.key}"
    selected = _pairs(report, id_, figures.get("pairs", []))
    _candidates(report, id_, transport)
    dtls: dict[str, Any] = figures.get("dtls", {})
    state = internals.negotiation.transports.get(transport.key)
    client = state.dtls_client if state is not None else None
    role = "unknown" if client is None else "client" if client else "server"
    parameters = transport.ice.getLocalParameters()
    report.add(
        "transport",
        id_,
        iceRole=transport.ice.role,
        iceState=transport.ice.state,
        iceLocalUsernameFragment=parameters.usernameFragment if parameters is not None else None,
        dtlsState=transport.dtls.state,
        dtlsRole=dtls.get("role", role),
        tlsVersion=dtls.get("version"),
        dtlsCipher=dtls.get("cipher"),
        srtpCipher=dtls.get("srtp_cipher"),
        selectedCandidatePairId=selected,
        selectedCandidatePairChanges=figures.get("selected_pair_changes"),
        localCertificateId=local,
        remoteCertificateId=remote,
        **_named(_TRAFFIC, figures),
        **_named(_CONGESTION, figures.get("sctp", {})),
    )


def _pairs(report: _Report, transport: str, pairs: list[dict[str, Any]]) -> str | None:
    """Add https://www.w3.org/TR/webrtc-stats/#candidatepair-dict*. Returns the id of the selected pair."""
    selected = None
    for pair in pairs:
        ends = (":".join(pair[side].split()[4:6]) for side in ("local", "remote"))
        id_ = "-".join((transport, str(pair.get("generation", 0)), *ends))
        if pair.get("selected"):
            selected = id_
        report.add(
            "candidate-pair",
            id_,
            transportId=transport,
            localCandidateId=_candidate(report, "local-candidate", transport, pair["local"]),
            remoteCandidateId=_candidate(report, "remote-candidate", transport, pair["remote"]),
            lastPacketSentTimestamp=report.moment(pair.get("last_packet_sent_age")),
            lastPacketReceivedTimestamp=report.moment(pair.get("last_packet_received_age")),
            lastResponseTimestamp=report.moment(pair.get("last_response_age")),
            **_named(_PAIR, pair),
        )
    return selected


def _candidates(report: _Report, id_: str, transport: Transport) -> None:
    for side, candidates in (
        ("local-candidate", transport.ice.getLocalCandidates()),
        ("remote-candidate", transport.ice.getRemoteCandidates()),
    ):
        for candidate in candidates:
            _candidate(report, side, id_, candidate.candidate, candidate)


def _candidate(report: _Report, side: str, transport: str, line: str, known: RTCIceCandidate | None = None) -> str:
    """https://www.w3.org/TR/webrtc-stats/#icecandidate-dict*."""
    candidate = Candidate.parse(line)
    host = f"[{candidate.address}]" if ":" in candidate.address else candidate.address
    id_ = f"{transport}-{side[0].upper()}-{candidate.transport}-{host}-{candidate.port}-{candidate.type}"
    if id_ in report.stats and known is None:
        return id_
    return report.add(
        side,
        id_,
        transportId=transport,
        address=candidate.address,
        port=candidate.port,
        protocol=candidate.transport,
        candidateType=candidate.type,
        priority=candidate.priority,
        foundation=candidate.foundation,
        relatedAddress=candidate.related_address,
        relatedPort=candidate.related_port,
        tcpType=candidate.tcp_type,
        usernameFragment=known.usernameFragment if known is not None else None,
        url=known.url if known is not None else None,
        relayProtocol=known.relayProtocol if known is not None else None,
    )


def _channels(report: _Report, internals: Internals, transport: Transport, figures: Mapping[str, Any]) -> None:
    """https://www.w3.org/TR/webrtc-stats/#dcstats-dict*."""
    counted: dict[int, dict[str, Any]] = {c["stream_id"]: c for c in figures.get("channels", {}).values()}
    for channel in internals.channels.by_id.values():
        report.add(
            "data-channel",
            f"D{channel.id}",
            transportId=f"T{transport.key}",
            label=channel.label,
            protocol=channel.protocol,
            dataChannelIdentifier=channel.id,
            state=channel.readyState,
            **_named(_CHANNEL, counted.get(channel.id if channel.id is not None else -1, {})),
        )


def _sender(
    report: _Report, internals: Internals, sender: TransceiverInternals, flows: Iterable[Mapping[str, Any]]
) -> None:
    """https://www.w3.org/TR/webrtc-stats/#outboundrtpstats-dict*, with its source, its codec, and the peer's report.

    There is one for each encoding, from its negotiation to the end of the transceiver.
    """
    value, track = sender.value, sender.sender_track
    if internals.is_closed or value.stopping:
        return
    own = {flow["type"]: flow for flow in flows if flow.get("sender") == sender.media_sender is not None}
    source = None
    if track is not None:
        video = internals_of_track(track).source.video
        more = _flow(report, {**own.get("media-source", {}), **(video.stats() if video is not None else {})})
        source = report.add("media-source", f"S{track.id}", trackIdentifier=track.id, **{"kind": track.kind, **more})
    transport = _transport_key(internals, sender)
    if transport is None or not sender.is_sending:
        return
    encoder = sender.video.figures if sender.video is not None else {}
    outbound = {"packetsSent": 0, "bytesSent": 0, **_flow(report, {**own.get("outbound-rtp", {}), **encoder})}
    for index, encoding in enumerate(value.encodings):
        wanted = encoding.codec
        known = (c for c in sender.send_codecs if (c.is_media if wanted is None else same_codec(c, wanted)))
        report.add(
            "outbound-rtp",
            f"O{sender.id}-{index}",
            kind=value.kind,
            mid=value.mid,
            rid=encoding.rid,
            encodingIndex=index if value.kind == "video" else None,
            active=encoding.active,
            transportId=f"T{transport}",
            mediaSourceId=source,
            codecId=_codec(report, transport, next(known, None)),
            remoteId=f"R{sender.id}-{index}" if index == 0 and "remote-inbound-rtp" in own else None,
            **(outbound if index == 0 else {"packetsSent": 0, "bytesSent": 0}),
        )
    if (remote := own.get("remote-inbound-rtp")) is not None:
        id_ = f"O{sender.id}-0"
        members = {"kind": value.kind, "transportId": f"T{transport}", "localId": id_, **_flow(report, remote)}
        report.add("remote-inbound-rtp", f"R{sender.id}-0", **members)


def _receiver(
    report: _Report, internals: Internals, receiver: TransceiverInternals, flows: Iterable[Mapping[str, Any]]
) -> None:
    """https://www.w3.org/TR/webrtc-stats/#inboundrtpstats-dict*, and the peer's report: once packets have come."""
    value, transport = receiver.value, _transport_key(internals, receiver)
    own = {flow["type"]: flow for flow in flows if flow.get("receiver") == receiver.media_receiver is not None}
    if (inbound := own.get("inbound-rtp")) is None or transport is None or internals.is_closed:
        return
    number = inbound.get("payload_type")
    codec = next((codec for codec in value.receive_codecs if codec.payload_type == number), None)
    here, there = f"I{receiver.id}", f"Q{receiver.id}"
    shared = {"kind": value.kind, "transportId": f"T{transport}"}
    remote = own.get("remote-outbound-rtp")
    known = {
        **shared,
        "mid": value.mid,
        "trackIdentifier": receiver.receiver.id,
        "codecId": _codec(report, transport, codec),
        "remoteId": there if remote is not None else None,
    }
    report.add("inbound-rtp", here, **{**known, **_flow(report, {**inbound, **receiver.receiver.source.decoder})})
    if remote is not None:
        report.add("remote-outbound-rtp", there, **{**shared, "localId": here, **_flow(report, remote)})


def _transport_key(internals: Internals, transceiver: TransceiverInternals) -> str | None:
    return next((key for key, known in internals.transports.items() if known.dtls is transceiver.transport), None)


_OF_THE_CORE = frozenset({"type", "sender", "receiver", "mid", "payload_type", "active"})


def _flow(report: _Report, figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the core's figures of a stream by the W3C's names; what ends in `_age` becomes a timestamp."""
    members: dict[str, Any] = {}
    for name, value in figures.items():
        if name in _OF_THE_CORE:
            continue
        if name == "age":  # of the whole object: when the peer's report came
            members["timestamp"] = report.moment(value)
            continue
        first, *rest = name.removesuffix("_age").split("_")
        camel = first + "".join(part.capitalize() for part in rest)
        members[camel if not name.endswith("_age") else f"{camel}Timestamp"] = (
            report.moment(value) if name.endswith("_age") else value
        )
    return members


def _codec(report: _Report, transport: str, codec: Codec | None) -> str | None:
    """https://www.w3.org/TR/webrtc-stats/#codec-dict*."""
    if codec is None:
        return None
    return report.add(
        "codec",
        f"P{transport}-{codec.payload_type}-{hashlib.sha256(codec.fmtp.encode()).hexdigest()[:8]}",
        payloadType=codec.payload_type,
        transportId=f"T{transport}",
        mimeType=codec.mime_type,
        clockRate=codec.clock_rate,
        channels=codec.channels,
        sdpFmtpLine=codec.fmtp or None,
    )


def _certificate(report: _Report, certificate: RTCCertificate | None) -> str | None:
    """https://www.w3.org/TR/webrtc-stats/#certificatestats-dict*."""
    if certificate is None:
        return None
    pem, _ = certificate.to_pem()
    body = "".join(line for line in pem.splitlines() if line and not line.startswith("-----"))
    return _certificate_of(report, base64.b64decode(body))


def _remote_certificate(report: _Report, transport: Transport) -> str | None:
    certificates = transport.dtls.getRemoteCertificates()
    return _certificate_of(report, certificates[0]) if certificates else None


def _certificate_of(report: _Report, der: bytes) -> str:
    digest = hashlib.sha256(der).hexdigest().upper()
    fingerprint = ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))
    return report.add(
        "certificate",
        f"C{digest[:16]}",
        fingerprint=fingerprint,
        fingerprintAlgorithm="sha-256",
        base64Certificate=base64.b64encode(der).decode(),
    )
