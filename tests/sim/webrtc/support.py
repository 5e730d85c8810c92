"""What these tests share."""

from __future__ import annotations

from typing import Any

PC_EVENTS = (
    "negotiationneeded",
    "icecandidate",
    "icecandidateerror",
    "signalingstatechange",
    "iceconnectionstatechange",
    "icegatheringstatechange",
    "connectionstatechange",
    "datachannel",
    "track",
    "networkchange",
)
CHANNEL_EVENTS = ("open", "message", "bufferedamountlow", "error", "closing", "close")


class Log(list[Any]):
    """The events of some objects, in the order in which they were fired."""

    def watch(self, target: Any, *names: str, tag: str = "") -> None:
        for name in names:
            target.addEventListener(name, lambda event: self.append(f"{tag}{event.type}"))

    def channel(self, channel: Any, tag: str = "") -> None:
        """What a channel says of its life, with the state in which it says so."""
        for name in CHANNEL_EVENTS:
            if name not in {"message", "bufferedamountlow"}:
                channel.addEventListener(name, lambda event: self.append(f"{tag}{event.type} ({channel.readyState})"))


def log_of(channel: Any) -> Log:
    log = Log()
    log.channel(channel)
    return log


def states(pc: Any) -> dict[str, str]:
    """All states of a connection and of its transports."""
    return {
        "signaling": pc.signalingState,
        "connection": pc.connectionState,
        "ice": pc.iceConnectionState,
        "sctp": pc.sctp.state,
        "dtls": pc.sctp.transport.state,
        "transport": pc.sctp.transport.iceTransport.state,
    }
