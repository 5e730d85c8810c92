"""Short forms of values for the log: what is shown, what is not, and that a peer cannot write a line of its own."""

from __future__ import annotations

import logging

import pytest

from adieu import log

CANDIDATE = "candidate:1 1 udp 1 192.0.2.1 9 typ host"
SDP = f"v=0\r\nm=audio 9 x\r\na=ice-pwd:secret\r\nm=video 9 x\r\nm=audio 9 x\r\na={CANDIDATE}\r\n"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("candidate:1 1 UDP 2130706431 192.0.2.1 5000 typ host ufrag x", "udp host 192.0.2.1:5000"),
        ("candidate:1 1 udp 1 2001:db8::1 9 typ srflx raddr :: rport 0", "udp srflx [2001:db8::1]:9"),
        ("candidate:1 1 tcp 1 x.local 9 typ host tcptype active", "tcp host x.local:9"),
        ("", "the last one"),
        ("candidate:1 1 udp", "malformed: candidate:1 1 udp"),
    ],
)
def test_a_candidate_is_its_protocol_type_and_address(line: str, shown: str) -> None:
    assert log.candidate(line) == shown


def test_a_path_is_two_candidates() -> None:
    local, remote = (f"candidate:1 1 udp 1 192.0.2.{n} 900{n} typ host" for n in (1, 2))
    assert log.path(local, remote) == "udp host 192.0.2.1:9001 -> host 192.0.2.2:9002"


@pytest.mark.parametrize(
    ("sdp", "shown"),
    [(SDP, "2 audio, video; 1 candidate"), ("v=0\r\n", "no sections"), ("m=\x1b[31m 9", "\ufffd[31m")],
)
def test_a_description_is_the_kinds_of_its_sections(sdp: str, shown: str) -> None:
    assert log.description(sdp) == shown


@pytest.mark.parametrize("bad", ["\n", "\r", "\x1b[31m", "\x00", "\u2028", "\u202e", "\u200b", "\ud800"])
def test_a_text_of_the_other_side_stays_in_its_line(bad: str) -> None:
    shown = log.text(f"a{bad}b")
    assert shown.isprintable()
    assert shown.startswith("a\ufffd")
    assert shown.endswith("b")
    shown.encode()


def test_a_long_text_is_cut() -> None:
    assert log.text("x" * 1000) == "x" * log.MAX_TEXT + "..."
    assert len(log.description("m=" + "x" * 1000)) < log.MAX_TEXT + 10


def test_ids_are_never_the_same() -> None:
    one, other = log.new_id("pc"), log.new_id("pc")
    assert one != other
    assert log.new_id("s")[1:].isdigit()


def test_without_a_handler_nothing_is_written_below_warning() -> None:
    for logger in (log.ICE, log.DTLS, log.SCTP, log.WEBRTC, log.SESSION, log.SIGNALING):
        assert logger.level == logging.NOTSET
        assert logger.parent is logging.getLogger("adieu")
