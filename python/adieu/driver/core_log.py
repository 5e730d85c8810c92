"""Lines of the core in the log: the core hands them up as events, and never writes them itself."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from adieu import _core, log

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOGGERS: Final = {logger.name: logger for logger in (log.ICE, log.DTLS, log.SCTP, log.WEBRTC)}


def follow_level() -> None:
    """Have the core log while one of its loggers is at DEBUG.

    Called when a connection is made or its state changes: a level that is set later holds from then on.
    """
    _core.set_log(any(logger.isEnabledFor(logging.DEBUG) for logger in _LOGGERS.values()))


def write(names: Mapping[int, str], connection: int, logger: str, text: str) -> None:
    """Write one line of the core.

    Args:
        names: ids of connections in the log, by their handles.
        connection: the handle; 0 for a line without a connection.
        logger: the name of the layer's logger.
        text: the line, which begins with its mark.
    """
    _LOGGERS[logger].debug("%s %s", names.get(connection, "core"), log.text(text))


def released(name: str, left: Mapping[str, int]) -> None:
    """Log that the core has released a connection, and what of it is left."""
    kept = ", ".join(f"{count} {kind}" for kind, count in left.items() if count)
    log.WEBRTC.debug("%s = released, %s left", name or "core", kept or "nothing")
