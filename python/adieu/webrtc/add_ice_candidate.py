"""addIceCandidate. https://www.w3.org/TR/webrtc/#dom-peerconnection-addicecandidate"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu import jsep
from adieu.errors import InvalidStateError, OperationError
from adieu.sdp import Candidate, SdpSyntaxError
from adieu.webrtc import connection_log
from adieu.webrtc.ice_candidate import RTCIceCandidate
from adieu.webrtc.transport_actions import perform

if TYPE_CHECKING:
    from adieu.webrtc.ice_candidate import RTCIceCandidateInit
    from adieu.webrtc.internals import Internals


async def add_ice_candidate(internals: Internals, init: RTCIceCandidateInit) -> None:
    """W3C addIceCandidate, the chained steps.

    Raises:
        InvalidStateError: there is no remote description yet.
        OperationError: the candidate is malformed, or belongs to no section or no ICE generation.
    """
    # step 1
    remote = internals.negotiation.remote
    if remote is None:
        raise InvalidStateError("there is no remote description yet; keep the candidate until it is set")
    # steps 2 to 5 are the plan's
    candidate = _parse(init.candidate) if init.candidate else None
    ufrag = init.usernameFragment
    # step 7
    await internals.next_task()
    connection_log.remote_candidate(internals, init.candidate)
    if candidate is None:
        plan = jsep.end_remote_candidates(internals.negotiation, mid=init.sdpMid, index=init.sdpMLineIndex, ufrag=ufrag)
    else:
        plan = jsep.add_remote_candidate(
            internals.negotiation, candidate, mid=init.sdpMid, index=init.sdpMLineIndex, ufrag=ufrag
        )
    for action in plan.actions:
        perform(internals, action)
        if candidate is not None:
            internals.transports[action.key].ice_internals.remote_candidates.append(RTCIceCandidate(init))
    if plan.after is internals.negotiation and candidate is not None:
        internals.ignored_lines.add(f"{init.candidate[:120]!r} is of no ICE generation of this connection")
    # steps 7.2.2 and 7.2.3
    internals.negotiation = plan.after


def _parse(line: str) -> Candidate:
    try:
        return Candidate.parse(line)
    except SdpSyntaxError as error:
        raise OperationError(f"{line[:120]!r} is not a candidate: {error}") from None
