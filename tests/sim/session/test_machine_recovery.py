"""The recovery policy is replaceable, and a reported cause does not flicker (closing rules S7, S10)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from adieu.session.machine import actions
from adieu.session.machine.cause import CAUSES, PeerEvidence, confidence
from adieu.session.machine.options import Ladder, Options
from sim.session.world import World


def opened(**options: Any) -> World:
    world = World(options=Options(**options)).start()
    world.run(when=world.both("open"))
    return world


@dataclass
class Asked:
    """A policy that keeps what it is asked, and answers by a table: from these seconds on, this step."""

    table: tuple[tuple[float, Any], ...]
    every: Any = 1.0

    def __post_init__(self) -> None:
        self.questions: list[tuple[float, int]] = []

    def step(self, silence: float, attempts: int) -> Any:
        self.questions.append((round(silence, 3), attempts))
        step = [step for since, step in self.table if silence >= since][-1]
        return step, silence + self.every


def test_a_policy_of_the_program_decides_when_to_try_what() -> None:
    policy = Asked(((0.0, "wait"), (6.0, "transport"), (7.5, "wait"), (12.0, "give-up")))
    world = opened(recovery=policy)
    began = world.now
    world.cut_link()
    world.run(when=lambda: world.a.state == "closed")
    assert world.a.outcome.cause == "network-lost", "it answers by signaling"
    assert 12.0 <= world.now - began <= 15.0
    tried = [when for when, event in world.a.log if isinstance(event, actions.ResetStarted)]
    assert tried and 6.0 <= tried[0] - began <= 8.0, "one new connection beside the first"
    assert next(silence for silence, attempts in policy.questions if attempts == 0) == 3.0
    assert policy.questions == sorted(policy.questions)


def test_a_new_connection_has_its_time_whatever_the_policy_says() -> None:
    policy = Asked(((0.0, "wait"), (4.0, "transport"), (24.5, "give-up")), every=0.1)
    world = opened(recovery=policy)
    world.cut_link()
    world.run(when=lambda: world.a.state == "closed")
    tried = [when for when, event in world.a.log if isinstance(event, actions.ResetStarted)]
    assert 3 <= len(tried) <= 5
    assert all(after - before >= 5.0 for before, after in pairwise(tried))
    assert policy.questions[-2][1] == len(tried), "and it hears of all"


def test_a_side_that_waits_follows_the_other_to_its_next_connection() -> None:
    """The other has given up the connection that this side still makes, and asks for another."""
    world = opened()
    world.a.machine.options = Options(recovery=Asked(((0.0, "wait"),)))
    world.b.machine.options = Options(recovery=Asked(((0.0, "wait"), (4.0, "transport"))))
    world.cut_link()
    world.run(world.now + 3.5)
    for side in (world.a, world.b):
        side.call("connection_lost", 1, "failed", "ICE failed")
    world.run(when=lambda: len(world.b.events(actions.ResetStarted)) == 3)
    world.cut_link(False)
    began = world.now
    world.run(when=world.both("open"))
    assert world.now - began < 1.0


def test_a_connection_that_heals_one_way_only_is_replaced_soon() -> None:
    """The side that offers hears the old connection and cancels; its own stack sends again ever more rarely."""
    world = World().start()
    world.run(when=world.both("open"))
    world.cut_link()
    world.run(when=lambda: bool(world.b.machine.reset and world.b.machine.reset.level == "transport"))
    world.a.pausing.add(1)
    world.cut_link(False)
    healed = world.now
    world.run(when=lambda: world.a.state == "open")
    assert world.b.state == "recovering"
    world.run(when=world.both("open"))
    assert world.now - healed < 3.0
    assert world.a.machine.active == world.b.machine.active != 1


def test_the_ladder_counts_from_a_rung_that_came_late() -> None:
    """Without signaling nothing can be tried: what was missed is not made up for."""
    ladder = Ladder()
    assert ladder.step(8.0, 0) == ("transport", 18.0)
    assert ladder.step(37.0, 0) == ("transport", 47.0)
    assert ladder.step(37.1, 1) == ("transport", 47.1), "as soon as the first is known to have failed"
    assert ladder.step(55.0, 1) == ("transport", 60.0)


def test_the_default_is_one_of_them() -> None:
    world = opened(recovery=Ladder(give_up=4.0))
    world.cut_link()
    began = world.now
    world.run(when=lambda: world.a.state == "closed")
    assert world.now - began <= 7.0


@pytest.mark.parametrize(
    ("table", "every"),
    [
        (((0.0, "explode"),), 1.0),
        (((0.0, None),), 1.0),
        (((0.0, "wait"),), float("nan")),
        (((0.0, "wait"),), float("inf")),
        (((1e9, "wait"),), 1.0),  # raises before that
    ],
)
def test_a_failed_policy_gives_way_to_the_default_with_evidence(table: Any, every: Any) -> None:
    world = opened(recovery=Asked(table, every))
    world.cut_link()
    began = world.now
    world.run(when=lambda: world.a.state == "closed")
    assert 55.0 <= world.now - began <= 65.0, "as the default gives up"
    assert any("the recovery policy failed: the default decides" in line for line in world.a.outcome.evidence)


@pytest.mark.parametrize("policy", [None, 5, "ladder", Ladder.step])
def test_what_is_no_policy_is_refused_by_name(policy: Any) -> None:
    with pytest.raises(TypeError, match=r"step\(silence, attempts\)"):
        Options(recovery=policy)


# --- the cause


def test_a_cause_is_corrected_at_most_once_within_five_seconds() -> None:
    world = opened()
    world.b.stuck = True  # its program hangs, its engine answers
    world.run(when=lambda: world.a.machine.evidence.reported == "busy")
    told = [(when, event.cause) for when, event in world.a.log if isinstance(event, actions.StateChanged)]
    first, corrected = told[-2:]
    assert first[1] == "frozen, network-lost" and corrected[0] - first[0] < 1.0
    world.kill(world.b)  # at once after the correction: the truth has changed
    world.run(world.now + 12.0)
    later = [(when, event.cause) for when, event in world.a.log if isinstance(event, actions.StateChanged)]
    changes = [(when, cause) for (when, cause), before in zip(later[1:], later, strict=False) if cause != before[1]]
    causes = [cause for _, cause in changes]
    assert causes[-1] == "crashed", "what is true is told in the end"
    times = [when for when, cause in changes if cause]
    assert all(late - early >= 5.0 for early, late in pairwise(times[1:])), changes


def test_two_pieces_of_evidence_in_turn_do_not_flicker() -> None:
    evidence = PeerEvidence()
    evidence.reported = evidence.told(0.0)
    heard = [evidence.reported]
    for tenth in range(1, 200):
        evidence.probe_peer = tenth % 2 == 0
        if (cause := evidence.told(tenth / 10)) != evidence.reported:
            evidence.reported = cause
            heard.append(cause)
    assert 2 <= len(heard) <= 5, heard


def test_each_cause_says_how_sure_it_is() -> None:
    sure = {cause: confidence(cause) for cause in (*CAUSES, "frozen, network-lost")}
    assert sure.pop("frozen, network-lost") == "possible"
    assert {cause for cause, confidence in sure.items() if confidence == "likely"} == {"crashed", "frozen"}
    assert sure["busy"] == sure["left"] == sure["network-lost"] == "certain"
