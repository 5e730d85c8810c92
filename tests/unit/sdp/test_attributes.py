"""The attributes with a form of their own."""

import pytest

from adieu import sdp
from adieu.sdp import Candidate, SdpSyntaxError, attributes
from adieu.sdp.attributes import Fingerprint, Group, SctpMap
from adieu.sdp.model import Block, Line

SHA256 = ":".join(["AB"] * 32)


def block(*values):
    return Block(tuple(Line("a", value, number) for number, value in enumerate(values, 1)))


def test_each_is_none_or_empty_where_it_is_not():
    nothing = block()
    for name in ("ice_ufrag", "ice_pwd", "setup", "mid", "sctp_port", "max_message_size", "sctpmap", "direction"):
        assert getattr(attributes, name)(nothing) is None
    for name in ("candidates", "fingerprints", "groups", "ice_options"):
        assert not getattr(attributes, name)(nothing)
    for name in ("ice_lite", "end_of_candidates", "bundle_only", "rtcp_mux", "extmap_allow_mixed"):
        assert getattr(attributes, name)(nothing) is False
    assert attributes.msid_semantic(nothing) is None
    assert attributes.connection(nothing) is None


def test_values():
    all_of_them = block(
        "ice-ufrag:abcd",
        "ice-pwd:" + "p" * 22,
        "ice-options:trickle ice2",
        f"fingerprint:SHA-256 {SHA256.lower()}",
        "setup:actpass",
        "mid:data-1",
        "group:BUNDLE 0 data-1",
        "group:LS",
        "sctp-port:5000",
        "max-message-size:0",
        "sctpmap:5000 webrtc-datachannel 1024",
        "msid-semantic: WMS *",
        "bundle-only",
        "sendonly",
    )
    assert attributes.ice_ufrag(all_of_them) == "abcd"
    assert attributes.ice_pwd(all_of_them) == "p" * 22
    assert attributes.ice_options(all_of_them) == {"trickle", "ice2"}
    assert attributes.fingerprints(all_of_them) == (Fingerprint("sha-256", SHA256),)
    assert attributes.setup(all_of_them) == "actpass"
    assert attributes.mid(all_of_them) == "data-1"
    assert attributes.groups(all_of_them) == (Group("BUNDLE", ("0", "data-1")), Group("LS", ()))
    assert attributes.sctp_port(all_of_them) == 5000
    assert attributes.max_message_size(all_of_them) == 0
    assert attributes.sctpmap(all_of_them) == SctpMap(5000, "webrtc-datachannel", 1024)
    assert attributes.msid_semantic(all_of_them) == ("WMS", "*")
    assert attributes.bundle_only(all_of_them)
    assert attributes.direction(all_of_them) == "sendonly"
    assert attributes.connection(Block((Line("c", "IN IP4 10.0.0.1", 1),))).address == "10.0.0.1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ice_ufrag", "ice-ufrag:abc"),
        ("ice_ufrag", "ice-ufrag:ab cd"),
        ("ice_ufrag", "ice-ufrag"),
        ("ice_pwd", "ice-pwd:" + "p" * 21),
        ("ice_pwd", "ice-pwd:" + "p" * 257),
        ("fingerprints", "fingerprint:sha-256 AB:CD"),
        ("fingerprints", "fingerprint:sha-256"),
        ("fingerprints", "fingerprint:sha-256 XY"),
        ("setup", "setup:both"),
        ("mid", "mid:a b"),
        ("sctp_port", "sctp-port:70000"),
        ("sctp_port", "sctp-port:-1"),
        ("max_message_size", "max-message-size:1e9"),
        ("max_message_size", "max-message-size:" + "9" * 5000),
    ],
)
def test_a_malformed_one_names_its_line(name, value):
    with pytest.raises(SdpSyntaxError) as caught:
        getattr(attributes, name)(block("other", value))
    assert caught.value.line == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("groups", "group:BUNDLE ä"),
        ("groups", "group:"),
        ("sctpmap", "sctpmap:5000"),
        ("sctpmap", "sctpmap:x webrtc-datachannel"),
        ("candidates", "candidate:1 1 udp"),
        ("candidates", "candidate"),
    ],
)
def test_malformed_optional_attributes_are_left_out(name, value):
    """They are listed as unusable."""
    some = block("other", value)
    assert not getattr(attributes, name)(some)
    assert not getattr(attributes, name)(some), "read once, said once"
    assert (some.unusable.count, [error.line for error in some.unusable.first]) == (1, [2])


def test_a_good_one_beside_a_malformed_one_is_used():
    some = block("candidate:x", "candidate:1 1 udp 1 10.0.0.1 5 typ host", "candidate:y")
    assert [candidate.port for candidate in attributes.candidates(some)] == [5]
    assert [error.line for error in some.unusable.first] == [1, 3]


def test_of_many_malformed_ones_the_first_are_known_and_all_are_counted():
    some = block(*["candidate:x"] * 1000)
    assert attributes.candidates(some) == ()
    assert some.unusable.count == 1000
    assert [error.line for error in some.unusable.first] == list(range(1, 21))


@pytest.mark.parametrize("said", ["rtcp-mux", "rtcp-mux ", "rtcp-mux\t", " rtcp-mux", "RTCP-MUX", "rtcp-mux x-unknown"])
def test_a_property_says_all_by_its_first_word(said):
    assert attributes.rtcp_mux(block(said))


def test_values_that_browsers_take():
    secret = "jjDhFTKL-kgZEE_cSudUpTzv"
    some = block("mid:", "setup:ACTIVE", "ice-ufrag:wKjZ_R9A=#-6", f"ice-pwd:{secret}", "group: BUNDLE\t0")
    assert attributes.mid(some) is None
    assert attributes.setup(some) == "active"
    assert attributes.ice_ufrag(some) == "wKjZ_R9A=#-6"
    assert attributes.ice_pwd(some) == secret
    assert attributes.groups(some) == (Group("BUNDLE", ("0",)),)
    assert attributes.connection(Block((Line("c", "IN IP4  10.0.0.1 x", 1),))).address == "10.0.0.1"


@pytest.mark.parametrize(
    "text",
    [
        "candidate:2462298905 1 udp 2122194687 10.9.0.1 46079 typ host generation 0 network-id 1",
        "candidate:86c25eea33b97f9d75eeb46d5d4b3e7d 1 udp 2130706431 fd09::1 44060 typ host",
        "candidate:2 1 tcp 2105458943 10.9.0.1 9 typ host tcptype active",
        "candidate:4 1 udp 1 203.0.113.7 5 typ srflx raddr 10.0.0.1 rport 6 ufrag abcd",
        "candidate:1 1 udp 1 0d0c1bd6-1ab9-4d4f-9d8c-8e9a8f0f0f0f.local 5 typ host",
    ],
)
def test_a_candidate_comes_back_as_it_was(text):
    assert str(Candidate.parse(text)) == text
    assert Candidate.parse("a=" + text + "\r\n") == Candidate.parse(text) == Candidate.parse(text[10:])


def test_the_fields_of_a_candidate():
    candidate = Candidate.parse("candidate:4 1 UDP 7 203.0.113.7 5 typ srflx raddr 10.0.0.1 rport 6 ufrag abcd x y")
    assert (candidate.foundation, candidate.component, candidate.transport, candidate.priority) == ("4", 1, "udp", 7)
    assert (candidate.address, candidate.port, candidate.type) == ("203.0.113.7", 5, "srflx")
    assert (candidate.related_address, candidate.related_port) == ("10.0.0.1", 6)
    assert candidate.ufrag == "abcd"
    assert candidate.extensions == (("ufrag", "abcd"), ("x", "y"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "candidate:",
        "candidate:1 1 udp 1 10.0.0.1 1 host",
        "candidate:1 1 udp 1 10.0.0.1 1 TYP host",
        "candidate:1 x udp 1 10.0.0.1 1 typ host",
        "candidate:1 99999999999 udp 1 10.0.0.1 1 typ host",
        "candidate:1 1 udp 4294967296 10.0.0.1 1 typ host",
        "candidate:1 1 udp 1 10.0.0.1 65536 typ host",
        "candidate:1 1 udp 1 10.0.0.1 1 typ srflx raddr x rport y",
        "candidate:1 1 udp 1 10.0.0.1\0 1 typ host",
        "candidate:1 1 udp 1 10.0.0.1 1 typ host x \0",
        "candidate:1 1 udp 1 10.0.0.1 1 typ host\r\na=x",
        "candidate:1 1 udp 1 " + "a" * 256 + " 1 typ host",
        "candidate:1 1 udp 1 10.0.0.1 1 typ host " + "x y " * 3000,
    ],
)
def test_a_malformed_candidate_is_refused(text):
    with pytest.raises(SdpSyntaxError):
        Candidate.parse(text)


@pytest.mark.parametrize(
    ("odd", "read"),
    [
        ("1 1 udp 1 10.0.0.1 1 typ host ", "1 1 udp 1 10.0.0.1 1 typ host"),
        ("1  1 udp 1 10.0.0.1\t1 typ host\r\n", "1 1 udp 1 10.0.0.1 1 typ host"),
        ("1 1 udp 1 10.0.0.1 1 typ host generation 0 network-cost", "1 1 udp 1 10.0.0.1 1 typ host generation 0"),
        ("1 1 udp 1 [fd09::1] 1 typ host", "1 1 udp 1 fd09::1 1 typ host"),
        ("1 -1 udp 1 10.0.0.1 1 typ host", "1 0 udp 1 10.0.0.1 1 typ host"),
        ("host-udp_1 300 udp 1 10.{0.1 1 typ host x é", "host-udp_1 300 udp 1 10.{0.1 1 typ host x é"),
    ],
)
def test_a_candidate_that_browsers_take_is_read_as_they_do(odd, read):
    assert str(Candidate.parse(f"candidate:{odd}")) == f"candidate:{read}"


def test_what_the_agent_gets_of_an_odd_candidate():
    """The core reads RFC 8839's letters only."""
    odd = Candidate.parse("candidate:host-udp_1 1 udp 7 fe80::1%eth0 5 typ host generation 0 x é ufrag ab_d")
    other = Candidate.parse("candidate:host-udp_1 1 udp 7 10.0.0.1 5 typ host")
    plain = Candidate.parse("candidate:4 1 udp 7 203.0.113.7 5 typ srflx raddr 10.0.0.1 rport 6 ufrag abcd")
    foundation = odd.for_agent().foundation
    assert str(odd.for_agent()) == f"candidate:{foundation} 1 udp 7 fe80::1 5 typ host generation 0 ufrag ab_d"
    assert foundation.isalnum()
    assert other.for_agent().foundation == foundation, "equal ones stay equal"
    assert plain.for_agent() == plain


def test_a_made_attribute():
    assert sdp.attribute("mid", 0) == Line("a", "mid:0")
    assert sdp.attribute("end-of-candidates") == Line("a", "end-of-candidates")


# --- RTP -----------


def test_rtp_values():
    rtp = block(
        "rtpmap:111 opus/48000/2",
        "rtpmap:96 VP8/90000",
        "fmtp:111 minptime=10;useinbandfec=1",
        "rtcp-fb:96 nack pli",
        "rtcp-fb:* ccm fir",
        "extmap:4 urn:mid",
        "extmap:5/recvonly urn:x more of it",
        "msid:S T",
        "msid:-",
        "rid:a send",
        "rid:b recv pt=96;max-width=1280",
        "simulcast:send a;~b,c recv d",
        "ssrc:1 msid:U t",
        "ssrc:1 cname:x",
        "rtcp-rsize",
    )
    assert attributes.rtpmaps(rtp) == (
        attributes.RtpMap(111, "opus", 48000, "2"),
        attributes.RtpMap(96, "VP8", 90000),
    )
    assert attributes.fmtps(rtp) == {111: "minptime=10;useinbandfec=1"}
    assert attributes.rtcp_fbs(rtp) == (attributes.RtcpFb(96, "nack pli"), attributes.RtcpFb(None, "ccm fir"))
    assert attributes.extmaps(rtp) == (
        attributes.ExtMap(4, "urn:mid"),
        attributes.ExtMap(5, "urn:x", "recvonly", "more of it"),
    )
    assert attributes.msids(rtp) == (attributes.Msid("S", "T"), attributes.Msid("-"))
    assert attributes.rids(rtp) == (
        attributes.Rid("a", "send"),
        attributes.Rid("b", "recv", "pt=96;max-width=1280"),
    )
    streams = attributes.SimulcastStream
    assert attributes.simulcast(rtp) == attributes.Simulcast(
        send=(streams(("a",)), streams(("b", "c"), paused=True)), recv=(streams(("d",)),)
    )
    assert attributes.ssrc_streams(rtp) == ["U"]
    assert attributes.rtcp_rsize(rtp)


def test_the_id_of_a_stream_is_what_stands_there():
    some = block("msid:user@example.com/room t", "msid:" + "x" * 80, "ssrc:1 msid:a@b t")
    assert [msid.stream for msid in attributes.msids(some)] == ["user@example.com/room", "x" * 80]
    assert attributes.ssrc_streams(some) == ["a@b"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rtpmaps", "rtpmap:128 x/1"),
        ("rtpmaps", "rtpmap:96 x"),
        ("rtpmaps", "rtpmap:96 x/y"),
        ("rtpmaps", "rtpmap:96 x/1/2/3"),
        ("fmtps", "fmtp:x y"),
        ("rtcp_fbs", "rtcp-fb:96"),
        ("extmaps", "extmap:4"),
        ("extmaps", "extmap:4/up urn:x"),
        ("extmaps", "extmap:5000 urn:x"),
        ("msids", "msid:"),
        ("msids", "msid: t"),
        ("rids", "rid:a"),
        ("rids", "rid:a both"),
        ("rids", "rid:% send"),
        ("simulcast", "simulcast:send"),
        ("simulcast", "simulcast:send a send b"),
        ("simulcast", "simulcast:send a;;b"),
    ],
)
def test_a_malformed_rtp_attribute_is_left_out_and_its_line_is_known(name, value):
    some = block("mid:0", value)
    assert not getattr(attributes, name)(some)
    assert [error.line for error in some.unusable.first] == [2]
