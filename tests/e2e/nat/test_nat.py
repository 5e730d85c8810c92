"""Which pairs of NATs connect without a relay is as the RFCs predict. `nox -s nat` tries all nine."""

from __future__ import annotations

import os
import shutil

import pytest

from conftest import missing
from e2e.nat import run
from e2e.nat.world import direct_by_the_rfcs
from e2e.nat.world import missing as missing_tool

PAIRS = [
    ("full cone", "symmetric"),
    ("port-restricted", "port-restricted"),
    ("port-restricted", "symmetric"),
]


@pytest.fixture(autouse=True)
def tools():
    if (tool := missing_tool()) is not None:
        missing(tool, "python tools/system.py installs it, or says how")
    if os.geteuid() != 0:
        pytest.skip("network namespaces with routes between them need root")


@pytest.mark.parametrize("kinds", PAIRS, ids=" and ".join)
async def test_two_programs_meet_through_their_nats_or_fail_as_predicted(kinds):
    outcome = await run.attempt(kinds)
    assert outcome.is_direct == direct_by_the_rfcs(*kinds), outcome
    if outcome.path:
        assert outcome.seconds < 5.0


@pytest.mark.parametrize("relay", ["udp", "tcp"])
async def test_what_cannot_be_direct_goes_by_a_relay(relay):
    if shutil.which("turnserver") is None:
        missing("turnserver", "python tools/system.py installs it, or says how")
    outcome = await run.attempt(("symmetric", "symmetric"), relay)
    assert outcome.path is not None
    assert "relay" in outcome.path, outcome
