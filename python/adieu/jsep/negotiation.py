"""The snapshot: all that has been negotiated, as one immutable value."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from adieu.jsep.description import IceCredentials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adieu.jsep.description import Description
    from adieu.jsep.signaling import SignalingState
    from adieu.sdp.attributes import Fingerprint

__all__ = ["IceCredentials", "Negotiation", "SctpAssociation", "TransportState"]


@dataclass(frozen=True, slots=True)
class SctpAssociation:
    """What both sides said of the association (RFC 8841)."""

    local_port: int
    remote_port: int
    remote_max_message_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportState:
    """How far one transport has been negotiated.

    Attributes:
        generation: the number of its newest ICE generation. Numbers grow and are never used again.
        local: our credentials of that generation.
        remote: the peer's, once known.
        remote_lite: the peer is an ICE-lite agent.
        controlling: our role by who made the first offer; the ICE agent may have changed it since.
        dtls_client: our DTLS role, once negotiated.
        fingerprints: of the peer's certificate.
        sctp: the association over it.
    """

    generation: int
    local: IceCredentials
    controlling: bool
    remote: IceCredentials | None = None
    remote_lite: bool = False
    dtls_client: bool | None = None
    fingerprints: tuple[Fingerprint, ...] = ()
    sctp: SctpAssociation | None = None


def _none() -> Mapping[str, TransportState]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Negotiation:
    """Everything that has been negotiated.

    Attributes:
        state: the signaling state.
        current_local: of the last completed negotiation; so are the other three as in the W3C's slots.
        pending_local: while a negotiation is under way.
        current_remote: see `current_local`.
        pending_remote: see `pending_local`.
        transports: by the key of the section that made them.
        stable_transports: as they were when the state was last "stable": what a rollback goes back to.
        generations: how many ICE generations were made in all; not undone by a rollback.
        mids: all that were ever negotiated; a new section takes another one.
    """

    state: SignalingState = "stable"
    current_local: Description | None = None
    pending_local: Description | None = None
    current_remote: Description | None = None
    pending_remote: Description | None = None
    transports: Mapping[str, TransportState] = field(default_factory=_none)
    stable_transports: Mapping[str, TransportState] = field(default_factory=_none)
    generations: int = 0
    mids: frozenset[str] = frozenset()

    @property
    def local(self) -> Description | None:
        """What the W3C calls localDescription."""
        return self.pending_local or self.current_local

    @property
    def remote(self) -> Description | None:
        """What the W3C calls remoteDescription."""
        return self.pending_remote or self.current_remote

    @property
    def sections(self) -> int:
        """How many sections have been negotiated."""
        return len(self.current_local.sections) if self.current_local else 0

    def is_recyclable(self, index: int) -> bool:
        """Whether either side has rejected the section: its place may be used anew (RFC 9429 section 5.2.2)."""
        return any(
            description is not None and description.sections[index].rejected
            for description in (self.current_local, self.current_remote)
        )

    def fresh_mid(self) -> str:
        """The smallest number that no section has or has had."""
        pending = (self.pending_local, self.pending_remote)
        taken = self.mids | {section.mid for d in pending if d is not None for section in d.sections}
        return next(mid for number in range(len(taken) + 1) if (mid := str(number)) not in taken)
