"""Damaged descriptions, a fixed number of them; for longer see `sdp_fuzz.py`."""

from __future__ import annotations

from property.webrtc import sdp_fuzz


def test_damaged_descriptions_are_taken_or_refused_as_a_whole() -> None:
    findings: list[tuple[int, BaseException]] = []
    outcomes = sdp_fuzz.run(iter(range(1, 601)), lambda seed, error: findings.append((seed, error)))
    assert not findings, findings[0]
    # Neither always refused nor always taken, or this would say little.
    for what in ("not SDP", "refused", "offer taken", "answer taken", "connection refuses", "connection takes"):
        assert outcomes[what] >= 10, outcomes
