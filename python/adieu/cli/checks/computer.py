"""This computer: its clock, its open files, and the ports that it has left."""

from __future__ import annotations

import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from adieu.cli.checks.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Callable

FEW = 64
"""Free file descriptors below which connections may fail. One connection needs a socket for each local address."""
STEP = 0.1
"""Seconds that the wall clock may move against the monotonic one during the checks."""
BUILT = datetime(2025, 1, 1, tzinfo=UTC).timestamp()
"""A clock that shows an earlier time is wrong."""
OPEN_FILES = (Path("/proc/self/fd"), Path("/dev/fd"))


class Clock:
    """Compares the wall clock with the monotonic one, from its making to `finding`.

    Args:
        wall: seconds since 1970.
        steady: seconds of a clock that is never set.
    """

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._wall, self._steady = wall, steady
        self._began = wall(), steady()

    def finding(self) -> Finding:
        """Return what happened to the clocks meanwhile."""
        wall, steady = self._wall(), self._steady()
        drift = (wall - self._began[0]) - (steady - self._began[1])
        figures = {"utc": datetime.fromtimestamp(wall, UTC).isoformat(timespec="seconds"), "drift_s": round(drift, 4)}
        remedy = "let the system keep its time by NTP (timedatectl set-ntp true)"
        if wall < BUILT:
            text = f"it shows {figures['utc']}, which is past: certificates and tokens will not be valid"
            return Finding("clock", "failed", text, remedy, figures)
        if abs(drift) > STEP:
            text = f"it was set by {drift:+.1f} s while this program ran: times in logs and tokens jump with it"
            return Finding("clock", "failed", text, remedy, figures)
        return Finding("clock", "ok", f"{figures['utc']}, and it runs evenly", figures=figures)


def open_files() -> Finding:
    """Return how many more files and sockets this program may open."""
    try:
        import resource  # noqa: PLC0415 not on Windows
    except ImportError:
        return Finding("open files", "skipped", "this system has no such limit")
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        used = next(len(os.listdir(place)) - 1 for place in OPEN_FILES if place.exists())  # noqa: PTH208 only a count
    except OSError:  # the folder cannot be opened
        used = limit
    except StopIteration:
        used = 0
    raised = "without a limit" if most == resource.RLIM_INFINITY else f"up to {most}"
    remedy = f"raise the limit: ulimit -n, {raised} here"
    if limit == resource.RLIM_INFINITY:
        return Finding("open files", "ok", f"{used} in use, without a limit", figures={"used": used, "limit": None})
    free = limit - used
    figures = {"used": used, "limit": limit, "most": None if most == resource.RLIM_INFINITY else most}
    text = f"{free} of {limit} are free"
    if free < FEW:
        text += ": that is too few, because each connection needs one for each address of this computer"
        return Finding("open files", "failed", text, remedy, figures)
    return Finding("open files", "ok", text, figures=figures)


def ports(wanted: range | None) -> Finding:
    """Return how many UDP ports of a range are free; without a range, whether the system gives one."""
    try:
        if wanted is None:
            with _bound(0):
                return Finding("ports", "ok", "the system gives free UDP ports", figures=_given_by_the_system())
        taken = [port for port in wanted if not _is_free(port)]
    except OSError as error:
        remedy = "end programs that hold many sockets, or raise the limit of open files"
        return Finding("ports", "failed", f"no UDP socket can be opened: {error.strerror}", remedy)
    figures = {"first": wanted[0], "last": wanted[-1], "taken": taken[:100]}
    named = ", ".join(map(str, taken[:5])) + (f" and {len(taken) - 5} more" if len(taken) > 5 else "")
    text = f"{len(wanted) - len(taken)} of {len(wanted)} UDP ports from {wanted[0]} to {wanted[-1]} are free"
    if len(taken) == len(wanted):
        remedy = "choose another range, or end the programs that hold these ports (ss -ulpn shows them)"
        return Finding("ports", "failed", text, remedy, figures)
    if taken:
        return Finding("ports", "note", f"{text}; taken: {named}", "ss -ulpn shows which programs hold them", figures)
    return Finding("ports", "ok", text, figures=figures)


def _given_by_the_system() -> dict[str, int]:
    try:
        first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split()
    except (OSError, ValueError):
        return {}
    return {"first": int(first), "last": int(last)}


def _is_free(port: int) -> bool:
    try:
        _bound(port).close()
    except OSError as error:
        if error.errno in _NO_SOCKETS:
            raise
        return False
    return True


_NO_SOCKETS = {23, 24, 105}
"""ENFILE, EMFILE, ENOBUFS: these say nothing about a port."""


def _bound(port: int) -> socket.socket:
    """Return a UDP socket on a port of all addresses."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.bind(("", port))
    except BaseException:
        made.close()
        raise
    return made
