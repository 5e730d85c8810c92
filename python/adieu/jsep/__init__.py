"""Offer and answer: RFC 9429 (JSEP) as pure functions over values.

`Negotiation` is a snapshot of all that has been negotiated. Applying a description makes a `Plan` out of it: the
snapshot that comes after, and the actions that take the transports there. A plan exists only when the description is
valid as a whole, so a bad description changes nothing; rolling back is going back to an older snapshot.

```
text ──parse_description──▶ Description ──plan_local / plan_remote──▶ Plan(after, actions)
Negotiation + LocalParameters ──create_offer / create_answer──▶ text
```

What is here now are data connections: one m=application section and its transport. Audio and video sections of the
other side are kept in their places and rejected. Sections, transports and actions are keyed by mid, so that more of
them fit in.
"""

from adieu.jsep.answer import create_answer
from adieu.jsep.apply import plan_local, plan_remote, plan_rollback, require_state
from adieu.jsep.candidates import (
    add_local_candidate,
    add_remote_candidate,
    end_local_candidates,
    end_remote_candidates,
)
from adieu.jsep.description import Description, parse_description
from adieu.jsep.negotiation import IceCredentials, Negotiation, SctpAssociation, TransportState
from adieu.jsep.offer import LocalParameters, create_offer
from adieu.jsep.plan import (
    Action,
    AddCandidate,
    CloseTransport,
    DropGeneration,
    Gather,
    Plan,
    SetRemote,
    StartDtls,
    StartSctp,
)
from adieu.jsep.signaling import SdpType, SignalingState, Source, next_signaling_state

__all__ = [
    "Action",
    "AddCandidate",
    "CloseTransport",
    "Description",
    "DropGeneration",
    "Gather",
    "IceCredentials",
    "LocalParameters",
    "Negotiation",
    "Plan",
    "SctpAssociation",
    "SdpType",
    "SetRemote",
    "SignalingState",
    "Source",
    "StartDtls",
    "StartSctp",
    "TransportState",
    "add_local_candidate",
    "add_remote_candidate",
    "create_answer",
    "create_offer",
    "end_local_candidates",
    "end_remote_candidates",
    "next_signaling_state",
    "parse_description",
    "plan_local",
    "plan_remote",
    "plan_rollback",
    "require_state",
]
