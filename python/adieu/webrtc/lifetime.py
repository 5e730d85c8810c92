"""How long an RTCPeerConnection is kept alive, and its end when the program drops it (closing rules 19, 20)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.events import is_observed
from adieu.unclosed import warn_unclosed
from adieu.webrtc.close_connection import close_the_connection

if TYPE_CHECKING:
    from adieu.webrtc.internals import Internals


def keep(internals: Internals) -> None:
    """Keep the object alive while events may fire at its listeners, though the program may have dropped it.

    After a connection has failed no event fires by itself.
    """
    connection = None if internals.is_closed else internals.connection
    failed = internals.connection_state == "failed"
    needed = connection is not None and is_observed(connection, but_handlers=failed)
    internals.kept = connection if needed else None
    close_if_idle(internals)


def drop(internals: Internals, *, is_negotiated: bool) -> None:
    """Warn and close: the program has dropped the object and has not closed it. Called in any thread.

    Args:
        internals: of the object.
        is_negotiated: whether it holds a connection of the core that was negotiated; with less there is nothing to do.
    """
    if internals.is_forgotten and not internals.is_dropped:
        _warn_unclosed(internals, "its event loop has ended; call close() before that")
    if internals.is_closed or not is_negotiated:
        return
    internals.is_dropped = True
    _warn_unclosed(internals, "it was dropped; call close()")
    if internals.driver.is_over:
        close_the_connection(internals)
    else:
        internals.driver.run_here(close_if_idle, internals)


def close_if_idle(internals: Internals) -> None:
    """Close a dropped connection, unless a channel may still be in use (closing rule 20) and ICE has not failed."""
    if internals.is_dropped and (not internals.channels.unclosed or internals.connection_state == "failed"):
        close_the_connection(internals)


def _warn_unclosed(internals: Internals, how: str) -> None:
    if internals.driver.core.fileno() >= 0:  # in memory it holds nothing of the system
        warn_unclosed(internals, internals.where, how)
