"""Checks of arguments that a program gives to a session, before the other side reads them: it would end the session."""

from __future__ import annotations

import asyncio

from adieu.protocol.control import Reliability
from adieu.webrtc.dictionaries import boolean


def reliability_of(ordered: object, max_retransmits: object, max_packet_life_time: object) -> Reliability:
    """Check the options of a channel, and return its limits on retransmission.

    Raises:
        TypeError: one is of another type.
        ValueError: a number is out of its range, or both are given.
    """
    boolean("ordered", ordered)
    if max_retransmits is not None and max_packet_life_time is not None:
        raise ValueError("give max_retransmits or max_packet_life_time, not both")
    return Reliability(
        max_retransmits=_limit("max_retransmits", max_retransmits),
        max_packet_life_time=_limit("max_packet_life_time", max_packet_life_time),
    )


def _limit(what: str, value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{what} is {value!r}, not a whole number")
    if not 0 <= value <= 65535:
        raise ValueError(f"{what} must be 0 to 65535, not {value}")
    return value


def reason_of(error: BaseException | None) -> str:
    """Return the reason that the other side reads when an error ends a block: empty if the program was only stopped."""
    if error is None or isinstance(error, asyncio.CancelledError | KeyboardInterrupt | SystemExit):
        return ""
    return type(error).__name__
