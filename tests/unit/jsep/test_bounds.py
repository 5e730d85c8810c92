"""Descriptions that are too large, or made to be slow: refused, or taken, within bounds of time and memory."""

import time
import tracemalloc

import pytest

from adieu import jsep, sdp
from adieu.errors import RTCError
from unit.jsep.test_media import media_side
from unit.jsep.world import Side, swap

OFFER = media_side("A", "audio", "video", data=True).offer()
CANDIDATE = "a=candidate:1 1 udp 2130706431 10.0.0.1 5000 typ host\r\n"


def costs(call):
    """Seconds of this process, and the peak of memory."""
    tracemalloc.start()
    began = time.process_time()
    try:
        call()
    finally:
        seconds, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return seconds, peak


def audio(count):
    head, section = OFFER[: OFFER.index("m=")], OFFER[OFFER.index("m=audio") : OFFER.index("m=video")]
    mids = " ".join(map(str, range(count)))
    return swap(head, "BUNDLE 0 1 2", f"BUNDLE {mids}") + "".join(
        swap(section, "a=mid:0", f"a=mid:{mid}") for mid in range(count)
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (OFFER + "a=x\r\n" * (sdp.MAX_BYTES // 5), 1),
        (OFFER + "a=" + "x" * sdp.MAX_BYTES, 1),
        (OFFER + CANDIDATE * (sdp.MAX_CANDIDATES + 1), None),
        (audio(3).split("m=", 1)[0] + "m=audio 0 X 0\r\n" * (sdp.MAX_MEDIA + 1), None),
    ],
    ids=["lines", "one line", "candidates", "sections"],
)
def test_what_is_too_large_is_refused_and_changes_nothing(text, line):
    b = Side("B", data=False)
    before = b.now

    def refused():
        with pytest.raises(RTCError) as caught:
            b.remote("offer", text)
        assert caught.value.errorDetail == "sdp-syntax-error"
        assert line is None or caught.value.sdpLineNumber == line

    seconds, peak = costs(refused)
    assert b.now is before
    assert seconds < 5
    assert peak < 64 << 20


def test_many_sections_are_answered_in_time():
    """What is within the bounds does not grow as the square of it, or a peer could stop the event loop."""
    b = Side("B", data=False)
    text = audio(sdp.MAX_MEDIA)

    def answered():
        b.remote("offer", text)
        b.answer()

    seconds, peak = costs(answered)
    assert len(b.now.transceivers) == sdp.MAX_MEDIA == 256
    assert len(b.now.transports) == 1
    assert seconds < 20
    assert peak < 256 << 20


def test_a_simulcast_of_many():
    b = Side("B", data=False)
    rids = [f"r{number}" for number in range(5000)]
    text = OFFER.replace("a=rtcp-rsize\r\n", "a=rtcp-rsize\r\na=simulcast:recv " + ";".join(rids) + "\r\n")
    b.remote("offer", text)
    assert [len(t.encodings) for t in b.now.transceivers] == [1, jsep.MAX_ENCODINGS], "audio has no simulcast"
