"""Two that keep the protocol, on a link that is rough: drawn at random, the same for the same seed."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from adieu.protocol.control import COST, SMALL
from adieu.session.machine import actions
from adieu.session.machine.budget import least_budget
from adieu.session.machine.options import Options
from sim.session.world import Side, World

if TYPE_CHECKING:
    from collections.abc import Callable

BUSY, LONGEST = 20.0, 600.0
"""Seconds: how long messages are given to the session, and after how many all has to be there."""
STEP = 0.05
MUCH = 6_000_000
"""Bytes of a walk; beyond them messages are small."""


class BrokenPromiseError(AssertionError):
    """What a session promises does not hold."""


class RoughSide(Side):
    """Messages of unordered channels pass each other, and those of unreliable ones get lost."""

    draw: random.Random

    def transmit(
        self,
        epoch: int,
        id_: int | None,
        size: int,
        arrive: Callable[[], None],
        *,
        last: bool = False,
        closes: bool = False,
    ) -> None:
        channel = self.machine.by_id.get(id_) if id_ is not None else None
        if closes:
            super().transmit(epoch, id_, 1, arrive, closes=True)
        elif channel is None or last:
            super().transmit(epoch, id_, size, arrive, last=last)
        elif not channel.reliable and self.draw.random() < 0.1:
            return
        elif channel.ordered:
            super().transmit(epoch, id_, size, arrive)
        elif epoch in self.connections:
            world = self.world
            self.busy_until = max(world.now, self.busy_until) + size / world.rate
            late = self.draw.random() * self.draw.choice([0, 0.03, 0.3])
            world.later(self.busy_until - world.now + world.delay + late, lambda: self.arrival(epoch, id_, arrive))

    def arrival(self, epoch: int, id_: int | None, arrive: Callable[[], None]) -> None:
        if self.world.cut:
            self.world.stuck.append(lambda: self.arrival(epoch, id_, arrive))
        elif id_ in self.other.connections.get(epoch, ()):
            arrive()
        elif epoch in self.other.connections:
            self.held[epoch, id_].append(arrive)


class Walk:
    """A session: its options, its channels, what is sent, who reads when, what befalls the connection."""

    def __init__(self, seed: int, *, before: bool = False, options: Options | None = None, much: int = MUCH) -> None:
        self.draw = draw = random.Random(seed)
        self.options = options or self.any_options()
        self.much = much
        self.world = World(
            delay=draw.choice([0.001, 0.05, 0.3]), rate=draw.choice([1e6, 50e6]), options=self.options, side=RoughSide
        )
        self.sides: tuple[Any, Any] = (self.world.a, self.world.b)
        for side in self.sides:
            side.draw, side.reads = draw, False
        if before:
            self.world.b.machine.options = msgspec.structs.replace(self.options, capabilities=())
        self.world.start()
        self.world.run(when=self.world.both("open"))
        self.backlog: dict[tuple[str, str], list[bytes]] = {}
        self.sent: dict[tuple[str, str], list[bytes]] = {}
        self.kinds: dict[str, tuple[bool, dict[str, int]]] = {}
        self.reads: dict[tuple[str, str], str] = {}
        self.seen: Counter[str] = Counter()
        self.make_channels(before=before)
        self.make_trouble()
        self.closed: set[str] = set()
        if not before:
            self.make_closes(random.Random(seed))

    def any_options(self) -> Options:
        draw = self.draw
        largest = draw.choice([20_000, 100_000, 1 << 20])
        window = draw.choice([1, 1000, SMALL, SMALL + 1, 3 * SMALL, 1 << 20])
        channels = draw.choice([3, 20, 200])
        least = least_budget(window, largest, channels)
        return Options(
            window=window,
            max_message=largest,
            max_channels=channels,
            budget=draw.choice([least, least, least + 5000, 2 * least]),
            send_buffer=draw.choice([1, 5000, 1 << 20, 16 << 20]),
            ack_messages=draw.choice([1, 64]),
            stream_high=draw.choice([20_000, 1 << 20]),
            link_high=draw.choice([20_000, 8 << 20]),
        )

    def make_channels(self, *, before: bool) -> None:
        draw, largest = self.draw, self.options.max_message
        count = min(self.options.max_channels, draw.choice([1, 3] if before else [1, 3, 40, 200]))
        for number in range(count):
            name = f"c{number}"
            self.kinds[name] = draw.random() < 0.5, draw.choice([{}, {}, {}, {"max_retransmits": 0}])
            openers = draw.choice([self.sides, self.sides[:1], self.sides[1:]])
            for side in openers:
                self.world.later(draw.random() * 3, lambda side=side, name=name: self.open(side, name))
            for side in self.sides:
                self.reads[side.name, name] = draw.choice(["at once", "at once", "now and then", "at the end"])
                many = draw.choice([0, 1, 5, 50, 400] if count < 10 else [0, 0, 1, 5, 20])
                self.backlog[side.name, name] = [self.any_message(n, largest) for n in range(many)]

    def any_message(self, number: int, largest: int) -> bytes:
        sizes = [0, 0, 1, 100, 2000, SMALL, SMALL + 1, largest // 2, largest]
        size = min(self.draw.choice(sizes), largest)
        if size > self.much:
            size = self.draw.choice([0, 5])
        self.much -= size
        return number.to_bytes(4)[: min(size, 4)] + bytes(max(size - 4, 0))

    def open(self, side: Any, name: str) -> None:
        ordered, reliability = self.kinds[name]
        side.open(name, ordered=ordered, **reliability)

    def make_trouble(self) -> None:
        for _ in range(self.draw.choice([0, 0, 1, 3])):
            side, when = self.draw.choice(self.sides), self.draw.random() * BUSY
            match self.draw.choice(["transport", "ice", "full", "cut"]):
                case "cut":
                    self.world.later(when, lambda: self.world.cut_link(True))
                    self.world.later(when + self.draw.random() * 8, lambda: self.world.cut_link(False))
                case level:
                    self.world.later(when, lambda side=side, level=level: side.reset(level))

    def make_closes(self, draw: random.Random) -> None:
        """Some channels are closed by a side, or by both, whatever is still under way on them."""
        for name in self.kinds:
            for side in draw.choice([(), (), self.sides[:1], self.sides[1:], self.sides]):
                self.world.later(3 + draw.random() * (BUSY - 3), lambda side=side, name=name: self.close(side, name))

    def close(self, side: Any, name: str) -> None:
        channel = side.machine.channels.get(name)
        if channel is not None and channel.open and channel.end is None:
            self.closed.add(name)
            side.call("close_channel", name, "done", LONGEST)

    def run(self) -> None:
        """Until all is there.

        Raises:
            BrokenPromiseError: it is not, in time; the session ended; or more is held than the budget.
        """
        while self.world.now < BUSY or not self.is_done():
            self.world.run(self.world.now + STEP)
            self.applications()
            self.look()
            if self.world.now > LONGEST:
                raise BrokenPromiseError(f"after {LONGEST} s not all is there: {self.missing()}")
        self.check_delivery()

    def applications(self) -> None:
        late = self.world.now > BUSY
        for side in self.sides:
            for name, channel in side.machine.channels.items():
                backlog = self.backlog[side.name, name]
                if channel.end is not None:
                    backlog.clear()  # what was not accepted before is not sent
                while backlog and channel.open and side.machine.has_room(name):
                    self.sent.setdefault((side.name, name), []).append(backlog[0])
                    side.send(name, backlog.pop(0))
                how = self.reads[side.name, name]
                if channel.open and (late or how == "at once" or (how == "now and then" and self.draw.random() < 0.1)):
                    side.read(name)
            side.settle()

    def look(self) -> None:
        for side in self.sides:
            machine = side.machine
            if machine.state == "closed" or machine.closing is not None:
                raise BrokenPromiseError(f"{side.name} ended: {machine.outcome or machine.closing}")
            if not held(machine) <= machine.budget.used <= machine.budget.size:
                raise BrokenPromiseError(f"{held(machine)} held, {machine.budget.used} used of {machine.budget.size}")
            self.seen["hungry"] += len(machine.hungry)
            for channel in machine.channels.values():
                self.seen["turns"] += channel.receiver.lent > 0
                self.seen["gaps"] += channel.reliable and len(channel.receiver.beyond) > 0
            self.seen["new connections"] += machine.last_epoch > 1

    def is_done(self) -> bool:
        return not any(side.machine.ending for side in self.sides) and all(
            not self.backlog[side.name, name]
            and channel.sender.idle
            and not (channel.reliable and channel.sender.flight)
            for side in self.sides
            for name, channel in side.machine.channels.items()
        )

    def missing(self) -> str:
        lines: list[str] = []
        for side in self.sides:
            for name, channel in side.machine.channels.items():
                sender, other = channel.sender, side.other.machine.channels.get(name)
                if channel.end is not None or other is None:
                    lines.append(f"{side.name}.{name} ends: {channel.end}")
                elif channel.reliable and (sender.queue or sender.flight):
                    there = other.receiver
                    lines.append(
                        f"{side.name}.{name} queue {len(sender.queue)} flight {len(sender.flight)} "
                        f"window {sender.window} turn {sender.turn} asked {sender.asked}; "
                        f"there edge {there.edge - there.taken_cost} waits {there.waits} reserve {there.reserve}"
                    )
            lines.append(f"{side.name} used {side.machine.budget.used} of {side.machine.budget.size}")
        return "; ".join(lines)

    def check_delivery(self) -> None:
        for (name, channel), sent in self.sent.items():
            ordered, reliability = self.kinds[channel]
            got = getattr(self.world, name).other.got[channel]
            if channel in self.closed:
                right = self.is_accounted(channel, name, sent, got)
            elif reliability:
                right = not Counter(got) - Counter(sent)
            else:
                right = got == sent if ordered else Counter(got) == Counter(sent)
            if not right:
                raise BrokenPromiseError(f"{channel} of {name}: {len(got)} of {len(sent)} came, or not as sent")

    def is_accounted(self, channel: str, sender: str, sent: list[bytes], got: list[bytes]) -> bool:
        """Whether both sides have the same account of a closed channel, and nothing of a reliable one is lost."""
        side = getattr(self.world, sender)
        here, there = ([e.receipt for e in each.events(actions.ChannelClosed) if e.name == channel]
                       for each in (side, side.other))  # fmt: skip
        if len(here) != 1 or len(there) != 1 or not (here[0].confirmed and there[0].confirmed):
            return False
        out, into = here[0].sent, there[0].received
        if (out.accepted, out.delivered, out.unsent) != (into.accepted, into.delivered, into.unsent):
            return False
        self.seen["closed"] += 1
        if Counter(got) - Counter(sent) or out.accepted is None or out.accepted.messages != len(sent):
            return False
        unread = 0 if into.unread is None else into.unread.messages
        read = out.delivered.messages == len(sent) >= len(got) >= len(sent) - unread  # what was not read stays readable
        return read or not here[0].reliable


def held(machine: Any) -> int:
    """Bytes that a machine holds for its application, counted one by one."""
    total = 0
    for channel in machine.channels.values():
        receiver = channel.receiver
        for line in (receiver.line, receiver.kept):
            total += line.bytes + COST * len(line.front) + 32 * (len(line) - len(line.front))
        for partial in receiver._partials.values():
            total += partial.size + COST * (1 + len(partial.pieces))
    return total
