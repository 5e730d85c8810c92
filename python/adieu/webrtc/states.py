"""The states of a connection, derived from those of its transports.

Pure functions, each a table of the W3C read from top to bottom.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection

    from adieu.webrtc.dtls_transport import RTCDtlsTransportState
    from adieu.webrtc.ice_transport import RTCIceGathererState, RTCIceTransportState

RTCIceConnectionState: TypeAlias = Literal[
    "new", "checking", "connected", "completed", "disconnected", "failed", "closed"
]
RTCPeerConnectionState: TypeAlias = Literal["new", "connecting", "connected", "disconnected", "failed", "closed"]
RTCIceGatheringState: TypeAlias = Literal["new", "gathering", "complete"]


def connection_state(
    ice: Collection[RTCIceTransportState], dtls: Collection[RTCDtlsTransportState]
) -> RTCPeerConnectionState:
    """https://www.w3.org/TR/webrtc/#rtcpeerconnectionstate-enum of an open connection (closing rule 62)."""
    if "failed" in ice or "failed" in dtls:
        return "failed"
    if "disconnected" in ice:
        return "disconnected"
    if {*ice, *dtls} <= {"new", "closed"}:  # also when there are none
        return "new"
    # A DTLS transport that the peer has closed counts as connected (closing rule 60).
    if {*ice} <= {"connected", "completed", "closed"} and {*dtls} <= {"connected", "closed"}:
        return "connected"
    return "connecting"


def ice_connection_state(ice: Collection[RTCIceTransportState]) -> RTCIceConnectionState:
    """https://www.w3.org/TR/webrtc/#rtciceconnectionstate-enum of a connection that is not closed."""
    if "failed" in ice:
        return "failed"
    if "disconnected" in ice:
        return "disconnected"
    if {*ice} <= {"new", "closed"}:
        return "new"
    if "new" in ice or "checking" in ice:
        return "checking"
    if {*ice} <= {"completed", "closed"}:
        return "completed"
    return "connected"


def ice_gathering_state(gatherers: Collection[RTCIceGathererState]) -> RTCIceGatheringState:
    """https://www.w3.org/TR/webrtc/#rtcicegatheringstate-enum."""
    if "gathering" in gatherers:
        return "gathering"
    if gatherers and {*gatherers} == {"complete"}:
        return "complete"
    return "new"
