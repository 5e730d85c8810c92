"""What comes from a wire: descriptions and candidates are taken or refused, and a refused one changes nothing."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import adieu
from adieu import jsep, sdp
from adieu.errors import DOMException, InvalidAccessError, RTCError
from adieu.sdp import Candidate, SdpSyntaxError
from unit.jsep.world import Side

TEXTS = [path.read_bytes().decode() for path in sorted((Path(__file__).parents[2] / "fixtures" / "sdp").glob("*.sdp"))]
LINES = sorted({line for text in TEXTS for line in text.split("\r\n")})
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=12)


@st.composite
def mutated(draw: Any) -> str:
    """A description as others write it, with some lines gone, doubled, swapped or changed."""
    lines = draw(st.sampled_from(TEXTS)).split("\r\n")[:-1]
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["drop", "double", "swap", "foreign", "edit", "free"])):
            case "drop" if len(lines) > 1:
                del lines[at]
            case "double":
                lines.insert(at, lines[at])
            case "swap":
                other = draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case "foreign":
                lines.insert(at, draw(st.sampled_from(LINES)))
            case "edit":
                cut = draw(st.integers(0, len(lines[at])))
                lines[at] = lines[at][:cut] + draw(WORDS) + lines[at][cut + draw(st.integers(0, 3)) :]
            case _:
                lines.insert(at, draw(st.sampled_from(["a=", "m=", "", "c=", "o="])) + draw(WORDS))
    return draw(st.sampled_from(["\r\n", "\n"])).join(lines) + draw(st.sampled_from(["\r\n", ""]))


@settings(max_examples=500, deadline=None)
@given(text=st.one_of(mutated(), st.text(max_size=200)))
def test_a_description_is_read_or_refused(text: str) -> None:
    try:
        description = sdp.read(text)
    except SdpSyntaxError as error:
        line, description = error.line, None
    else:
        line = 1
    lines = text.removesuffix("\n").count("\n") + 1
    assert 1 <= line <= lines + 1, "one past the end is where something is missing"
    assert description is None or sdp.read(sdp.write(description)) == description, "what is written reads the same"


@settings(max_examples=500, deadline=None)
@given(text=mutated(), answers=st.booleans())
def test_a_description_is_applied_wholly_or_not_at_all(text: str, answers: bool) -> None:
    side = Side("A")
    if answers:
        side.offer()
    before = side.now
    try:
        side.remote("answer" if answers else "offer", text)
    except (RTCError, InvalidAccessError):
        assert side.now is before
        return
    if not answers:
        answer = jsep.parse_description("answer", side.answer())
        assert len(answer.sections) == len(side.now.current_remote.sections)
        assert [s.media.kind for s in answer.sections] == [s.media.kind for s in side.now.current_remote.sections]
    assert side.now.state == "stable"
    side.offer()
    side.rollback()


@settings(max_examples=500, deadline=None)
@given(text=st.one_of(st.text(max_size=100), st.sampled_from([li for li in LINES if "candidate:" in li]).flatmap(
    lambda line: st.tuples(st.integers(0, len(line)), WORDS).map(lambda c: line[: c[0]] + c[1] + line[c[0] + 1 :])
)))  # fmt: skip
def test_a_candidate_is_read_or_refused(text: str) -> None:
    try:
        candidate = Candidate.parse(text)
    except SdpSyntaxError:
        return
    assert Candidate.parse(str(candidate)) == candidate
    adieu.RTCIceCandidate(candidate=text, sdpMid="0")


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(mutated(), max_size=5), candidates=st.lists(st.text(max_size=60), max_size=5))
def test_a_connection_takes_or_refuses_it(texts: list[str], candidates: list[str]) -> None:
    """With the core under it: an exception of ours, and a connection that can still be closed without a trace."""

    async def main() -> None:
        pc = adieu.RTCPeerConnection()
        pc.createDataChannel("x")
        for text in texts:
            with suppress(DOMException):
                await pc.setRemoteDescription(type="offer", sdp=text)
                for line in candidates:
                    with suppress(DOMException):
                        await pc.addIceCandidate(candidate=line, sdpMLineIndex=0)
                await pc.setLocalDescription()
        pc.close()
        assert not await asyncio.wait_for(pc.wait_closed(), 10)

    asyncio.run(main())


def test_the_mutations_reach_both_ends() -> None:
    """Neither always refused nor always taken, or these tests would say little."""
    seen = set()

    @settings(max_examples=300, deadline=None, database=None)
    @given(text=mutated())
    def look(text: str) -> None:
        try:
            Side("A").remote("offer", text)
            seen.add("taken")
        except DOMException as error:
            seen.add(type(error).__name__)

    look()
    assert {"taken", "RTCError", "InvalidAccessError"} <= seen
