"""The streams of a sender of video, as this side's descriptions name them (RFC 5576).

Some peers find a stream of packets that are sent again only by its name: they know no other way to tell whose it is.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from adieu.sdp import attribute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.sdp import Line


def own_ssrcs(session_id: str, transceiver: int) -> tuple[int, int]:
    """Return the synchronization sources of a transceiver's sender: of its packets, and of those that it sends again.

    They follow from the session's random number, so that they are the same in each description, also after a rollback.
    """
    digest = hashlib.sha256(f"{session_id} {transceiver}".encode()).digest()
    return int.from_bytes(digest[:4], "big"), int.from_bytes(digest[4:8], "big")


def ssrc_lines(cname: str, ssrcs: tuple[int, int]) -> Iterator[Line]:
    """Yield the lines that name both, and that the second repairs the first (RFC 4588 section 8.8)."""
    yield attribute("ssrc-group", f"FID {ssrcs[0]} {ssrcs[1]}")
    for ssrc in ssrcs:
        yield attribute("ssrc", f"{ssrc} cname:{cname}")
