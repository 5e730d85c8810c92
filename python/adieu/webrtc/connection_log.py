"""Lines of a connection in the log. The level INFO has its life, each line once: connected, and ended by whom and why.

Each function writes one line, and nothing while its logger is off. See `adieu.log` for marks and ids.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from adieu import log
from adieu.driver import core_log
from adieu.events import is_heard

if TYPE_CHECKING:
    from adieu.events import EventTarget
    from adieu.jsep import SdpType, Source
    from adieu.webrtc.data_channel import RTCDataChannel
    from adieu.webrtc.internals import Internals


def read_early(internals: Internals, connection: EventTarget, sdp: str) -> None:
    """Warn once that a local description was read without its candidates, if nothing else will send them."""
    if internals.is_warned or internals.is_closed or "\nm=" not in sdp:
        return
    if is_heard(connection, "icecandidate") or is_heard(connection, "icegatheringstatechange"):
        return
    internals.is_warned = True
    log.WEBRTC.warning(
        "%s ! localDescription was read before its candidates were found, and nothing listens to icecandidate. Without"
        " them the other side may not get through: send the result of `await pc.gathered()`, or each candidate",
        internals.log_id,
    )


def made(internals: Internals) -> None:
    """Log a new connection, and have the core follow the level."""
    core_log.follow_level()
    log.WEBRTC.debug("%s = new", internals.log_id)


def described(internals: Internals, source: Source, type_: SdpType, text: str) -> None:
    """Log a description that is going to be applied, without its text; warn if an offer asks for nothing."""
    if source == "local" and type_ == "offer" and "\nm=" not in text:
        log.WEBRTC.warning(
            "%s ! the offer has neither a data channel nor a track, so nothing connects: its state stays 'new'."
            " Call createDataChannel(), addTrack() or addTransceiver() before createOffer()",
            internals.log_id,
        )
    if log.WEBRTC.isEnabledFor(logging.DEBUG):
        shown = f"{type_}: {log.description(text)}" if text else type_
        log.WEBRTC.debug("%s %s %s", internals.log_id, ">" if source == "local" else "<", shown)


def state(internals: Internals, name: str, value: str) -> None:
    """Log a state of the connection."""
    log.WEBRTC.debug("%s = %s %s", internals.log_id, name, value)


def connection_state(internals: Internals) -> None:
    """Log the connection's state; with the level INFO if it is part of its life."""
    core_log.follow_level()
    value = internals.connection_state
    state(internals, "connection", value)
    match value:
        case "connected":
            internals.has_ended = False
            pairs = [transport.ice_internals.selected_pair for transport in internals.transports.values()]
            paths = {log.path(pair.local.candidate, pair.remote.candidate) for pair in pairs if pair is not None}
            log.WEBRTC.info("%s = connected, %s", internals.log_id, " and ".join(sorted(paths)))
        case "disconnected":
            log.WEBRTC.info("%s ! disconnected: the other side does not answer", internals.log_id)
        case "failed":
            ended(internals, f"failed: {_failure(internals)}")
        case _:
            pass


def network(internals: Internals, gone: list[str], came: list[str], slept: float) -> None:
    """Log a change of this machine's network, or its sleep."""
    words = [f"{', '.join(gone)} gone"] if gone else []
    words += [f"{', '.join(came)} new"] if came else []
    words += [f"this machine slept {slept:.0f} s"] if slept else []
    log.WEBRTC.debug("%s ! network: %s", internals.log_id, "; ".join(words))


def _failure(internals: Internals) -> str:
    configuration = internals.configuration
    if configuration.iceTransportPolicy == "relay" and not configuration.relays():
        return 'iceTransportPolicy is "relay", and iceServers names no TURN server'
    return "the other side cannot be reached"


def ended(internals: Internals, how: str) -> None:
    """Log the end of the connection. The first reason is the one that counts; those that follow from it are details."""
    level = logging.DEBUG if internals.has_ended else logging.INFO
    internals.has_ended = True
    log.WEBRTC.log(level, "%s x %s", internals.log_id, log.text(how))


def local_candidate(internals: Internals, line: str) -> None:
    """Log a candidate of this side."""
    if log.ICE.isEnabledFor(logging.DEBUG):
        log.ICE.debug("%s > candidate %s", internals.log_id, log.candidate(line))


def remote_candidate(internals: Internals, line: str) -> None:
    """Log a candidate of the other side."""
    if log.ICE.isEnabledFor(logging.DEBUG):
        log.ICE.debug("%s < candidate %s", internals.log_id, log.candidate(line))


def candidate_error(internals: Internals, url: str, code: int, text: str) -> None:
    """Log that a server, or this machine if `url` is empty, did not help."""
    if log.ICE.isEnabledFor(logging.DEBUG):
        log.ICE.debug("%s ! %s", internals.log_id, log.text(f"{url} {code}: {text}".lstrip()))


def ice(internals: Internals, value: str | None, pair: tuple[str, str] | None) -> None:
    """Log a state of an ICE transport, its new pair, or both."""
    if pair is not None and log.ICE.isEnabledFor(logging.DEBUG):
        log.ICE.debug("%s = path %s", internals.log_id, log.path(*pair))
    if value is not None:
        log.ICE.debug("%s = %s", internals.log_id, value)


def dtls(internals: Internals, value: str, message: str) -> None:
    """Log a state of a DTLS transport, and how it ended."""
    log.DTLS.debug("%s = %s", internals.log_id, value)
    if value == "failed":
        ended(internals, f"failed: {message}")
    elif value == "closed":
        ended(internals, "closed by the other side: DTLS close_notify")


def sctp(internals: Internals, value: str, cause_code: int | None, message: str) -> None:
    """Log a state of the association, and how it ended."""
    log.SCTP.debug("%s = %s", internals.log_id, value)
    if value == "closed":
        cause = "" if cause_code is None else f"ABORT, cause {cause_code}: "
        ended(internals, f"closed by the other side: SCTP {cause}{message}")


def channel(internals: Internals, one: RTCDataChannel, value: str) -> None:
    """Log the state of a data channel."""
    if log.WEBRTC.isEnabledFor(logging.DEBUG):
        shown = log.text(f"channel {one.label!r}, stream {one.id}: {value}")
        log.WEBRTC.debug("%s = %s", internals.log_id, shown)
