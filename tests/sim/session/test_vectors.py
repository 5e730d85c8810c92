"""The traces in vectors/session hold: the machine does and tells what they say (another language replays the same)."""

from __future__ import annotations

import json

import msgspec
import pytest

from sim.session import traces

FILES = sorted(traces.FOLDER.glob("*.json"))


def test_there_is_a_trace_of_each_side_of_each_scenario() -> None:
    assert {path.stem for path in FILES} == {f"{name}_{side}" for name in traces.SCENARIOS for side in "ab"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_machine_does_what_the_trace_says(path: traces.Path) -> None:
    trace = json.loads(path.read_text())
    machine = traces.replay(trace)
    assert msgspec.to_builtins(machine.outcome) == trace["outcome"]
