"""RTP header extensions (RFC 8285): their numbers in offers and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adieu.sdp.attributes import ExtMap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adieu.jsep.codecs import Numbers

_FREE: Final = range(1, 15)
"""The numbers of a one-byte header (RFC 8285 section 4.2)."""


def offered_extensions(known: Sequence[ExtMap], negotiated: Sequence[ExtMap], numbers: Numbers) -> tuple[ExtMap, ...]:
    """Return the extensions of an offered section: a negotiated one keeps its number (RFC 8285 section 6)."""
    now = {extension.uri: extension.id for extension in negotiated}
    for negotiated_uri, known_as in now.items():
        numbers.taken.setdefault(known_as, negotiated_uri)
    chosen: list[ExtMap] = []
    for extension in known:
        number = now.get(extension.uri)
        if number is None:
            number = numbers.take(extension.id, extension.uri, _FREE)
        if number is not None:
            chosen.append(ExtMap(number, extension.uri))
    return tuple(chosen)


def answered_extensions(known: Sequence[ExtMap], offered: Sequence[ExtMap]) -> tuple[ExtMap, ...]:
    """Return the extensions of an answered section, with the offer's numbers."""
    uris = {extension.uri for extension in known}
    # An extension that is offered twice with different directions is taken once, without a direction.
    chosen: dict[str, ExtMap] = {}
    for extension in offered:
        if extension.uri in uris and extension.direction in {None, "sendrecv"} and 0 < extension.id < 256:
            chosen.setdefault(extension.uri, ExtMap(extension.id, extension.uri))
    return tuple(chosen.values())
