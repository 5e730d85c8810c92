"""A hub with people at it, in virtual time; what they are sent is read back as messages.

With the fixture `each_hub` a test runs twice: with one hub, and with the replicas of two servers on one log.
"""

from __future__ import annotations

import dataclasses
import math
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
from adieu.server.hub.replica import HEARTBEAT, Replica


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


class Cluster:
    """Replicas on one log, in one process, used like one hub: clients go to one server after the other.

    After an entry all copies must be equal, and so must be one that a snapshot makes.
    """

    def __init__(self, settings: Settings | None = None, *, random, **options: Any) -> None:
        self.options = {"settings": settings, "random": random, **options}
        self.replicas: list[Replica] = []
        self.entries = 0
        self.places: dict[int, tuple[Replica, int]] = {}
        self.numbers: dict[tuple[Replica, int], int] = {}
        self.now = 100.0
        for name in ("a", "b"):
            self.add(name)

    def add(self, name: str) -> Replica:
        """A server that enters."""
        replica = Replica(node=name, **self.options)
        replica.up = True
        if self.replicas:
            blank = Replica(node=name, **self.options)
            blank.enter(blank=True)
            entry = self.append(blank.take_batch())
            [(whose, snapshot)] = [each for one in self.replicas for each in one.snapshots]
            assert whose == name
            for one in self.replicas:
                one.snapshots.clear()
            blank.load(snapshot)
            assert blank.position == entry
            blank.up = True
            replica = blank
            self.replicas.append(replica)
        else:
            self.replicas.append(replica)
            replica.enter(blank=False)
            self.append(replica.take_batch())
        return replica

    def append(self, batch: bytes) -> str:
        position = f"{math.ceil(self.now * 1000 - 1e-6)}-{self.entries}"
        self.entries += 1
        for replica in self.replicas:
            replica.apply(position, batch)
        if self.entries % (1 + self.entries // 20) == 0:  # the longer the test, the rarer
            self.compare()
        return position

    def compare(self) -> None:
        first, *others = [replica.dump() for replica in self.replicas]
        assert all(other == first for other in others)
        copy = Replica(node="copy", **self.options)
        copy.load(first)
        assert copy.dump() == first

    def settle(self) -> None:
        while waiting := [replica for replica in self.replicas if replica.waiting]:
            for replica in waiting:
                self.append(replica.take_batch())

    def advance(self, now: float) -> None:
        while self.now < now:
            self.now = min(now, self.now + HEARTBEAT)
            for replica in self.replicas:
                self.append(replica.take_batch())

    def call(self, replica: Replica, method: str, *arguments: Any) -> Any:
        self.advance(arguments[-1])
        result = getattr(replica, method)(*arguments)
        self.settle()
        return result

    def handle_connect(self, address: str, now: float) -> int:
        number = len(self.places) + 1
        replica = self.replicas[number % len(self.replicas)]
        self.advance(now)
        socket = replica.handle_connect(address, now)
        self.places[number] = replica, socket
        self.numbers[replica, socket] = number
        self.settle()
        return number

    def handle_message(self, connection: int, data: str | bytes, now: float) -> None:
        replica, socket = self.places[connection]
        self.call(replica, "handle_message", socket, data, now)

    def handle_disconnect(self, connection: int, now: float) -> None:
        replica, socket = self.places[connection]
        self.call(replica, "handle_disconnect", socket, now)

    def handle_slow(self, connection: int, now: float) -> None:
        replica, socket = self.places[connection]
        self.call(replica, "handle_slow", socket, now)

    def handle_leaving(self, body: bytes, now: float) -> bool:
        return self.call(self.replicas[-1], "handle_leaving", body, now)

    def handle_kick(self, peer: str, reason: str, now: float) -> bool:
        return self.call(self.replicas[-1], "handle_kick", peer, reason, now)

    def handle_close_room(self, room: str, reason: str, now: float) -> int:
        return self.call(self.replicas[-1], "handle_close_room", room, reason, now)

    def handle_shutdown(self, after: float, now: float) -> None:
        for replica in self.replicas:
            self.call(replica, "handle_shutdown", after, now)

    def handle_timeout(self, now: float) -> None:
        self.advance(now)
        for replica in self.replicas:
            self.call(replica, "handle_timeout", now)

    def poll_output(self) -> Any:
        for replica in self.replicas:
            if (output := replica.poll_output()) is not None:
                return dataclasses.replace(output, connection=self.numbers[replica, output.connection])
        return None

    def poll_timeout(self) -> float | None:
        due = self.replicas[0]._hub.poll_timeout()
        own = [replica.poll_timeout() for replica in self.replicas]
        # # Half a millisecond later: the time of the log is in whole ones.
        times = [*([due + 100.0005] if due is not None else []), *(at for at in own if at is not None)]
        return min(times, default=None)

    def gauges(self) -> dict[str, int]:
        return {name: value for name, value in self.replicas[0].gauges().items() if not name.startswith("bus_")}

    def __getattr__(self, name: str) -> Any:
        if name == "_state":
            return self.replicas[0]._hub._state
        return getattr(self.replicas[0], name)


make_hub: Any = Hub


class Bench:
    def __init__(self, settings: Settings | None = None, **hub: Any) -> None:
        self.now = 100.0
        self.hub = make_hub(settings, random=random.Random(1).randbytes, **hub)
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
