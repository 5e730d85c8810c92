"""The steps of a close or a reset, as the machine tells them to those that watch."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from adieu.session.machine import actions
from adieu.session.machine.progress import EVERY
from sim.session.traces import met

if TYPE_CHECKING:
    from sim.session.world import Side, World


def told(side: Side) -> list[tuple[float, actions.Progressed]]:
    return [(now, event) for now, event in side.log if isinstance(event, actions.Progressed)]


def slow(*, watched: bool = True) -> World:
    """Side b does not read, so that of eight messages of 70 000 bytes only some can be delivered."""
    world = met(closing_bound=200_000)
    if watched:
        world.a.call("watch_progress", True)
    world.b.reads = False
    for number in range(8):
        world.a.send("chat", bytes([number]) * 70_000)
    return world


def test_each_step_of_a_close_is_told_in_its_order() -> None:
    world = slow()
    world.a.close(2.0)
    world.run(when=world.both("closed"))
    steps = [step for step, _ in itertools.groupby(told(world.a), key=lambda pair: pair[1].step)]
    assert steps == ["drain", "channels", "connection"]
    assert {event.work for _, event in told(world.a)} == {"close"}


def test_what_is_told_is_the_difference_of_accepted_and_delivered() -> None:
    world = slow()
    sender = world.a.machine.channels["chat"].sender
    world.a.close(2.0)
    world.run(world.now + 1.0)
    (_, last) = told(world.a)[-1]
    assert (last.messages, last.bytes) == (8 - sender.delivered.messages, 560_000 - sender.delivered.bytes)
    assert 0 < last.messages < 8
    world.run(when=world.both("closed"))
    sent = world.a.outcome.channels["chat"].sent
    (_, last) = told(world.a)[-1]
    assert last.messages == sent.unknown.messages + sent.unsent.messages
    assert last.bytes == sent.unknown.bytes + sent.unsent.bytes


def test_the_other_side_is_told_what_is_still_to_come() -> None:
    world = slow()
    world.b.call("watch_progress", True)
    world.a.close(2.0)
    world.run(world.now + 1.0)
    (_, first), (_, last) = told(world.b)[0], told(world.b)[-1]
    assert first.messages == last.messages == 0
    assert 0 < last.incoming < 8


def test_within_a_step_the_numbers_come_four_times_a_second() -> None:
    world = slow()
    world.a.close(10.0)
    world.run(world.now + 5.0)
    times = [now for now, _ in told(world.a)]
    assert 19 <= len(times) <= 21
    assert all(then - now >= EVERY - 1e-9 for now, then in itertools.pairwise(times))
    seconds = [event.seconds for _, event in told(world.a)]
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[0] == pytest.approx(10.0)


def test_nothing_is_told_and_no_timer_is_set_when_nobody_watches() -> None:
    world = slow(watched=False)
    world.a.reset("transport")
    world.run(when=world.both("open"))
    world.a.close(2.0)
    world.run(world.now + 1.0)
    assert "progress" not in world.a.machine.timers
    world.a.call("watch_progress", True)
    assert "progress" in world.a.machine.timers
    world.a.call("watch_progress", False)
    assert "progress" not in world.a.machine.timers
    count = len(told(world.a))
    world.run(when=world.both("closed"))
    assert len(told(world.a)) == count == 1


@pytest.mark.parametrize("level", ["ice", "transport", "full"])
def test_a_reset_is_told_on_both_sides_whoever_asks(level: str) -> None:
    world = met()
    for side in (world.a, world.b):
        side.call("watch_progress", True)
    world.b.reset(level)
    world.run(when=lambda: world.both("open")() and all(side.events(actions.ResetEnded) for side in (world.a, world.b)))
    for side in (world.a, world.b):
        steps = [event.step for _, event in told(side)]
        assert "building" in steps and {event.work for _, event in told(side)} == {"reset"}
        assert "progress" not in side.machine.timers
    world.run(world.now + 2.0)
    assert len(told(world.b)) == len(steps)


def test_pieces_of_files_are_not_told_as_messages() -> None:
    world = met()
    world.a.open("file a 1")
    world.run(when=lambda: world.a.machine.channels["file a 1"].open)
    world.b.reads = False
    world.a.call("watch_progress", True)
    world.a.send("file a 1", bytes(100))
    world.a.send("chat", bytes(7))
    world.a.reset("ice")
    (_, first) = told(world.a)[0]
    assert (first.messages, first.bytes) == (1, 7)
