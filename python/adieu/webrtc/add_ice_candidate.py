"""addIceCandidate. https://www.w3.org/TR/webrtc/#dom-peerconnection-addicecandidate"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu import jsep
from adieu.errors import InvalidStateError, OperationError
from adieu.sdp import Candidate, SdpSyntaxError
from adieu.webrtc.ice_candidate import RTCIceCandidate

if TYPE_CHECKING:
    from adieu.webrtc.ice_candidate import RTCIceCandidateInit
    from adieu.webrtc.slots import Slots


async def add_ice_candidate(slots: Slots, init: RTCIceCandidateInit) -> None:
    """The chained steps.

    Raises:
        InvalidStateError: there is no remote description yet.
        OperationError: it belongs to no section, or to no ICE generation, or is malformed.
    """
    # step 1
    remote = slots.negotiation.remote
    if remote is None:
        raise InvalidStateError("there is no remote description yet; keep the candidate until it is set")
    # steps 2 to 5 are the plan's
    candidate = _parse(init.candidate) if init.candidate else None
    ufrag = init.usernameFragment
    # step 7
    await slots.next_task()
    if candidate is None:
        plan = jsep.end_remote_candidates(slots.negotiation, mid=init.sdpMid, index=init.sdpMLineIndex, ufrag=ufrag)
    else:
        plan = jsep.add_remote_candidate(
            slots.negotiation, candidate, mid=init.sdpMid, index=init.sdpMLineIndex, ufrag=ufrag
        )
    for action in plan.actions:
        transport = slots.transports[action.key]
        # Well-formed, and nothing that a datagram can be sent to: one that does not help.
        with slots.passing_over(init.candidate):
            transport.perform(action)
        if candidate is not None:
            transport.remember_remote_candidate(RTCIceCandidate(init))
    if plan.after is slots.negotiation and candidate is not None:
        slots.pass_over(f"{init.candidate[:120]!r} is of no ICE generation of this connection")
    # steps 7.2.2 and 7.2.3
    slots.negotiation = plan.after


def _parse(line: str) -> Candidate:
    try:
        return Candidate.parse(line)
    except SdpSyntaxError as error:
        raise OperationError(f"{line[:120]!r} is not a candidate: {error}") from None
