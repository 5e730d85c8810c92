"""Checks of arguments that a program gives to a session, before the other side reads them: it would end the session."""

from __future__ import annotations

import asyncio
import inspect
import math
from typing import TYPE_CHECKING

from adieu.protocol import control, words
from adieu.protocol.control import Reliability
from adieu.protocol.text import checked
from adieu.session.tasks import report
from adieu.webrtc.dictionaries import boolean

if TYPE_CHECKING:
    from collections.abc import Callable


def channel_name(name: str) -> str:
    """Return the name of a channel, repaired.

    Raises:
        TypeError: it is no text.
        ValueError: it is too short or too long.
    """
    return checked("a channel's name", name, 1, control.MAX_NAME)


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


def close_given(reason: str, timeout: float | None) -> None:
    """Check what a close is given, before it begins.

    Raises:
        TypeError: the reason is no text.
        ValueError: the timeout is no time.
    """
    words.reason("left", reason)
    if timeout is not None:
        seconds_given(timeout)


def seconds_given(timeout: float) -> float:
    """Check a time that a close may take.

    Raises:
        ValueError: it is no time.
    """
    if not 0 <= timeout < math.inf:
        raise ValueError(f"timeout must be 0 or more seconds, not {timeout}")
    return timeout


def grants(on_wait: Callable[[str, float], object], reason: str, seconds: float) -> bool:
    """Ask the program whether the other side gets more time. An exception counts as a no, and is reported."""
    try:
        wanted = on_wait(reason, seconds)
        if inspect.isawaitable(wanted):
            if inspect.iscoroutine(wanted):
                wanted.close()
            raise TypeError("it must return True or False at once: give a plain function, not an async one")
        return bool(wanted)
    except Exception as error:  # noqa: BLE001 the session goes on, whatever the program does
        report(asyncio.get_running_loop(), "on_wait() failed: the other side gets no further time", error)
        return False


def reason_of(error: BaseException | None) -> str:
    """Return the reason that the other side reads when an error ends a block: empty if the program was only stopped."""
    if error is None or isinstance(error, asyncio.CancelledError | KeyboardInterrupt | SystemExit):
        return ""
    return type(error).__name__
