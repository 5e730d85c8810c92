"""Descriptions and candidates made to be too much: a connection takes or refuses them in bounded time and memory."""

from __future__ import annotations

import time
import tracemalloc
from contextlib import asynccontextmanager

import pytest

from adieu import sdp
from adieu.errors import InvalidAccessError, OperationError, RTCError
from support.virtual import simulated
from unit.jsep.test_bounds import OFFER, audio
from unit.jsep.world import FINGERPRINT

SECONDS = 30.0
"""Of this process: more than ten times what it takes."""
MIB = 1 << 20
HEAD = (
    "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n"
    f"a=fingerprint:sha-256 {FINGERPRINT['A']}\r\na=setup:actpass\r\n"
)
AUDIO = "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=rtcp-mux\r\n"


def sections(count):
    return "".join(f"{AUDIO}a=mid:{mid}\r\n" for mid in range(count))


def filled(line, start=HEAD + AUDIO, end=""):
    """As many of these lines as go into a description."""
    rows, size, number = [], len(start) + len(end), 0
    while size + len(row := line.format(number) + "\r\n") <= sdp.MAX_BYTES:
        rows.append(row)
        size += len(row)
        number += 1
    return start + "".join(rows) + end


def candidate(number):
    return f"candidate:{number} 1 udp 2130706431 10.{number % 200}.{number // 200}.9 {5000 + number} typ host"


def candidates(count):
    return OFFER.replace("a=mid:0\r\n", "a=mid:0\r\n" + "".join(f"a={candidate(n)}\r\n" for n in range(count)), 1)


@asynccontextmanager
async def bounded(mebibytes=None):
    """What is done within takes no more than this; tracing memory takes longer than all else."""
    peak = 0
    if mebibytes is not None:
        tracemalloc.start()
    began = time.process_time()
    try:
        yield
    finally:
        seconds = time.process_time() - began
        if mebibytes is not None:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    assert seconds < SECONDS, f"{seconds:.1f} s"
    assert mebibytes is None or peak < mebibytes * MIB, f"{peak / MIB:.0f} MiB"


TAKEN = {
    "1 MiB of lines": lambda: filled("a=x-{}:y"),
    "one line of 1 MiB": lambda: f"{HEAD}{AUDIO}a=x:{'y' * 1_000_000}\r\n",
    "10 000 candidates": lambda: candidates(sdp.MAX_CANDIDATES - 1),
    "256 sections": lambda: audio(256),
    "groups of nobody, and 256 sections": lambda: filled("a=group:BUNDLE", HEAD, sections(256)),
    "a group of 256": lambda: f"{HEAD}a=group:BUNDLE {' '.join(map(str, range(256)))}\r\n{sections(256)}",
    "streams": lambda: filled("a=msid:s{} t"),
    "streams of ssrcs": lambda: filled("a=ssrc:{0} msid:s{0} t"),
    "feedback": lambda: filled("a=rtcp-fb:* n{}"),
    "fingerprints": lambda: filled(f"a=fingerprint:sha-256 {FINGERPRINT['A']}"),
    "parameters": lambda: f"{HEAD}{AUDIO}a=fmtp:0 {'a=1;' * 250_000}\r\n",
    "an overlong candidate": lambda: OFFER + "a=candidate:" + "1" * 500_000 + "\r\n",
    "an overlong name": lambda: OFFER + "a=" + "\xe9" * 500_000 + "\r\n",
    "extensions that there are not": lambda: filled("a=extmap:9{} u"),
    "candidates that are none": lambda: candidates(10).replace(" udp ", " "),
}
DROPPED = {"groups of nobody, and 256 sections": 0, "an overlong candidate": 1, "candidates that are none": 10}
"""Of these it is said how many lines are not used."""


@pytest.mark.parametrize("name", TAKEN)
@simulated()
async def test_much_is_taken_and_answered(world, name):
    """Streams twice: what is compared with what was there is not compared pair by pair."""
    _, b = world.pair()
    text = TAKEN[name]()
    async with bounded():
        await b.setRemoteDescription(type="offer", sdp=text)
        await b.setLocalDescription()
        [stats] = [one for one in (await b.getStats()).values() if one["type"] == "peer-connection"]
        if "msid" in text:
            await b.setRemoteDescription(type="offer", sdp=text.replace("msid:s", "msid:z"))
    assert b.remoteDescription.type == "offer"
    assert stats["remoteLinesDropped"] == DROPPED.get(name, stats["remoteLinesDropped"])


@pytest.mark.parametrize(
    "name", ["1 MiB of lines", "one line of 1 MiB", "10 000 candidates", "extensions that there are not"]
)
@simulated()
async def test_much_is_taken_with_little_memory(world, name):
    _, b = world.pair()
    text = TAKEN[name]()
    async with bounded(128):
        await b.setRemoteDescription(type="offer", sdp=text)


def at_line(text, needle):
    """The number of the line where this is."""
    return text[: text.index(needle)].count("\n") + 1


REFUSED = {
    "more than 1 MiB": lambda: (OFFER + "a=x:" + "y" * MIB + "\r\n", None),
    "more than 1 MiB in few characters": lambda: (OFFER + "a=x:" + "\U0001f44b" * (MIB // 4) + "\r\n", None),
    "10 001 candidates": lambda: (candidates(10_001), candidate(10_000)),
    "257 sections": lambda: (audio(257), "a=mid:256"),
    "an overlong number": lambda: (OFFER.replace("sctp-port:", "sctp-port:" + "1" * 500_000), "a=sctp-port:1111"),
    "a NUL": lambda: (OFFER.replace("a=mid:1", "a=mid:\0001"), "a=mid:\0001"),
    "a lone CR": lambda: (OFFER.replace("a=mid:1", "a=x\rmid:1"), "a=x\rmid:1"),
    "nothing but lone CRs": lambda: (OFFER.replace("\r\n", "\r"), "v=0"),
    "a million lines that are empty": lambda: (OFFER + "\n" * 1_000_000, "\r\n\n"),
}


@pytest.mark.parametrize("name", REFUSED)
@simulated()
async def test_too_much_or_damaged_is_refused_by_its_line(world, name):
    text, needle = REFUSED[name]()
    _, b = world.pair()
    line = 1 if needle is None else at_line(text, needle)
    if name == "257 sections":
        line = _opening(text, line)
    if name == "a million lines that are empty":
        line += 1
    async with bounded(64):
        with pytest.raises(RTCError) as caught:
            await b.setRemoteDescription(type="offer", sdp=text)
    assert (caught.value.errorDetail, caught.value.sdpLineNumber) == ("sdp-syntax-error", line)
    assert f"line {line}:" in str(caught.value)
    assert len(str(caught.value)) < 500, "what is too long is not repeated"
    assert (b.signalingState, b.remoteDescription, b.getTransceivers()) == ("stable", None, [])


def _opening(text, line):
    """The line of the m= line above this one."""
    return next(n for n in range(line, 0, -1) if text.split("\r\n")[n - 1].startswith("m="))


@simulated()
async def test_a_group_of_many_that_are_not_there_is_refused(world):
    _, b = world.pair()
    text = f"{HEAD}a=group:BUNDLE {' '.join(map(str, range(150_000)))}\r\n{sections(256)}"
    async with bounded(64):
        with pytest.raises(InvalidAccessError, match="which no media section has"):
            await b.setRemoteDescription(type="offer", sdp=text)


@simulated()
async def test_a_user_fragment_that_goes_into_no_check_is_refused(world):
    """It and ours are the user name of each check: beyond what the agent can write there is no connection."""
    _, b = world.pair()
    ufrag = OFFER.partition("a=ice-ufrag:")[2].partition("\r\n")[0]
    with pytest.raises(InvalidAccessError, match="ufrag of 120 characters"):
        await b.setRemoteDescription(type="offer", sdp=OFFER.replace(ufrag, "u" * 120))
    assert b.signalingState == "stable"
    await b.setRemoteDescription(type="offer", sdp=OFFER.replace(ufrag, "_-=#" + "u" * 115))
    await b.setLocalDescription()
    await b.addIceCandidate(candidate=candidate(1), sdpMid="0")
    await world.settle(3.0)
    assert b.iceConnectionState == "checking"
    [transport] = [one for one in (await b.getStats()).values() if one["type"] == "transport"]
    assert transport["packetsSent"] >= 1


@simulated()
async def test_candidates_without_end(world):
    """A section takes a thousand; what is more is refused, and each at the same price."""
    _, b = world.pair()
    await b.setRemoteDescription(type="offer", sdp=OFFER)
    await b.setLocalDescription()
    refused = 0
    async with bounded():
        for number in range(3_000):
            try:
                await b.addIceCandidate(candidate=candidate(number), sdpMid="0")
            except OperationError:
                refused += 1
    assert refused == 2000
    assert b.remoteDescription.sdp.count("a=candidate") == 1000


@pytest.mark.parametrize(
    "line", ["candidate:" + "1" * MIB, candidate(1) + "\0", candidate(1) + "\ra=x", "candidate:1 " * 100_000]
)
@simulated()
async def test_a_damaged_candidate_is_refused(world, line):
    _, b = world.pair()
    await b.setRemoteDescription(type="offer", sdp=OFFER)
    before = b.remoteDescription.sdp
    async with bounded(8):
        with pytest.raises(OperationError) as caught:
            await b.addIceCandidate(candidate=line, sdpMid="0")
    assert len(str(caught.value)) < 500
    assert b.remoteDescription.sdp == before
