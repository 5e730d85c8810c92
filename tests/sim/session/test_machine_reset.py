"""Resets and recovery on virtual time: closing rules S7, S8, S10."""

from __future__ import annotations

import pytest

from adieu.session.machine import actions
from adieu.session.machine.options import Options
from sim.session.test_machine_close import opened
from sim.session.traces import failed_in_a_cut
from sim.session.world import World


def stream(world: World, count: int = 400, every: float = 0.01, size: int = 20000) -> None:
    """Both sides send while the rest happens."""

    def tick(n: int = 0) -> None:
        for side in (world.a, world.b):
            if (
                side.alive
                and not side.hung
                and side.state not in {"closing", "closed"}
                and side.machine.has_room("chat")
            ):
                side.send("chat", n.to_bytes(4) + bytes(size))
                side.sent = n  # type: ignore[attr-defined]
        if n < count:
            world.later(every, lambda: tick(n + 1))

    tick(1)


def numbers(got: list[bytes]) -> list[int]:
    return [int.from_bytes(data[:4]) for data in got]


def exactly_once(world: World, count: int) -> None:
    for side in (world.a, world.b):
        assert numbers(side.got["chat"]) == list(range(1, count + 1))


@pytest.mark.parametrize("level", ["ice", "transport", "full"])
@pytest.mark.parametrize("who", ["a", "b", "both"])
def test_a_reset_amid_a_stream_loses_nothing_closing_rule_s8(level: str, who: str) -> None:
    world = opened()
    stream(world)
    for _ in range(10):
        world.run(world.now + 0.2)
        for side in (world.a, world.b):
            if who in {side.name, "both"}:
                side.reset(level)
        ended = [len(side.events(actions.ResetEnded)) for side in (world.a, world.b)]
        world.run(
            when=lambda ended=ended: all(
                len(s.events(actions.ResetEnded)) > n for s, n in zip((world.a, world.b), ended, strict=True)
            )
        )
        for side in (world.a, world.b):
            assert side.events(actions.ResetEnded)[-1].error == ""
    world.run(when=lambda: len(world.a.got["chat"]) == len(world.b.got["chat"]) == 400)
    exactly_once(world, 400)
    assert world.a.state == world.b.state == "open"
    world.a.close()
    world.run(when=world.both("closed"))
    assert world.a.outcome.clean and world.a.outcome.agreed == world.b.outcome.agreed


@pytest.mark.parametrize("arrived", [0, 1, 3])
def test_a_reset_sends_and_counts_what_is_missing_closing_rule_s8(arrived: int) -> None:
    world = opened()
    world.b.reads = False
    for number in range(arrived):
        world.a.send("chat", bytes([number]))
    world.run(world.now + 0.2)  # these are there, and not taken: nothing of them is acknowledged
    world.cut_link()
    for number in range(arrived, 8):
        world.a.send("chat", bytes([number]))
    world.run(world.now + 0.1)
    world.a.reset("transport")
    world.run(when=lambda: 2 in world.a.machine.connections)
    world.stuck.clear()
    world.cut_link(False)
    world.run(when=lambda: bool(world.a.events(actions.ResetEnded)))
    assert world.a.events(actions.ResetEnded)[-1].replayed == 8 - arrived
    world.run(when=lambda: world.b.machine.channels["chat"].receiver.have == 8)
    assert world.b.machine.channels["chat"].receiver.duplicates == 0
    world.b.read("chat")
    assert world.b.got["chat"] == [bytes([number]) for number in range(8)]


def test_the_ladder_leaves_an_announced_switch_alone_closing_rule_s8() -> None:
    world = opened()
    for side in (world.a, world.b):
        side.connections.pop(1)  # the old path carries nothing any more
        side.engine_until = world.now
    world.run(when=lambda: world.a.machine.reset is not None and world.a.machine.reset.phase == "switching")
    reset = world.a.machine.reset
    assert reset is not None and reset.recovery
    world.cut_link()  # the answer does not come, and the other side may have switched
    world.b.signaling = False
    world.run(world.now + 15.0)
    assert world.a.machine.reset is reset and world.a.state == "recovering"


def test_a_full_reset_closes_the_old_connection_first_closing_rule_s8() -> None:
    for asker in ("a", "b"):
        world = opened()
        side = getattr(world, asker)
        side.reset("full")
        world.run(when=lambda side=side: 2 in side.machine.connections)
        assert 1 not in side.machine.connections
        world.run(when=world.both("open"))


def test_of_two_levels_both_do_the_higher_closing_rule_s8() -> None:
    for low, high in (("a", "b"), ("b", "a")):
        world = opened()
        getattr(world, low).reset("ice")
        getattr(world, high).reset("transport")
        world.run(when=lambda world=world: all(side.events(actions.ResetEnded) for side in (world.a, world.b)))
        world.run(when=world.both("open"))
        for side in (world.a, world.b):
            last = side.events(actions.ResetEnded)[-1]
            assert (last.level, last.error) == ("transport", "")
            assert list(side.machine.connections) == [side.machine.active]


def test_the_highest_level_wins_when_both_ask_at_once() -> None:
    world = opened()
    world.a.reset("transport")
    world.b.reset("full")
    world.run(when=lambda: bool(world.a.events(actions.ResetEnded)) and world.both("open")())
    assert world.a.events(actions.ResetEnded)[-1].level == "full"
    assert list(world.a.machine.connections) == list(world.b.machine.connections)


def test_a_second_reset_joins_and_a_higher_level_escalates() -> None:
    world = opened()
    world.a.reset("ice")
    world.a.reset("ice")
    world.a.reset("full")
    world.run(when=lambda: any(e.level == "full" and not e.error for e in world.a.events(actions.ResetEnded)))
    world.run(when=world.both("open"))
    assert len([e for e in world.a.events(actions.ResetEnded) if not e.error]) == 1


def test_a_second_reset_joins_the_one_that_runs_closing_rule_s8() -> None:
    world = opened()
    world.a.reset("transport")
    world.a.reset("transport")
    world.run(world.now + 0.03)
    world.a.reset("ice")
    world.run(when=world.both("open"))
    assert len(world.a.events(actions.ResetStarted)) == 1
    assert [(event.level, event.error) for event in world.a.events(actions.ResetEnded)] == [("transport", "")]


def test_too_many_resets_wait_and_pestering_is_a_protocol_error() -> None:
    world = opened(peer_resets_burst=2)
    for _ in range(2):
        world.a.reset()
        world.run(when=lambda: world.both("open")() and world.a.machine.reset is None and world.b.machine.reset is None)
    began = world.now
    world.a.reset()
    world.run(when=lambda: world.a.machine.reset is None and world.b.machine.reset is None and world.both("open")())
    assert world.now - began >= 1.5
    for _ in range(8):
        if world.a.state != "closed":
            world.a.machine.reset = None  # a peer that does not wait
            world.a.reset()
        world.run(world.now + 0.05)
    world.run(when=lambda: world.b.state == "closed")
    assert world.b.outcome.cause == "protocol-error"


def test_an_impossible_reset_says_so_and_keeps_the_connection() -> None:
    world = opened()
    world.ice = lambda side, epoch: None  # type: ignore[method-assign]
    world.b.reset()
    world.run(when=lambda: bool(world.a.events(actions.ResetEnded)) and bool(world.b.events(actions.ResetEnded)))
    assert "not done within 20 s" in world.a.events(actions.ResetEnded)[0].error
    assert world.a.state == world.b.state == "open"
    world.a.send("chat", b"still here")
    world.run(when=lambda: world.b.got["chat"] == [b"still here"])


@pytest.mark.parametrize("level", ["ice", "transport"])
@pytest.mark.parametrize("asker", ["a", "b"])
@pytest.mark.parametrize("poor", ["a", "b"])
def test_without_a_way_out_a_reset_ends_at_once(level: str, asker: str, poor: str) -> None:
    """`a` offers; the poor side learns by itself what it lacks, the other one by a word."""
    world = opened()
    side, other = (world.a, world.b) if poor == "a" else (world.b, world.a)
    world.ice = lambda side, epoch: None  # type: ignore[method-assign]
    began = world.now
    getattr(world, asker).reset(level)
    reset = lambda: side.machine.reset  # noqa: E731
    world.run(when=lambda: reset() and reset().phase == "building" and reset().epoch in side.machine.connections)
    side.feed("no_way_out", side.machine.reset.epoch, "no file descriptor is left")
    world.run(when=lambda: bool(side.events(actions.ResetEnded)))
    assert "no file descriptor is left" in side.events(actions.ResetEnded)[0].error
    assert side.state == "open", "the old connection goes on"
    if level == "transport":
        world.run(when=lambda: bool(other.events(actions.ResetEnded)))
        assert world.now - began < 1
    world.run(when=world.both("open"))
    world.a.send("chat", b"still here")
    world.run(when=lambda: world.b.got["chat"] == [b"still here"])


@pytest.mark.parametrize("poor", ["a", "b"])
def test_a_machine_without_a_way_out_ends_a_first_connection_at_once(poor: str) -> None:
    world = World().start()
    side, other = (world.a, world.b) if poor == "a" else (world.b, world.a)
    world.run(when=lambda: 1 in side.machine.connections)
    side.feed("no_way_out", 1, "no network interface has an address")
    world.run(when=world.both("closed"))
    assert world.now < 3
    assert (side.outcome.by, side.outcome.cause) == ("local", "gave-up")
    assert "no network interface" in side.outcome.reason.text
    assert "no network interface" in other.outcome.reason.text


def test_a_recovery_goes_on_when_the_way_out_is_back() -> None:
    world = opened()
    world.cut_link()
    real = world.ice
    world.ice = lambda side, epoch: None  # type: ignore[method-assign]
    tried = set()
    while world.now < 45:
        world.run(world.now + 0.5)
        for epoch in set(world.a.machine.connections) - tried - {1}:
            tried.add(epoch)
            world.a.feed("no_way_out", epoch, "no network interface has an address")
    assert 3 <= len(tried) <= 6, "neither at once again and again, nor never again"
    assert world.a.state == "recovering"
    world.ice = real  # type: ignore[method-assign]
    world.cut_link(False)
    world.run(when=world.both("open"))


def test_closing_cancels_a_reset_whose_old_connection_answers() -> None:
    world = opened()
    world.b.send("chat", bytes(100000))
    world.a.reset()
    world.run(world.now + 0.005)
    world.a.close()
    world.run(when=world.both("closed"))
    assert world.a.outcome.clean and world.a.outcome.path == "graceful"


def test_closing_in_a_full_reset_finishes_the_new_connection_and_drains() -> None:
    world = opened()
    world.a.reset("full")
    world.run(when=lambda: world.a.machine.active is None)
    world.a.send("chat", b"said while nothing stands")
    world.a.close()
    world.run(when=world.both("closed"))
    assert world.a.outcome.clean
    assert world.b.got["chat"] == [b"said while nothing stands"]


# --- silence


@pytest.mark.parametrize("socket_ends", [True, False])
def test_a_killed_peer_is_known_closing_rule_s7(socket_ends: bool) -> None:
    world = opened()
    world.run(world.now + 3.3)
    began = world.now
    world.kill(world.b, socket_ends=socket_ends)
    world.run(when=lambda: world.a.state in {"suspect", "recovering"})
    assert world.now - began <= (1.0 if socket_ends else 5.0)
    change = world.a.events(actions.StateChanged)[-1]
    assert change.cause == ("crashed" if socket_ends else "frozen, network-lost")
    assert change.evidence
    world.run(when=lambda: world.a.state == "closed")
    assert 55 < world.now - began < 70
    assert world.a.outcome.by == "network"


@pytest.mark.parametrize("state", ["disconnected", "failed"])
def test_the_ice_state_alone_is_not_believed_closing_rule_s7(state: str) -> None:
    world = opened()
    world.run(world.now + 0.2)
    world.a.call("ice_changed", 1, state)
    assert world.a.state == "open"
    world.run(world.now + 10)
    assert world.a.states() == ["open"] and world.a.machine.active == 1


def test_the_ladder_acts_at_5_and_8_s_closing_rule_s10() -> None:
    world = opened()
    world.run(world.now + 2.3)
    world.cut_link()
    world.run(when=lambda: world.a.machine.silence is not None)
    asked = world.now
    world.run(when=lambda: world.a.machine.reset is not None)
    assert abs(world.now - asked - 5.0) < 0.1 and world.a.machine.reset.level == "ice"
    world.run(when=lambda: 2 in world.a.machine.connections)
    assert abs(world.now - asked - 8.0) < 0.1
    world.run(when=lambda: world.a.state == "closed")
    assert abs(world.now - asked - 60.0) < 1.1


def test_a_frozen_peer_heals_without_a_loss_closing_rule_s10() -> None:
    world = opened()
    stream(world, 1000)
    world.run(world.now + 1)
    world.hang(world.b)
    world.run(world.now + 8)
    assert world.a.state == "recovering"
    world.hang(world.b, hung=False)
    began = world.now
    world.run(when=world.both("open"))
    assert world.now - began < 3.0
    for side in (world.a, world.b):
        assert not side.machine.timers.keys() & {"suspect", "ladder", "fresh"}, "clocks of a silence that is over"
    world.run(world.now + 30)
    got_a, got_b = numbers(world.a.got["chat"]), numbers(world.b.got["chat"])
    assert len(got_a) > 100 and len(got_b) == 1000
    assert got_a == sorted(set(got_a))
    assert got_b == sorted(set(got_b)) and len(got_b) == len(set(got_b))
    world.a.close()
    world.run(when=world.both("closed"))
    assert world.a.outcome.clean and world.a.outcome.agreed == world.b.outcome.agreed


@pytest.mark.parametrize("seconds", [2, 6, 9, 15, 25, 45])
@pytest.mark.parametrize("signaling", [True, False])
def test_a_cut_link_heals_within_three_seconds_closing_rule_s10(seconds: int, signaling: bool) -> None:
    world = opened()
    stream(world, 300, every=0.2)
    world.run(world.now + 0.5)
    world.cut_link()
    if not signaling:
        for side in (world.a, world.b):
            side.signaling = False
            side.call("signaling_changed", False)
    world.run(world.now + seconds)
    world.cut_link(False)
    if not signaling:
        for side in (world.a, world.b):
            world.set_signaling(side, True)
    began = world.now
    world.run(when=world.both("open"))
    assert world.now - began < 3.0
    world.run(when=lambda: len(world.a.got["chat"]) == len(world.b.got["chat"]) == 300, limit=200)
    exactly_once(world, 300)


@pytest.mark.parametrize("gap", [0.0, 0.03, 0.6, 1.7, 4.0])
@pytest.mark.parametrize("first", ["a", "b"])
@pytest.mark.parametrize("seconds", [17, 27, 37, 44])
def test_a_connection_that_failed_in_a_cut_is_replaced_soon_closing_rule_s10(
    seconds: int, first: str, gap: float
) -> None:
    world = failed_in_a_cut(seconds, first, gap)
    healed = next(when for when, event in reversed(world.a.log) if isinstance(event, actions.ResetEnded))
    assert healed - seconds - gap < 1.0
    made = [event for _, event in world.a.log if isinstance(event, actions.ResetStarted)]
    assert len(made) <= 4


def test_signaling_back_makes_the_ladder_go_on_closing_rule_s10() -> None:
    world = opened()
    world.a.signaling = False
    world.a.call("signaling_changed", False)
    world.cut_link()
    world.run(world.now + 12)
    assert world.a.state == "suspect"
    world.now += 0.1  # between two rungs
    world.a.call("signaling_changed", True)
    assert world.a.state == "recovering"


def test_a_hanging_program_is_busy_and_starts_no_ladder() -> None:
    world = opened()
    world.b.stuck = True
    world.run(when=lambda: world.a.state == "suspect")
    world.run(world.now + 20)
    assert world.a.state == "suspect"
    assert world.a.events(actions.StateChanged)[-1].cause == "busy"


def test_a_broken_connection_is_replaced_at_once() -> None:
    world = opened()
    stream(world, 200)
    world.run(world.now + 0.5)
    began = world.now
    world.b.connections.pop(1)
    world.a.lost(1, "failed", "DTLS failed")
    world.b.call("connection_lost", 1, "failed", "DTLS failed")
    world.run(when=world.both("open"))
    assert world.now - began < 1.0
    world.run(when=lambda: len(world.a.got["chat"]) == len(world.b.got["chat"]) == 200)
    exactly_once(world, 200)


def test_a_peer_that_left_the_server_but_still_answers_stays() -> None:
    world = opened()
    world.a.call("presence_changed", "left")
    world.run(world.now + 5)
    assert world.a.state == "open"


def test_a_first_connection_that_never_comes_ends_with_gave_up() -> None:
    world = World(options=Options(connect_timeout=30)).start()
    world.cut_link()
    world.run(when=world.both("closed"))
    assert world.a.outcome.cause == "gave-up" or world.b.outcome.cause == "gave-up"
    assert 29 < world.now < 32
