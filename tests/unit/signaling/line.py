"""A signaling machine with a hand-written server at the other end, in virtual time."""

from __future__ import annotations

from typing import Any

import msgspec

from adieu.protocol.signaling import FromClient, FromServer, Limits, Welcome, decode_client, encode
from adieu.signaling.machine import Machine
from adieu.signaling.policy import Policy
from adieu.signaling.states import Answer, Output, Refusal, Want

LIMITS = Limits(
    message_bytes=64 * 1024,
    sdp_bytes=60 * 1024,
    candidates=50,
    messages_per_second=50.0,
    burst=200,
    rooms=128,
    room_peers=16,
)


def welcome(peer: str = "me", *, resumed: bool = False, token: str = "t1", limits: Limits = LIMITS) -> Welcome:
    return Welcome(
        peer=peer, resume_token=token, resumed=resumed, resume_grace_ms=75_000, ping_ms=10_000, limits=limits
    )


class Line:
    def __init__(self, policy: Policy | None = None, *, draw: float = 0.0, name: str = "") -> None:
        self.now = 50.0
        self.machine = Machine(policy or Policy(), name=name, random=lambda: draw)
        self.machine.start(self.now)

    # the client's side

    def said(self) -> list[dict[str, Any]]:
        """The frames that are due, as JSON."""
        frames = []
        while (text := self.machine.poll_transmit(self.now)) is not None:
            decode_client(text)
            frames.append(msgspec.json.decode(text))
        return frames

    def kinds(self) -> list[str]:
        return [frame["type"] for frame in self.said()]

    def events(self) -> list[Output]:
        events = []
        while (event := self.machine.poll_event()) is not None:
            events.append(event)
        return events

    def request(self, message: FromClient) -> int:
        return self.machine.request(message, self.now)

    def wait(self, seconds: float) -> None:
        """Let time pass, stopping where the machine wants."""
        end = self.now + seconds
        turns = 0
        while (due := self.machine.poll_timeout()) is not None and due <= end:
            turns += 1
            assert turns < 10_000, "time stands still"
            self.now = max(self.now, due)
            self.machine.handle_timeout(self.now)
            if self.machine.want is Want.TALK:
                self.later.extend(self.said())
        self.now = end
        self.machine.handle_timeout(end)

    # the server's side

    later: list[dict[str, Any]]

    def open(self, token: str | None = None) -> dict[str, Any]:
        """The socket opens; returns the hello."""
        self.later = []
        self.machine.handle_timeout(self.now)
        assert self.machine.want is Want.DIAL
        self.machine.handle_open(token)
        (hello,) = self.said()
        return hello

    def hear(self, message: FromServer | str, **envelope: Any) -> list[Output]:
        """The server says this; returns what the machine tells."""
        text = message if isinstance(message, str) else encode(message, **envelope)
        self.machine.handle_frame(text, self.now)
        return self.events()

    def lose(self, reason: str = "cut", **how: Any) -> list[Output]:
        self.machine.handle_lost(reason, self.now, **how)
        return self.events()

    def up(self, peer: str = "me", **kinds: Any) -> list[Output]:
        """Connect and be welcome."""
        self.open()
        return self.hear(welcome(peer, **kinds))

    def back(self, *, ack: int | None = None, peer: str = "me", resumed: bool = True) -> list[Output]:
        """Lose nothing more, wait, connect and resume."""
        self.wait(3)
        self.open()
        return self.hear(welcome(peer, resumed=resumed, token="t2"), ack=ack)


def answers(outputs: list[Output]) -> list[Answer | Refusal]:
    return [output for output in outputs if isinstance(output, (Answer, Refusal))]
