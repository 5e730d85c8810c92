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
        ("groups", "group:BUNDLE ä"),
        ("sctp_port", "sctp-port:70000"),
        ("sctp_port", "sctp-port:-1"),
        ("max_message_size", "max-message-size:1e9"),
        ("max_message_size", "max-message-size:" + "9" * 5000),
        ("sctpmap", "sctpmap:5000"),
        ("candidates", "candidate:1 1 udp"),
    ],
)
def test_a_malformed_one_names_its_line(name, value):
    with pytest.raises(SdpSyntaxError) as caught:
        getattr(attributes, name)(block("other", value))
    assert caught.value.line == 2


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
        "candidate:1 1 udp 1 10.0.0.1 1 typ host generation",
        "candidate:1 300 udp 1 10.0.0.1 1 typ host",
        "candidate:1 1 udp 4294967296 10.0.0.1 1 typ host",
        "candidate:1 1 udp 1 10.0.0.1 65536 typ host",
        "candidate:1 1 udp 1 10.0.0.1 1 typ srflx raddr x rport y",
        "candidate:" + "f" * 33 + " 1 udp 1 10.0.0.1 1 typ host",
        "candidate:1 1 udp 1 10.0.0.1;rm 1 typ host",
        "candidate:1 1 udp 1 10.0.0.1 1 typ host " + "x y " * 1000,
    ],
)
def test_a_malformed_candidate_is_refused(text):
    with pytest.raises(SdpSyntaxError):
        Candidate.parse(text)


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
        ("msids", "msid:" + "x" * 65),
        ("rids", "rid:a"),
        ("rids", "rid:a both"),
        ("rids", "rid:% send"),
        ("simulcast", "simulcast:send"),
        ("simulcast", "simulcast:send a send b"),
        ("simulcast", "simulcast:send a;;b"),
    ],
)
def test_a_malformed_rtp_attribute_names_its_line(name, value):
    with pytest.raises(SdpSyntaxError) as caught:
        getattr(attributes, name)(block("mid:0", value))
    assert caught.value.line == 2
