"""Schedules of two session machines, drawn at random: what their applications do, and what befalls them.

The same seed gives the same schedule. Each ends with a close, a death or an abort, and then all that a session promises
is checked. `python -m property.session.schedules --count 10000` (in tests/) runs many, and has the machine in
TypeScript do the same; `--report FILE` writes what was seen.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adieu.protocol.control import SMALL
from adieu.session.machine import actions
from adieu.session.machine.options import Options
from adieu.session.machine.progress import EVERY
from property.session.honest import RoughSide
from sim.session import traces
from sim.session.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.session.machine.receipt import ChannelEndReceipt, ChannelReceipt
    from adieu.session.machine.state import Channel
    from sim.session.world import Side

ROOT = Path(__file__).parents[3]
REPLAYER = ROOT / "js" / "build" / "test" / "schedules.js"
CHANNELS = {"chat": {}, "loose": {"ordered": False}, "lossy": {"ordered": False, "max_retransmits": 0}}
LEVELS = ("ice", "transport", "full")
LAST = 400.0
"""Seconds after which a close, also one after an outage, has ended for certain."""


@dataclass
class Life:
    """What one side has sent on one channel of a name, which may be closed and opened again."""

    channel: Channel
    sent: list[bytes] = field(default_factory=list)
    receipt: ChannelEndReceipt | None = None
    read: int = 0
    """How many messages of this name were read when it ended."""


@dataclass
class Player(RoughSide):
    """A side that keeps the lives of its channels."""

    lives: dict[str, list[Life]] = field(default_factory=lambda: defaultdict(list))
    watched: list[float] = field(default_factory=list)
    """When somebody began to watch the steps, or stopped."""

    def life(self, name: str) -> Life:
        """Return the life that this side's machine has now."""
        channel, lives = self.machine.channels[name], self.lives[name]
        if not lives or lives[-1].channel is not channel:
            lives.append(Life(channel))
        return lives[-1]

    def sent(self, name: str) -> list[bytes]:
        return [message for life in self.lives[name] for message in life.sent]

    def read_what_is_left(self) -> None:
        """Read what the channels that have ended still hold, in its place."""
        for name, lives in self.lives.items():
            for life in reversed(lives):
                left: list[bytes] = []
                while life.receipt is not None and (payload := life.channel.receiver.take()) is not None:
                    left.append(payload.data)
                self.got[name][life.read : life.read] = left

    def on_event(self, event: Any) -> None:
        match event:
            case actions.ChannelOpened(name=name):
                self.life(name)
            case actions.ChannelClosed(name=name, receipt=receipt) if self.lives[name]:
                life = self.lives[name][-1]  # one that the other side opens at once is told afterwards
                life.receipt, life.read = receipt, len(self.got[name])
        super().on_event(event)


class Schedule:
    """One session: its world, what was sent, and what happened."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.draw = draw = random.Random(seed)
        options = Options(window=draw.choice([1000, 1 << 20]), send_buffer=1 << 20, connect_timeout=120)
        self.world = World(
            delay=draw.choice([0.001, 0.05, 0.3]), rate=draw.choice([1e6, 50e6]), options=options, side=Player
        )
        self.sides: tuple[Any, Any] = (self.world.a, self.world.b)
        for side in self.sides:
            side.draw = draw
            side.reads = draw.random() < 0.8
        self.seen: Counter[str] = Counter()

    def run(self) -> None:
        """Play it to its end."""
        self.world.start()
        for name, kind in CHANNELS.items():
            for side in self.sides:
                side.open(name, **kind)
                side.life(name)
        if self.draw.random() < 0.8:
            self.world.run(when=self.world.both("open"))
        for _ in range(self.draw.randint(3, 30)):
            self.step()
        self.heal()
        self.end()

    # --- what happens

    def step(self) -> None:
        draw = self.draw
        side = draw.choice(self.sides)
        what = draw.choice(
            ["send"] * 6
            + ["run"] * 6
            + ["reset", "cut", "signaling", "hang", "reads", "break", "cancel", "watch", "network"]
            + ["close channel"] * 3
        )
        self.seen[what] += 1
        match what:
            case "send":
                self.send(side)
            case "run":
                self.world.run(self.world.now + draw.random() * draw.choice([0.4, 0.4, 12.0]))
            case "reset" if self.is_up(side):
                side.reset(draw.choice(LEVELS))
            case "cut":
                self.world.cut_link(not self.world.cut)
            case "signaling" if side.alive:
                self.world.set_signaling(side, not side.signaling)
            case "hang":
                self.world.hang(side, not side.hung)
            case "reads":
                side.reads = not side.reads
                self.catch_up(side)
            case "break":
                for epoch in list(side.connections):
                    side.lost(epoch, "failed", "broken")
            case "close channel" if self.is_up(side):
                self.close_channel(side)
            case "network" if self.is_up(side):
                side.call("network_changed", "the network has changed", at_once=draw.random() < 0.5)
            case "watch" if side.alive and not side.hung:
                side.call("watch_progress", draw.random() < 0.7)
                side.watched.append(self.world.now)
            case "cancel" if self.is_up(side):
                # A reader that was cancelled, and one that waits again.
                for waits in (True, False):
                    if "chat" in side.machine.channels:
                        side.call("reader_changed", "chat", waits)

    def is_up(self, side: Side) -> bool:
        return side.alive and not side.hung and side.state not in {"connecting", "closing", "closed"}

    def close_channel(self, side: Player) -> None:
        """Close a channel, or open it again if it is closed."""
        gone = [name for name in CHANNELS if name not in side.machine.channels]
        name = self.draw.choice(gone or list(CHANNELS))
        if gone:
            side.open(name, **CHANNELS[name])
            side.life(name)
            self.seen["opened again"] += 1
        elif side.life(name).channel.end is None:
            side.call("close_channel", name, "enough", self.draw.choice([0.0, 0.3, 5.0, 60.0]))

    def send(self, side: Player) -> None:
        name = self.draw.choice(list(CHANNELS))
        size = self.draw.choice([0, 1, 1000, SMALL + 1, 30_000])
        for _ in range(self.draw.randint(1, 12)):
            if side.hung or side.state in {"closing", "closed"} or name not in side.machine.channels:
                return
            life = side.life(name)
            if life.channel.end is not None and not life.channel.end.may_send:
                return
            if side.machine.has_room(name):
                life.sent.append(len(side.sent(name)).to_bytes(4) + bytes(size))
                side.send(name, life.sent[-1])

    def catch_up(self, side: Side) -> None:
        if side.reads and not side.hung and side.alive:
            for name in side.machine.channels:
                side.read(name)
            side.settle()

    def heal(self) -> None:
        """Give half of the schedules a good link for a while: both have to be on one connection then, or closed."""
        if self.draw.random() < 0.5:
            return
        self.world.cut_link(False)
        for side in self.sides:
            self.world.hang(side, False)
            if not side.signaling:
                self.world.set_signaling(side, True)
        self.world.run(self.world.now + 60.0)
        a, b = self.sides
        self.seen[f"healed: {a.state}"] += 1
        assert a.state == b.state, f"two views after a heal: {a.state}, {b.state}"
        if a.state == "open":
            assert a.machine.active == b.machine.active, "each side uses another connection"
            for side in self.sides:
                side.reads = True
                self.catch_up(side)
            self.world.run(self.world.now + 30.0)
            for side in self.sides:
                self.check_all_came(side)

    def check_all_came(self, side: Player) -> None:
        """See that all has come that was sent on the channels that are open."""
        got = Counter(itertools.chain.from_iterable(side.other.got.values()))
        for name in side.machine.channels:
            life = side.life(name)
            assert life.channel.end is None, f"the close of {name} does not end"
            if name != "lossy":
                missing = Counter(life.sent) - got
                assert not missing, f"{missing.total()} of {len(life.sent)} of {side.name}'s {name} did not come"

    def end(self) -> None:
        how = self.draw.choice(["close", "close", "close both", "kill", "abort"])
        self.seen[how] += 1
        side = self.draw.choice(self.sides)
        if how == "kill":
            self.world.kill(side, socket_ends=self.draw.random() < 0.5)
            if not side.other.hung and self.draw.random() < 0.5:
                side.other.close(20.0)
        else:
            for closer in self.sides if how == "close both" else (side,):
                self.world.hang(closer, False)
                closer.close(self.draw.choice([0.0, 1.0, 20.0]))
            if how == "abort":
                side.call("abort")
        self.world.run(
            when=lambda: all(side.state == "closed" or not side.alive or side.hung for side in self.sides), limit=LAST
        )
        self.world.run(self.world.now + 1.0)

    # --- what holds

    def check(self) -> None:
        """See that what a session promises holds. It reads what is left, so it comes last."""
        for side in self.sides:
            side.read_what_is_left()
        for side in self.sides:
            self.check_delivery(side)
            if side.state == "closed" and side.alive:
                self.check_outcome(side)
        a, b = (side.outcome for side in self.sides)
        if a is not None and b is not None and a.confirmed and b.confirmed:
            self.seen["both confirmed"] += 1
            assert a.agreed == b.agreed, "two receipts of one close"

    def check_delivery(self, side: Player) -> None:
        for name, kind in CHANNELS.items():
            got, lives = side.got[name], side.other.lives[name]
            if kind:
                left = Counter(got) - Counter(side.other.sent(name))
                assert not left, "no message twice, and none that was not sent"
                continue
            at = 0
            for life in lives:  # of each the first ones
                for message in life.sent:
                    if got[at : at + 1] != [message]:
                        break
                    at += 1
            assert at == len(got), "each message once and in order"

    def check_outcome(self, side: Player) -> None:
        outcome = side.outcome
        self.seen[f"cause {outcome.cause}"] += 1
        # One that dies before its first word, with its engine just heard, looks like one that has no word to say.
        assert outcome.cause != "protocol-error" or not side.other.alive, "both keep the protocol"
        assert not any("cannot be" in line for line in outcome.evidence), "true accounts are believed"
        assert not side.connections, f"connections that were not released: {side.connections}"
        assert not side.machine.timers and not side.machine.ending, "something goes on"
        resets = [event for _, event in side.log if type(event).__name__ in {"ResetStarted", "ResetEnded"}]
        kinds = [type(event).__name__ for event in resets]
        assert kinds.count("ResetStarted") in {0, kinds.count("ResetEnded")}, "a reset that never ended"
        for name in outcome.channels:
            other = side.other
            if name in other.machine.channels:
                other.read(name)
        for name, account in outcome.channels.items():
            self.check_account(side, side.life(name), account)
        for name, lives in side.lives.items():
            for life in lives:
                if life.receipt is not None and name not in outcome.channels:
                    self.check_receipt(side, life, life.receipt)
        self.check_progress(side)

    def check_receipt(self, side: Player, life: Life, receipt: ChannelEndReceipt) -> None:
        self.seen[f"channel {receipt.path}"] += 1
        self.check_account(side, life, receipt)
        if receipt.path == "graceful" and receipt.reliable:
            assert receipt.sent.delivered == receipt.sent.accepted, "a graceful close has delivered all"

    def check_account(self, side: Player, life: Life, account: ChannelReceipt) -> None:
        name, total = life.channel.name, account.sent
        parts = total.delivered.messages + total.unknown.messages + total.unsent.messages
        assert total.accepted.messages == len(life.sent) == parts, f"{name}: the account does not add up"
        came = Counter(side.other.got[name]) & Counter(life.sent)
        assert total.delivered.messages <= came.total() or name == "lossy", "delivered is overstated"

    def check_progress(self, side: Player) -> None:
        """See that what was told of each step is true to the receipt, and not told too often."""
        told = [(now, event) for now, event in side.log if isinstance(event, actions.Progressed)]
        self.seen["progress"] += len(told)
        for (before, first), (now, then) in itertools.pairwise(told):
            new = (first.work, first.step) != (then.work, then.step)
            new = new or any(before <= when <= now for when in side.watched)
            assert new or now - before >= EVERY - 1e-9, "progress is told too often"
        if told and told[-1][1].work == "close":
            lost = [account.sent for account in side.outcome.channels.values() if account.reliable]
            unknown = sum(sent.unknown.messages + sent.unsent.messages for sent in lost)
            assert unknown <= told[-1][1].messages, "more was lost than was under way"
            final = not side.outcome.confirmed and told[-1][1].step != "drain"  # no acknowledgement comes afterwards
            if final and not self.is_lossy_queued(side):
                assert unknown == told[-1][1].messages, "less was lost than was under way"

    def is_lossy_queued(self, side: Player) -> bool:
        """Whether messages of the unreliable channel were still to go out."""
        account = side.outcome.channels.get("lossy")
        return account is not None and account.sent.unsent.messages > 0

    def traces(self) -> Iterator[str]:
        for side in self.sides:
            yield json.dumps(traces.written(f"schedule {self.seed}", self.world, side), separators=(",", ":"))


class Replay:
    """The machine in TypeScript, which does the same schedules."""

    def __init__(self) -> None:
        node = shutil.which("node")
        if node is None or not REPLAYER.exists():
            raise FileNotFoundError("node and js/build/test/schedules.js: run `npm ci && npm test` in js/")
        self._process = subprocess.Popen([node, str(REPLAYER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def follow(self, schedule: Schedule) -> None:
        assert self._process.stdin is not None
        for line in schedule.traces():
            self._process.stdin.write(line.encode() + b"\n")

    def end(self) -> dict[str, Any]:
        """Return how many traces were `followed`, and for each of the `differing` ones where."""
        said, _ = self._process.communicate()
        assert self._process.returncode == 0, "the replaying program failed"
        return json.loads(said)


def played(seed: int, replay: Replay | None = None) -> Schedule:
    """Play one schedule, have TypeScript do the same, and check what holds at the end.

    Raises:
        AssertionError: a promise does not hold; a note names the schedule.
    """
    schedule = Schedule(seed)
    try:
        schedule.run()
        if replay is not None:
            replay.follow(schedule)
        schedule.check()
    except BaseException as error:
        error.add_note(f"in schedule {seed}")
        raise
    return schedule


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--report", type=Path)
    given = parser.parse_args()
    replay, seen = Replay(), Counter[str]()
    for seed in range(given.first, given.first + given.count):
        seen.update(played(seed, replay).seen)
        if sys.stderr.isatty() or seed % 1000 == 999:
            print(f"\r{seed - given.first + 1} of {given.count}", end="", file=sys.stderr, flush=True)
    result = replay.end()
    lines = [f"| {what} | {count} |" for what, count in sorted(seen.items())]
    text = "\n".join([
        "# Random schedules of two session machines",
        "",
        f"{given.count} schedules from seed {given.first} on: in each, every promise held",
        "(tests/property/session/schedules.py).",
        f"The machine in TypeScript followed {result['followed']} traces; {len(result['differing'])} differ.",
        "",
        "| seen | times |",
        "|---|--:|",
        *lines,
        "",
    ])  # fmt: skip
    print(f"\n{text}")
    if given.report:
        given.report.write_text(text)
    sys.exit("\n".join(result["differing"][:20]) or 0)


if __name__ == "__main__":
    main()
