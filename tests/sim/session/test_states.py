"""The machine does what the table of states says: which words have an effect, what may be asked, what may follow."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest

from adieu.errors import SessionClosedError
from adieu.protocol import words
from adieu.protocol.control import Reliability
from adieu.session.machine import actions
from adieu.session.machine.held import Payload
from adieu.session.machine.machine import SessionMachine, machine_input
from adieu.session.machine.state import Reset
from adieu.session.machine.states import STATES
from sim.session import states, traces
from sim.session.test_machine_close import opened
from sim.session.world import World

REQUESTS: dict[str, tuple[Any, ...]] = {
    "ask_close": (words.Reason("left", "bye"), 5.0),
    "abort": (),
    "ask_reset": ("transport",),
    "ask_wait": ("a moment", 1.0),
    "grant_wait": (60.0,),
    "open_channel": ("another",),
    "send": ("chat", Payload(b"x", text=False)),
}


def first(state: str) -> list[tuple[str, int]]:
    return [where for (name, *_), where in states.situations().items() if name == state]


def machine_in(where: tuple[str, int]) -> Any:
    trace = json.loads((traces.FOLDER / f"{where[0]}.json").read_text())
    machine = traces.replay({**trace, "steps": trace["steps"][: where[1]]})
    while machine.poll_action() or machine.poll_event():
        pass
    return machine


def test_words_have_an_effect_where_the_table_says_so_and_nowhere_else() -> None:
    seen: dict[str, set[str]] = defaultdict(set)
    for case in states.cases():
        seen[case["state"]] |= {word["type"] for word, effect in case["words"] if effect}
    for state in ("open", "suspect", "closing"):
        for phase, word in (
            ("asked", words.ResetOk(asker="a", n=7, epoch=9, level="transport")),
            ("switching", words.Switched(epoch=1, have={})),
        ):
            machine = next(m for m in map(machine_in, first(state)) if m.me == "a" and m.outcome is None)
            # Rare there: no trace has it.
            machine.reset = Reset("transport", word.epoch, "a", 7, machine.now, recovery=True, phase=phase)
            if states.has_effect(machine, word):
                seen[state].add("resetOk" if phase == "asked" else "switched")
    assert {state: row.words for state, row in STATES.items()} == seen


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("request_", REQUESTS)
def test_the_application_may_ask_for_what_the_table_says(state: str, request_: str) -> None:
    accepted = False
    for where in first(state):
        machine = machine_in(where)
        if request_ == "send" and ("chat" not in machine.channels or "chat" in machine.ending):
            continue  # the channel's own end refuses it, not the session's state
        named = {"ordered": True, "reliability": Reliability()} if request_ == "open_channel" else {}
        before = states.picture(machine), list(machine.channels)
        try:
            getattr(machine, request_)(*REQUESTS[request_], now=machine.now, **named)
        except SessionClosedError:
            continue
        changed = states.picture(machine), list(machine.channels)
        accepted = accepted or request_ == "send" or changed != before or bool(machine.poll_action())
    if state == "connecting" and request_ == "send":
        machine = machine_in(first(state)[0])
        machine.open_channel("chat", ordered=True, reliability=Reliability(), now=machine.now)
        accepted = machine.send("chat", Payload(b"x", text=False), now=machine.now) == 1
    assert accepted == (request_ in STATES[state].requests)  # type: ignore[index]


def answered_late() -> World:
    world = opened()
    world.cut_link()
    world.run(when=lambda: world.a.state == "suspect")
    world.cut_link(False)
    world.run(when=world.both("open"))
    return world


def reset_in(state: str) -> World:
    world = opened()
    world.cut_link()
    world.run(when=lambda: world.a.state == state)
    world.a.reset("full")
    world.run(world.now + 10.0)
    return world


def cut_in_a_reset() -> World:
    world = opened()
    world.a.reset("transport")
    world.cut_link()
    world.run(world.now + 10.0)
    return world


def broken() -> World:
    world = opened()
    world.cut_link()
    for side in (world.a, world.b):
        side.call("connection_lost", 1, "failed", "it broke")
    world.run(world.now + 1.0)
    world.a.close()
    world.run(when=lambda: world.a.state == "closed")
    return world


def ended_in(state: str) -> World:
    world = World().start() if state == "connecting" else opened()
    if state == "resetting":
        world.a.reset("transport")
    world.a.close()
    world.run(when=lambda: world.a.state == "closed")
    return world


def test_states_follow_each_other_as_the_table_says_and_no_other_way() -> None:
    worlds = [scenario() for scenario in traces.SCENARIOS.values()]
    worlds += [answered_late(), reset_in("suspect"), reset_in("recovering"), broken(), cut_in_a_reset()]
    worlds += [ended_in(state) for state in ("connecting", "resetting")]
    seen: dict[str, set[str]] = {state: set() for state in STATES}
    for world in worlds:
        for side in (world.a, world.b):
            for event in side.events(actions.StateChanged):
                if event.state != event.previous:
                    seen[event.previous].add(event.state)
    assert seen == {state: set(row.leads_to) for state, row in STATES.items()}


def test_the_page_and_the_vector_are_what_the_table_says() -> None:
    again = "run `python -m sim.session.states` in tests/"
    assert states.PAGE.read_text("utf-8") == states.page(), again
    assert json.loads(states.VECTOR.read_text("utf-8")) == json.loads(json.dumps(states.cases())), again


def test_an_input_must_take_the_time_last() -> None:
    def wrong(self: SessionMachine, now: float, speaking: bool = False) -> None: ...

    with pytest.raises(TypeError, match="the last positional argument of an input is `now`"):
        machine_input(wrong)
