"""Candidates as text."""

from __future__ import annotations

from adieu.compat.aiortc.rtcicetransport import RTCIceCandidate
from adieu.sdp import Candidate


def candidate_from_sdp(sdp: str) -> RTCIceCandidate:
    """Read a candidate.

    Args:
        sdp: what follows "candidate:" in a line of SDP; the word itself may be there too.

    Raises:
        ValueError: it is no candidate.
    """
    found = Candidate.parse(sdp.removeprefix("a=").removeprefix("candidate:"))
    return RTCIceCandidate(
        component=found.component,
        foundation=found.foundation,
        ip=found.address,
        port=found.port,
        priority=found.priority,
        protocol=found.transport,
        type=found.type,
        relatedAddress=found.related_address,
        relatedPort=found.related_port,
        tcpType=found.tcp_type,
    )


def candidate_to_sdp(candidate: RTCIceCandidate) -> str:
    """Return what follows "candidate:" in a line of SDP."""
    head = (candidate.foundation, candidate.component, candidate.protocol, candidate.priority)
    words = [*map(str, head), candidate.ip, str(candidate.port), "typ", candidate.type]
    more = {"raddr": candidate.relatedAddress, "rport": candidate.relatedPort, "tcptype": candidate.tcpType}
    for name, value in more.items():
        if value is not None:
            words += [name, str(value)]
    return " ".join(words)
