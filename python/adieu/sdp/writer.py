"""Writes a `SessionDescription` as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adieu.sdp.model import Media, SessionDescription


def write(description: SessionDescription) -> str:
    """Return the text, with CRLF after each line."""
    origin = description.origin
    identity = f"{origin.username} {origin.session_id} {origin.session_version}"
    rows = [
        "v=0",
        f"o={identity} {origin.network_type} {origin.address_type} {origin.address}",
        f"s={description.name}",
        *(f"{line.type}={line.value}" for line in description.session.lines),
    ]
    for media in description.media:
        rows.append(_opening(media))
        rows.extend(f"{line.type}={line.value}" for line in media.lines)
    rows.append("")
    return "\r\n".join(rows)


def _opening(media: Media) -> str:
    port = str(media.port) if media.port_count is None else f"{media.port}/{media.port_count}"
    return f"m={media.kind} {port} {media.protocol} {' '.join(media.formats)}"
