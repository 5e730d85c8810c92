"""The snapshot: all that has been negotiated, as one immutable value."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING

from adieu.jsep.description import IceCredentials

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from adieu.jsep.description import Description
    from adieu.jsep.signaling import SignalingState
    from adieu.jsep.transceiver import Transceiver
    from adieu.sdp.attributes import Fingerprint

__all__ = ["IceCredentials", "Negotiation", "SctpAssociation", "TransportState"]


@dataclass(frozen=True, slots=True)
class SctpAssociation:
    """The parameters of the association from both sides (RFC 8841)."""

    local_port: int
    remote_port: int
    remote_max_message_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportState:
    """How far one transport has been negotiated.

    Attributes:
        generation: the number of its newest ICE generation. Numbers grow and are never used again.
        local: our credentials of that generation.
        remote: the peer's credentials, once known.
        remote_lite: the peer is an ICE-lite agent.
        controlling: our role after the first offer; the ICE agent may have changed it since.
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

    def is_replaced_by(self, fingerprints: tuple[Fingerprint, ...]) -> bool:
        """Whether these fingerprints differ from the negotiated ones: then the peer is new.

        RFC 8842 section 4: other fingerprints mean another DTLS association.
        """
        return self.dtls_client is not None and set(fingerprints) != set(self.fingerprints)


def _none() -> Mapping[str, TransportState]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Negotiation:
    """Everything that has been negotiated.

    Attributes:
        state: the signaling state.
        current_local: of the last completed negotiation; the other three are the W3C's too.
        pending_local: while a negotiation is under way.
        current_remote: see `current_local`.
        pending_remote: see `pending_local`.
        transports: by the key of the section that made them.
        bundle_transports: the key of each section's transport, by the sections' indexes.
        transceivers: the set of transceivers, in the order in which they were made.
        stable_transports: as they were when the state was last "stable"; a rollback goes back to them.
        stable_bundle_transports: see `stable_transports`.
        stable_transceivers: see `stable_transports`.
        generations: how many ICE generations were made in all; not undone by a rollback.
        transceiver_ids: how many transceivers were made in all; not undone by a rollback.
        mids: all mids that were ever negotiated; a new section takes another one.
    """

    state: SignalingState = "stable"
    current_local: Description | None = None
    pending_local: Description | None = None
    current_remote: Description | None = None
    pending_remote: Description | None = None
    transports: Mapping[str, TransportState] = field(default_factory=_none)
    bundle_transports: tuple[str | None, ...] = ()
    transceivers: tuple[Transceiver, ...] = ()
    stable_transports: Mapping[str, TransportState] = field(default_factory=_none)
    stable_bundle_transports: tuple[str | None, ...] = ()
    stable_transceivers: tuple[Transceiver, ...] = ()
    generations: int = 0
    transceiver_ids: int = 0
    mids: frozenset[str] = frozenset()

    @property
    def local(self) -> Description | None:
        """Return the W3C's localDescription."""
        return self.pending_local or self.current_local

    @property
    def remote(self) -> Description | None:
        """Return the W3C's remoteDescription."""
        return self.pending_remote or self.current_remote

    @property
    def sections(self) -> int:
        """Count the sections that have been negotiated."""
        return len(self.current_local.sections) if self.current_local else 0

    def is_recyclable(self, index: int) -> bool:
        """Whether either side has rejected the section: its place may be used again (RFC 9429 section 5.2.2)."""
        return any(
            description is not None and index < len(description.sections) and description.sections[index].rejected
            for description in (self.current_local, self.current_remote)
        )

    def bundle_transport(self, index: int | None) -> str | None:
        """Return the key of the transport of the section at this index."""
        return self.bundle_transports[index] if index is not None and index < len(self.bundle_transports) else None

    def negotiated_bundle_transport(self, index: int, mid: str | None) -> str | None:
        """Return the key of the transport that an answer has given to this section; None if it is only offered."""
        bundle_transports = self.bundle_transports if self.state == "stable" else self.stable_bundle_transports
        sections = self.current_local.sections if self.current_local is not None else ()
        if index >= min(len(sections), len(bundle_transports)) or sections[index].mid != mid:
            return None
        return bundle_transports[index]

    @property
    def data_key(self) -> str | None:
        """Return the key of the transport that carries data after the last answer; None without data."""
        local, remote = self.pending_local, self.pending_remote
        if local is None or remote is None:  # an offer without an answer changes nothing yet
            local, remote = self.current_local, self.current_remote
        if local is None or remote is None:
            return None
        both = zip(local.sections, remote.sections, strict=False)
        index = next((a.index for a, b in both if a.is_data and not a.rejected and not b.rejected), None)
        key = self.bundle_transport(index)
        transport = self.transports.get(key) if key is not None else None
        return key if transport is not None and transport.sctp is not None else None

    @property
    def offered_data_key(self) -> str | None:
        """Return the key of the transport that a pending offer has for data; for a remote offer the likely one."""
        offer = self.pending_local or self.pending_remote
        section = offer.data_section() if offer is not None else None
        if offer is None or section is None or offer is self.pending_local:
            return self.bundle_transport(section.index) if section is not None else None
        # The answer may choose otherwise.
        mids = offer.group_of(section.mid)
        first = next((s for s in offer.sections if s.mid in mids and not s.rejected), section)
        return self.bundle_transport(first.index) or first.key

    def transceiver(self, id_: int) -> Transceiver | None:
        """Return the transceiver with this id."""
        return next((transceiver for transceiver in self.transceivers if transceiver.id == id_), None)

    def transceiver_at(self, index: int) -> Transceiver | None:
        """Return the transceiver that is associated with the section at this index."""
        return next((transceiver for transceiver in self.transceivers if transceiver.index == index), None)

    def with_transceiver(self, changed: Transceiver) -> Negotiation:
        """Return the snapshot with this transceiver instead of the one with its id, or at the end."""
        if self.transceiver(changed.id) is None:
            ids = max(self.transceiver_ids, changed.id)
            return replace(self, transceivers=(*self.transceivers, changed), transceiver_ids=ids)
        return replace(self, transceivers=tuple(changed if t.id == changed.id else t for t in self.transceivers))

    def fresh_mids(self) -> Iterator[str]:
        """Yield numbers that no section has or has had, the smallest first."""
        pending = (self.pending_local, self.pending_remote)
        taken = self.mids | {section.mid for d in pending if d is not None for section in d.sections}
        taken |= {transceiver.mid for transceiver in self.transceivers}
        return (mid for number in count() if (mid := str(number)) not in taken)
