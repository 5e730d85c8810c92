"""The streams of senders, as descriptions name them."""

from adieu import jsep
from adieu.sdp import attributes
from unit.jsep.test_media import change, codec, media_side, sections


def named(text):
    return [line for line in text.split("\r\n") if line.startswith("a=ssrc")]


def test_the_streams_of_a_sender_that_sends_packets_again_are_named():
    """RFC 5576, RFC 4588 section 8.8: both, in each description, and the same after a rollback."""
    a, b = media_side("A", "video", "audio"), media_side("B", "video", made_by_track=True)
    text = a.offer(cname="us")
    ssrc, again = jsep.own_ssrcs("7", 1)
    lines = [f"a=ssrc-group:FID {ssrc} {again}", f"a=ssrc:{ssrc} cname:us", f"a=ssrc:{again} cname:us"]
    assert named(text) == lines
    assert attributes.ssrcs(sections(text)[0].media) == (ssrc, again)
    a.rollback()
    assert named(a.offer(cname="us")) == lines
    b.remote("offer", text)
    assert len(named(jsep.create_answer(b.now, b.parameters(cname="them")))) == 3
    assert len({*jsep.own_ssrcs("7", 1), *jsep.own_ssrcs("7", 2), *jsep.own_ssrcs("8", 1)}) == 6


def test_streams_that_are_not_repaired_or_not_sent_are_not_named():
    a = media_side("A", "video")
    assert named(a.offer()) == [], "a side without a name"
    a.rollback()
    change(a, 1, preferences=(codec("VP8"),))
    assert named(a.offer(cname="us")) == [], "no packet is sent again in a stream of its own"
    a.rollback()
    change(a, 1, preferences=(), direction="recvonly")
    assert named(a.offer(cname="us")) == []
