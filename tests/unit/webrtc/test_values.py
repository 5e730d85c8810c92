"""Descriptions, candidates, events and errors as values."""

import json
import subprocess
import sys

import pytest

import adieu
from adieu import (
    RTCError,
    RTCErrorEvent,
    RTCIceCandidate,
    RTCPeerConnectionIceErrorEvent,
    RTCPeerConnectionIceEvent,
    RTCSessionDescription,
)

LINE = "candidate:4 2 tcp 7 203.0.113.7 9 typ srflx raddr 10.0.0.1 rport 6 tcptype active"


def test_a_description():
    for description in (
        RTCSessionDescription({"type": "offer", "sdp": "v=0"}),
        RTCSessionDescription(type="offer", sdp="v=0"),
        RTCSessionDescription(RTCSessionDescription(type="offer", sdp="v=0")),
        RTCSessionDescription(adieu.RTCSessionDescriptionInit("offer", "v=0")),
    ):
        assert (description.type, description.sdp) == ("offer", "v=0")
        assert json.loads(json.dumps(description.toJSON())) == {"type": "offer", "sdp": "v=0"}
    assert RTCSessionDescription(type="rollback").sdp == ""


@pytest.mark.parametrize("members", [{}, {"type": "bye"}, {"type": None}, {"type": "offer", "sdp": None}])
def test_a_wrong_description(members):
    with pytest.raises(TypeError):
        RTCSessionDescription(members)


def test_what_a_candidate_says():
    candidate = RTCIceCandidate({"candidate": LINE, "sdpMid": "0", "usernameFragment": "u", "new": 1})
    assert (candidate.foundation, candidate.component, candidate.priority) == ("4", "rtcp", 7)
    assert (candidate.address, candidate.port, candidate.protocol) == ("203.0.113.7", 9, "tcp")
    assert (candidate.type, candidate.tcpType) == ("srflx", "active")
    assert (candidate.relatedAddress, candidate.relatedPort) == ("10.0.0.1", 6)
    assert candidate.toJSON() == {
        "candidate": LINE,
        "sdpMid": "0",
        "sdpMLineIndex": None,
        "usernameFragment": "u",
    }
    assert RTCIceCandidate(candidate).toJSON() == candidate.toJSON()


@pytest.mark.parametrize("line", ["", "rubbish", LINE.replace("tcp 7", "sctp 7"), LINE.replace("srflx", "magic")])
def test_a_candidate_that_is_not_understood_keeps_its_line_alone(line):
    """W3C create an RTCIceCandidate step 4."""
    candidate = RTCIceCandidate(candidate=line, sdpMLineIndex=0)
    assert candidate.candidate == line
    assert candidate.sdpMLineIndex == 0
    for name in ("foundation", "component", "priority", "address", "protocol", "port", "type", "tcpType"):
        assert getattr(candidate, name) is None
    assert (candidate.relatedAddress, candidate.relatedPort, candidate.url) == (None, None, None)


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"candidate": LINE},
        {"sdpMid": 5},
        {"sdpMLineIndex": -1},
        {"sdpMLineIndex": 65536},
        {"candidate": None, "sdpMid": ""},
    ],
)
def test_a_wrong_candidate(members):
    with pytest.raises(TypeError):
        RTCIceCandidate(members)


def test_events_are_made_as_in_the_browser():
    candidate = RTCIceCandidate(candidate=LINE, sdpMid="0")
    event = RTCPeerConnectionIceEvent("icecandidate", {"candidate": candidate, "url": "stun:x"})
    assert (event.type, event.candidate, event.url, event.target) == ("icecandidate", candidate, "stun:x", None)
    assert RTCPeerConnectionIceEvent("icecandidate").candidate is None
    failed = RTCPeerConnectionIceErrorEvent("icecandidateerror", errorCode=701, url="stun:x")
    assert (failed.errorCode, failed.url, failed.address, failed.port, failed.errorText) == (
        701,
        "stun:x",
        None,
        None,
        "",
    )
    error = RTCError({"errorDetail": "sctp-failure", "sctpCauseCode": 12}, "gone")
    assert RTCErrorEvent("error", {"error": error}).error is error
    assert RTCErrorEvent("error", error=error).error.name == "OperationError"


@pytest.mark.parametrize(
    "make",
    [
        lambda: RTCErrorEvent("error"),
        lambda: RTCErrorEvent("error", error=ValueError()),
        lambda: adieu.RTCDataChannelEvent("datachannel"),
        lambda: adieu.RTCDataChannelEvent("datachannel", channel=1),
        lambda: RTCPeerConnectionIceEvent("icecandidate", candidate="candidate:1"),
        lambda: RTCPeerConnectionIceErrorEvent("icecandidateerror"),
        lambda: RTCPeerConnectionIceErrorEvent("icecandidateerror", errorCode="x"),
        lambda: RTCError({}),
    ],
)
def test_events_that_can_not_be_made(make):
    with pytest.raises(TypeError):
        make()


def test_importing_does_nothing():
    """No thread, no descriptor, no warning."""
    program = (
        "import os, threading\n"
        "before = len(os.listdir('/proc/self/fd'))\n"
        "import adieu\n"
        "assert len(os.listdir('/proc/self/task')) == 1, 'a thread'\n"
        "assert len(os.listdir('/proc/self/fd')) == before, 'a descriptor'\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)


def test_every_public_name_is_there():
    assert sorted(set(adieu.__all__)) == sorted(adieu.__all__)
    for name in adieu.__all__:
        assert hasattr(adieu, name)
