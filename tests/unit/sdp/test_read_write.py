"""RFC 8866: text to dataclasses and back."""

import time
from pathlib import Path

import pytest

from adieu import sdp
from adieu.sdp import MAX_BYTES, MAX_CANDIDATES, MAX_MEDIA, SdpSyntaxError, attributes

FIXTURES = sorted((Path(__file__).parents[2] / "fixtures" / "sdp").glob("*.sdp"))

HEAD = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
DATA = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n"


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_what_others_write_comes_back_byte_for_byte(path):
    text = path.read_bytes().decode()
    assert sdp.write(sdp.read(text)) == text


def test_lines_may_end_with_lf_and_the_last_with_nothing():
    assert sdp.write(sdp.read((HEAD + DATA).replace("\r\n", "\n").rstrip())) == HEAD + DATA


@pytest.mark.parametrize(
    "text",
    [
        HEAD.replace("v=0", "v=0 ") + DATA,
        HEAD.replace("1 2 IN", "99999999999999999999999 99999999999999999999999 IN") + DATA,
        HEAD + "a=with space:1\r\na=x\0y\r\n" + DATA,
        HEAD + DATA.replace("channel\r", "channel \r"),
        HEAD + DATA + "e=a@b.example\r\nu=http://x.example\r\nr=1 2 3\r\n",
    ],
    ids=["version", "long numbers", "odd names", "blank after the formats", "lines with no place there"],
)
def test_what_browsers_read_is_read(text):
    description = sdp.read(text)
    assert description.media[0].formats == ("webrtc-datachannel",)
    assert sdp.read(sdp.write(description)) == description


def test_the_parts_of_a_description():
    description = sdp.read(
        HEAD + "a=group:BUNDLE 0\r\nm=audio 49170/2 RTP/AVP 0 8\r\ni=what\r\na=x-own:1\r\na=sendrecv\r\n"
    )
    assert description.origin.session_version == 2
    assert description.session.attribute("group").content == "BUNDLE 0"
    [media] = description.media
    assert (media.kind, media.port, media.port_count, media.formats) == ("audio", 49170, 2, ("0", "8"))
    assert media.of_type("i").value == "what"
    assert media.attribute("x-own").content == "1"
    assert media.attribute("sendrecv").content is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("v=1\r\n", 1),
        ("v= 0\r\n", 1),
        ("o=- 1 1 IN IP4 0\r\nv=0\r\n", 1),
        ("v=0\r\ns=-\r\n", 2),
        ("v=0\r\n", 2),
        ("v=0\r\no=- 1 1 IN IP4\r\ns=-\r\n", 2),
        ("v=0\r\no=- one 1 IN IP4 0\r\ns=-\r\n", 2),
        ("v=0\r\no=- 1 -1 IN IP4 0\r\ns=-\r\n", 2),
        (f"v=0\r\no=- 1 {'9' * 1001} IN IP4 0\r\ns=-\r\n", 2),
        (HEAD + "rubbish\r\n", 5),
        (HEAD + "\r\n" + DATA, 5),
        (HEAD + "y=1\r\n", 5),
        (HEAD + "a=\r\n", 5),
        (HEAD + "a= \r\n", 5),
        (HEAD + "a=x\ry\r\n", 5),
        (HEAD + "m=audio 9 RTP/AVP\r\n", 5),
        (HEAD + "m=audio 70000 RTP/AVP 0\r\n", 5),
        (HEAD + "m=audio x RTP/AVP 0\r\n", 5),
        (HEAD + "m=audio 9 RTP//AVP 0\r\n", 5),
        (HEAD + DATA + "t=0 0\r\n", 7),
    ],
)
def test_the_line_of_an_error_is_named(text, line):
    with pytest.raises(SdpSyntaxError) as caught:
        sdp.read(text)
    assert caught.value.line == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (HEAD + "a=x:" + "y" * MAX_BYTES, 1),
        (HEAD + "a=x:" + "\U0001f44b" * (MAX_BYTES // 4), 1),
        (HEAD + "m=audio 9 X 0\n" * (MAX_MEDIA + 1), 4 + MAX_MEDIA + 1),
        (HEAD + DATA + "a=candidate:\n" * (MAX_CANDIDATES + 1), 6 + MAX_CANDIDATES + 1),
    ],
    ids=["bytes", "bytes of few characters", "media", "candidates"],
)
def test_what_is_beyond_the_bounds_is_refused_in_bounded_time(text, line):
    start = time.process_time()
    with pytest.raises(SdpSyntaxError) as caught:
        sdp.read(text)
    assert caught.value.line == line
    assert time.process_time() - start < 1


def test_the_largest_description_is_read_in_bounded_time():
    candidate = "a=candidate:1 1 udp 1 10.0.0.1 1 typ host\r\n"
    text = HEAD + DATA + candidate * MAX_CANDIDATES
    start = time.process_time()
    assert len(attributes.candidates(sdp.read(text).media[0])) == MAX_CANDIDATES
    assert time.process_time() - start < 2
