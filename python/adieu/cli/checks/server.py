"""A signaling server: can it be reached, does it let this program in, and is its clock like this one?"""

from __future__ import annotations

import asyncio
import secrets
import time
import urllib.error
import urllib.request
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from adieu.cli.checks.finding import Finding, in_thread, milliseconds
from adieu.errors import SignalingError
from adieu.signaling import SignalingClient
from adieu.signaling.trust import context_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BOUND = 10.0
AHEAD = 30.0
"""Seconds between two clocks, from which tokens are refused as expired or not valid yet."""


async def check(url: str, token: str | None, ca: Path | None) -> tuple[list[Finding], list[dict[str, Any]]]:
    """Return the findings, and the STUN and TURN servers that this server gives its clients."""
    remedy = "start one with `adieu serve`, or look at the address; `adieu demo --join` takes the address of a room"
    figures: dict[str, Any] = {"url": url}
    servers: list[dict[str, Any]] = []
    began = time.perf_counter()
    try:
        async with asyncio.timeout(BOUND), SignalingClient(url, name="doctor", token=token, ssl=ca) as client:
            figures["entered_ms"] = round((time.perf_counter() - began) * 1000, 1)
            try:
                await client.join(f"doctor-{secrets.token_hex(8)}")  # a server names them to those in a room only
                servers, _ = await client.ice_servers()
            except SignalingError as error:
                figures["room"] = str(error)  # such as: the token is for certain rooms
    except TimeoutError:
        text = f"{url} does not answer within {BOUND:.0f} s"
        return [Finding("server", "failed", text, remedy, figures)], []
    except (SignalingError, ValueError) as error:
        return [Finding("server", "failed", str(error), "" if isinstance(error, ValueError) else remedy, figures)], []
    urls = [each for server in servers for each in server["urls"]]
    figures["ice_servers"] = urls
    text = f"{url} lets this program in ({milliseconds(figures['entered_ms'] / 1000)})"
    if "room" in figures:
        text += f", but not into a room of any name ({figures['room']}): its STUN and TURN servers stay unknown"
    else:
        text += f", and names {', '.join(urls)}" if urls else ", and names no STUN or TURN server"
    return [Finding("server", "ok", text, figures=figures), await clock(url, ca)], servers


async def clock(url: str, ca: Path | None, now: Callable[[], float] = time.time) -> Finding:
    """Compare this computer's clock with the header `Date` of the server's answers."""
    page = "http" + url.removeprefix("ws").rpartition("/")[0] + "/healthz"
    context = context_of(ca, secure=url.startswith("wss:"))

    def ask() -> str | None:
        request = urllib.request.Request(page, headers={"User-Agent": "adieu"})  # noqa: S310 ws:// or wss://, as read
        with urllib.request.urlopen(request, timeout=BOUND, context=context) as answer:  # noqa: S310
            return str(answer.headers["Date"]) if answer.headers["Date"] else None

    try:
        date = await in_thread(ask, BOUND)
        there = parsedate_to_datetime(date).timestamp() if date is not None else None
    except (OSError, ValueError, TimeoutError, urllib.error.URLError):
        there = None
    if there is None:
        return Finding("server's clock", "skipped", "the server does not tell its time")
    offset = now() - there - 0.5  # the header has whole seconds
    figures = {"offset_s": round(offset, 1)}
    if abs(offset) > AHEAD:
        which = "ahead of" if offset > 0 else "behind"
        text = f"this computer is {abs(offset):.0f} s {which} the server: tokens expire too early or too late"
        return Finding("server's clock", "failed", text, "set both clocks by NTP (timedatectl set-ntp true)", figures)
    return Finding("server's clock", "ok", "both clocks agree", figures=figures)
