"""A hub with people at it, in virtual time; what they are sent is read back as messages."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import msgspec

from adieu.protocol import VERSION
from adieu.protocol.signaling import (
    Envelope,
    FromClient,
    FromServer,
    Hello,
    Join,
    Joined,
    Resume,
    Welcome,
    decode_server,
    encode,
)
from adieu.server.hub import Close, Hub, Send, Settings


@dataclass(eq=False)
class Person:
    """A socket, as its client sees it."""

    bench: Bench
    connection: int
    frames: list[tuple[Envelope, FromServer | None]] = field(default_factory=list)
    raw: list[dict[str, Any]] = field(default_factory=list)
    closed: Close | None = None
    seq: int = 0
    requests: int = 0

    def say(self, message: FromClient | str | bytes, **envelope: Any) -> list[FromServer | None]:
        """Send a frame; returns what is sent back to this socket because of it."""
        before = len(self.frames)
        text = message if isinstance(message, (str, bytes)) else encode(message, **envelope)
        self.bench.hub.handle_message(self.connection, text, self.bench.now)
        self.bench.pump()
        return [message for _, message in self.frames[before:]]

    def relay(self, message: FromClient) -> list[FromServer | None]:
        """Send a numbered message."""
        self.seq += 1
        self.requests += 1
        return self.say(message, seq=self.seq, request=self.requests)

    def hello(self, *, name: str = "", token: str | None = None, resume: Resume | None = None) -> Welcome:
        (answer, *_) = self.say(Hello(version=VERSION, name=name, token=token, resume=resume))
        assert isinstance(answer, Welcome), answer
        self.welcome = answer
        return answer

    def join(self, room: str = "lab", **meta: Any) -> Joined:
        answers = self.say(Join(room=room, meta=meta))
        (joined,) = [answer for answer in answers if isinstance(answer, Joined)]
        return joined

    @property
    def peer(self) -> str:
        return self.welcome.peer

    def got(self, kind: type) -> list[Any]:
        return [message for _, message in self.frames if isinstance(message, kind)]

    @property
    def last_seq(self) -> int:
        return max((envelope.seq or 0 for envelope, _ in self.frames), default=0)

    def lose(self) -> None:
        """The socket ends without a word."""
        self.bench.hub.handle_disconnect(self.connection, self.bench.now)
        self.bench.pump()


class Bench:
    def __init__(self, settings: Settings | None = None, **hub: Any) -> None:
        self.now = 100.0
        self.hub = Hub(settings, random=random.Random(1).randbytes, **hub)
        self.people: dict[int, Person] = {}

    def pump(self) -> None:
        while (output := self.hub.poll_output()) is not None:
            person = self.people[output.connection]
            match output:
                case Send(text=text):
                    assert person.closed is None, "sent after the close"
                    person.frames.append(decode_server(text))
                    person.raw.append(msgspec.json.decode(text))
                case Close():
                    person.closed = output

    def connect(self, address: str = "127.0.0.1") -> Person:
        connection = self.hub.handle_connect(address, self.now)
        person = self.people[connection] = Person(self, connection)
        self.pump()
        return person

    def person(self, room: str | None = "lab", *, name: str = "", address: str = "127.0.0.1", **meta: Any) -> Person:
        """One with a seat, and in a room."""
        person = self.connect(address)
        person.hello(name=name)
        if room is not None:
            person.join(room, **meta)
        return person

    def back(self, lost: Person, *, last_seq: int | None = None, token: str | None = None) -> Person:
        """A new socket of the same client, with its resume token."""
        person = self.connect()
        seq = lost.last_seq if last_seq is None else last_seq
        person.hello(resume=Resume(token=token or lost.welcome.resume_token, last_seq=seq))
        person.seq = lost.seq
        return person

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.hub.poll_timeout()) is not None and due <= end:
            self.now = max(self.now, due)
            self.hub.handle_timeout(self.now)
            self.pump()
        self.now = end
