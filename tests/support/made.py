"""The data channels that a program has made, as an application keeps its own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from adieu import RTCDataChannel, RTCPeerConnection

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def channels_made() -> Iterator[list[tuple[RTCPeerConnection, RTCDataChannel]]]:
    """Each connection and channel of `createDataChannel()` while the block lasts, the library's own calls too."""
    made: list[tuple[RTCPeerConnection, RTCDataChannel]] = []
    make = RTCPeerConnection.createDataChannel

    def kept(pc: RTCPeerConnection, *given: Any, **named: Any) -> RTCDataChannel:
        channel = make(pc, *given, **named)
        made.append((pc, channel))
        return channel

    with patch.object(RTCPeerConnection, "createDataChannel", kept):
        yield made
