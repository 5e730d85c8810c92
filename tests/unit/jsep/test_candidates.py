"""Trickled candidates: into the text, and to the transport they belong to."""

import re

import pytest

from adieu import jsep, sdp
from adieu.errors import OperationError
from adieu.jsep import AddCandidate
from adieu.jsep.candidates import MAX_ADDED
from adieu.sdp import Candidate
from unit.jsep.world import HEAD, Side, negotiate

LINE = "candidate:1 1 udp 2130706431 10.0.0.1 5000 typ host"
HOST = Candidate.parse(LINE)


@pytest.fixture
def a():
    return Side("A")


@pytest.fixture
def b():
    return Side("B", data=False)


def add(side, candidate=HOST, *, mid="0", index=None, ufrag=None):
    return side.take(jsep.add_remote_candidate(side.now, candidate, mid=mid, index=index, ufrag=ufrag))


def end(side, *, mid=None, index=None, ufrag=None):
    return side.take(jsep.end_remote_candidates(side.now, mid=mid, index=index, ufrag=ufrag))


def test_a_candidate_goes_into_the_text_and_to_the_transport(a, b):
    negotiate(a, b)
    assert add(b) == [AddCandidate("0", 1, LINE)]
    assert b.now.current_remote.text.count("a=" + LINE + "\r\n") == 1
    assert add(b, mid=None, index=0) == [AddCandidate("0", 1, LINE)]


@pytest.mark.parametrize(("port", "way", "tried"), [(8001, "passive", 1), (25, "passive", 0), (9, "active", 1)])
def test_a_bad_port_is_not_tried_and_nothing_shows_it(a, b, port, way, tried):
    """W3C addIceCandidate, administratively prohibited."""
    negotiate(a, b)
    line = f"candidate:1 1 tcp 1518214911 10.0.0.1 {port} typ host tcptype {way}"
    assert len(add(b, Candidate.parse(line))) == tried
    assert line in b.now.current_remote.text


def test_before_the_answer_it_waits_in_the_description(a, b):
    b.remote("offer", a.offer())
    assert add(b) == []
    assert end(b) == []
    b.answer()
    assert b.actions[2:4] == [AddCandidate("0", 1, LINE), AddCandidate("0", 1, None)]


def test_candidates_of_a_restart_go_to_its_generation(a, b):
    """W3C addIceCandidate step 4.6: by the ufrag, or to the newest generation."""
    negotiate(a, b)
    old = a.now.transports["0"].local.ufrag
    b.remote("offer", a.offer(restart=True))
    new = a.now.local.sections[0].credentials.ufrag
    assert add(b, ufrag=old) == [AddCandidate("0", 1, LINE)]
    assert LINE in b.now.current_remote.text
    assert LINE not in b.now.pending_remote.text
    assert add(b, ufrag=new) == []
    assert add(b) == []
    assert b.now.pending_remote.text.count(LINE) == 2
    b.answer()
    assert AddCandidate("0", 2, LINE) in b.actions


def test_an_end_for_one_section_and_for_all(a, b):
    negotiate(a, b)
    assert end(b, mid="0", ufrag=a.now.transports["0"].local.ufrag) == [AddCandidate("0", 1, None)]
    assert b.now.current_remote.text.endswith("a=end-of-candidates\r\n")
    assert end(b) == [], "said already"
    assert end(a, index=0) == [AddCandidate("0", 1, None)]


@pytest.mark.parametrize("how", [{"mid": "9"}, {"mid": None, "index": 1}, {"mid": "0", "ufrag": "none"}])
def test_a_candidate_for_nobody(a, b, how):
    negotiate(a, b)
    with pytest.raises(OperationError):
        add(b, **how)
    with pytest.raises(OperationError):
        end(b, **how)


def test_a_generation_that_the_line_names_and_nobody_has_is_no_error(a, b):
    """As in browsers: it is of a generation that is over, or has not begun (RFC 8838 section 11)."""
    negotiate(a, b)
    before = b.now
    assert add(b, Candidate.parse(f"{LINE} ufrag none")) == []
    assert b.now is before
    with pytest.raises(OperationError, match="no section"):
        add(b, Candidate.parse(f"{LINE} ufrag none"), mid="9")
    ufrag = a.now.transports["0"].local.ufrag
    assert len(add(b, Candidate.parse(f"{LINE} ufrag {ufrag}"))) == 1


def test_an_odd_candidate_goes_to_the_transport_in_plain_letters(a, b):
    negotiate(a, b)
    [action] = add(b, Candidate.parse("candidate:host-udp_1 1 udp 1 [fe80::1%eth0] 5000 typ host x y"))
    assert re.fullmatch(r"candidate:[0-9a-f]{8} 1 udp 1 fe80::1 5000 typ host", action.line)
    assert "a=candidate:host-udp_1 1 udp 1 fe80::1%eth0 5000 typ host x y\r\n" in b.now.current_remote.text


def test_candidates_of_rtcp_stay_in_the_text(a, b):
    negotiate(a, b)
    assert add(b, Candidate.parse(LINE.replace(" 1 udp", " 2 udp"))) == []
    assert "1 2 udp" in b.now.remote.text


def test_there_is_a_bound(a, b):
    negotiate(a, b)
    for _ in range(MAX_ADDED):
        add(b)
    with pytest.raises(OperationError, match=str(MAX_ADDED)):
        add(b)


def test_our_own_make_the_default_address(a):
    """RFC 8839 section 4.2: relay before srflx before host, IPv4 before IPv6."""
    a.offer()
    ufrag = a.now.local.sections[0].credentials.ufrag

    def surface(line):
        a.now = jsep.add_local_candidate(a.now, "0", ufrag, Candidate.parse(line))
        media = sdp.read(a.now.local.text).media[0]
        return media.port, media.of_type("c").value

    assert surface("candidate:1 1 udp 9 fd00::1 1111 typ host") == (1111, "IN IP6 fd00::1")
    assert surface("candidate:1 1 udp 8 10.0.0.1 2222 typ host") == (2222, "IN IP4 10.0.0.1")
    assert surface("candidate:2 1 udp 7 203.0.113.1 3333 typ srflx raddr 10.0.0.1 rport 2222")[0] == 3333
    assert surface("candidate:1 1 udp 9 10.0.0.2 4444 typ host")[0] == 3333
    assert surface("candidate:1 1 tcp 9 10.0.0.2 9 typ host tcptype active")[0] == 3333
    a.now = jsep.end_local_candidates(a.now, "0", ufrag)
    assert a.now.local.text.endswith("a=end-of-candidates\r\n")


def test_our_own_stay_in_later_offers_until_ice_restarts(a, b):
    negotiate(a, b)
    ufrag = a.now.local.sections[0].credentials.ufrag
    a.now = jsep.add_local_candidate(a.now, "0", ufrag, HOST)
    a.now = jsep.end_local_candidates(a.now, "0", ufrag)
    assert a.offer().count("a=candidate") == 1
    assert "m=application 5000 " in a.now.local.text
    a.rollback()
    assert "candidate" not in a.offer(restart=True)


def test_candidates_of_a_generation_that_is_gone_go_nowhere(a):
    a.offer()
    ufrag = a.now.local.sections[0].credentials.ufrag
    a.rollback()
    assert jsep.add_local_candidate(a.now, "0", ufrag, HOST) is None
    assert jsep.end_local_candidates(a.now, "0", ufrag) is None


def test_a_candidate_for_a_section_that_we_reject_is_taken_and_goes_nowhere(b):
    section = "m=text 9 RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=rtcp-mux\r\n"
    b.remote("offer", HEAD + section)
    b.answer()
    assert add(b) == []
