"""Offer and answer: RFC 9429 (JSEP) as pure functions over values.

`Negotiation` is a snapshot of all that has been negotiated. Applying a description makes a `Plan` out of it: the
snapshot that comes after, and the actions that take the transports there. A plan exists only if the whole description
is valid, so a bad description changes nothing. A rollback goes back to an older snapshot.

```
text ──parse_description──▶ Description ──plan_local / plan_remote──▶ Plan(after, actions)
Negotiation + LocalParameters ──create_offer / create_answer──▶ text
```

A snapshot holds the transceivers too, as values. A program that sets a property of an RTCRtpTransceiver makes a new
snapshot; the changes by a description are in the plan. The key of a transport is that of the section that made it. A
transport carries the sections that a bundle gives it.
"""

from adieu.jsep import direction
from adieu.jsep.answer import create_answer
from adieu.jsep.apply import plan_local, plan_remote, plan_rollback, require_state
from adieu.jsep.bundle import speaker
from adieu.jsep.candidates import (
    add_local_candidate,
    add_remote_candidate,
    end_local_candidates,
    end_remote_candidates,
)
from adieu.jsep.capabilities import NEGOTIABLE, Capabilities
from adieu.jsep.codecs import Codec, Kind, same_codec
from adieu.jsep.description import DEFAULT_MAX_MESSAGE_SIZE, Description, parse_description
from adieu.jsep.negotiation import IceCredentials, Negotiation, SctpAssociation, TransportState
from adieu.jsep.offer import LocalParameters, create_offer, new_transceivers, offer_sections
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
from adieu.jsep.ssrcs import own_ssrcs
from adieu.jsep.transceiver import MAX_ENCODINGS, Encoding, Transceiver
from adieu.jsep.transceivers import NAMELESS, MediaChanges, default_encoding, stopped

__all__ = [
    "DEFAULT_MAX_MESSAGE_SIZE",
    "MAX_ENCODINGS",
    "NAMELESS",
    "NEGOTIABLE",
    "Action",
    "AddCandidate",
    "Capabilities",
    "CloseTransport",
    "Codec",
    "Description",
    "DropGeneration",
    "Encoding",
    "Gather",
    "IceCredentials",
    "Kind",
    "LocalParameters",
    "MediaChanges",
    "Negotiation",
    "Plan",
    "SctpAssociation",
    "SdpType",
    "SetRemote",
    "SignalingState",
    "Source",
    "StartDtls",
    "StartSctp",
    "Transceiver",
    "TransportState",
    "add_local_candidate",
    "add_remote_candidate",
    "create_answer",
    "create_offer",
    "default_encoding",
    "direction",
    "end_local_candidates",
    "end_remote_candidates",
    "new_transceivers",
    "next_signaling_state",
    "offer_sections",
    "own_ssrcs",
    "parse_description",
    "plan_local",
    "plan_remote",
    "plan_rollback",
    "require_state",
    "same_codec",
    "speaker",
    "stopped",
]
