"""Two that keep the protocol never meet a bound: in a narrow budget all arrives, once, whatever is sent and read."""

from __future__ import annotations

import os
import random
from typing import Any

import msgspec
import pytest

from adieu.errors import ChannelError
from adieu.session.machine.budget import least_budget
from adieu.session.machine.options import Options
from property.session.honest import held
from sim.session.world import World

WALKS = int(os.environ.get("ADIEU_WALKS", "40"))
WINDOW, MESSAGE, CHANNELS = 100_000, 150_000, 12
NARROW = Options(
    window=WINDOW,
    max_message=MESSAGE,
    max_channels=CHANNELS,
    budget=least_budget(WINDOW, MESSAGE, CHANNELS),
    send_buffer=400_000,
    closing_bound=100_000,
)
SIZES = (0, 1, 700, 65_000, 65_536, 65_537, 100_000, MESSAGE)


class Walk:
    """Two sides with many channels, of which some are read now and some later."""

    def __init__(self, seed: int, *, before: bool = False) -> None:
        self.random = random.Random(seed)
        self.world = World(options=NARROW, rate=20e6)
        if before:
            self.world.b.machine.options = msgspec.structs.replace(NARROW, capabilities=())
        self.world.start()
        self.world.run(when=self.world.both("open"))
        self.sent: dict[tuple[str, str], int] = {}
        for side in (self.world.a, self.world.b):
            side.reads = False
        for number in range(self.random.choice([1, 3, 6, CHANNELS])):
            self.sides[number % 2].open(f"c{number}", ordered=self.random.random() < 0.5)
        self.run(0.2)

    @property
    def sides(self) -> tuple[Any, Any]:
        return self.world.a, self.world.b

    def run(self, seconds: float) -> None:
        until = self.world.now + seconds
        while self.world.now < until:
            self.world.run(min(self.world.now + 0.05, until))
            for side in self.sides:
                assert side.state not in {"closing", "closed"}, side.machine.closing
                assert held(side.machine) <= side.machine.budget.used <= NARROW.budget

    def step(self) -> None:
        side = self.random.choice(self.sides)
        name = self.random.choice(list(side.machine.channels))
        match self.random.randrange(10):
            case 0 | 1 | 2 | 3:
                size = self.random.choice(SIZES)
                for _ in range(self.random.choice([1, 1, 3, 400 if size < 1000 else 5])):
                    if side.machine.channels[name].open and side.machine.has_room(name):
                        self.sent[side.name, name] = self.sent.get((side.name, name), 0) + 1
                        side.send(name, self.sent[side.name, name].to_bytes(4) + bytes(max(size - 4, 0)))
            case 4 | 5:
                if side.machine.channels[name].open:
                    side.read(name)
                    side.settle()
            case 6:
                side.reset(self.random.choice(["ice", "transport", "full"]))
            case 7:
                self.world.cut_link()
                self.run(self.random.choice([0.1, 1.0]))
                self.world.cut_link(False)
            case _:
                self.run(self.random.choice([0.01, 0.1, 1.0]))

    def finish(self) -> None:
        """Everybody reads: nothing waits for ever."""
        for side in self.sides:
            side.reads = True
            for name in side.machine.channels:
                side.read(name)
            side.settle()
        self.run(60.0)
        for (name, channel), count in self.sent.items():
            side = getattr(self.world, name)
            got = [int.from_bytes(data[:4]) for data in side.other.got[channel]]
            assert sorted(got) == list(range(1, count + 1)), f"{channel} of {name}: {len(got)} of {count}"
            if side.machine.channels[channel].ordered:
                assert got == sorted(got)
            assert side.machine.channels[channel].sender.flight_bytes == 0


@pytest.mark.parametrize("before", [False, True], ids=["both can", "one is of the version before"])
def test_in_a_narrow_budget_all_arrives_and_nobody_breaks_the_protocol(before: bool) -> None:
    for seed in range(WALKS // 2):
        walk = Walk(seed, before=before)
        for _ in range(40):
            walk.step()
        walk.finish()


def test_a_budget_too_small_for_one_of_each_is_refused() -> None:
    with pytest.raises(ValueError, match=r"budget=1000: .* needs \d+ bytes"):
        Options(budget=1000)
    with pytest.raises(ValueError, match="max_message=100000000"):
        Options(max_message=100_000_000)


def test_there_are_no_more_channels_than_stream_ids() -> None:
    world = World(options=msgspec.structs.replace(NARROW, max_channels=2)).start()
    world.run(when=world.both("open"))
    with pytest.raises(ChannelError):
        for number in range(600):
            world.a.open(f"c{number}")
