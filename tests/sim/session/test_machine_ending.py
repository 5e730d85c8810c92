"""The close of one channel, while the session goes on (closing rule S14)."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from adieu.errors import ChannelError
from adieu.protocol import control
from adieu.protocol.words import ChannelAccount, Total
from adieu.session.machine import actions
from adieu.session.machine.options import Options
from sim.session.traces import met
from sim.session.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.session.world import Side


def ended(*sides: Side) -> Callable[[], bool]:
    """Whether the applications of these sides know of the end of a channel."""
    return lambda: all(side.events(actions.ChannelClosed) for side in sides)


def receipts(world: World) -> tuple[Any, Any]:
    """Return the last receipt of each side."""
    return tuple(side.events(actions.ChannelClosed)[-1].receipt for side in (world.a, world.b))  # type: ignore[return-value]


def forgotten(world: World, name: str = "chat") -> bool:
    """Whether nothing is left of the channel, on either side."""
    for side in (world.a, world.b):
        m = side.machine
        if name in m.channels or name in m.ending or m.later or m.active not in side.connections:
            return False
        known = {channel.id for channel in m.channels.values()}
        if set(m.by_id) != known or any(set(c.channels) - known for c in m.connections.values()):
            return False
        if side.connections[m.active] - {None} != known:
            return False
    return True


def agree(world: World) -> None:
    """The two receipts say the same of each direction."""
    a, b = receipts(world)
    assert a.confirmed and b.confirmed
    assert a.sent == b.received and a.received == b.sent


def test_all_that_was_accepted_arrives_and_both_sides_have_the_same_account() -> None:
    world = met()
    for number in range(40):
        world.a.send("chat", bytes([number]) * 65536)
    world.a.call("close_channel", "chat", "enough", 5.0)
    world.run(when=ended(world.a, world.b))
    assert len(world.b.got["chat"]) == 40
    agree(world)
    a, b = receipts(world)
    assert (a.by, b.by) == ("local", "remote")
    assert (a.path, b.path) == ("graceful", "graceful")
    assert a.reason == b.reason == "enough" and a.clean and b.clean
    assert a.sent.delivered == Total(40, 40 * 65536)
    world.run(world.now + 1)
    assert forgotten(world) and world.a.state == world.b.state == "open"


def test_the_other_side_sees_closing_and_may_say_last_words() -> None:
    world = met()
    world.b.auto_last_words = False
    world.a.call("close_channel", "chat", "bye", 5.0)
    world.run(when=lambda: bool(world.b.events(actions.ChannelClosing)))
    with pytest.raises(ChannelError, match="closing"):
        world.a.send("chat", b"too late")
    world.b.send("chat", b"last words")
    world.b.call("channel_last_words_over", "chat")
    with pytest.raises(ChannelError, match="closing"):
        world.b.send("chat", b"too late")
    world.run(when=ended(world.a, world.b))
    assert world.a.got["chat"] == [b"last words"]
    agree(world)


def test_both_close_at_once() -> None:
    world = met()
    world.a.send("chat", b"from a")
    world.b.send("chat", b"from b")
    world.a.call("close_channel", "chat", "a says", 5.0)
    world.b.call("close_channel", "chat", "b says", 5.0)
    world.run(when=ended(world.a, world.b))
    assert world.a.got["chat"] == [b"from b"] and world.b.got["chat"] == [b"from a"]
    agree(world)
    a, b = receipts(world)
    assert a.by == b.by == "both" and a.reason == b.reason == "a says"
    assert not world.a.events(actions.ChannelClosing) and not world.b.events(actions.ChannelClosing)
    world.run(world.now + 1)
    assert forgotten(world)


def test_the_timeout_holds_whatever_the_other_side_does() -> None:
    world = met()
    world.b.auto_last_words = False  # its handlers never end
    world.a.send("chat", b"read")
    began = world.now
    world.a.call("close_channel", "chat", "", 2.0)
    world.run(when=ended(world.a))
    assert world.now - began <= 2.0
    (a,) = [event.receipt for event in world.a.events(actions.ChannelClosed)]
    assert a.path == "deadline"
    assert world.a.state == "open"


def test_the_name_is_free_as_soon_as_both_know_and_not_before() -> None:
    world = met()
    world.hang(world.b)
    world.a.call("close_channel", "chat", "", 1.0)
    with pytest.raises(ChannelError, match="closing"):
        world.a.open("chat")
    world.run(when=ended(world.a))
    with pytest.raises(ChannelError, match="not free yet"):
        world.a.open("chat")
    world.hang(world.b, False)
    world.run(when=lambda: forgotten(world))
    world.a.open("chat")
    world.run(world.now + 1)
    world.a.send("chat", b"again")
    world.run(world.now + 1)
    assert world.b.got["chat"] == [b"again"]


def test_an_open_that_overtakes_the_end_waits_for_it() -> None:
    world = met()
    world.a.call("close_channel", "chat", "", 5.0)
    world.run(when=ended(world.b))
    world.b.open("chat")  # at once
    world.b.send("chat", b"second life")
    world.run(world.now + 1)
    assert world.a.got["chat"] == [b"second life"]
    chat = world.a.machine.channels["chat"]
    assert chat.open and chat.end is None and chat.receiver.have == 1


def test_a_peer_of_the_version_before_is_not_told() -> None:
    world = met(before=True)
    world.a.send("chat", b"hello")
    world.a.call("close_channel", "chat", "", 5.0)
    world.run(when=ended(world.a))
    (a,) = [event.receipt for event in world.a.events(actions.ChannelClosed)]
    assert a.path == "untold" and not a.confirmed and a.sent.delivered == Total(1, 5)
    assert a.duration < 1, "it waits for the acknowledgements, not for the deadline"
    with pytest.raises(ChannelError, match="not free"):
        world.a.open("chat")
    world.b.send("chat", b"to nobody")
    world.run(world.now + 1)
    assert world.a.state == world.b.state == "open"
    world.a.close()
    world.run(when=world.both("closed"))
    assert world.a.outcome.confirmed and world.a.outcome.agreed == world.b.outcome.agreed


def test_many_channels_leave_nothing() -> None:
    world = met()
    tables = []
    for number in range(1_500):  # each stream id is used again
        one, other = (world.a, world.b) if number % 3 else (world.b, world.a)
        name = f"number {number}" if number % 2 else "the same"
        one.open(name)
        one.send(name, b"x")
        one.call("close_channel", name, "", 5.0)
        del one.log[:], other.log[:], one.trace[:], other.trace[:]
        world.run(when=lambda name=name: forgotten(world, name), limit=5.0)  # type: ignore[misc]
        if number % 300 == 0:
            for side in (world.a, world.b):
                side.got.clear()
            tables.append([sizes(side.machine) for side in (world.a, world.b)])
    assert all(table == tables[0] for table in tables)


def sizes(m: Any) -> list[int]:
    """Return how much each table of a machine holds."""
    tables = (m.channels, m.by_id, m.ending, m.later, m.hungry, m.timers, m.words, m.actions, m.events)
    budget = m.budget
    return [*map(len, tables), budget.used, budget.channels, len(budget.yielding)]


@pytest.mark.parametrize("when", [0.0, 0.005, 0.012, 0.02, 0.025, 0.031, 0.038, 0.045, 0.06])
@pytest.mark.parametrize("level", ["ice", "transport", "full"])
@pytest.mark.parametrize("asker", ["a", "b"])
def test_a_reset_at_any_moment_of_it(when: float, level: str, asker: str) -> None:
    for closer in ("a", "b", "ab"):
        world = met()
        for side in (world.a, world.b):
            for number in range(5):
                side.send("chat", bytes([number]) * 1000)
        for name in closer:
            getattr(world, name).call("close_channel", "chat", "", 10.0)
        world.run(world.now + when)
        getattr(world, asker).reset(level)
        world.run(when=ended(world.a, world.b))
        agree(world)
        for side in (world.a, world.b):
            assert side.got["chat"] == [bytes([number]) * 1000 for number in range(5)]
        world.run(when=lambda world=world: forgotten(world) and world.both("open")())  # type: ignore[misc]
        reopened(world)


def reopened(world: World) -> None:
    """Use the name again, from both sides."""
    for one, other in ((world.a, world.b), (world.b, world.a)):
        one.got.clear()
        other.got.clear()
        one.open("chat")
        one.send("chat", b"again")
        world.run(when=lambda other=other: other.got["chat"] == [b"again"], limit=10.0)  # type: ignore[misc]
        one.call("close_channel", "chat", "", 5.0)
        world.run(when=lambda: forgotten(world), limit=10.0)


@pytest.mark.parametrize("seed", range(100))
def test_cuts_resets_and_closes_at_random(seed: int) -> None:
    """Every close ends in its time; what is confirmed is equal; nothing is doubled; all names are free again."""
    chance = random.Random(seed)
    world = met()
    for step in range(30):
        side = chance.choice((world.a, world.b))
        name = chance.choice(("chat", "one", "two"))
        match chance.randrange(8):
            case 0 | 1:
                if name not in side.machine.ending:
                    side.open(name)
            case 2 | 3 | 4:
                channel = side.machine.channels.get(name)
                if channel is not None and channel.end is None:
                    side.send(name, f"{side.name} {step}".encode())
            case 5:
                if name in side.machine.channels and side.machine.channels[name].end is None:
                    side.call("close_channel", name, f"step {step}", chance.choice((0.3, 2.0, 20.0)))
            case 6:
                side.reset(chance.choice(("ice", "transport", "full")))
            case 7:
                world.cut_link(chance.random() < 0.4)
        world.run(world.now + chance.choice((0.0, 0.003, 0.02, 0.3)))
    world.cut_link(False)
    world.run(when=lambda: world.both("open")() and not world.a.machine.ending and not world.b.machine.ending, limit=90)
    told: dict[tuple[str, str], list[Any]] = {}
    for side in (world.a, world.b):
        for event in side.events(actions.ChannelClosed):
            receipt = event.receipt
            assert receipt.duration <= 20.0 + 0.01
            if receipt.reason:
                told.setdefault((receipt.name, receipt.reason), []).append((side.name, receipt))
    for pair in told.values():
        if len({name for name, _ in pair}) == 2 and all(receipt.confirmed for _, receipt in pair):
            (_, one), (_, other) = pair
            assert one.sent == other.received and one.received == other.sent
    for side in (world.a, world.b):
        for texts in side.got.values():
            assert len(texts) == len(set(texts))
    world.a.close()
    world.run(when=world.both("closed"))
    assert world.a.outcome.agreed == world.b.outcome.agreed


@pytest.mark.parametrize("when", [0.0, 0.005, 0.012, 0.02, 0.025, 0.031, 0.038, 0.045])
def test_the_session_closes_at_any_moment_of_it(when: float) -> None:
    for closer, leaver in itertools.product(("a", "b", "ab"), "ab"):
        world = met()
        for side in (world.a, world.b):
            side.send("chat", b"from " + side.name.encode())
        for name in closer:
            getattr(world, name).call("close_channel", "chat", "", 10.0)
        world.run(world.now + when)
        getattr(world, leaver).close()
        world.run(when=world.both("closed"))
        assert world.a.outcome.confirmed and world.a.outcome.agreed == world.b.outcome.agreed
        assert world.a.outcome.clean and world.b.outcome.clean
        assert world.a.got["chat"] == [b"from b"] and world.b.got["chat"] == [b"from a"]
        for side in (world.a, world.b):
            if side.machine.channels:
                told = [event.receipt for event in side.events(actions.ChannelClosed)]
                assert len(told) <= 1
        for name in closer:
            assert getattr(world, name).events(actions.ChannelClosed)


def test_an_account_that_cannot_be_ends_the_session() -> None:
    world = met()
    world.a.send("chat", b"one")
    world.run(world.now + 1)
    chat = world.a.machine.channels["chat"]
    lie = control.EndChannel(name="chat", id=chat.id, closed=ChannelAccount(taken=Total(7, 700)))
    world.a.call("control_received", 1, control.encode(lie))
    world.run(when=lambda: world.a.state == "closed")
    assert world.a.outcome.cause == "protocol-error"


def test_words_for_an_unknown_channel_are_answered_and_make_nothing() -> None:
    world = met()
    before = sizes(world.a.machine)
    for number in range(1000):
        for stage in ({"done": 0}, {"gone": False}, {"closing": control.ChannelClosing(deadline_ms=5, final=0)}):
            word = control.EndChannel(name=f"n{number}", id=1 + 2 * (number % 500), **stage)  # type: ignore[arg-type]
            world.a.call("control_received", 1, control.encode(word))
    world.run(world.now + 2)
    assert sizes(world.a.machine) == before and world.a.state == "open"


def test_a_channel_that_is_not_open_yet_can_be_closed() -> None:
    world = World(options=Options()).start()
    world.a.open("early")
    world.a.send("early", b"first")
    world.a.call("close_channel", "early", "", 5.0)
    world.run(when=lambda: world.both("open")() and bool(world.b.events(actions.ChannelClosed)))
    assert world.b.got["early"] == [b"first"]
    world.run(world.now + 1)
    assert forgotten(world, "early")


def test_the_other_sides_deadline_is_bounded_by_patience() -> None:
    world = met()
    chat = world.b.machine.channels["chat"]
    far = control.ChannelClosing(deadline_ms=2**50, final=5)  # five that never come
    world.b.call("control_received", 1, control.encode(control.EndChannel(name="chat", id=chat.id, closing=far)))
    began = world.now
    world.run(when=ended(world.b))
    assert world.now - began <= 61.0
    assert msgspec.to_builtins(world.b.events(actions.ChannelClosed)[0].receipt)["path"] == "deadline"


def test_the_agreed_part_leaves_out_what_only_one_side_closed() -> None:
    """No connection was left to say that the channel is closed: the session's words have the account of one side."""
    world = met()
    world.cut_link()
    for side in (world.a, world.b):
        side.open("more")
    world.b.send("more", b"into the void")
    world.a.call("close_channel", "more", "", 0.0)
    world.a.close()
    world.b.close()
    world.run(when=world.both("closed"))
    assert world.a.outcome.confirmed and world.b.outcome.confirmed
    assert world.a.outcome.agreed == world.b.outcome.agreed
    assert world.b.outcome.channels["more"].sent.unsent.messages == 1
