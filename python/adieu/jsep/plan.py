"""The actions that make a description take effect.

They are the difference between the transports before and after. So applying, answering and rolling back need no lists
of their own, and cannot disagree with the snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from adieu.jsep.transceivers import MediaChanges

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.jsep.negotiation import IceCredentials, Negotiation, SctpAssociation, TransportState
    from adieu.sdp.attributes import Fingerprint


@dataclass(frozen=True, slots=True)
class Gather:
    """Begin an ICE generation; the first one makes the transport."""

    key: str
    generation: int
    local: IceCredentials
    controlling: bool


@dataclass(frozen=True, slots=True)
class SetRemote:
    """Give the generation the peer's credentials: its checks begin."""

    key: str
    generation: int
    remote: IceCredentials
    lite: bool


@dataclass(frozen=True, slots=True)
class AddCandidate:
    """Give the generation a candidate of the peer; None ends the candidates."""

    key: str
    generation: int
    line: str | None


@dataclass(frozen=True, slots=True)
class DropGeneration:
    """Drop a generation that was rolled back; the one before goes on."""

    key: str
    generation: int


@dataclass(frozen=True, slots=True)
class StartDtls:
    """Begin the handshake as soon as there is a path."""

    key: str
    client: bool
    fingerprints: tuple[Fingerprint, ...]


@dataclass(frozen=True, slots=True)
class StartSctp:
    """Begin the association as soon as DTLS is up."""

    key: str
    association: SctpAssociation


@dataclass(frozen=True, slots=True)
class CloseTransport:
    """Close a transport: its section was rejected or rolled back before any answer, or another peer takes it over."""

    key: str


Action: TypeAlias = Gather | SetRemote | AddCandidate | DropGeneration | StartDtls | StartSctp | CloseTransport


_NOTHING: Final = MediaChanges()


@dataclass(frozen=True, slots=True)
class Plan:
    """A description that is valid as a whole.

    Attributes:
        after: the snapshot once it is applied.
        actions: take the transports there, in this order.
        media: the changes of tracks and transceivers.
    """

    after: Negotiation
    actions: tuple[Action, ...]
    media: MediaChanges = _NOTHING


def difference(before: Negotiation, after: Negotiation) -> Iterator[Action]:
    """Yield the actions that take the transports from one snapshot to the other, without candidates."""
    for key in before.transports.keys() - after.transports.keys():
        yield CloseTransport(key)
    for key, new in after.transports.items():
        old = before.transports.get(key)
        if old is not None and old.is_replaced_by(new.fingerprints):
            yield CloseTransport(key)
            old = None
        stable = before.stable_transports.get(key)
        # A generation that was offered and never answered is dropped when it is rolled back or offered again.
        if (
            old is not None
            and old.generation != new.generation
            and (stable is None or old.generation != stable.generation)
        ):
            yield DropGeneration(key, old.generation)
        begun = old is None or old.generation < new.generation
        if begun:
            yield Gather(key, new.generation, new.local, new.controlling)
        if new.remote is not None and (begun or (old is not None and _is_answered(old, new))):
            yield SetRemote(key, new.generation, new.remote, new.remote_lite)
        if new.dtls_client is not None and (old is None or old.dtls_client is None):
            yield StartDtls(key, new.dtls_client, new.fingerprints)
        if new.sctp is not None and (old is None or old.sctp is None):
            yield StartSctp(key, new.sctp)


def _is_answered(old: TransportState, new: TransportState) -> bool:
    """Whether the generation existed before and gets the peer's credentials now."""
    return old.generation == new.generation and old.remote is None
