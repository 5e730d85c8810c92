"""Checks the function that makes the connections of a session, and its results."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from adieu.webrtc import RTCPeerConnection


def check_connect(connect: object) -> None:
    """Refuse at once what would fail only when a connection is needed.

    Raises:
        TypeError: `connect` is not a function.
    """
    if not callable(connect):
        raise TypeError(
            f"connect={connect!r}: a function that makes a new RTCPeerConnection each time it is called, "
            "as RTCPeerConnection itself does"
        )


def check_connection(made: Any, known: Iterable[RTCPeerConnection]) -> RTCPeerConnection:
    """Return what `connect()` gave, if a session can be built on it.

    Args:
        made: what it gave.
        known: the session's other connections.

    Raises:
        TypeError: it is not a connection.
        ValueError: it is in use.
    """
    if not hasattr(made, "setLocalDescription"):
        if inspect.iscoroutine(made):
            made.close()  # nobody will await it
        raise TypeError(f"connect() gave {made!r}: a plain function that returns a new RTCPeerConnection is wanted")
    pc: RTCPeerConnection = made
    used = (
        "is closed" if pc.signalingState == "closed"
        else "is this session's already" if any(pc is other for other in known)
        else "is in use already" if pc.localDescription is not None or pc.remoteDescription is not None
        else "is in use already" if pc.signalingState != "stable" or pc.connectionState != "new"
        else ""
    )  # fmt: skip
    if used:
        raise ValueError(f"connect() gave a connection that {used}: it must make a new one each time")
    return pc
