"""The signaling state machine (RFC 9429 section 3.2, W3C RTCSignalingState) as a table.

```
               local offer ┌───────────────────┐ remote pranswer ┌──────────────────────┐
            ┌─────────────▶│ have-local-offer  │────────────────▶│ have-remote-pranswer │
            │              └───────────────────┘                 └──────────────────────┘
        ┌────────┐ ◀── remote answer, rollback ┘   ◀──────── remote answer ┘
        │ stable │
        └────────┘ ◀── local answer, rollback ─┐   ◀───────── local answer ┐
            │              ┌───────────────────┐                 ┌──────────────────────┐
            └─────────────▶│ have-remote-offer │────────────────▶│ have-local-pranswer  │
              remote offer └───────────────────┘  local pranswer └──────────────────────┘
```
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

SdpType: TypeAlias = Literal["offer", "pranswer", "answer", "rollback"]
SignalingState: TypeAlias = Literal[
    "stable", "have-local-offer", "have-remote-offer", "have-local-pranswer", "have-remote-pranswer", "closed"
]
Source: TypeAlias = Literal["local", "remote"]

_NEXT: Final[dict[tuple[SignalingState, Source, SdpType], SignalingState]] = {
    ("stable", "local", "offer"): "have-local-offer",
    ("stable", "remote", "offer"): "have-remote-offer",
    ("have-local-offer", "local", "offer"): "have-local-offer",
    ("have-local-offer", "remote", "answer"): "stable",
    ("have-local-offer", "remote", "pranswer"): "have-remote-pranswer",
    ("have-remote-pranswer", "remote", "pranswer"): "have-remote-pranswer",
    ("have-remote-pranswer", "remote", "answer"): "stable",
    ("have-remote-offer", "remote", "offer"): "have-remote-offer",
    ("have-remote-offer", "local", "answer"): "stable",
    ("have-remote-offer", "local", "pranswer"): "have-local-pranswer",
    ("have-local-pranswer", "local", "pranswer"): "have-local-pranswer",
    ("have-local-pranswer", "local", "answer"): "stable",
    # RFC 9429 section 4.1.10.2: by the call that has set the offer; a provisional answer cannot be rolled back.
    ("have-local-offer", "local", "rollback"): "stable",
    ("have-remote-offer", "remote", "rollback"): "stable",
}


def next_signaling_state(state: SignalingState, source: Source, type_: SdpType) -> SignalingState | None:
    """Return the state after a description of this type from this side; None if it may not be applied now."""
    return _NEXT.get((state, source, type_))
