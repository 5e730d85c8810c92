"""Numbers, acknowledgements, buckets, redaction."""

from __future__ import annotations

import pytest

from adieu.bucket import Bucket
from adieu.protocol.redact import redact
from adieu.protocol.replay import Incoming, Outgoing


def test_what_is_sent_is_kept_until_it_is_acknowledged():
    outgoing: Outgoing[str] = Outgoing()
    assert [outgoing.add(item, 10) for item in "abc"] == [1, 2, 3]
    assert (len(outgoing), outgoing.size) == (3, 30)
    assert outgoing.acknowledge(2) == ["a", "b"]
    assert outgoing.acknowledge(1) == []
    assert list(outgoing.kept()) == [(3, "c")]
    assert (outgoing.acknowledged, outgoing.size) == (2, 10)


def test_what_was_never_sent_can_not_be_acknowledged():
    outgoing: Outgoing[str] = Outgoing()
    outgoing.add("a", 1)
    with pytest.raises(ValueError, match="acknowledged 2, but 1 is the last"):
        outgoing.acknowledge(2)
    assert list(outgoing.kept()) == [(1, "a")]


def test_what_comes_twice_is_new_once():
    incoming = Incoming()
    assert incoming.say() is None
    assert [incoming.accept(seq) for seq in (1, 2, 1, 2, 3)] == [True, True, False, False, True]
    assert (incoming.last, incoming.unsaid) == (3, 5)
    assert incoming.say() == 3
    assert incoming.unsaid == 0


def test_a_gap_is_an_error_and_changes_nothing():
    incoming = Incoming()
    incoming.accept(1)
    with pytest.raises(ValueError, match="message 3 came after 1"):
        incoming.accept(3)
    assert incoming.last == 1


def test_a_bucket_gives_its_burst_and_then_its_rate():
    bucket = Bucket(10.0, 3, 0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.ready_at() == pytest.approx(0.1)
    assert not bucket.take(0.099)
    assert bucket.take(0.1001)
    assert [bucket.take(99.0) for _ in range(4)] == [True, True, True, False]


def test_a_bucket_does_not_run_backwards():
    bucket = Bucket(1.0, 1, 10.0)
    assert bucket.take(10.0)
    assert not bucket.take(5.0)
    assert bucket.take(11.0)


def test_secrets_are_hidden_wherever_they_stand():
    text = (
        '{"type":"welcome","resumeToken":"AAA","token":"BBB","resume":{"token":"CCC"},'
        '"iceServers":[{"urls":["turn:x"],"credential":"DDD"}],"sdp":"a=ice-ufrag:u\\r\\na=ice-pwd:EEE\\r\\nm=x"}'
    )
    shown = redact(text)
    for secret in ("AAA", "BBB", "CCC", "DDD", "EEE"):
        assert secret not in shown
    assert "a=ice-ufrag:u" in shown
    assert "m=x" in shown


DEEP = ["[" * depth + "]" * depth for depth in (17, 500, 700, 50_000)]


@pytest.mark.parametrize("text", ["token=AAA", "{", "[" * 50_000, b"\xff", *DEEP, '{"a":' * 500 + "1" + "}" * 500])
def test_what_no_peer_may_send_is_not_shown(text):
    assert redact(text) == f"<{len(text)} bytes that are not JSON, or nested too deep>"


def test_a_long_message_is_cut():
    assert len(redact('{"x":"' + "y" * 10_000 + '"}')) < 450
