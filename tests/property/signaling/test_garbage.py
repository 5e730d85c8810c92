"""Whatever a server says, the client's machine neither raises nor grows."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from adieu.protocol.signaling import Join
from adieu.protocol.words import Wait
from adieu.signaling.events import Ended
from adieu.signaling.states import Want
from unit.signaling.line import Line

VECTORS = json.loads((Path(__file__).resolve().parents[3] / "vectors/protocol/signaling.json").read_text())
FRAMES = [json.loads(case["json"]) for case in VECTORS["server"]["valid"]]
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**60) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@st.composite
def frames(draw):
    """A message of the protocol with odd numbers, and now and then an odd member."""
    frame = dict(draw(st.sampled_from(FRAMES)))
    for name in ("id", "seq", "ack"):
        if draw(st.booleans()):
            frame[name] = draw(st.integers(0, 6))
    if draw(st.integers(0, 4)) == 0:
        frame[draw(st.sampled_from(sorted(frame)))] = draw(JUNK)
    return json.dumps(frame)


ACTS = st.one_of(
    frames(),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.sampled_from(["wait", "send", "join", "lose", "quit"]),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(ACTS, max_size=40))
def test_no_server_breaks_the_client(acts):
    line = Line()
    ended = 0
    for act in acts:
        if line.machine.want is Want.DIAL:
            line.machine.handle_open(None)
        match act:
            case "wait":
                line.later = []
                line.wait(1.0)
            case "send":
                line.machine.send(Wait(to="you", eta_ms=1))
            case "join" if line.machine.want is Want.TALK and line.machine.up:
                line.request(Join(room="lab"))
            case "lose":
                line.lose()
            case "quit":
                line.machine.quit("", line.now)
            case _:
                line.machine.handle_frame(act, line.now)
        line.said()
        ended += sum(isinstance(event, Ended) for event in line.events())
    assert ended == (line.machine.want is Want.NOTHING)
    assert sum(line.machine.leftovers.values()) < 100
